"""What the methods that learn a task by gradient descent share: a functional network, batched by an engine."""

from __future__ import annotations

import copy
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.modules.batchnorm import _BatchNorm

from ..backbones import feature_size
from ..backbones.init import linear_layer
from ..backbones.norm import normalised_in_groups, use_batch_statistics
from ..errors import UserError
from ..functional.engines import Engine, gradient_for, over_tasks
from ..functional.inner import Gradient, InnerLoop, Params, functional_gradient, path
from ..functional.metagradients import MetaGradient, meta_gradient, part_of
from ..functional.parallel import worker
from ..functional.recorder import Recorder
from ..tasks import Tasks
from .base import Method, as_input, check_way, query_measures
from .tuning import fastest

ENGINE = "auto"
FEW = 8  # tasks
PICTURES_AT_ONCE = 8000  # bounds the memory of queries that are each normalised beside the support set


@dataclass(frozen=True)
class Adapted:
    """What a task has taught the network.

    Attributes:
        params: every parameter, stacked over tasks [T, ...].
        xs: the support inputs [T, S, ...], which non-transductive batch norm needs beside each query.
    """

    params: Params
    xs: Tensor


class GradientMethod(Method):
    """A backbone and a linear head whose parameters are arguments, so that every task can have its own.

    Batch norm always uses the statistics of the batch at hand, as published (no running statistics). A query is
    therefore normalised either with all queries of its task (transductive), or with the support set alone beside it
    (not transductive; Nichol et al. 2018, section 6).

    Subclasses say in `inner_loop` how one task is learned; engines (see functional/engines.py) compute it for many.
    """

    first_order = False

    def __init__(
        self,
        backbone: nn.Module,
        *,
        input_shape: tuple[int, ...],
        way: int,
        output_dim: int,
        adapt_norm: bool,
        engine: str,
        seed: int,
    ) -> None:
        super().__init__()
        head = self.make_head(feature_size(backbone, input_shape), output_dim or way, seed + 1)
        self.net = nn.Sequential(OrderedDict(backbone=backbone, head=head))
        use_batch_statistics(self.net)
        norms = [m for m in self.net.modules() if isinstance(m, _BatchNorm)]
        fixed = {id(p) for m in norms for p in m.parameters()} if not adapt_norm else set()
        self.own = frozenset(n for n, _ in self.net.named_parameters())
        self.adapted = [n for n, p in self.net.named_parameters() if id(p) not in fixed]
        self.batch_normed = bool(norms)
        self.way, self.output_dim = way, output_dim
        self.engine: str = engine
        if engine != "auto":
            Engine.parse(engine)
        self._replicas: dict[int, nn.Module] = {}
        self.recorder = Recorder()

    def make_head(self, features: int, outputs: int, seed: int) -> nn.Module:
        """What follows the backbone."""
        return linear_layer(features, outputs, seed)

    def parameters_now(self) -> Params:
        """The meta-parameters theta by name, and what else of the method an inner loop reads.

        The network's have their names in it; `.grad` is filled for all that are parameters.
        """
        return dict(self.net.named_parameters())

    def forward_with(self, params: Params, x: Tensor) -> Tensor:
        """The network with the given parameters: [B, ...] -> [B, N]."""
        net, own = self.whole(params)
        return functional_call(net, own, (x,))

    def features_with(self, params: Params, x: Tensor) -> Tensor:
        """The backbone with the given parameters: [B, ...] -> [B, D]."""
        net, own = self.whole(params)
        prefix = "backbone."
        body = {n.removeprefix(prefix): p for n, p in own.items() if n.startswith(prefix)}
        return functional_call(net.get_submodule("backbone"), body, (x,))

    def whole(self, params: Params) -> tuple[nn.Module, Params]:
        """The network that this thread may call with parameters, and those of the given ones that are its own.

        functional_call changes the module while it runs, so each worker has a copy, and is given the buffers too.
        """
        own = {n: p for n, p in params.items() if n in self.own}
        number = None if torch.compiler.is_compiling() else worker()
        if number is None:
            return self.net, own
        if number not in self._replicas:
            self._replicas[number] = copy.deepcopy(self.net)
        return self._replicas[number].train(self.net.training), {**dict(self.net.named_buffers()), **own}

    def start(self, count: int) -> Params:
        """theta for each of `count` tasks, without copies: [T, ...]."""
        return {n: p.expand(count, *p.shape) for n, p in self.parameters_now().items()}

    def loss_of(self, output: Tensor, y: Tensor) -> Tensor:
        """The mean loss of outputs [S, N] for labels [S], or of outputs [S, D] for real targets."""
        return F.mse_loss(output, y) if self.output_dim else F.cross_entropy(output, y)

    def query_loss(self, params: Params, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """The mean loss of a task's queries, and their outputs [Q, N]."""
        output = self.forward_with(params, x)
        return self.loss_of(output, y), output

    def inner_loop(self) -> InnerLoop:
        """How one task is learned."""
        raise NotImplementedError

    def meta_loop(self, gradient: Gradient) -> InnerLoop:
        """How one task is learned in training, where that differs; its gradients can be taken by `gradient`."""
        return self.inner_loop()

    def phase(self) -> str:
        """What of the meta-loop changes in the course of a training; each has a compiled program of its own."""
        return ""

    def own_data(self, tasks: Tasks) -> tuple[Tensor, ...]:
        """What else the inner loop of a training task starts from, [T, ...] each."""
        return ()

    def chosen_engine(self) -> Engine:
        """The engine, or a safe one as long as none has been chosen (see `tune`)."""
        return Engine() if self.engine == "auto" else Engine.parse(self.engine)

    def adapting_engine(self, tasks: int) -> Engine:
        """The engine that learns so many tasks, where no gradient goes through the inner steps.

        On a processor, few tasks are learned one after the other, a core each: autograd is faster than vmap there.
        """
        few = tasks <= FEW and next(self.parameters()).device.type == "cpu"
        return Engine(at_once=1, threads=tasks > 1) if few else self.chosen_engine()

    def over_tasks(self, f: Callable[..., Any], *stacked: Any) -> Any:
        """f of every task's slice of the stacked arguments [T, ...], results stacked again."""
        return over_tasks(f, stacked, self.chosen_engine())

    def meta_gradient(self, tasks: Tasks, engine: Engine) -> MetaGradient:
        """The gradient of the mean query loss through the inner steps, by the given engine."""
        xs, ys = self.check(tasks.xs, tasks.ys, tasks.way)
        xq, yq = self.check(tasks.xq, tasks.yq, tasks.way)
        meta, data = self.parameters_now(), (xs, ys, xq, yq, *self.own_data(tasks))
        name = f"meta_gradient {engine} {self.phase()}"
        if self.compiled and xs.is_cuda:
            part = part_of(self.meta_loop(functional_gradient), engine, functional=True)
            return meta_gradient(meta, data, engine, self.program(name, part))
        loop = self.meta_loop(gradient_for(engine))
        numbers = [n for n in vars(loop).values() if isinstance(n, int | float)]  # such as alpha: part of a recording
        recorder = self.programs.setdefault("recordings", Recorder(0, 0.0, True)) if self.compiled else self.recorder
        return recorder.run(f"{name} {numbers}", partial(part_of, loop, engine), meta, data, engine)

    def meta_step(self, tasks: Tasks) -> dict[str, Tensor]:
        """Fill `.grad` of the meta-parameters from a batch of tasks; returns the measures (with "loss")."""
        self.tune(tasks)
        found = self.meta_gradient(tasks, self.chosen_engine())
        for name, p in self.parameters_now().items():
            if p.requires_grad:
                p.grad = found.grads[name]
        return query_measures(found.loss, found.output, tasks.yq)

    def tune(self, tasks: Tasks) -> None:
        """Choose the engine by measuring on some tasks, if it is "auto"."""
        if self.engine == "auto":
            self.engine = fastest(self, tasks)
            self.recorder = Recorder()

    def record_now(self) -> None:
        """Record the next step, however short the training is; for measuring."""
        self.recorder = Recorder(calls=0, seconds=0.0)

    def signature(self) -> dict[str, object]:
        """What the time of a step depends on, beside tasks and machine."""
        names = ("inner_steps", "inner_batch", "inner_optimizer", "first_order", "output_dim", "aligned", "init_noise")
        shapes = {n: [str(p.dtype), *p.shape] for n, p in self.net.named_parameters()}
        modules = [f"{type(m).__name__} {m.extra_repr()}" for m in self.net.modules()]
        return {
            "method": type(self).__name__,
            **{n: getattr(self, n) for n in names if hasattr(self, n)},
            "adapted": self.adapted,
            "shapes": shapes,
            "modules": modules,
        }

    def trial(self, tasks: Tasks, engine: Engine) -> object:
        """The costly part of a meta-step by the given engine, without its effects; for measuring."""
        return self.meta_gradient(tasks, engine)

    def adapt_path(self, xs: Tensor, ys: Tensor, way: int, steps: int) -> list[Params]:
        """theta_0..theta_steps of every task, each stacked over tasks."""
        x, y = self.check(xs, ys, way)
        engine = self.adapting_engine(len(x))
        loop, theta, gradient = self.inner_loop(), self.parameters_now(), gradient_for(engine)

        def one_task(x: Tensor, y: Tensor) -> list[Params]:
            first, *states = path(loop, theta, steps, gradient, x, y)
            return [{n: p for n, p in first.items() if p is not theta.get(n)}, *states]

        start = self.start(len(x))
        first, *states = over_tasks(one_task, (x, y), engine)
        return [start | s for s in (first, *states)]

    def outputs(
        self,
        params: Params,
        xs: Tensor,
        xq: Tensor,
        *,
        transductive: bool,
        forward: Callable[[Params, Tensor], Tensor] | None = None,
    ) -> Tensor:
        """Outputs [T, Q, N] of the queries with per-task parameters, or those of another `forward`."""
        forward = forward or self.forward_with
        xs, xq = self.inputs(xs), self.inputs(xq)
        if transductive or not self.batch_normed:
            return self.over_tasks(forward, params, xq)

        if torch.compiler.is_compiling():  # exported: for any number of queries, which vmap does not allow
            return self.over_tasks(self.beside_support, params, xs, xq)

        def one_query(p: Params, support: Tensor, query: Tensor) -> Tensor:
            return forward(p, torch.cat([support, query[None]]))[-1]

        at_once = max(1, PICTURES_AT_ONCE // (len(xs) * (xs.shape[1] + 1)))

        def one_task(p: Params, support: Tensor, queries: Tensor) -> Tensor:
            return torch.vmap(one_query, in_dims=(None, None, 0), chunk_size=at_once)(p, support, queries)

        return self.over_tasks(one_task, params, xs, xq)

    def beside_support(self, params: Params, support: Tensor, queries: Tensor) -> Tensor:
        """Outputs [Q, N] of one task's queries, each normalised with the support set, in one batch of groups."""
        S = len(support)
        beside = support.expand(queries.shape[0], *support.shape)  # [Q, S, ...]; len() would fix Q
        x = torch.cat([beside, queries[:, None]], 1).flatten(0, 1)  # [Q * (S + 1), ...]
        with normalised_in_groups(self.net, S + 1):
            return self.forward_with(params, x).unflatten(0, (-1, S + 1))[:, -1]

    def predict(self, state: Adapted, xq: Tensor, *, transductive: bool = False) -> Tensor:
        """Outputs of the adapted network, [T, Q, N] (or [T, Q, D])."""
        return self.outputs(state.params, state.xs, xq, transductive=transductive)

    def represent(self, state: Adapted, x: Tensor) -> Tensor:
        """Features [T, P, D] of the adapted backbone, each input normalised with the support set beside it."""
        return self.outputs(state.params, state.xs, x, transductive=False, forward=self.features_with)

    def predict_steps(
        self, xs: Tensor, ys: Tensor, xq: Tensor, way: int, steps: int, *, transductive: bool = False
    ) -> Tensor:
        """Outputs after 0, 1, ... steps of adaptation: [steps + 1, T, Q, N]."""
        path = self.adapt_path(xs, ys, way, steps)
        return torch.stack([self.outputs(p, xs, xq, transductive=transductive) for p in path])

    def inputs(self, x: Tensor) -> Tensor:
        """Network inputs in the type of the parameters."""
        return as_input(x, next(self.parameters()).dtype)

    def check(self, xs: Tensor, ys: Tensor, way: int) -> tuple[Tensor, Tensor]:
        """Inputs and targets ready for the network, after checking that the head fits the task."""
        if bool(self.output_dim) != ys.is_floating_point():
            wanted = "real targets (regression)" if self.output_dim else "class labels"
            raise UserError(f"this {self.about.title} model was made for {wanted}; the task has {ys.dtype} targets")
        if not self.output_dim:
            check_way(self, self.way, way)
        return self.inputs(xs), ys.to(next(self.parameters()).dtype) if self.output_dim else ys
