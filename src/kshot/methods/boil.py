"""Body only update in inner loop: Oh, Yoo, Kim & Yun, ICLR 2021.

MAML whose inner loop changes everything but the last layer: a task moves the features to the classifier, which stays.

    theta_b' = theta_b - alpha grad_{theta_b} L^support(theta_b, theta_h)    (section 3; repeated k times)
    (theta_b, theta_h) <- (theta_b, theta_h) - beta grad L^query(theta_b', theta_h)
"""

from __future__ import annotations

from typing import ClassVar

from torch import nn

from .base import About
from .gradient import ENGINE
from .maml import MAML


class BOIL(MAML):
    """MAML whose inner loop is the body's: the opposite of ANIL.

    Args:
        inner_steps: gradient steps on the support set in training.
        inner_lr: alpha, see MAML: the loss of the inner steps is summed over the classes.
        eval_steps: gradient steps when evaluating and predicting.
        adapt_norm: let the inner steps change scale and shift of normalisation layers.
        engine: how tasks are computed: loop (one after the other), vmap (all at once) or chunk:C (C at a time), with
            +threads (shared out among the cores) and +recompute (exact gradient in the memory of one inner step);
            auto measures and keeps the fastest.
    """

    about: ClassVar[About] = About(
        title="BOIL",
        source="Oh, Yoo, Kim & Yun, ICLR 2021, section 3",
        idea="MAML whose inner loop changes all layers but the last",
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
        inner_lr: float = 0.4,
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
            inner_lr=inner_lr,
            eval_steps=eval_steps,
            adapt_norm=adapt_norm,
            engine=engine,
            seed=seed,
        )
        self.adapted = [n for n in self.adapted if not n.startswith("head.")]
