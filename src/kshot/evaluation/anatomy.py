"""The gradient anatomy of a network on tasks: measured coefficients beside the theory's (functional/anatomy.py)."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from ..backbones.smooth import smooth as smooth_copy
from ..errors import UserError
from ..functional.anatomy import (
    FORMS,
    ROUNDING,
    SYSTEMS,
    Coefficients,
    Form,
    Gradients,
    Loss,
    Terms,
    measured,
    order,
    predicted,
    terms,
)
from ..functional.inner import as_params, as_vector
from ..methods.base import Method
from ..methods.gradient import GradientMethod
from ..methods.mamlpp import MAMLpp
from ..methods.protomaml import ProtoMAML
from ..tasks import Tasks, TaskSource
from .progress import bar
from .report import Json, finite, versions

ALPHAS = (1e-6, 1e-5, 1e-4, 1e-3, 1e-2)
TITLES = {"maml": "MAML", "fomaml": "first-order MAML", "reptile": "Reptile"}


@dataclass(frozen=True)
class Row:
    """One method after k batches or n steps.

    Attributes:
        form: "distinct" (each of k batches serves once) or "same" (n steps on one batch).
        system: maml, fomaml or reptile.
        k: k, or n.
        predicted, measured: (a, b, c) of a A + alpha (b B + c C).
        unexplained: the part of the gradient's change with alpha that is neither B nor C.
        residuals: for each alpha, |gradient - prediction| / |A|.
        order: the slope of their logarithm over all alphas; NaN where nothing but rounding is left.
        order_small: the same between the two smallest alphas.
    """

    form: Form
    system: str
    k: int
    predicted: Coefficients
    measured: Coefficients
    unexplained: float
    residuals: tuple[float, ...]
    order: float
    order_small: float

    @property
    def name(self) -> str:
        """Its name in tables and figures."""
        return f"{TITLES[self.system]}, {'k' if self.form == 'distinct' else 'n'} = {self.k}"


@dataclass(frozen=True)
class Anatomy:
    """What was measured, and on what.

    Attributes:
        rows: of both forms.
        alphas: step sizes; the smallest one, with both signs, gave the measured coefficients.
        norms: |A|, |B| and |C|.
        cosine: of the angle between A and B. Where it is positive, descending A alone makes the batches' gradients
            agree less, and the -B in the meta-gradients works against that.
        batches, batch_size: m, and the examples of a batch.
        about: method, data, split, way, shot, tasks, seed, parameters, smooth, seconds, versions.
    """

    rows: tuple[Row, ...]
    alphas: tuple[float, ...]
    norms: tuple[float, float, float]
    cosine: float
    batches: int
    batch_size: int
    about: dict[str, Json]

    def as_dict(self) -> dict[str, Json]:
        """What `--json` prints."""
        rows: list[Json] = [
            {
                "batches": row.form,
                "method": row.system,
                "k": row.k,
                "predicted": list(row.predicted),
                "measured": list(row.measured),
                "unexplained": row.unexplained,
                "order": finite(row.order),
                "order_small": finite(row.order_small),
                "residuals": list(row.residuals),
            }
            for row in self.rows
        ]
        return {
            **self.about,
            "batches": self.batches,
            "batch_size": self.batch_size,
            "norms": dict(zip("ABC", self.norms)),
            "cosine_AB": self.cosine,
            "alphas": list(self.alphas),
            "rows": rows,
        }


def gradient_anatomy(
    method: Method,
    source: TaskSource,
    *,
    tasks: int = 2,
    steps: int = 3,
    batches: int | None = None,
    alphas: Sequence[float] = ALPHAS,
    smooth: bool = False,
    progress: bool | None = None,
) -> Anatomy:
    """Measure A, B, C and the coefficients of MAML, first-order MAML and Reptile at the method's initialisation.

    Everything is computed in double precision, over every ordered choice of a task's batches, and averaged over tasks.
    A batch is as large as a support set of the source, and the loss is the mean over its examples.

    Args:
        method: one that learns by gradient steps; left as it is. Its adapted parameters are theta.
        source: draws the tasks; its queries must fill the other batches, see `batches_of`.
        tasks: how many.
        steps: the largest k (and n).
        batches: m, at least `steps` and 2 (by default just that).
        alphas: step sizes, positive and rising, small enough for a Taylor series.
        smooth: with softplus for ReLU and mean for maximum pooling.
        progress: a progress bar on standard error; by default if that is a terminal.
    """
    m = max(steps, 2) if batches is None else batches
    check(method, tasks, steps, m, alphas)
    began = time.monotonic()
    twin = copy.deepcopy(method).double().eval()
    assert isinstance(twin, GradientMethod)
    if smooth:
        twin.net = smooth_copy(twin.net)  # type: ignore[assignment]
    theta = as_vector({n: twin.parameters_now()[n].detach() for n in twin.adapted})
    signed = [-alphas[0], *alphas]
    found, size = _Sums(steps, len(signed), theta), 0
    with bar("measuring", tasks * len(signed), progress) as update:
        for t in range(tasks):
            losses, size = losses_of(twin, source.batch([t]), m)
            found.add_terms(terms(losses, theta))
            for i, alpha in enumerate(signed):
                for form, gradients in FORMS.items():
                    found.add(form, i, gradients(losses, theta, alpha, steps))
                if update is not None:
                    update(t * len(signed) + i + 1)
    mean = Terms(*(x / tasks for x in found.terms))
    rows = [
        _row(form, system, k, mean, [g / tasks for g in found.gradients[form][system][:, k - 1]], alphas)
        for form in FORMS
        for k in range(1, steps + 1)
        for system in SYSTEMS
    ]
    norms = tuple(float(x.norm()) for x in (mean.A, mean.B, mean.C))
    about: dict[str, Json] = {
        "data": source.name,
        "split": source.split,
        "way": source.way if isinstance(source.way, int) else list(source.way),
        "shot": source.shot if isinstance(source.shot, int) else list(source.shot),
        "seed": source.seed,
        "tasks": tasks,
        "parameters": theta.numel(),
        "smooth": smooth,
        "seconds": round(time.monotonic() - began, 1),
        "versions": dict(versions()),
    }
    cosine = float(mean.A @ mean.B) / (norms[0] * norms[1])
    return Anatomy(tuple(rows), tuple(alphas), norms, cosine, m, size, about)  # type: ignore[arg-type]


class _Sums:
    """Sums over tasks: of the terms, and of the gradients by form, system, alpha and k."""

    def __init__(self, steps: int, alphas: int, theta: Tensor) -> None:
        self.terms = [torch.zeros_like(theta) for _ in range(3)]
        shape = (alphas, steps, theta.numel())
        self.gradients = {form: {s: theta.new_zeros(shape) for s in SYSTEMS} for form in FORMS}

    def add_terms(self, one: Terms) -> None:
        self.terms = [a + b for a, b in zip(self.terms, (one.A, one.B, one.C))]

    def add(self, form: Form, alpha: int, found: Gradients) -> None:
        for system, g in found.items():
            self.gradients[form][system][alpha] += g


def _row(form: Form, system: str, k: int, mean: Terms, found: Sequence[Tensor], alphas: Sequence[float]) -> Row:
    """found: the gradient at -alphas[0] and at every alpha."""
    wanted = predicted(form, system, k)
    coefficients, rest = measured(found[1], found[0], alphas[0], mean)
    size = float(mean.A.norm())
    residuals = [float((g - mean.mixed(wanted, a)).norm()) / size for a, g in zip(alphas, found[1:])]
    orders = (order(alphas, residuals, 10 * ROUNDING, first=first) for first in (None, 2))
    return Row(form, system, k, wanted, coefficients, rest, tuple(residuals), *orders)


def batches_of(tasks: Tasks, m: int) -> list[tuple[Tensor, Tensor]]:
    """m disjoint batches (x [S, ...], y [S, ...]) of a task: the support set, and m - 1 like it made of its queries."""
    x, y, S = tasks.xq[0], tasks.yq[0], tasks.xs.shape[1]
    if len(y) != (m - 1) * S:
        raise UserError(
            f"{m} batches of {S} examples need {(m - 1) * S} queries; this task has {len(y)}. Give the source "
            f"{m - 1} times as many queries as its shot"
        )
    if not tasks.regression:  # K of each class to each batch
        at = y.argsort(stable=True).view(tasks.way, m - 1, -1).transpose(0, 1).flatten()
        x, y = x[at], y[at]
    return [(tasks.xs[0], tasks.ys[0]), *zip(x.split(S), y.split(S))]


def losses_of(method: GradientMethod, tasks: Tasks, m: int) -> tuple[list[Loss], int]:
    """The mean loss of each batch of a task as a function of theta [P], and the examples of a batch."""
    fixed = {n: p.detach() for n, p in method.parameters_now().items()}
    like = {n: fixed[n] for n in method.adapted}

    def loss_of(x: Tensor, y: Tensor) -> Loss:
        x, y = (part[0] for part in method.check(x[None], y[None], tasks.way))
        return lambda theta: method.query_loss(fixed | as_params(theta, like), x, y)[0]

    found = batches_of(tasks, m)
    return [loss_of(x, y) for x, y in found], len(found[0][1])


def check(method: Method, tasks: int, steps: int, m: int, alphas: Sequence[float]) -> None:
    """Refuse what cannot be measured."""
    if not isinstance(method, GradientMethod):
        raise UserError(
            f"{method.about.title} does not learn a task by gradient steps on its network and has no such gradients; "
            f"take a run of maml, fomaml or reptile, or one of these names for fresh weights"
        )
    if isinstance(method, MAMLpp | ProtoMAML):
        raise UserError(
            f"the network of {method.about.title} changes from step to step or from task to task, and "
            f"the expansion is of one network; take a run of maml, fomaml or reptile"
        )
    if tasks < 1 or steps < 1:
        raise UserError(f"tasks and steps must be at least 1; got tasks={tasks}, steps={steps}")
    if m < max(steps, 2):
        raise UserError(f"batches must be at least 2, and at least steps = {steps} (each serves once); got {m}")
    chosen = sum(math.perm(m, k) for k in range(1, steps + 1))
    if chosen > 2000:
        raise UserError(f"{m} batches in {steps} steps have {chosen} ordered choices; take fewer (steps 3 has 15)")
    if len(alphas) < 2 or alphas[0] <= 0 or any(b <= a for a, b in pairwise(alphas)):
        raise UserError(f"alphas must be at least two positive numbers, each above the last; got {list(alphas)}")
