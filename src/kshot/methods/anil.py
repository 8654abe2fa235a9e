"""Almost no inner loop: Raghu, Raghu, Bengio & Vinyals, "Rapid learning or feature reuse?", ICLR 2020.

MAML whose inner loop changes the last layer alone: the body theta_b is shared by all tasks, the head theta_h learns.

    theta_h' = theta_h - alpha grad_{theta_h} L^support(theta_b, theta_h)    (section 4; repeated k times)
    (theta_b, theta_h) <- (theta_b, theta_h) - beta grad L^query(theta_b, theta_h')

The features of the support set are then the same in every step and are computed once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from ..functional.inner import SGD, Gradient, InnerLoop, Params
from ..functional.linear import linear
from .base import About
from .gradient import ENGINE
from .maml import MAML

FEATURES = "support features"


@dataclass(frozen=True, kw_only=True)
class HeadSGD(SGD):
    """SGD on the head alone; its input, the features of the support set, is part of the state.

    Attributes:
        features: of all parameters and the support inputs: `features(params, xs)`.
    """

    features: Callable[[Params, Tensor], Tensor]

    def start(self, meta: Params, xs: Tensor, ys: Tensor) -> Params:
        """theta_h, and the features [S, D]."""
        return {**super().start(meta, xs, ys), FEATURES: self.features(meta, xs)}

    def step(self, meta: Params, state: Params, i: int, gradient: Gradient, xs: Tensor, ys: Tensor) -> Params:
        """One step of gradient descent on the features."""
        head = {n: state[n] for n in self.adapted}
        return state | super().step(meta, head, i, gradient, state[FEATURES], ys)


class ANIL(MAML):
    """MAML whose inner loop is the head's.

    Args:
        inner_steps: gradient steps on the support set in training.
        inner_lr: alpha, see MAML: the loss of the inner steps is summed over the classes.
        eval_steps: gradient steps when evaluating and predicting.
        engine: how tasks are computed: loop (one after the other), vmap (all at once) or chunk:C (C at a time), with
            +threads (shared out among the cores) and +recompute (exact gradient in the memory of one inner step);
            auto measures and keeps the fastest.
    """

    about: ClassVar[About] = About(
        title="ANIL",
        source="Raghu, Raghu, Bengio & Vinyals, ICLR 2020, section 4",
        idea="MAML whose inner loop changes the last layer alone",
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
        inner_steps: int = 5,
        inner_lr: float = 0.4,
        eval_steps: int = 5,
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
            engine=engine,
            seed=seed,
        )
        self.adapted = [n for n in self.adapted if n.startswith("head.")]

    def head_loss(self, params: Params, features: Tensor, y: Tensor) -> Tensor:
        """The loss of the inner steps, from features [S, D]."""
        output = linear(features, params["head.weight"], params["head.bias"])
        loss = self.loss_of(output, y)
        return loss if self.output_dim else loss * self.way

    def inner_loop(self) -> InnerLoop:
        """Gradient descent on the head."""
        return HeadSGD(
            self.head_loss,
            self.query_loss,
            self.adapted,
            alpha=self.inner_lr,
            steps=self.inner_steps,
            features=self.features_with,
        )
