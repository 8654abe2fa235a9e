"""Born-again distillation: Furlanello et al., ICML 2018, as Tian et al., ECCV 2020, use it.

A trained embedding teaches a new one of the same kind: beside the true class, the student learns the teacher's opinion
of all classes, softened by a temperature (Hinton, Vinyals & Dean 2015):

    L = alpha CE(y, p) + beta tau^2 KL(p_teacher(tau) || p(tau)),   p(tau) = softmax(logits / tau)

tau^2 keeps the size of the gradient as tau grows. A task is then learned as the good embedding learns it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import UserError
from ..functional.distillation import softened_kl
from ..tasks import Tasks
from .base import About, Method, query_measures
from .embedding import Embedding, supervised_batch


class Distilled(Embedding):
    """Embedding taught by another one. A batch of tasks is one supervised batch, as for embedding.

    Args:
        teacher: run folder of a trained embedding on the same data, or of a distilled one for a further generation. Its
            weights are read before the first step and are not part of the student's.
        temperature: tau.
        alpha: weight of the true class.
        beta: weight of the teacher's opinion.
        head: the classifier of a task: logistic, ridge or centroid, see embedding.
        centre: subtract the mean feature of the training classes before a head sees a feature.
        unit: scale features to unit length (after centring) before a head sees them.
        lam: lambda of the logistic and the ridge head.
        classifier: what is trained on top of the encoder: linear or cosine, see embedding.
        scale: what the cosines are multiplied with before the softmax.
    """

    about: ClassVar[About] = About(
        title="distilled embedding",
        source="Furlanello et al., ICML 2018; Tian et al., ECCV 2020",
        idea="an embedding that also learns the softened opinion of a trained one of the same kind",
    )

    def __init__(
        self,
        backbone: nn.Module,
        *,
        input_shape: tuple[int, ...],
        num_classes: int | None,
        teacher: str = "",
        temperature: float = 4.0,
        alpha: float = 0.5,
        beta: float = 0.5,
        head: Literal["logistic", "ridge", "centroid"] = "logistic",
        centre: bool = False,
        unit: bool = True,
        lam: float = 1.0,
        classifier: Literal["linear", "cosine"] = "linear",
        scale: float = 10.0,
        seed: int = 0,
    ) -> None:
        super().__init__(
            backbone,
            input_shape=input_shape,
            num_classes=num_classes,
            head=head,
            centre=centre,
            unit=unit,
            lam=lam,
            classifier=classifier,
            scale=scale,
            seed=seed,
        )
        if not temperature > 0:
            raise UserError(f"temperature must be greater than 0; got {temperature}. The paper's is 4")
        self.run, self.temperature, self.alpha, self.beta = teacher, temperature, alpha, beta
        self._teacher: list[Embedding] = []  # in a list, so that it is no part of this module and its weights

    def equip(self, load: Callable[[str], Method]) -> None:
        """Read the teacher."""
        if not self.run:
            raise UserError(
                "distilled learns from a teacher: train one first (kshot train embedding ... --out runs/teacher) and "
                "give its folder, --teacher runs/teacher"
            )
        teacher = load(self.run)
        if not isinstance(teacher, Embedding):
            raise UserError(
                f"the teacher must be a run of embedding or distilled; {self.run} is one of {teacher.about.title}"
            )
        mine, theirs = (m.classifier.out_features for m in (self, teacher))
        if mine != theirs:
            raise UserError(
                f"the teacher {self.run} knows {theirs} classes, and the training data have {mine}: train the student "
                f"on the teacher's data"
            )
        self._teacher = [teacher.to(self.classifier.weight).eval()]

    @torch.no_grad()
    def opinion(self, x: Tensor) -> Tensor:
        """The teacher's logits [B, C] for inputs [T, P, ...]."""
        if not self._teacher:
            raise UserError("distilled has no teacher yet: call equip(load_run) or train it with kshot.training.train")
        teacher = self._teacher[0]
        return teacher.class_logits(teacher.embed(x).flatten(0, 1))

    def meta_loss(self, tasks: Tasks) -> tuple[Tensor, dict[str, Tensor]]:
        """alpha CE + beta tau^2 KL over all training classes."""
        x, y = supervised_batch(tasks)
        logits, opinion = self.supervised(x), self.opinion(x)
        distance = softened_kl(opinion, logits, self.temperature)
        loss = self.alpha * F.cross_entropy(logits, y) + self.beta * distance
        return loss, {**query_measures(loss, logits, y), "distance": distance.detach()}
