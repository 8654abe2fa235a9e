"""The models that are served: read once, when the server starts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import torch

from ..cli.learners import Learner, find_learner
from ..data import Invert
from ..errors import UserError, unknown
from ..estimator import FewShotClassifier
from ..evaluation.prediction import head_way
from ..evaluation.score import evaluating
from ..methods import Method
from ..methods.gradient import GradientMethod
from ..tasks import TaskSpec
from .schemas import AboutModel

DRAWING = (1, 28, 28)  # inputs of a method without training, where no model says otherwise
LIMIT = 12  # models at a time: the page lists them all


@dataclass(frozen=True)
class Served:
    """A model of the page.

    Attributes:
        name: as the user called it.
        learner: the run, the built-in model, or the method without training.
        method: with its weights.
        shape: of its inputs: (C, H, W), or (1,) for curves.
        device: where it computes.
    """

    name: str
    learner: Learner
    method: Method = field(repr=False)
    shape: tuple[int, ...]
    device: str = "cpu"

    @property
    def curves(self) -> bool:
        """Whether it learns curves, and not pictures."""
        return len(self.shape) == 1

    @property
    def way(self) -> int | None:
        """The largest number of classes that it can learn; None where there is no limit."""
        return int(getattr(self.method, "way", 0)) or None if self.method.about.fixed_way else None

    def classifier(self, invert: Invert) -> FewShotClassifier:
        """A classifier that has seen nothing yet: the model code of the command line and of Python."""
        model = self.learner.run or self.name
        return FewShotClassifier(model, size=self.shape[-1], invert=invert, device=self.device)

    def about(self) -> AboutModel:
        """What GET /api/about says of it."""
        run, about = self.learner.run, self.method.about
        trained = f"trained on {run.config['data']['spec']}" if run else "needs no training"
        return AboutModel(
            name=self.name,
            title=about.title,
            method=run.name if run else self.name,
            idea=about.idea,
            kind="curves" if self.curves else "pictures",
            shape=list(self.shape),
            way=None if self.curves else self.way,
            trained=trained,
        )


class Library:
    """Models by name.

    Args:
        names: run folders, names of built-in models, or names of methods that need no training.
        device: where they compute.
    """

    def __init__(self, names: Sequence[str], device: str = "cpu") -> None:
        names = list(dict.fromkeys(names))
        if not 1 <= len(names) <= LIMIT:
            raise UserError(f"the page shows 1 to {LIMIT} models, and {len(names)} were named: leave some out")
        learners = {name: find_learner(name, device) for name in names}
        pictures = [learner.input_shape for learner in learners.values() if len(learner.input_shape or ()) == 3]
        free = pictures[0] if pictures and pictures[0] else DRAWING
        self.models = {name: _served(name, learner, free, device) for name, learner in learners.items()}

    def find(self, name: str, *, curves: bool) -> Served:
        """The model of that name, of the wanted kind."""
        fitting = [n for n, model in self.models.items() if model.curves == curves]
        if name not in self.models:
            raise unknown("model", name, fitting)
        if name not in fitting:
            kind, wanted = ("pictures", "curves") if curves else ("curves", "pictures")
            others = f"take {' or '.join(fitting)}" if fitting else f"start kshot serve with a run of {wanted}"
            raise UserError(f"the model {name} learns {kind}, not {wanted}: {others}")
        return self.models[name]

    def warm_up(self) -> None:
        """Let every model learn and predict once: what torch does at first use then keeps no visitor waiting."""
        for served in self.models.values():
            way = min(5, served.way or 5)
            x = torch.zeros(1, way, *served.shape)
            y = x[..., :1] if served.curves else torch.arange(way)[None]
            with evaluating(served.method):
                served.method.predict(
                    served.method.adapt(x, y, 0 if served.curves else head_way(served.method, way)), x
                )

    @cached_property
    def shapes(self) -> list[tuple[int, ...]]:
        """The different shapes of pictures that the models take."""
        return list(dict.fromkeys(m.shape for m in self.models.values() if not m.curves))


def _served(name: str, learner: Learner, free: tuple[int, ...], device: str) -> Served:
    shape = learner.input_shape or free
    method = learner.build(TaskSpec(free, way=2, num_classes=None)).to(device).eval()
    if isinstance(method, GradientMethod):
        method.engine = "loop"  # the fastest for the one task of a request
    if method.about.support != "examples":
        raise UserError(
            f"{name} learns a class from its description, and the page shows pictures: leave it out, and use "
            f"`kshot predict {name} --support FILE.csv`"
        )
    if len(shape) == 3 or (shape == (1,) and "regression" in method.about.targets):
        return Served(name, learner, method, shape, device)
    raise UserError(
        f"{name} was trained on inputs of shape {shape}; the page has pictures (C, H, W) and curves (1,): leave it out"
    )
