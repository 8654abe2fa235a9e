"""First-order MAML: Finn, Abbeel & Levine, ICML 2017, section 5.2; Nichol et al. 2018, section 2.

MAML whose inner gradients are taken as constants, so that d theta_k / d theta is the identity: the query gradient at
the adapted parameters is applied to theta as it is.

    theta_{i+1} = theta_i - alpha grad L^support(theta_i),  theta_0 = theta
    theta      <- theta - beta mean over tasks of grad L^query(theta_k)

Three options are inventions of a popular tutorial, which calls the method "fast orthogonal meta-learning" (see
functional/guided.py). They are off by default.
"""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor, nn

from ..errors import UserError
from ..functional import random
from ..functional.guided import GuidedSGD
from ..functional.inner import InnerLoop
from ..tasks import Tasks
from .base import About
from .gradient import ENGINE
from .maml import MAML


class FOMAML(MAML):
    """First-order MAML: the query gradient is taken at the adapted parameters and applied to theta.

    Args:
        inner_steps: gradient steps on the support set in training.
        inner_lr: alpha, see MAML.
        eval_steps: gradient steps when evaluating and predicting.
        proximal: eta, pulls the inner steps back to theta by the gradient of eta |theta_i - theta|^2. The first step
            feels nothing of it; needs 2 * inner_lr * eta < 1.
        aligned: gradient agreement: no inner step goes against the first one of its task. Where a gradient opposes the
            first gradient, its part along that is projected out. The first step feels nothing of it.
        init_noise: epsilon, starts a training task from theta (1 + epsilon n), n standard normal.
        adapt_norm: let the inner steps change scale and shift of normalisation layers (the paper does not).
        engine: how tasks are computed: loop (one after the other), vmap (all at once) or chunk:C (C at a time), with
            +threads (shared out among the cores) and +recompute (exact gradient in the memory of one inner step);
            auto measures and keeps the fastest.
    """

    about: ClassVar[About] = About(
        title="first-order MAML",
        source="Finn, Abbeel & Levine, ICML 2017, section 5.2; Nichol et al. 2018, section 2",
        idea="MAML whose inner gradients are treated as constants: no second derivatives",
        fixed_way=True,
        transductive=True,
        label_symmetric=False,
        targets=("classes", "regression"),
    )
    first_order = True

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
        proximal: float = 0.0,
        aligned: bool = False,
        init_noise: float = 0.0,
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
        if proximal < 0 or 2 * inner_lr * proximal >= 1:
            raise UserError(
                f"proximal must be at least 0 and below 1 / (2 * inner_lr) = {1 / (2 * inner_lr or 1):g}, or the pull "
                f"overshoots; got {proximal:g}. Take a smaller one, or a smaller inner_lr"
            )
        if init_noise < 0:
            raise UserError(f"init_noise must be at least 0 (0.05 is noise of 5 % of a weight); got {init_noise:g}")
        self.proximal, self.aligned, self.init_noise, self.seed = proximal, aligned, init_noise, seed

    def inner_loop(self) -> InnerLoop:
        """First-order gradient descent on the support set, guided if asked for."""
        if not (self.proximal or self.aligned or self.init_noise):
            return super().inner_loop()
        return GuidedSGD(
            self.inner_loss,
            self.query_loss,
            self.adapted,
            alpha=self.inner_lr,
            steps=self.inner_steps,
            first_order=True,
            proximal=self.proximal,
            aligned=self.aligned,
            init_noise=self.init_noise,
        )

    def own_data(self, tasks: Tasks) -> tuple[Tensor, ...]:
        """The noise of every task [T, P], a function of seed and task index; nothing if there is none."""
        if not self.init_noise:
            return ()
        theta = self.parameters_now()
        count, like = sum(theta[n].numel() for n in self.adapted), theta[self.adapted[0]]
        key = random.keys(self.seed, tasks.indices, "initial noise")
        return (random.normal(key, count).to(like.dtype),)
