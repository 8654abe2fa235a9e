"""What figures are made of: methods, tasks for them, and what was asked for."""

from __future__ import annotations

from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from torch import Tensor

from ...errors import UserError
from ...methods.base import Method
from ...tasks import Tasks, TaskSource
from ..score import evaluating, predictions
from .document import LeftOut

QUERIES = {"accuracy": 10, "mse": 50}  # of each class, or of a curve, where the user does not say
LOOKED_AT = 40  # the task that is shown is one of the first so many
FEW, MANY = 2, 6  # mistakes that are worth to be shown


@dataclass(frozen=True)
class Asked:
    """What the user may choose.

    Attributes:
        episodes: tasks over which means are taken.
        transductive: whether the queries of a task are seen together, where a method can.
        task: the number of the task that is shown; None for the first with a few mistakes.
        steps: the most inner steps; None for ten, or as many as the method takes, if more.
        ways, shots: of the figure way-shot; None for what the data allow.
        curves: how many are drawn side by side.
        device: where to compute.
    """

    episodes: int = 100
    transductive: bool = False
    task: int | None = None
    steps: int | None = None
    ways: tuple[int, ...] | None = None
    shots: tuple[int, ...] | None = None
    curves: int = 3
    device: str = "cpu"


@dataclass
class Subject:
    """A method and the tasks on which figures show it.

    Attributes:
        name: as the user called it.
        build: the method for the tasks of a source.
        source: the tasks, as the method takes them.
        metrics: the metrics.jsonl of its training, if there was one.
        trained: on which tasks, in prose.
        query: queries that the user asked for; None to choose.
        stamp: what tells this state of the method from another (a checksum of its weights).
        temperature: by which logits are divided before they become probabilities.
    """

    name: str
    build: Callable[[TaskSource], Method]
    source: TaskSource
    metrics: Path | None = None
    trained: str = ""
    query: int | None = None
    stamp: str = ""
    temperature: float = 1.0
    _shown: dict[int | None, tuple[int, Tasks, Tensor]] = field(default_factory=dict, repr=False)

    @cached_property
    def method(self) -> Method:
        """For the tasks of `source`."""
        return self.build(self.source)

    @property
    def title(self) -> str:
        """The method in prose."""
        return self.method.about.title

    @property
    def regression(self) -> bool:
        """Whether targets are real vectors."""
        return self.source.spec.regression

    @cached_property
    def pictured(self) -> TaskSource:
        """The tasks with enough queries to be looked at, if the user did not say how many and the data have them."""
        most = QUERIES[self.source.measure]
        if self.query is None and self.source.query < most:
            with suppress(UserError):
                return self.source.recounted(query=most)
        return self.source

    def sees_together(self, asked: Asked) -> bool:
        """Whether the method sees the queries of a task together."""
        return asked.transductive and self.method.about.transductive

    def shown_task(self, asked: Asked) -> tuple[int, Tasks, Tensor]:
        """The number of the task that is shown, the task (T = 1), and the probabilities of its queries [Q, N].

        By default the first with a few mistakes, or else with any: there is most to be seen.
        """
        if self.regression:
            raise LeftOut("the tasks are curves, not classes")
        if asked.task not in self._shown:
            self._shown[asked.task] = self._search(asked)
        return self._shown[asked.task]

    def _search(self, asked: Asked) -> tuple[int, Tasks, Tensor]:
        best: tuple[int, Tasks, Tensor] | None = None
        for i in range(min(LOOKED_AT, len(self.pictured))) if asked.task is None else [asked.task]:
            tasks = self.pictured.batch([i]).to(asked.device)
            method = self.method.to(asked.device)
            with evaluating(method):
                logits = predictions(method, tasks, self.sees_together(asked))[0].float()
                p = (logits / self.temperature).softmax(-1)
            mistakes = int((p.argmax(-1) != tasks.yq[0]).sum())
            found = (i, tasks.to("cpu"), p.cpu())
            if FEW <= mistakes <= MANY:
                return found
            if best is None or (mistakes and not shows_mistakes(best)):
                best = found
        assert best is not None
        return best

    def names_of(self, classes: Tensor, source: TaskSource | None = None) -> list[str]:
        """What the labels of a task with these classes [N] stand for: short names, or numbers."""
        names = [(source or self.source).class_name(c) for c in classes.tolist()]
        return shortened(names) if all(names) else [f"class {n + 1}" for n in range(len(classes))]

    def note(
        self,
        source: TaskSource,
        asked: Asked,
        *what: str,
        modes: Collection[bool] | None = None,
        counts: bool = True,
    ) -> str:
        """The line below a figure: which tasks, and how their queries were seen.

        Args:
            source: of the tasks.
            what: there is to say beside it.
            modes: whether queries were seen together (transductive); by default as this method sees them; () where
                it does not matter.
            counts: whether way and shot are said.
        """
        seen = {self.sees_together(asked)} if modes is None else set(modes)
        words = {True: "queries seen together (transductive)", False: "queries one by one"}
        mode = [] if self.regression or not seen else [" or ".join(words[together] for together in sorted(seen))]
        way = "" if self.regression else f"{said(source.way)}-way "
        size = [f"{way}{said(source.shot)}{' points' if self.regression else '-shot'}"] if counts else []
        return "; ".join([f"{source.name} {source.split}", *size, *what, f"seed {source.seed}", *mode])


def shows_mistakes(found: tuple[int, Tasks, Tensor]) -> bool:
    """Whether any query got a wrong label."""
    return bool((found[2].argmax(-1) != found[1].yq[0]).any())


def said(count: Any) -> str:
    """A count, or a range of them."""
    return str(count) if isinstance(count, int) else f"{count[0]}-{count[1]}"


def shortened(names: list[str]) -> list[str]:
    """The last parts of class names ("Greek/character01"), if they tell the classes apart."""
    last = [name.rpartition("/")[2] for name in names]
    return last if len(set(last)) == len(set(names)) else names
