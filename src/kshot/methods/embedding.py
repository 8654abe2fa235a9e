"""Good embedding: Tian, Wang, Krishnan, Tenenbaum & Isola, "Rethinking few-shot image classification", ECCV 2020.

One encoder is trained to tell all training classes apart, then frozen; a task is a linear classifier on its features:

    phi = argmin E CE(V f_phi(x) + v, class of x)                   (no episodes)
    W, b = argmin sum_S CE(W f(x) + b, y) + R(W)                    (the base learner, phi frozen)

The centroid head with centring and unit length is SimpleShot's CL2N (Wang, Chao, Weinberger & van der Maaten 2019).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..backbones import feature_size
from ..backbones.init import linear_layer
from ..errors import UserError
from ..functional.heads import HEADS
from ..tasks import Tasks
from .base import About, query_loss
from .metric import MetricMethod

MOMENTUM = 0.01  # of the running mean of the features


def supervised_batch(tasks: Tasks) -> tuple[Tensor, Tensor]:
    """All examples of all tasks: inputs [T, S+Q, ...], and the number in the data of the class of each, [B]."""
    y = torch.cat([tasks.ys, tasks.yq], 1)  # [T, S+Q]
    return torch.cat([tasks.xs, tasks.xq], 1), tasks.classes.gather(1, y).flatten()


@dataclass(frozen=True)
class LinearHead:
    """A linear classifier for each task: logits = features @ weight + bias, with weight [T, D, N] and bias [T, N]."""

    weight: Tensor
    bias: Tensor


class Embedding(MetricMethod):
    """Supervised embedding with a linear head.

    A batch of training tasks is one supervised batch: support and query together, each with the number of its class in
    the data. `--way 64 --shot 1 --query 1 --tasks 1` is a batch of 128 pictures of 64 classes.

    Args:
        head: the classifier of a task: logistic regression (the paper's), ridge regression to one-hot labels, or
            centroid (the nearest class mean).
        centre: subtract the mean feature of the training classes before a head sees a feature.
        unit: scale features to unit length (after centring) before a head sees them.
        lam: lambda of the logistic and the ridge head; 1 is scikit-learn's C = 1.
        classifier: what is trained on top of the encoder: linear, or cosine (its weights and the features have unit
            length, as in the "Baseline++" of Chen et al. 2019).
        scale: what the cosines are multiplied with before the softmax.
    """

    about: ClassVar[About] = About(
        title="good embedding",
        source="Tian et al., ECCV 2020; Wang et al. 2019 (CL2N)",
        idea="train one encoder on all training classes, freeze it, and fit a linear classifier to each task",
        on_features=True,
    )

    def __init__(
        self,
        backbone: nn.Module,
        *,
        input_shape: tuple[int, ...],
        num_classes: int | None,
        head: Literal["logistic", "ridge", "centroid"] = "logistic",
        centre: bool = False,
        unit: bool = True,
        lam: float = 1.0,
        classifier: Literal["linear", "cosine"] = "linear",
        scale: float = 10.0,
        seed: int = 0,
    ) -> None:
        super().__init__(backbone)
        if num_classes is None:
            raise UserError(
                f"this method ({self.about.title}) learns one output for every training class and needs a finite "
                f"number of classes; these data are endless. Use glyphs, omniglot or a folder"
            )
        if not lam > 0:
            raise UserError(f"lam must be greater than 0, or the head has no unique solution; got {lam}. Try 1")
        self.head, self.centre, self.unit, self.lam = head, centre, unit, lam
        self.cosine, self.scale = classifier == "cosine", scale
        size = feature_size(backbone, input_shape)
        self.classifier = linear_layer(size, num_classes, seed + 1)
        if self.cosine:
            self.classifier.register_parameter("bias", None)
        self.mean: Tensor
        self.register_buffer("mean", torch.zeros(size))

    def class_logits(self, features: Tensor) -> Tensor:
        """Logits [B, C] of all training classes for features [B, D]."""
        if self.cosine:
            return self.scale * F.linear(F.normalize(features, dim=-1), F.normalize(self.classifier.weight, dim=-1))
        return self.classifier(features)

    def supervised(self, x: Tensor) -> Tensor:
        """Logits [B, C] of all training classes for inputs [T, P, ...], taken as one batch; notes the mean feature."""
        features = self.embed(x).flatten(0, 1)  # [B, D]
        if self.training:
            with torch.no_grad():
                self.mean.lerp_(features.mean(0).to(self.mean.dtype), MOMENTUM)
        return self.class_logits(features)

    def meta_loss(self, tasks: Tasks) -> tuple[Tensor, dict[str, Tensor]]:
        """Cross-entropy over all training classes; the accuracy is that of naming one of them."""
        x, y = supervised_batch(tasks)
        return query_loss(self.supervised(x), y)

    def prepared(self, x: Tensor) -> Tensor:
        """Features [T, P, D] as a head sees them."""
        features = self.embed(x)
        if self.centre:
            features = features - self.mean
        return F.normalize(features, dim=-1) if self.unit else features

    def represent(self, state: Any, x: Tensor) -> Tensor:
        """Features as a head sees them."""
        return self.prepared(x)

    def adapt(self, xs: Tensor, ys: Tensor, way: int) -> Any:
        """The head fitted to the support set: a LinearHead."""
        z = self.prepared(xs)
        with torch.no_grad():  # nothing is trained through it
            return LinearHead(*HEADS[self.head](z, ys, way, self.lam))

    def predict(self, state: Any, xq: Tensor, *, transductive: bool = False) -> Tensor:
        """W z + b."""
        return self.prepared(xq) @ state.weight + state.bias[:, None]
