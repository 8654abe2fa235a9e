"""MAML++: Antoniou, Edwards & Storkey, "How to train your MAML", ICLR 2019.

MAML with its sources of instability taken away:

    theta_{i+1} = theta_i - alpha_{i,l} grad_l L^support(theta_i)   (rates learned for each step i, tensor l: "LSLR")
    L = sum_i w_i L^query(theta_i)                                  (multi-step loss; w shifts to the last step, "MSL")

scale and shift of batch norm for each step ("BNWB"), and first-order gradients in the first epochs, if wanted
(derivative-order annealing, "DA"). Cosine annealing of the outer rate ("CA") is the trainer's `--schedule cosine`.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from ..backbones.norm import BatchStatistics
from ..functional.inner import InnerLoop, Params
from ..functional.multistep import WEIGHTS, MultiStepSGD, PerStepSGD, step_weights
from ..tasks import Tasks
from .base import About
from .gradient import ENGINE
from .maml import MAML


class MAMLpp(MAML):
    """MAML with learned rates and normalisation for each step, and a loss of all steps at first.

    Args:
        inner_steps: gradient steps on the support set in training.
        inner_lr: where all learned rates start; the loss of the inner steps is summed over the classes, see MAML.
        eval_steps: gradient steps when evaluating and predicting; steps beyond inner_steps repeat the last rates.
        msl_epochs: epochs with the loss of all steps; after them the last step alone counts. 0 for none.
        first_order_epochs: epochs in which the inner gradients are taken as constants, which is faster.
        epoch_steps: meta-steps that are called an epoch.
        engine: how tasks are computed: loop (one after the other), vmap (all at once) or chunk:C (C at a time), with
            +threads (shared out among the cores) and +recompute (exact gradient in the memory of one inner step);
            auto measures and keeps the fastest.
    """

    about: ClassVar[About] = About(
        title="MAML++",
        source="Antoniou, Edwards & Storkey, ICLR 2019, section 3",
        idea="MAML with learned rates and batch norm for each step, and a loss of all steps at first",
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
        inner_lr: float = 0.1,
        eval_steps: int = 5,
        msl_epochs: int = 10,
        first_order_epochs: int = 0,
        epoch_steps: int = 500,
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
        self.msl_epochs, self.first_order_epochs, self.epoch_steps = msl_epochs, first_order_epochs, epoch_steps
        rates = torch.full((max(1, inner_steps),), inner_lr)
        self.alpha = nn.ParameterDict({n.replace(".", "_"): rates.clone() for n in self.adapted})
        self.norms = []
        for name, module in self.net.named_modules():
            if isinstance(module, BatchStatistics) and module.affine:
                module.weight, module.bias = (
                    nn.Parameter(p.detach().repeat(inner_steps + 1, 1)) for p in (module.weight, module.bias)
                )
                self.norms += [f"{name}.weight", f"{name}.bias"]
        self.register_buffer("meta_steps", torch.zeros((), dtype=torch.int64))

    @property
    def epoch(self) -> int:
        """The epoch of the next meta-step, from 0."""
        return int(self.get_buffer("meta_steps")) // self.epoch_steps

    @property
    def first_order(self) -> bool:  # type: ignore[override]
        """Whether inner gradients are constants in this epoch."""
        return self.epoch < self.first_order_epochs

    @property
    def multi_step(self) -> bool:
        """Whether all steps count in this epoch."""
        return self.epoch < self.msl_epochs and self.inner_steps > 1

    def phase(self) -> str:
        """Which loss, and which order."""
        return f"{'all steps' if self.multi_step else 'last step'}, {'first' if self.first_order else 'second'} order"

    def parameters_now(self) -> Params:
        """theta, the rates [k] of every adapted parameter, and the weights of the steps."""
        theta = super().parameters_now()
        rates = {f"alpha {n}": self.alpha[n.replace(".", "_")] for n in self.adapted}
        if self.multi_step:
            weights = step_weights(self.epoch, self.msl_epochs, self.inner_steps)
            rates[WEIGHTS] = next(iter(theta.values())).new_tensor(weights)
        return theta | rates

    def inner_loop(self) -> InnerLoop:
        """Gradient descent with a rate and a normalisation for each step."""
        make = MultiStepSGD if self.multi_step else PerStepSGD
        return make(
            self.inner_loss,
            self.query_loss,
            self.adapted,
            alpha=self.inner_lr,
            steps=self.inner_steps,
            first_order=self.first_order,
            norms=self.norms,
        )

    def meta_step(self, tasks: Tasks) -> dict[str, Tensor]:
        """A meta-step of this epoch; with the loss of all steps, "loss" is their weighted sum."""
        measures = super().meta_step(tasks)
        self.get_buffer("meta_steps").add_(1)
        return measures
