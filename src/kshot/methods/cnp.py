"""Conditional neural process: Garnelo et al., ICML 2018.

The training set and the test inputs go into a network, and predictions come out; nothing is fitted to the task:

    r = mean_s h(x_s, y_s)                                          (the order plays no part)
    mu, sigma = g(r, x)
    L = -E sum log N(y; mu, sigma^2)                                (over support and query points)
"""

from __future__ import annotations

from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..backbones.init import initialise
from ..tasks import Tasks
from .base import About, Method

LEAST = 0.1  # sigma = 0.1 + 0.9 softplus: it cannot collapse onto a point


class CNP(Method):
    """Conditional neural process for curves: it predicts a mean and a standard deviation at every input.

    Train it with a range of shots (`--shot 1-20`), so that it learns to use few points as well as many.

    Args:
        hidden: units of every layer, and size of the representation r.
        encoder_layers: layers of h.
        decoder_layers: layers of g.
    """

    about: ClassVar[About] = About(
        title="conditional neural process",
        source="Garnelo et al., ICML 2018",
        idea="the examples of a curve are encoded one by one and averaged, and a decoder reads the curve from the mean",
        targets=("regression",),
    )

    def __init__(
        self,
        *,
        input_shape: tuple[int, ...],
        output_dim: int,
        hidden: int = 128,
        encoder_layers: int = 3,
        decoder_layers: int = 4,
        seed: int = 0,
    ) -> None:
        super().__init__()
        inputs = int(torch.Size(input_shape).numel())
        self.output_dim = output_dim
        self.encoder = perceptron([inputs + output_dim] + [hidden] * encoder_layers)
        self.decoder = perceptron([hidden + inputs] + [hidden] * (decoder_layers - 1) + [2 * output_dim])
        initialise(self.encoder, seed)
        initialise(self.decoder, seed + 1)

    def adapt(self, xs: Tensor, ys: Tensor, way: int) -> Tensor:
        """r [T, R], the mean representation of the examples."""
        xs = self.inputs(xs)
        return self.encoder(torch.cat([xs, ys.to(xs.dtype)], -1)).mean(1)

    def distribution(self, state: Tensor, xq: Tensor) -> tuple[Tensor, Tensor]:
        """mu and sigma [T, Q, D] at the inputs xq [T, Q, ...]."""
        x = self.inputs(xq)
        r = state[:, None].expand(-1, x.shape[1], -1)  # [T, Q, R]
        mu, width = self.decoder(torch.cat([r, x], -1)).chunk(2, -1)
        return mu, LEAST + (1 - LEAST) * F.softplus(width)

    def predict(self, state: Tensor, xq: Tensor, *, transductive: bool = False) -> Tensor:
        """mu [T, Q, D]."""
        return self.distribution(state, xq)[0]

    def meta_loss(self, tasks: Tasks) -> tuple[Tensor, dict[str, Tensor]]:
        """The mean negative log-likelihood of all points, and the squared error of the queries."""
        x, y = torch.cat([tasks.xs, tasks.xq], 1), torch.cat([tasks.ys, tasks.yq], 1)
        mu, sigma = self.distribution(self.adapt(tasks.xs, tasks.ys, 0), x)
        loss = negative_log_likelihood(mu, sigma, y.to(mu.dtype)).mean()
        mse = F.mse_loss(mu.detach()[:, tasks.xs.shape[1] :], tasks.yq.to(mu.dtype))
        return loss, {"loss": loss.detach(), "mse": mse}

    def further(self, tasks: Tasks) -> dict[str, Tensor]:
        """nll: the mean negative log-likelihood of the queries of each task."""
        mu, sigma = self.distribution(self.adapt(tasks.xs, tasks.ys, 0), tasks.xq)
        return {"nll": negative_log_likelihood(mu, sigma, tasks.yq.to(mu.dtype)).flatten(1).mean(1)}

    def inputs(self, x: Tensor) -> Tensor:
        """Inputs [T, P, ...] as vectors in the type of the parameters."""
        return x.flatten(2).to(next(self.parameters()).dtype)


def perceptron(sizes: list[int]) -> nn.Sequential:
    """Linear layers with ReLU between them, on the "meta" device."""
    layers: list[nn.Module] = []
    for i in range(len(sizes) - 1):
        layers += [nn.Linear(sizes[i], sizes[i + 1], device="meta"), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def negative_log_likelihood(mu: Tensor, sigma: Tensor, y: Tensor) -> Tensor:
    """-log N(y; mu, sigma^2), elementwise."""
    return -torch.distributions.Normal(mu, sigma, validate_args=False).log_prob(y)
