"""Implicit MAML: Rajeswaran, Finn, Kakade & Levine, "Meta-learning with implicit gradients", NeurIPS 2019.

A task is learned by solving a problem that ties its parameters to the initialisation:

    phi* = argmin_phi L^support(phi) + lambda / 2 ||phi - theta||^2                       (eq. 3)
    d L^query(phi*) / d theta = (I + H / lambda)^-1 grad L^query(phi*)                    (eq. 6; H of L^support)

The gradient depends on the solution alone, not on the steps that found it: its memory does not grow with their number.
"""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor, nn

from ..functional.implicit import Implicit, ProximalSGD
from ..functional.inner import Gradient, InnerLoop, Params
from .base import About
from .gradient import ENGINE
from .maml import MAML


class IMAML(MAML):
    """MAML with a proximal inner problem and the implicit gradient of its solution.

    Args:
        inner_steps: gradient steps towards the solution in training.
        inner_lr: their size; as in the published code, the loss of the support set is the mean.
        eval_steps: gradient steps when evaluating and predicting.
        proximal: lambda, the strength of the tie to the initialisation.
        cg_steps: steps of conjugate gradient for the meta-gradient; 0 leaves the curvature out (first order).
        damping: added to lambda there, for support losses with negative curvature.
        adapt_norm: let the inner steps change scale and shift of normalisation layers.
        engine: how tasks are computed: loop (one after the other), vmap (all at once) or chunk:C (C at a time), with
            +threads (shared out among the cores); auto measures and keeps the fastest. (+recompute changes nothing:
            there is no graph of steps.)
    """

    about: ClassVar[About] = About(
        title="implicit MAML",
        source="Rajeswaran, Finn, Kakade & Levine, NeurIPS 2019, eq. 3 and 6",
        idea="MAML whose tasks stay near the initialisation and whose gradient needs their solutions alone",
        fixed_way=True,
        transductive=True,
        label_symmetric=False,
        targets=("classes", "regression"),
    )
    first_order = True  # inner steps keep no graph

    def __init__(
        self,
        backbone: nn.Module,
        *,
        input_shape: tuple[int, ...],
        way: int = 5,
        output_dim: int = 0,
        inner_steps: int = 16,
        inner_lr: float = 0.1,
        eval_steps: int = 16,
        proximal: float = 2.0,
        cg_steps: int = 5,
        damping: float = 0.0,
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
            inner_lr=inner_lr,
            eval_steps=eval_steps,
            adapt_norm=adapt_norm,
            engine=engine,
            seed=seed,
        )
        self.proximal, self.cg_steps, self.damping = proximal, cg_steps, damping

    def inner_loss(self, params: Params, x: Tensor, y: Tensor) -> Tensor:
        """The loss of the support set: the mean."""
        return self.loss_of(self.forward_with(params, x), y)

    def inner_loop(self) -> ProximalSGD:
        """Gradient descent on the proximal problem (eq. 3)."""
        return ProximalSGD(
            self.inner_loss,
            self.query_loss,
            self.adapted,
            alpha=self.inner_lr,
            steps=self.inner_steps,
            first_order=True,
            pull=self.proximal,
        )

    def meta_loop(self, gradient: Gradient) -> InnerLoop:
        """Its solution, with the implicit gradient (eq. 6)."""
        return Implicit(self.inner_loop(), gradient, self.cg_steps, self.damping)
