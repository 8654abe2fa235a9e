"""A method with what it has learned from a support set, and how people's pictures become its inputs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..data.descriptions import read_descriptions
from ..errors import UserError
from ..estimator import FewShotClassifier, FewShotRegressor
from ..evaluation.score import evaluating
from ..methods.base import Method
from .encoded import Network

NOISE = 0.1  # of the full range, in the inputs on which a program is checked


@dataclass(frozen=True)
class Fitted:
    """What is exported.

    Attributes:
        method, state: what `adapt` made of the support set, for one task.
        classes: names of the labels; () for curves.
        examples: how many support examples each class has, or 0 where it was described.
        input_shape: of one input.
        pictures: whether inputs are pixels.
        inverted: whether dark ink on light paper becomes high ink.
        temperature: what logits are divided by before the softmax.
        seen: inputs as people give them [S, ...]: uint8 pictures, or float32 rows.
        answer: from such inputs to logits (or values) and probabilities, as `kshot predict` computes them.
        network: the frozen encoder, if the method learns from features; inputs are then pictures for it.
    """

    method: Method
    state: Any
    classes: tuple[str, ...]
    examples: tuple[int, ...]
    input_shape: tuple[int, ...]
    pictures: bool
    inverted: bool
    temperature: float
    seen: Tensor
    answer: Callable[[Tensor], tuple[Tensor, Tensor | None]]
    network: Network | None = None

    @classmethod
    def of(cls, fitted: FewShotClassifier | FewShotRegressor) -> Fitted:
        """Of a fitted estimator, whose predictions the exported program repeats."""
        from sklearn.utils.validation import check_is_fitted

        check_is_fitted(fitted, "state_")
        if fitted.transductive:
            raise UserError(
                "a transductive classifier cannot be exported: its answer to a picture depends on the others of the "
                "same call. Leave out transductive"
            )
        if isinstance(fitted, FewShotClassifier) and fitted.encoder_ is not None:
            return cls._on_features(fitted, Network.of(fitted.encoder_))
        support = fitted.support_.cpu()
        pictures = support.dtype == torch.uint8
        inverted = pictures and bool(fitted.inverted_)
        classes = tuple(map(str, getattr(fitted, "classes_", ())))

        def answer(x: Tensor) -> tuple[Tensor, Tensor | None]:
            given: Any = x.numpy() if pictures else x.flatten(1).numpy()
            output = fitted._outputs(given)
            if isinstance(fitted, FewShotRegressor):
                return output.double(), None
            return output[:, : len(classes)].double(), torch.from_numpy(fitted.predict_proba(given))

        return cls(
            method=fitted.method_,
            state=fitted.state_,
            classes=classes,
            examples=tuple(int((fitted.targets_ == c).sum()) for c in getattr(fitted, "classes_", ())),
            input_shape=tuple(support.shape[1:]),
            pictures=pictures,
            inverted=inverted,
            temperature=float(fitted.temperature_),
            seen=255 - support if inverted else support if pictures else support.float(),
            answer=answer,
        )

    @classmethod
    def _on_features(cls, fitted: FewShotClassifier, network: Network) -> Fitted:
        """Of a classifier that learned from the features of a frozen encoder."""
        classes = tuple(map(str, fitted.classes_))
        pictures = network.factor is not None

        def answer(x: Tensor) -> tuple[Tensor, Tensor | None]:
            with evaluating(fitted.method_):
                features = network.features(x.float() / 255 if pictures else x)
                logits = fitted.method_.predict(fitted.state_, features[None])[0, :, : len(classes)].double()
            return logits, (logits / fitted.temperature_).softmax(-1)

        noise = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (4, *network.shape)))
        return cls(
            method=fitted.method_,
            state=fitted.state_,
            classes=classes,
            examples=tuple(int((fitted.targets_ == c).sum()) for c in fitted.classes_),
            input_shape=network.shape,
            pictures=pictures,
            inverted=False,
            temperature=float(fitted.temperature_),
            seen=noise.to(torch.uint8) if pictures else (noise / 64 - 2).float(),
            answer=answer,
            network=network,
        )

    @classmethod
    def described(
        cls,
        method: Method,
        table: Path,
        *,
        attributes: Sequence[str],
        input_shape: tuple[int, ...],
        inverted: bool,
        temperature: float = 1.0,
    ) -> Fitted:
        """Of a method that learns a class from its description, and a table of descriptions."""
        if table.is_dir():
            raise UserError(
                f"{table} is a folder, and this model learns from descriptions: name a table (.csv) with a line for "
                f"each class, such as zebra,striped four legs"
            )
        found = read_descriptions(table, attributes)
        with evaluating(method):
            ys = torch.arange(len(found.classes))
            state = method.adapt(found.values[None], ys[None], len(found.classes))

        def answer(x: Tensor) -> tuple[Tensor, Tensor | None]:
            with evaluating(method):
                logits = method.predict(state, (255 - x if inverted else x)[None])[0].double()
            return logits, (logits / temperature).softmax(-1)

        seen = torch.linspace(0, 255, 3).to(torch.uint8).view(3, *[1] * len(input_shape)).expand(3, *input_shape)
        return cls(
            method=method,
            state=state,
            classes=tuple(found.classes),
            examples=(0,) * len(found.classes),
            input_shape=input_shape,
            pictures=True,
            inverted=inverted,
            temperature=temperature,
            seen=seen,
            answer=answer,
        )

    def inputs(self, count: int) -> Tensor:
        """Inputs to check a program on [count, ...]: blends of two support examples each, with noise."""
        random = np.random.default_rng(count)
        a, b = (random.integers(0, len(self.seen), count) for _ in range(2))
        share = random.random((count, *[1] * len(self.input_shape)))
        x = self.seen.double().numpy()
        top = 255.0 if self.pictures else float(x.std()) or 1.0
        blend = share * x[a] + (1 - share) * x[b] + NOISE * top * random.standard_normal((count, *self.input_shape))
        if not self.pictures:
            return torch.from_numpy(blend).float()
        return torch.from_numpy(np.clip(np.rint(blend), 0, 255).astype(np.uint8))
