"""LSTM meta-learner: Ravi & Larochelle, "Optimization as a model for few-shot learning", ICLR 2017.

Gradient descent has the form of an LSTM's cell update, so an LSTM can learn how to descend. With g_t the gradient of
the support loss L_t at theta_{t-1}, every coordinate of the learner's parameters follows

    theta_t = f_t theta_{t-1} - i_t g_t                             (eq. 2, the cell is theta)
    i_t = sigma(W_I [h_t, theta_{t-1}, i_{t-1}] + b_I)              (the learning rate)
    f_t = sigma(W_F [h_t, theta_{t-1}, f_{t-1}] + b_F)              (how much is kept)

where h_t is the output of an LSTM that sees g_t and L_t, preprocessed. All coordinates share the meta-learner's
weights; theta_0 is learned. L_t and g_t count as constants of the meta-learner (section 3.3): first order.
"""

from __future__ import annotations

import copy
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.func import functional_call

from ..backbones.norm import noting, with_running_statistics
from ..errors import unknown
from ..functional.coordinates import OF_THE_RULE, Gated
from ..functional.engines import Engine, gradient_for, over_tasks
from ..functional.inner import SGD as Descent
from ..functional.inner import InnerLoop, Params
from .base import About
from .gradient import ENGINE, GradientMethod

UPDATES = ("learned", "sgd")
SMALL = 0.01  # the meta-learner's weights start uniform within this


@dataclass(frozen=True)
class Learned:
    """What a task has taught the learner.

    Attributes:
        params: the learner's parameters, stacked over tasks [T, ...].
        statistics: running statistics of its batch norm while it learned, stacked over tasks.
    """

    params: Params
    statistics: Params


