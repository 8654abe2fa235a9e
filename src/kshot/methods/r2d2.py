"""R2-D2, ridge regression differentiable discriminator: Bertinetto, Henriques, Torr & Vedaldi, ICLR 2019.

The classifier of a task is ridge regression from features to one-hot labels. It has a closed form, so the encoder is
trained through the exact solution:

    W = X' (X X' + lambda I)^-1 Y                                   (Woodbury: S unknowns instead of D)
    logits = alpha X_q W + beta

with X the support features, Y the one-hot labels, and lambda, alpha and beta learned.
"""

from __future__ import annotations

import math
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import UserError
from ..functional.ridge import ridge
from .base import About
from .metric import Embedded, MetricMethod


class R2D2(MetricMethod):
    """Encoder with a ridge regression head.

    Args:
        lam: lambda at the start of training. The smaller, the closer W fits the support set; for a large one, the
            logits are those of the class means.
        scale: alpha at the start, what the predicted one-hot labels are multiplied with before the softmax.
        learn_lam: whether training changes lambda (by its logarithm, which keeps it positive).
        learn_scale: whether training changes alpha.
    """

    about: ClassVar[About] = About(
        title="R2-D2",
        source="Bertinetto, Henriques, Torr & Vedaldi, ICLR 2019 (the ridge regression form)",
        idea="ridge regression on the embedded support set, solved in closed form and trained through",
        on_features=True,
    )

    def __init__(
        self,
        backbone: nn.Module,
        *,
        lam: float = 1.0,
        scale: float = 10.0,
        learn_lam: bool = True,
        learn_scale: bool = True,
    ) -> None:
        super().__init__(backbone)
        if not lam > 0:
            raise UserError(f"lam must be greater than 0, or the ridge has no unique solution; got {lam}. Try 1")
        self.log_lam = nn.Parameter(torch.tensor(math.log(lam)), requires_grad=learn_lam)
        self.scale = nn.Parameter(torch.tensor(float(scale)), requires_grad=learn_scale)
        self.bias = nn.Parameter(torch.tensor(0.0))

    def score(self, support: Embedded, features: Tensor) -> Tensor:
        """alpha f(x) W + beta."""
        labels = F.one_hot(support.ys, support.way)
        w = ridge(support.features, labels, self.log_lam.exp())  # [T, D, N]
        return self.scale * (features.to(w.dtype) @ w) + self.bias
