"""Inner loops whose steps are not alike: rates, normalisation and weights of each step's own (MAML++)."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor

from .inner import SGD, Gradient, Params

LEAST = 0.03  # part of its first weight that every step keeps
WEIGHTS = "weights of the steps"


def step_weights(epoch: int, epochs: int, steps: int) -> list[float]:
    """Weights of the query losses after steps 1..k in an epoch of the multi-step loss (Antoniou et al. 2019, 3.1).

    They start equal and shift to the last step, linearly over the epochs; both ends are clipped, at 0.97 of the way,
    so that no step is ever left without weight. Their sum is 1.
    """
    share, way = 1 / steps, epoch / epochs
    early = max(share * (1 - way), LEAST * share)
    last = min(share + (steps - 1) * share * way, 1 - (steps - 1) * LEAST * share)
    return [early] * (steps - 1) + [last]


@dataclass(frozen=True, kw_only=True)
class PerStepSGD(SGD):
    """SGD whose step sizes and normalisation parameters belong to a step.

    The meta-parameters "alpha NAME" [k] are the step sizes of the parameter NAME; a normalisation parameter [k + 1, C]
    has a row for the network after each number of steps. Steps beyond the k trained ones go on with the last of each.

    Attributes:
        norms: names of the normalisation parameters.
    """

    norms: Collection[str]
    alike: ClassVar[bool] = False

    def rate(self, meta: Params, name: str, i: int) -> Tensor:
        """alpha of a parameter in step i."""
        rates = meta[f"alpha {name}"]
        return rates[min(i, len(rates) - 1)]

    def norms_after(self, meta: Params, i: int) -> Params:
        """The normalisation parameters [C] after i steps."""
        return {n: meta[n][min(i, len(meta[n]) - 1)] for n in self.norms}

    def start(self, meta: Params, xs: Tensor, ys: Tensor) -> Params:
        """theta, and the normalisation before the first step."""
        return super().start(meta, xs, ys) | self.norms_after(meta, 0)

    def step(self, meta: Params, state: Params, i: int, gradient: Gradient, xs: Tensor, ys: Tensor) -> Params:
        """One step with the normalisation at hand, and the next normalisation."""
        moving = {n: state[n] for n in self.adapted}
        return super().step(meta | state, moving, i, gradient, xs, ys) | self.norms_after(meta, i + 1)


class MultiStepSGD(PerStepSGD):
    """PerStepSGD with the loss sum_i w_i L^query(theta_i); the weights w [k] are in the dictionary meta."""

    def early_loss(self, meta: Params, state: Params, i: int, xs: Tensor, ys: Tensor, xq: Tensor, yq: Tensor) -> Tensor:
        """w_i L^query(theta_i)."""
        return meta[WEIGHTS][i - 1] * super().loss(meta, state, xs, ys, xq, yq)[0]

    def loss(self, meta: Params, state: Params, xs: Tensor, ys: Tensor, xq: Tensor, yq: Tensor) -> tuple[Tensor, Any]:
        """w_k L^query(theta_k)."""
        loss, output = super().loss(meta, state, xs, ys, xq, yq)
        return meta[WEIGHTS][-1] * loss, output
