"""Labels for the pictures of a request, through the classifier that the command line's model code is."""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from ..data.pictures import ink_high
from ..errors import UserError
from ..estimator import FewShotClassifier
from . import limits
from .decided import Decider
from .gate import Memory
from .library import Served
from .pictures import Pictures
from .schemas import Decided, Labelled, LabelledClass, TaskRequest


@dataclass(frozen=True)
class Question:
    """A request whose pictures are read: S examples, class by class and sorted by name, as from folders, and Q queries.

    Attributes:
        xs, xq: uint8 [S, C, H, W] and [Q, C, H, W], as they came.
        names: the class of each example [S].
        examples: the number of each within its class, from 0 [S].
        inverted: whether dark ink becomes light.
    """

    xs: Tensor
    xq: Tensor
    names: list[str]
    examples: list[int]
    inverted: bool

    def seen(self, x: Tensor) -> Tensor:
        """Pictures as the model sees them: ink is high."""
        return 255 - x if self.inverted else x

    @cached_property
    def digest(self) -> bytes:
        """What the classifier depends on."""
        told = f"{self.inverted} {tuple(self.xs.shape)} {self.names}".encode()
        return hashlib.sha256(told + self.xs.numpy().tobytes()).digest()

    @cached_property
    def asked(self) -> bytes:
        """What the answer depends on."""
        return hashlib.sha256(self.digest + self.xq.numpy().tobytes()).digest()


class Classifiers:
    """Classifiers that have learned their examples; the last ones are remembered: a query changes stroke by stroke."""

    def __init__(self) -> None:
        self.pictures = Pictures()
        self.decider = Decider()
        self._kept: Memory[FewShotClassifier] = Memory(limits.CLASSIFIERS_KEPT)
        self._answers: Memory[np.ndarray] = Memory(limits.CLASSIFIERS_KEPT)  # what decided is asked after the answer

    def question(self, served: Served, request: TaskRequest) -> Question:
        """The pictures of a request, as the model takes them."""
        classes = _sorted(request.classes)
        count = sum(len(c.pictures) for _, c in classes)
        if count > limits.SUPPORT:
            raise UserError(f"{count} examples; at most {limits.SUPPORT} are allowed in all classes: leave some out")
        names = [name for name, c in classes for _ in c.pictures]
        examples = [i for _, c in classes for i in range(len(c.pictures))]
        xs = [
            self.pictures.read(picture, served.shape, f"example {i + 1} of the class {name!r}")
            for name, c in classes
            for i, picture in enumerate(c.pictures)
        ]
        xq = [self.pictures.read(q, served.shape, f"query {i + 1}") for i, q in enumerate(request.queries)]
        every = torch.stack([*xs, *xq])
        inverted = ink_high(every, request.invert) is not every
        return Question(every[: len(xs)], every[len(xs) :], names, examples, inverted)

    def fitted(self, served: Served, question: Question) -> FewShotClassifier:
        """The classifier that has learned the examples."""
        if served.way is not None and len(set(question.names)) > served.way:
            raise UserError(
                f"{served.name} was made for {served.way} classes, and these are {len(set(question.names))}: remove "
                f"classes, or choose a model without this limit"
            )

        def fit() -> FewShotClassifier:
            classifier = served.classifier("yes" if question.inverted else "no")
            return classifier.fit(question.xs.numpy(), np.array(question.names))

        return self._kept.get((served.name, question.digest), fit)

    def label(self, served: Served, question: Question, decide: bool = True) -> list[Labelled]:
        """What the model says of every query, and which example decided if that is asked."""
        fitted = self.fitted(served, question)
        key = (served.name, question.asked)
        p = self._answers.get(key, lambda: fitted.predict_proba(question.xq.numpy()))  # [Q, N]
        labels = [str(c) for c in fitted.classes_]
        best = p.argmax(-1)
        decided: list[Decided | None] = [None] * len(p)
        if decide:
            decided = self.decider.decide(served, fitted, question, torch.from_numpy(best))
        return [
            Labelled(
                label=labels[b],
                probability=float(row[b]),
                probabilities=dict(zip(labels, map(float, row))),
                decided=d,
            )
            for row, b, d in zip(p, best.tolist(), decided)
        ]


def _sorted(classes: Sequence[LabelledClass]) -> list[tuple[str, LabelledClass]]:
    """Classes with their names in one Unicode form, in the order of the names, as those of folders."""
    named = sorted(((unicodedata.normalize("NFC", c.name.strip()), c) for c in classes), key=lambda pair: pair[0])
    for i, (name, _) in enumerate(named):
        if not name:
            raise UserError("a class has a name of spaces alone; expected letters: give it a name")
        if i and name == named[i - 1][0]:
            raise UserError(f"two classes are called {name!r}; expected a name of its own for each: rename one")
    return named
