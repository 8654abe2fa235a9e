"""Pre-training with fine-tuning: the baseline that meta-learning is compared with.

One network is trained on all training classes at once (on all curves at once, for regression) and then fine-tuned on
the support set of a new task: the joint training of Finn et al. 2017 (section 5.1), and the "Baseline" of Chen et al.,
"A closer look at few-shot classification", ICLR 2019.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

from ..backbones import feature_size
from ..backbones.init import linear_layer
from ..errors import UserError
from ..functional.inner import SGD, Params, functional_gradient, path
from ..functional.linear import linear
from ..tasks import Tasks
from .base import About, Method, as_input, query_loss


class Pretrained(Method):
    """Joint training, then fine-tuning.

    For classes, a new linear layer starts at zero and learns from the support set, with the encoder frozen or not. For
    regression the whole network is fine-tuned. Batch norm uses its running statistics when a task is learned.

    Args:
        finetune: what learns from the support set: the new head alone, or all parameters.
        eval_steps: gradient steps of the fine-tuning.
        inner_lr: their step size (mean loss over the support set).
    """

    about: ClassVar[About] = About(
        title="pre-training and fine-tuning",
        source="Finn et al. 2017, section 5.1; Chen et al., ICLR 2019 (Baseline)",
        idea="train one network on all training classes, then fine-tune it on the support set",
        targets=("classes", "regression"),
    )
    default_backbone = "conv4"

    def __init__(
        self,
        backbone: nn.Module,
        *,
        input_shape: tuple[int, ...],
        num_classes: int | None,
        output_dim: int = 0,
        finetune: Literal["head", "all"] = "head",
        eval_steps: int = 100,
        inner_lr: float = 0.01,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if num_classes is None:
            raise UserError(
                "pretrained learns one output for every training class and needs a finite number of classes; these "
                "data are endless. Use glyphs, omniglot or a folder"
            )
        self.backbone = backbone
        self.head = linear_layer(feature_size(backbone, input_shape), output_dim or num_classes, seed + 1)
        self.output_dim = output_dim
        self.finetune, self.eval_steps, self.inner_lr = finetune, eval_steps, inner_lr

    def meta_loss(self, tasks: Tasks) -> tuple[Tensor, dict[str, Tensor]]:
        """Joint loss of all examples of all tasks: cross-entropy over the training classes, or squared error."""
        x = as_input(torch.cat([tasks.xs, tasks.xq], 1).flatten(0, 1), self.head.weight.dtype)  # [T*(S+Q), ...]
        y = torch.cat([tasks.ys, tasks.yq], 1)  # [T, S+Q]
        if not self.output_dim:
            y = tasks.classes.gather(1, y)
        return query_loss(self.head(self.backbone(x)), y.flatten(0, 1))

    def adapt_path(self, xs: Tensor, ys: Tensor, way: int, steps: int) -> list[Params]:
        """Parameters after 0, 1, ... steps of fine-tuning, stacked over tasks; names start with backbone. or head."""
        x = self.inputs(xs)
        params = {f"backbone.{n}": p.detach() for n, p in self.backbone.named_parameters()}
        head = {"head.weight": self.head.weight.detach(), "head.bias": self.head.bias.detach()}
        if not self.output_dim:
            head = {n: h.new_zeros(way, *h.shape[1:]) for n, h in head.items()}
        theta = params | head
        everything = bool(self.output_dim) or self.finetune == "all"
        adapted = list(theta) if everything else list(head)
        if not everything:
            with torch.no_grad():
                x = self.backbone(x.flatten(0, 1)).unflatten(0, x.shape[:2])  # [T, S, D]

        def loss(p: Params, x: Tensor, y: Tensor) -> Tensor:
            output = self.forward_with(p, x) if everything else linear(x, p["head.weight"], p["head.bias"])
            return F.mse_loss(output, y) if self.output_dim else F.cross_entropy(output, y)

        loop = SGD(loss, lambda p, x, y: (loss(p, x, y), ()), adapted, self.inner_lr, steps, first_order=True)

        def one_task(x: Tensor, y: Tensor) -> list[Params]:
            return path(loop, theta, steps, functional_gradient, x, y)[1:]

        start = {n: p.expand(len(x), *p.shape) for n, p in theta.items()}
        y = ys.to(x.dtype) if self.output_dim else ys
        return [start, *(start | p for p in (torch.vmap(one_task)(x, y) if steps else []))]

    def forward_with(self, params: Params, x: Tensor) -> Tensor:
        """Backbone and head with the given parameters: [B, ...] -> [B, N]."""
        backbone = {n.removeprefix("backbone."): p for n, p in params.items() if n.startswith("backbone.")}
        return linear(functional_call(self.backbone, backbone, (x,)), params["head.weight"], params["head.bias"])

    def outputs(self, params: Params, xq: Tensor) -> Tensor:
        """Outputs [T, Q, N] of the queries with per-task parameters."""
        x = self.inputs(xq)
        if self.output_dim or self.finetune == "all":
            return torch.vmap(self.forward_with)(params, x)
        features = self.backbone(x.flatten(0, 1)).unflatten(0, x.shape[:2])  # [T, Q, D]
        return features @ params["head.weight"].transpose(-1, -2) + params["head.bias"][:, None]

    def represent(self, state: Params, x: Tensor) -> Tensor:
        """Features [T, P, D] of the encoder as it was fine-tuned."""

        def features(params: Params, x: Tensor) -> Tensor:
            body = {n.removeprefix("backbone."): p for n, p in params.items() if n.startswith("backbone.")}
            return functional_call(self.backbone, body, (x,))

        return torch.vmap(features)(state, self.inputs(x))

    def inputs(self, x: Tensor) -> Tensor:
        """Network inputs in the type of the parameters."""
        return as_input(x, self.head.weight.dtype)

    def adapt(self, xs: Tensor, ys: Tensor, way: int) -> Params:
        """The fine-tuned parameters, stacked over tasks."""
        return self.adapt_path(xs, ys, way, self.eval_steps)[-1]

    def predict(self, state: Params, xq: Tensor, *, transductive: bool = False) -> Tensor:
        """Outputs [T, Q, N] (or [T, Q, D]) of the queries."""
        return self.outputs(state, xq)

    def predict_steps(
        self, xs: Tensor, ys: Tensor, xq: Tensor, way: int, steps: int, *, transductive: bool = False
    ) -> Tensor:
        """Outputs after 0, 1, ... steps of fine-tuning: [steps + 1, T, Q, N]."""
        return torch.stack([self.outputs(p, xq) for p in self.adapt_path(xs, ys, way, steps)])
