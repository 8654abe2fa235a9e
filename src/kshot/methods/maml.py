"""Model-agnostic meta-learning: Finn, Abbeel & Levine, ICML 2017.

Learn an initialisation theta from which a few steps of gradient descent on the support set solve the task:

    theta'_i = theta - alpha grad L_i^support(theta)                (eq. 1, repeated k times)
    theta   <- theta - beta grad_theta sum_i L_i^query(theta'_i)    (eq. 4; through the inner steps: second order)
"""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor, nn

from ..functional.inner import SGD, InnerLoop, Params
from .base import About
from .gradient import ENGINE, Adapted, GradientMethod


class MAML(GradientMethod):
    """Second-order MAML.

    Args:
        inner_steps: gradient steps on the support set in training.
        inner_lr: alpha. As in the published code, the loss of the inner steps is summed over the classes and
            averaged over the shots (N times the mean); for regression it is the mean.
        eval_steps: gradient steps when evaluating and predicting.
        adapt_norm: let the inner steps change scale and shift of normalisation layers (the paper does not).
        engine: how tasks are computed: loop (one after the other), vmap (all at once) or chunk:C (C at a time), with
            +threads (shared out among the cores) and +recompute (exact gradient in the memory of one inner step);
            auto measures and keeps the fastest.
    """

    about: ClassVar[About] = About(
        title="MAML",
        source="Finn, Abbeel & Levine, ICML 2017, eq. 1 and 4",
        idea="an initialisation from which a few gradient steps on the support set solve the task",
        fixed_way=True,
        transductive=True,
        label_symmetric=False,
        targets=("classes", "regression"),
    )
    default_backbone = "conv4-strided"

    def __init__(
        self,
        backbone: nn.Module,
        *,
        input_shape: tuple[int, ...],
        way: int = 5,
        output_dim: int = 0,
        inner_steps: int = 1,
        inner_lr: float = 0.4,
        eval_steps: int = 3,
        adapt_norm: bool = False,
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
        self.inner_steps, self.inner_lr, self.eval_steps = inner_steps, inner_lr, eval_steps

    def inner_loss(self, params: Params, x: Tensor, y: Tensor) -> Tensor:
        """The loss of the inner steps: summed over classes, averaged over shots, see inner_lr."""
        loss = self.loss_of(self.forward_with(params, x), y)
        return loss if self.output_dim else loss * self.way

    def inner_loop(self) -> InnerLoop:
        """Gradient descent on the support set (eq. 1)."""
        return SGD(
            self.inner_loss,
            self.query_loss,
            self.adapted,
            alpha=self.inner_lr,
            steps=self.inner_steps,
            first_order=self.first_order,
        )

    def adapt(self, xs: Tensor, ys: Tensor, way: int) -> Adapted:
        """k steps of gradient descent on the support set: `inner_steps` in training mode, else `eval_steps`."""
        steps = self.inner_steps if self.training else self.eval_steps
        return Adapted(self.adapt_path(xs, ys, way, steps)[-1], xs)