class LSTMMetaLearner(GradientMethod):
    """LSTM meta-learner on the whole support set at each step.

    Batch norm as in the paper (section 3.6): in training, support and query set are each normalised by their own
    statistics; in evaluation the queries are normalised by the running averages that the learner gathered over its
    steps on the support set, from a fresh start for every task.

    Args:
        inner_steps: steps on the support set in training (the paper: 8 for 5-shot, 12 for 1-shot).
        eval_steps: steps when evaluating and predicting.
        meta_units: units of the LSTM (the paper's 20).
        forget_bias: b_F at the start, within half a unit: the paper's 4.5 keeps 99 % of every parameter.
        input_bias: b_I at the start, within half a unit: the paper's -4.5 is a learning rate of 0.011.
        norm_momentum: weight of the newest step in the running averages of batch norm (the paper: 0.95 for 5-shot, 0.9
            for 1-shot).
        update: learned (the meta-learner), or sgd, which fine-tunes the learner from the same initialisation with the
            learning rate sgd_lr; set it when evaluating, to see what the learned update is worth.
        sgd_lr: that learning rate, on the mean loss.
        adapt_norm: let the steps change scale and shift of normalisation layers (the paper does).
        engine: how tasks are computed: loop (one after the other), vmap (all at once) or chunk:C (C at a time), with
            +threads (shared out among the cores) and +recompute (exact gradient in the memory of one inner step);
            auto measures and keeps the fastest.
    """

    about: ClassVar[About] = About(
        title="LSTM meta-learner",
        source="Ravi & Larochelle, ICLR 2017, eq. 2 and section 3",
        idea="an LSTM learns the update rule: how much of a parameter to keep and how far to follow its gradient",
        fixed_way=True,
        transductive=True,
        label_symmetric=False,
        targets=("classes", "regression"),
    )
    default_backbone = "conv4"

    def __init__(
        self,
        backbone: nn.Module,
        *,
        input_shape: tuple[int, ...],
        way: int = 5,
        output_dim: int = 0,
        inner_steps: int = 8,
        eval_steps: int = 8,
        meta_units: int = 20,
        forget_bias: float = 4.5,
        input_bias: float = -4.5,
        norm_momentum: float = 0.95,
        update: Literal["learned", "sgd"] = "learned",
        sgd_lr: float = 0.1,
        adapt_norm: bool = True,
        engine: str = ENGINE,
        seed: int = 0,
    ) -> None:
        if update not in UPDATES:
            raise unknown("update", update, UPDATES)
        noted = with_running_statistics(backbone, norm_momentum)
        super().__init__(
            backbone,
            input_shape=input_shape,
            way=way,
            output_dim=output_dim,
            adapt_norm=adapt_norm,
            engine=engine,
            seed=seed,
        )
        self.inner_steps, self.eval_steps, self.meta_units = inner_steps, eval_steps, meta_units
        self.update, self.sgd_lr = update, sgd_lr
        self.rule = rule(meta_units, forget_bias, input_bias, seed + 2)
        # Parameters and statistics are given to it for each task: in a tuple, it is no part of this module.
        head = copy.deepcopy(self.net.get_submodule("head"))
        self._noted = (nn.Sequential(OrderedDict(backbone=noted, head=head)),)

    def parameters_now(self) -> Params:
        """The meta-parameters: the learner's initialisation, and those of the update rule as rule.*."""
        return super().parameters_now() | {OF_THE_RULE + n: p for n, p in self.rule.items()}

    def start(self, count: int) -> Params:
        """The learner's initialisation for each of `count` tasks."""
        return {n: p for n, p in super().start(count).items() if not n.startswith(OF_THE_RULE)}

    def inner_loss(self, params: Params, x: Tensor, y: Tensor) -> Tensor:
        """The mean loss of the support set."""
        return self.loss_of(self.forward_with(params, x), y)

    def inner_loop(self) -> InnerLoop:
        """The learned update, or plain descent in its place."""
        if self.update == "learned":
            return Gated(self.inner_loss, self.query_loss, self.adapted, self.inner_steps)
        return Descent(self.inner_loss, self.query_loss, self.adapted, self.sgd_lr, self.inner_steps, first_order=True)

    def signature(self) -> dict[str, object]:
        """What the time of a step depends on."""
        return {**super().signature(), "update": self.update, "meta_units": self.meta_units}

    def states(self, xs: Tensor, ys: Tensor, way: int, steps: int, kept: Sequence[str]) -> list[Params]:
        """What of the inner loop's state is kept after 1, 2, ... steps on the support set, stacked over tasks."""
        x, y = self.check(xs, ys, way)
        if not steps:
            return []
        engine = self.adapting_engine(len(x))
        theta, loop, gradient = self.parameters_now(), self.inner_loop(), gradient_for(engine)

        def one_task(x: Tensor, y: Tensor) -> list[Params]:
            state, found = loop.start(theta, x, y), []
            for i in range(steps):
                state = loop.step(theta, state, i, gradient, x, y)
                found.append({n: state[n] for n in kept})
            return found

        states: list[Params] = over_tasks(one_task, (x, y), engine)
        return states

    def adapt_path(self, xs: Tensor, ys: Tensor, way: int, steps: int) -> list[Params]:
        """The learner's parameters after 0, 1, ... steps on the support set; the state of the rule is not kept."""
        start = self.start(len(xs))
        return [start, *(start | s for s in self.states(xs, ys, way, steps, self.adapted))]

    def trace(self, xs: Tensor, ys: Tensor, way: int) -> dict[str, Tensor]:
        """f_t and i_t of every coordinate at each of `eval_steps` steps, by the parameter's name."""
        if self.update != "learned":
            return {}
        theta, found = self.parameters_now(), dict[str, Tensor]()
        names = {"forget": OF_THE_RULE + "f", "input": OF_THE_RULE + "i"}
        with torch.no_grad():
            states = self.states(xs, ys, way, self.eval_steps, list(names.values()))
        sizes = [theta[n].numel() for n in self.adapted]
        for gate, kept in names.items():
            parts = torch.stack([s[kept] for s in states], 1).split(sizes, -1)  # [T, steps, P] each
            found |= {f"{gate} {name}": part for name, part in zip(self.adapted, parts)}
        return found

    @torch.no_grad()
    def statistics(self, path: list[Params], x: Tensor) -> Params:
        """Running averages of the batch norm statistics of support inputs x [T, S, ...], one step after the other.

        Args:
            path: the parameters of every step, stacked over tasks [T, ...].
        """
        net = noting(self._noted[0], True)

        def note(params: Params, before: Params, x: Tensor) -> Params:
            after = {n: b.clone() for n, b in before.items()}
            functional_call(net, params | after, (x,))
            return after

        found = {
            n: b.to(x.device, x.dtype if b.is_floating_point() else b.dtype).expand(len(x), *b.shape)
            for n, b in net.named_buffers()
        }
        if self.batch_normed:
            for params in path:
                found = over_tasks(note, (params, found, x), self.in_one_thread())
        return found

    def in_one_thread(self) -> Engine:
        """The engine for the one network that all tasks use in turn."""
        return replace(self.chosen_engine(), threads=False)

    def adapt(self, xs: Tensor, ys: Tensor, way: int) -> Learned:
        """The learner after its steps on the support set: `inner_steps` in training mode, else `eval_steps`."""
        path = self.adapt_path(xs, ys, way, self.inner_steps if self.training else self.eval_steps)
        return Learned(path[-1], self.statistics(path[:-1] or path, self.inputs(xs)))

    def predict(  # type: ignore[override]
        self, state: Learned, xq: Tensor, *, transductive: bool = False
    ) -> Tensor:
        """Outputs [T, Q, N] of the queries, normalised by the running averages, or by their own statistics."""
        xq = self.inputs(xq)
        if transductive:
            return self.over_tasks(self.forward_with, state.params, xq)
        net = noting(self._noted[0], False)

        def one_task(params: Params, statistics: Params, x: Tensor) -> Tensor:
            return functional_call(net, params | statistics, (x,))

        return over_tasks(one_task, (state.params, state.statistics, xq), self.in_one_thread())

    def represent(self, state: Learned, x: Tensor) -> Tensor:  # type: ignore[override]
        """Features [T, P, D] of the learner's backbone, normalised by the running averages."""
        net = noting(self._noted[0], False).get_submodule("backbone")

        def one_task(params: Params, statistics: Params, x: Tensor) -> Tensor:
            prefix = "backbone."
            own = {n.removeprefix(prefix): p for n, p in (params | statistics).items() if n.startswith(prefix)}
            return functional_call(net, own, (x,))

        return over_tasks(one_task, (state.params, state.statistics, self.inputs(x)), self.in_one_thread())

    def predict_steps(
        self, xs: Tensor, ys: Tensor, xq: Tensor, way: int, steps: int, *, transductive: bool = False
    ) -> Tensor:
        """Outputs after 0, 1, ... steps of adaptation: [steps + 1, T, Q, N]."""
        path, x = self.adapt_path(xs, ys, way, steps), self.inputs(xs)
        states = [Learned(p, self.statistics(path[:t] or path[:1], x)) for t, p in enumerate(path)]
        return torch.stack([self.predict(s, xq, transductive=transductive) for s in states])


def rule(units: int, forget_bias: float, input_bias: float, seed: int) -> nn.ParameterDict:
    """The meta-learner's own parameters (see Gated), as the paper starts them: nearly gradient descent."""
    generator = torch.Generator().manual_seed(seed)

    def around(centre: float, width: float, *shape: int) -> nn.Parameter:
        return nn.Parameter(torch.empty(shape).uniform_(centre - width, centre + width, generator=generator))

    return nn.ParameterDict(
        {
            "weight": around(0, SMALL, 4 * units, 4 + units),
            "bias": around(0, SMALL, 4 * units),
            "forget_weight": around(0, SMALL, units + 2),
            "input_weight": around(0, SMALL, units + 2),
            "forget_bias": around(forget_bias, 0.5),
            "input_bias": around(input_bias, 0.5),
        }
    )
