"""Meta-SGD: Li, Zhou, Chen & Li, "Meta-SGD: Learning to learn quickly for few-shot learning", 2017.

MAML that learns, beside the initialisation theta, a step size for each of its coordinates: alpha gives the inner step
its length and its direction.

    theta' = theta - alpha * grad L^support(theta)                          (eq. 3; * by coordinate)
    (theta, alpha) <- (theta, alpha) - beta grad_{theta, alpha} sum_i L_i^query(theta'_i)
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from ..functional.inner import SGD, InnerLoop, Params
from .base import About
from .gradient import ENGINE
from .maml import MAML


class CoordinateSGD(SGD):
    """SGD whose step sizes are meta-parameters "alpha NAME", of the shape of the parameter NAME."""

    def rate(self, meta: Params, name: str, i: int) -> Tensor:
        """alpha of a parameter, the same in every step."""
        return meta[f"alpha {name}"]


class MetaSGD(MAML):
    """MAML with a learned step size for each coordinate.

    Args:
        inner_steps: gradient steps on the support set in training (the paper's is 1).
        least_lr: the step sizes start uniformly drawn between least_lr and most_lr; the loss of the inner steps is
            summed over the classes, see MAML.
        most_lr: the other end; with least_lr equal to it, the method starts as MAML.
        eval_steps: gradient steps when evaluating and predicting.
        adapt_norm: let the inner steps change scale and shift of normalisation layers.
        engine: how tasks are computed: loop (one after the other), vmap (all at once) or chunk:C (C at a time), with
            +threads (shared out among the cores) and +recompute (exact gradient in the memory of one inner step);
            auto measures and keeps the fastest.
    """

    about: ClassVar[About] = About(
        title="Meta-SGD",
        source="Li, Zhou, Chen & Li 2017, eq. 3 and 4",
        idea="MAML that learns a step size for every coordinate beside the initialisation",
        fixed_way=True,
        transductive=True,
        label_symmetric=False,
        targets=("classes", "regression"),
    )

    def __init__(
        self,
        backbone: nn.Module,
        *,
        input_shape: tuple[int, ...],
        way: int = 5,
        output_dim: int = 0,
        inner_steps: int = 1,
        least_lr: float = 0.005,
        most_lr: float = 0.1,
        eval_steps: int = 1,
        adapt_norm: bool = False,
        engine: str = ENGINE,
        seed: int = 0,
    ) -> None:
        super().__init__(
            backbone,
            input_shape=input_shape,
            way=way,
            output_dim=output_dim,
            inner_steps=inner_steps,
            eval_steps=eval_steps,
            adapt_norm=adapt_norm,
            engine=engine,
            seed=seed,
        )
        generator, theta = torch.Generator().manual_seed(seed + 2), super().parameters_now()
        self.alpha = nn.ParameterDict(
            {
                n.replace(".", "_"): least_lr + (most_lr - least_lr) * torch.rand(theta[n].shape, generator=generator)
                for n in self.adapted
            }
        )

    def parameters_now(self) -> Params:
        """theta, and alpha of every adapted parameter."""
        return super().parameters_now() | {f"alpha {n}": self.alpha[n.replace(".", "_")] for n in self.adapted}

    def inner_loop(self) -> InnerLoop:
        """Gradient descent with a step size for each coordinate (eq. 3)."""
        return CoordinateSGD(self.inner_loss, self.query_loss, self.adapted, alpha=0.0, steps=self.inner_steps)
