"""Prototypes with generated examples: Wang et al., CVPR 2018; MetaGAN: Zhang et al., NeurIPS 2018.

A generator makes further examples of a class, in the space of features, out of those that are there and noise, and the
prototypes are the means of both. It learns from the meta-loss alone (Wang et al.: whatever lowers the loss of the
queries is a good example), or also against a discriminator with N + 1 classes (MetaGAN):

    c_n = mean of f(x) and G(f(x), z_1), ..., G(f(x), z_M) over the examples x of class n
    p(y = n | x) = softmax_n(-d(f(x), c_n))
    minimise -log p(y | x); or adversarially, with p over N + 1 classes of which the last is "generated",
    minimise -log p(y | x) - log p(N + 1 | G) over f and the discriminator, -log p(y | x) - log p(y <= N | G) over G
"""

from __future__ import annotations

from itertools import pairwise
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

from ..backbones import feature_size
from ..backbones.init import linear_layer
from ..errors import UserError
from ..functional import random
from ..functional.adversarial import discriminator_loss, generator_loss, with_generated_class
from ..tasks import Tasks
from .base import About, query_measures
from .metric import Embedded
from .protonet import ProtoNet


class Generator(nn.Module):
    """G(f, z): three linear layers with ReLU that start as the identity of f, which must not be negative."""

    def __init__(self, features: int, noise: int) -> None:
        super().__init__()
        self.features = features
        sizes = [features + noise, features + noise, features + noise, features]
        layers = [linear_layer(a, b, 0) for a, b in pairwise(sizes)]
        with torch.no_grad():
            for layer in layers:
                nn.init.eye_(layer.weight)  # of the last: of the features, without the noise
        self.layers = nn.ModuleList(layers)

    def forward(self, features: Tensor, noise: Tensor) -> Tensor:
        """Features [T, S, D] and noise [T, M, Z]: generated features [T, S, M, D]."""
        T, S, D = features.shape
        M, Z = noise.shape[1:]
        x = torch.cat([features[:, :, None].expand(T, S, M, D), noise[:, None].expand(T, S, M, Z)], -1)
        for layer in self.layers[:-1]:
            x = F.relu(layer(x))
        return self.layers[-1](x)


class Hallucinate(ProtoNet):
    """Prototypical network with generated examples.

    In training the noise depends on (seed, number of the task); otherwise it is the same for every task, so that a
    prediction is a function of the support set and the query.

    Args:
        generated: examples made of each support example, M; 0 is the prototypical network.
        noise: numbers of the noise z.
        adversarial: train the generator and the features against a discriminator with N + 1 classes as well.
        distance: euclidean (squared), unsquared or cosine, as for protonet.
        scale: what the negative distance (or the cosine) is multiplied with; 0 takes 1, and 10 for the cosine.
        learn_scale: whether training changes the scale.
    """

    about: ClassVar[About] = About(
        title="prototypical network with generated examples",
        source="Wang et al., CVPR 2018, section 4; Zhang et al., NeurIPS 2018 (MetaGAN)",
        idea="a generator makes further examples of a class out of its examples and noise; a class is the mean of all",
    )

    def __init__(
        self,
        backbone: nn.Module,
        *,
        input_shape: tuple[int, ...],
        generated: int = 5,
        noise: int = 32,
        adversarial: bool = False,
        distance: Literal["euclidean", "unsquared", "cosine"] = "euclidean",
        scale: float = 0.0,
        learn_scale: bool = False,
        seed: int = 0,
    ) -> None:
        super().__init__(backbone, distance=distance, scale=scale, learn_scale=learn_scale)
        if generated < 0 or noise < 1:
            raise UserError(f"generated must be at least 0 and noise at least 1; got {generated} and {noise}")
        if adversarial and not generated:
            raise UserError("without generated examples there is nothing to discriminate: give --generated 1 or more")
        self.generated, self.noise, self.seed = generated, noise, seed
        D = feature_size(backbone, input_shape)
        self.generator = Generator(D, noise) if generated else None
        self.discriminator = None
        if adversarial:
            self.discriminator = nn.Sequential(linear_layer(D, D, seed + 1), nn.ReLU(), linear_layer(D, 1, seed + 2))

    def draw(self, indices: Tensor, stream: str, dtype: torch.dtype) -> Tensor:
        """Noise [T, M, Z] for tasks of the given numbers [T]."""
        return random.normal(random.keys(self.seed, indices, stream), self.generated, self.noise).to(dtype)

    def with_generated(self, support: Embedded, noise: Tensor) -> Embedded:
        """The support set and what is generated from it, whose labels are those of the examples it is made of."""
        if self.generator is None:
            return support
        made = self.generator(support.features, noise).flatten(1, 2)  # [T, S*M, D]
        ys = support.ys.repeat_interleave(self.generated, 1)  # [T, S*M]
        return Embedded(torch.cat([support.features, made], 1), torch.cat([support.ys, ys], 1), support.way)

    def adapt(self, xs: Tensor, ys: Tensor, way: int) -> Embedded:
        """Embed the support set and add generated examples."""
        support = super().adapt(xs, ys, way)
        tasks = torch.zeros(len(xs), dtype=torch.int64, device=xs.device)
        return self.with_generated(support, self.draw(tasks, "noise", support.features.dtype))

    def meta_loss(self, tasks: Tasks) -> tuple[Tensor, dict[str, Tensor]]:
        """Cross-entropy of the queries over N classes, or the losses of both sides of the game over N + 1."""
        S = tasks.xs.shape[1]
        features = self.embed(torch.cat([tasks.xs, tasks.xq], 1))  # [T, S+Q, D]
        noise = self.draw(tasks.indices, "training noise", features.dtype)
        support = self.with_generated(Embedded(features[:, :S], tasks.ys, tasks.way), noise)
        logits = self.score(support, features[:, S:])  # [T, Q, N]
        if self.discriminator is None:
            loss = F.cross_entropy(logits.flatten(0, 1), tasks.yq.flatten())
            return loss, query_measures(loss, logits, tasks.yq)
        return self.game(support, features, logits, tasks.yq, noise)

    def game(
        self, support: Embedded, features: Tensor, logits: Tensor, yq: Tensor, noise: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The discriminator's loss, with generated examples held fixed, plus the generator's, with all else held fixed.

        Args:
            support: with generated examples after the S real ones.
            features: of support and queries, [T, S+Q, D].
            logits: of the queries, [T, Q, N].
            yq: their labels.
            noise: that the generated examples were made with.
        """
        assert self.discriminator is not None
        assert self.generator is not None
        S = features.shape[1] - logits.shape[1]
        fixed = Embedded(support.features.detach(), support.ys, support.way)
        made = fixed.features[:, S:]
        real = with_generated_class(logits, self.discriminator(features[:, S:])[..., 0])
        found_out = with_generated_class(self.score(fixed, made), self.discriminator(made)[..., 0])
        again = self.generator(fixed.features[:, :S], noise).flatten(1, 2)
        judge = {n: p.detach() for n, p in self.discriminator.named_parameters()}
        deceiving = with_generated_class(
            self.score(fixed, again), functional_call(self.discriminator, judge, again)[..., 0]
        )
        loss_d, loss_g = discriminator_loss(real, yq, found_out), generator_loss(deceiving)
        loss = loss_d + loss_g
        measures = query_measures(loss, logits, yq)
        return loss, measures | {"discriminator_loss": loss_d.detach(), "generator_loss": loss_g.detach()}
