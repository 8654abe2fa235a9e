"""Reptile: Nichol, Achiam & Schulman, "On First-Order Meta-Learning Algorithms", 2018.

Train on a task for k steps, then move the initialisation towards the result:

    W = SGD or Adam (k minibatch steps on one task, from phi)
    phi <- phi + epsilon (W - phi)                                  (Algorithm 1)

(phi - W) / alpha, with alpha the inner step size, plays the part of a gradient, so any outer optimiser can be used;
plain SGD with learning rate epsilon * alpha is the paper's update.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from ..functional import random
from ..functional.engines import Engine, gradient_for, over_tasks
from ..functional.inner import Params, adam_step
from ..tasks import Tasks
from .base import About, query_loss
from .gradient import ENGINE, Adapted, GradientMethod


class Reptile(GradientMethod):
    """Reptile with minibatches of a task in the inner loop; support and query of a training task are one set.

    Train with more shots than are tested (the paper's 10 to 15): every example of a training task is used.

    Args:
        inner_steps: minibatch steps on a task in training.
        inner_lr: alpha, step size of the inner optimiser.
        inner_batch: examples of a minibatch.
        inner_optimizer: adam (beta_1 = 0, as published) or sgd.
        carry: carry the moments of the inner Adam over from batch to batch of tasks, as the published code does;
            otherwise every task starts with fresh ones. Evaluation starts from the carried moments and restores them.
        eval_steps: minibatch steps when evaluating and predicting.
        eval_batch: examples of a minibatch then.
        adapt_norm: let the inner steps change scale and shift of normalisation layers (the published code does).
        engine: how tasks are computed: loop (one after the other), vmap (all at once) or chunk:C (C at a time), with
            +threads (shared out among the cores); auto measures and keeps the fastest.
    """

    about: ClassVar[About] = About(
        title="Reptile",
        source="Nichol, Achiam & Schulman 2018, Algorithm 1",
        idea="train on a task for some steps, then move the initialisation towards the result",
        fixed_way=True,
        transductive=True,
        support_order=True,
        label_symmetric=False,
        targets=("classes", "regression"),
    )
    default_backbone = "conv4-strided"
    first_order = True

    def __init__(
        self,
        backbone: nn.Module,
        *,
        input_shape: tuple[int, ...],
        way: int = 5,
        output_dim: int = 0,
        inner_steps: int = 5,
        inner_lr: float = 1e-3,
        inner_batch: int = 10,
        inner_optimizer: Literal["adam", "sgd"] = "adam",
        carry: bool = True,
        eval_steps: int = 50,
        eval_batch: int = 5,
        adapt_norm: bool = True,
        engine: str = ENGINE,
        seed: int = 0,
    ) -> None:
        super().__init__(
            backbone,
            input_shape=input_shape,
            way=way,
            output_dim=output_dim,
            adapt_norm=adapt_norm,
            engine=engine,
            seed=seed,
        )
        self.inner_steps, self.inner_lr, self.inner_batch = inner_steps, inner_lr, inner_batch
        self.inner_optimizer, self.carry = inner_optimizer, carry
        self.eval_steps, self.eval_batch, self.seed = eval_steps, eval_batch, seed
        theta = self.parameters_now()
        self.moment_names = {n: "moment_" + n.replace(".", "_") for n in self.adapted}
        for name, buffer in self.moment_names.items():
            self.register_buffer(buffer, torch.zeros_like(theta[name]))
        self.register_buffer("moment_count", torch.zeros((), dtype=torch.int64))

    def moments(self) -> tuple[Params, Tensor]:
        """The second moments of the inner Adam that a task starts with, and the steps they have seen."""
        if self.carry:
            return {n: self.get_buffer(b) for n, b in self.moment_names.items()}, self.get_buffer("moment_count")
        zeros = {n: torch.zeros_like(self.get_buffer(b)) for n, b in self.moment_names.items()}
        return zeros, torch.zeros_like(self.get_buffer("moment_count"))

    def minibatches(self, indices: Tensor, examples: int, steps: int, size: int) -> Tensor:
        """Which examples each step sees, int64 [T, steps, size]: all are used before any is used again."""
        size = min(size, examples)
        epochs = -(-steps * size // examples)
        key = random.keys(self.seed, indices, "reptile")
        orders = [random.permutation(random.fold(key, torch.tensor(e)), examples) for e in range(max(1, epochs))]
        return torch.cat(orders, -1)[:, : steps * size].unflatten(-1, (steps, size))

    def descend(self, x: Tensor, y: Tensor, picks: Tensor, engine: Engine) -> tuple[list[Params], Params, Tensor]:
        """Parameters after 0, 1, ... minibatch steps on every task, stacked [T, ...], the last moments and outputs.

        Args:
            x: [T, P, ...], network inputs.
            y: [T, P], labels, or [T, P, D].
            picks: [T, steps, size], see minibatches.
            engine: how to compute them.
        """
        theta = {n: p.detach() for n, p in self.parameters_now().items()}
        moments, count = self.moments()
        gradient = gradient_for(engine)

        def one_task(x: Tensor, y: Tensor, picks: Tensor) -> tuple[list[Params], Params, Tensor]:
            params, second, path = theta, moments, []
            for step, at in enumerate(picks.unbind(0)):
                fixed = {n: p for n, p in params.items() if n not in second}

                def loss(a: Params, fixed: Params = fixed, at: Tensor = at) -> tuple[Tensor, Tensor]:
                    output = self.forward_with(fixed | a, x[at])
                    return self.loss_of(output, y[at]), output.detach()

                g, output = gradient(loss, {n: params[n] for n in self.adapted}, constant=True)
                if self.inner_optimizer == "adam":
                    params, second = adam_step(params, g, second, count + step + 1, lr=self.inner_lr)
                else:
                    params = params | {n: params[n] - self.inner_lr * g[n] for n in g}
                path.append({n: params[n] for n in self.adapted})
            return path, {n: v + torch.zeros_like(g[n]) for n, v in second.items()}, output

        path, second, output = over_tasks(one_task, (x, y, picks), engine)
        start = self.start(len(x))
        return [start, *(start | p for p in path)], second, output

    def adapt_path(self, xs: Tensor, ys: Tensor, way: int, steps: int) -> list[Params]:
        """phi and the parameters after every minibatch step on the support set."""
        x, y = self.check(xs, ys, way)
        first = torch.arange(1, device=x.device)
        picks = self.minibatches(first, x.shape[1], steps, self.eval_batch).expand(len(x), -1, -1)
        return self.descend(x, y, picks, self.adapting_engine(len(x)))[0] if steps else [self.start(len(x))]

    def adapt(self, xs: Tensor, ys: Tensor, way: int) -> Adapted:
        """`eval_steps` minibatch steps on the support set."""
        return Adapted(self.adapt_path(xs, ys, way, self.eval_steps)[-1], xs)

    def train_on(self, tasks: Tasks, engine: Engine) -> tuple[Params, Params, Tensor, Tensor]:
        """W and the last moments of every training task, and outputs and targets of the last minibatches."""
        xs, ys = self.check(tasks.xs, tasks.ys, tasks.way)
        xq, yq = self.check(tasks.xq, tasks.yq, tasks.way)
        x, y = torch.cat([xs, xq], 1), torch.cat([ys, yq], 1)  # [T, S+Q, ...]
        picks = self.minibatches(tasks.indices, x.shape[1], self.inner_steps, self.inner_batch)
        path, second, output = self.descend(x, y, picks, engine)
        return path[-1], second, output, torch.stack([t[p] for t, p in zip(y, picks[:, -1])])

    def trial(self, tasks: Tasks, engine: Engine) -> object:
        """The training on the tasks."""
        return self.train_on(tasks, engine)

    def meta_step(self, tasks: Tasks) -> dict[str, Tensor]:
        """Fill `.grad` with the mean of (phi - W) / alpha over the tasks; the measures are of the last minibatches."""
        self.tune(tasks)
        end, second, output, y = self.train_on(tasks, self.chosen_engine())
        for name, p in self.net.named_parameters():
            if name in self.moment_names:
                p.grad = (p.detach() - end[name].mean(0)) / self.inner_lr
        if self.carry and self.inner_optimizer == "adam":
            for name, buffer in self.moment_names.items():
                self.get_buffer(buffer).copy_(second[name].mean(0))
            self.get_buffer("moment_count").add_(self.inner_steps)
        return query_loss(output, y)[1]
