"""The one contract of every method: adapt, predict, meta_loss, meta_step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import FunctionType
from typing import Any, ClassVar, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from ..errors import UserError
from ..functional.distances import cosine
from ..tasks import Tasks

Fn = TypeVar("Fn", bound=Callable[..., Any])


@dataclass(frozen=True)
class About:
    """What a method states of itself; the contract tests, the reports and the docs read it.

    Attributes:
        title: its name in prose.
        source: authors, year, venue and the equation the file implements.
        idea: one sentence.
        meta_trained: False for methods that need no training (they stand in the place of a run).
        fixed_way: the head fixes N, so that tasks of another way cannot be predicted.
        transductive: whether `predict(..., transductive=True)` exists (queries of a task are then seen together).
        support_order: whether the order of the support set can change the predictions.
        label_symmetric: renaming the labels of a task renames the predictions in the same way.
        targets: the kinds of task it learns ("classes", "regression").
        support: what its support sets hold: "examples", or "descriptions" (zero-shot: xs [T, N, A], one a class).
        on_features: whether it learns from the features of a frozen encoder without any training, because all of it but
            the encoder is a comparison or has a closed form.
        no_graph: why predictions are no fixed graph of tensor operations, so that they cannot be exported; "" if
            they are.
    """

    title: str
    source: str
    idea: str
    meta_trained: bool = True
    fixed_way: bool = False
    transductive: bool = False
    support_order: bool = False
    label_symmetric: bool = True
    targets: tuple[str, ...] = ("classes",)
    support: str = "examples"
    on_features: bool = False
    no_graph: str = ""


@dataclass(frozen=True)
class Similarity:
    """How alike a method finds every query and every support example.

    Attributes:
        values: [T, Q, S]; the larger, the more alike.
        of: what the values are, in prose.
    """

    values: Tensor
    of: str


class Method(nn.Module):
    """A learner g_phi: it learns from support sets and predicts queries, batched over tasks.

    Subclasses implement `adapt` and `predict`; the default meta-loss is the mean cross-entropy (or squared error) of
    the queries. `adapt` leaves no trace on the module. Inputs may be uint8 images, see `as_input`.
    """

    about: ClassVar[About]
    compiled: bool = False  # meta-steps run through torch.compile; set by the trainer
    engine: str = ""  # how the tasks of a batch are computed, where a method has a choice

    def tune(self, tasks: Tasks) -> None:
        """Choose, by measuring on some tasks, what was left to be chosen; called before the first step."""

    def record_now(self) -> None:
        """Record the next step and replay it afterwards, if the method does so in long trainings; for measuring."""

    def equip(self, load: Callable[[str], Method]) -> None:
        """Take what the training needs from other runs; `load` reads one. Called before the first step."""

    def adapt(self, xs: Tensor, ys: Tensor, way: int) -> Any:
        """Learn from the support sets xs [T, S, ...], ys [T, S] of `way` classes (0 for regression): the state."""
        raise NotImplementedError

    def predict(self, state: Any, xq: Tensor, *, transductive: bool = False) -> Tensor:
        """Logits [T, Q, N] (or regression outputs [T, Q, D]) of the queries xq [T, Q, ...].

        Softmax of the logits is the probability of each label. Unless transductive, the prediction for a query does
        not depend on the other queries.
        """
        raise NotImplementedError

    def meta_loss(self, tasks: Tasks) -> tuple[Tensor, dict[str, Tensor]]:
        """The mean loss of the queries after adapting (a scalar), and measures to log (detached scalars)."""
        state = self.adapt(tasks.xs, tasks.ys, tasks.way)
        output = self.predict(state, tasks.xq, transductive=self.about.transductive)
        return query_loss(output, tasks.yq)

    def further(self, tasks: Tasks) -> dict[str, Tensor]:
        """What an evaluation reports beside the source's measure: values [T] by name, NaN where a task has none.

        Accuracies are in percent. Called in evaluation mode without gradients; queries do not see each other.
        """
        return {}

    # What a method may show of its inside; figures, the page and reports read it. None (or {}) where there is nothing.

    def represent(self, state: Any, x: Tensor) -> Tensor | None:
        """Features [T, P, D] of inputs x [T, P, ...], as it sees them after learning; no input sees another."""
        return None

    def similarity(self, state: Any, xs: Tensor, xq: Tensor) -> Similarity | None:
        """How alike the queries xq [T, Q, ...] and the support inputs xs [T, S, ...] of `state` are to it.

        It is what the method itself compares; where it compares nothing, the cosine of the features.
        """
        queries, support = self.represent(state, xq), self.represent(state, xs)
        if queries is None or support is None:
            return None
        return Similarity(cosine(queries, support), "cosine of the features")

    def predict_steps(
        self, xs: Tensor, ys: Tensor, xq: Tensor, way: int, steps: int, *, transductive: bool = False
    ) -> Tensor | None:
        """Outputs [steps + 1, T, Q, N] after 0, 1, ... steps of learning, if it learns a task by steps."""
        return None

    def distribution(self, state: Any, xq: Tensor) -> tuple[Tensor, Tensor] | None:
        """Mean and standard deviation of the targets [T, Q, D], if it knows how sure it is (regression)."""
        return None

    def trace(self, xs: Tensor, ys: Tensor, way: int) -> dict[str, Tensor]:
        """What happens inside while the support sets xs [T, S, ...], ys [T, S] are learned, by name.

        "read", "written": weights of a memory's rows at every example, [T, S, heads, rows]; "usage" [T, S, rows].
        "forget NAME", "input NAME": how much is kept of the parameter NAME at every step, and how far it follows its
        gradient: [T, steps, P], one number for each of its coordinates.
        """
        return {}

    def meta_step(self, tasks: Tasks) -> dict[str, Tensor]:
        """Fill `.grad` of the meta-parameters from a batch of tasks; returns the measures (with "loss")."""
        loss_of = self.program("meta_loss", self.meta_loss) if self.compiled else self.meta_loss
        loss, measures = loss_of(tasks)
        loss.backward()
        return measures

    @property
    def programs(self) -> dict[str, Any]:
        """What was compiled for this method; copies of the method start without."""
        return self.__dict__.setdefault("_programs", {})

    def program(self, name: str, f: Fn) -> Fn:
        """f compiled for inputs of fixed shapes, once under each name; on a GPU it is launched as one CUDA graph."""
        if name not in self.programs:
            self.programs[name] = compiled(f, graphed=next(self.parameters()).is_cuda)
        return self.programs[name]

    def __getstate__(self) -> dict[str, Any]:
        return {k: v for k, v in self.__dict__.items() if k != "_programs"}


def compiled(f: Fn, *, graphed: bool) -> Fn:
    """f through torch.compile, as a program of its own; graphed: as a CUDA graph, whose results are copied."""

    def run(*args: Any) -> Any:
        return f(*args)

    # The compiler counts the programs of one code object and refuses too many: each gets a copy of the code.
    own = FunctionType(run.__code__.replace(), run.__globals__, "run", None, run.__closure__)
    program = torch.compile(own, fullgraph=True, dynamic=False, mode="reduce-overhead" if graphed else None)
    if not graphed:
        return program  # type: ignore[return-value]

    def copied(*args: Any) -> Any:
        torch.compiler.cudagraph_mark_step_begin()
        return pytree.tree_map_only(Tensor, Tensor.clone, program(*args))  # the next run overwrites its results

    return copied  # type: ignore[return-value]


def query_loss(output: Tensor, yq: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
    """Cross-entropy of logits [T, Q, N] with labels, or mean squared error with real targets, and its measures."""
    if yq.is_floating_point():
        loss = F.mse_loss(output, yq.to(output.dtype))
    else:
        loss = F.cross_entropy(output.flatten(0, -2), yq.flatten())
    return loss, query_measures(loss, output, yq)


def query_measures(loss: Tensor, output: Tensor, yq: Tensor) -> dict[str, Tensor]:
    """What is logged of a loss and the outputs that it is of: "loss", and "accuracy" (0..1) or "mse"."""
    if yq.is_floating_point():
        return {"loss": loss.detach(), "mse": loss.detach()}
    return {"loss": loss.detach(), "accuracy": (output.detach().argmax(-1) == yq).float().mean()}


def as_input(x: Tensor, dtype: torch.dtype | None = None) -> Tensor:
    """Network input: uint8 images 0..255 become floats 0..1, everything else is passed on in the wanted type."""
    if x.dtype == torch.uint8:
        return x.to(dtype or torch.float32) / 255
    return x.to(dtype or x.dtype)


def check_way(method: Method, expected: int, way: int) -> None:
    """Refuse tasks of another way than the head was made for."""
    if way != expected:
        raise UserError(
            f"this {method.about.title} model was made for {expected}-way tasks and got a {way}-way task: its output "
            f"layer fixes the number of classes. Train it with --way {way}, or use a method without this limit "
            f"(protonet, matching)"
        )
