"""Convolutional Siamese network: Koch, Zemel & Salakhutdinov, ICML deep learning workshop 2015.

A twin encoder f learns to say whether two pictures are of one class. A query then has the class of the support picture
that is most probably of its class:

    p(a, b) = sigmoid(sum_j alpha_j |f_j(a) - f_j(b)| + beta)               (section 3.1)
    L = -mean [y log p + (1 - y) log(1 - p)],  half of the pairs with y = 1 (section 3.2)
    class of x = that of argmax_i p(x, x_i)                                 (section 4.2)
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..backbones import feature_size
from ..errors import UserError
from ..functional import random
from ..functional.pairs import draw_pairs, mean_of
from ..functional.prototypes import nearest_scores
from ..tasks import Tasks
from .base import About, Similarity
from .metric import Embedded, MetricMethod

# Where alpha (its sum over the features, or the factor of the cosine) and beta start: equal features speak for one
# class, different ones against it. An optimiser that started at beta = 0 would take most of a training to get there.
STARTS = {"l1": (-8.0, 4.0), "l2": (-2.0, 2.0), "cosine": (10.0, -5.0)}


class Siamese(MetricMethod):
    """Siamese network.

    With K > 1, a class is as probable as its most probable support picture.

    Args:
        distance: how two embeddings differ: l1, the weighted absolute differences (the paper's); l2, the weighted
            squared differences; cosine, their cosine times a learned number.
        partners: how many pictures of its own class, and of other classes of its task, every picture is paired with in
            a training step. The paper draws single pairs (1); more only cost the comparison, not the embedding.
    """

    about: ClassVar[About] = About(
        title="convolutional Siamese network",
        source="Koch, Zemel & Salakhutdinov, ICML workshop 2015, sections 3 and 4",
        idea="a twin encoder says whether two pictures are of one class; a query joins its most probable partner",
    )

    def __init__(
        self,
        backbone: nn.Module,
        *,
        input_shape: tuple[int, ...],
        distance: Literal["l1", "l2", "cosine"] = "l1",
        partners: int = 1,
        seed: int = 0,
    ) -> None:
        super().__init__(backbone)
        if partners < 1:
            raise UserError(f"partners must be at least 1; got {partners}")
        self.distance, self.partners, self.seed = distance, partners, seed
        inputs = 1 if distance == "cosine" else feature_size(backbone, input_shape)
        self.head = nn.utils.skip_init(nn.Linear, inputs, 1)
        alpha, beta = STARTS[distance]
        nn.init.constant_(self.head.weight, alpha / inputs)
        nn.init.constant_(self.head.bias, beta)

    def compare(self, a: Tensor, b: Tensor) -> Tensor:
        """The logit of p(a, b) for features [..., D], which broadcast: [...]."""
        if self.distance == "cosine":
            return self.head(F.cosine_similarity(a, b, -1)[..., None]).squeeze(-1)
        difference = a - b
        return self.head(difference.abs() if self.distance == "l1" else difference.square()).squeeze(-1)

    def score(self, support: Embedded, features: Tensor) -> Tensor:
        """The largest logit among the support pictures of each class; their softmax is the share of the odds."""
        logits = self.compare(features[:, :, None], support.features[:, None])  # [T, Q, S]
        return nearest_scores(logits, support.ys, support.way)

    def similarity(self, state: Any, xs: Tensor, xq: Tensor) -> Similarity:
        """p(a, b)."""
        logits = self.compare(self.embed(xq)[:, :, None], state.features[:, None])  # [T, Q, S]
        return Similarity(logits.sigmoid(), "probability of one class")

    def verify(self, tasks: Tasks, partners: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Logits of drawn pairs of one class and which of them exist, and of pairs of two: all [T, P, partners]."""
        features = self.embed(torch.cat([tasks.xs, tasks.xq], 1))  # [T, P, D]
        labels = torch.cat([tasks.ys, tasks.yq], 1)  # [T, P]
        key = random.keys(self.seed, tasks.indices, "pairs").to(labels.device)
        same, has_same, other, has_other = draw_pairs(labels, key, min(partners, labels.shape[1]))

        def logits(at: Tensor) -> Tensor:
            rows = at.flatten(1)[..., None].expand(-1, -1, features.shape[-1])
            return self.compare(features[:, :, None], features.gather(1, rows).unflatten(1, at.shape[1:]))

        return logits(same), has_same, logits(other), has_other

    def meta_loss(self, tasks: Tasks) -> tuple[Tensor, dict[str, Tensor]]:
        """Binary cross-entropy of verification pairs, half of one class and half of two; accuracy is of these pairs."""
        same, has_same, other, has_other = self.verify(tasks, self.partners)
        losses = mean_of(F.softplus(-same), has_same) + mean_of(F.softplus(other), has_other)
        loss = losses.mean() / 2
        right = mean_of((same > 0).float(), has_same) + mean_of((other < 0).float(), has_other)
        return loss, {"loss": loss.detach(), "accuracy": right.mean() / 2}

    def further(self, tasks: Tasks) -> dict[str, Tensor]:
        """Verification: percent of right answers at p = 1/2 to one pair of each kind for every picture of a task."""
        same, has_same, other, has_other = self.verify(tasks, 1)
        right = mean_of((same > 0).double(), has_same) + mean_of((other < 0).double(), has_other)
        return {"verification_accuracy": 50 * right}
