"""The scikit-learn face: a few-shot learner that is shown a handful of examples and predicts others.

Fitting is adapting: no weight of the model changes, so that it takes milliseconds, and examples and classes can be
added at any time.

    from kshot.estimator import FewShotClassifier

    sorter = FewShotClassifier("runs/letters").fit(paths, names)
    sorter.predict(other_paths)
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils import Tags
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_array, check_consistent_length, check_is_fitted, column_or_1d, validate_data
from torch import Tensor

from .data.examples import are_pictures, picture_inputs
from .data.pictures import Invert, ink_high
from .encoders import Encoder, open_encoder
from .errors import UserError
from .evaluation.frozen import own_temperature
from .evaluation.prediction import head_way
from .evaluation.score import evaluating
from .methods import METHODS, Method, build_method, feature_method
from .models import BUILTIN
from .tasks import TaskSpec
from .training import Run, load_run

QUERIES_AT_ONCE = 256


class _FewShot(BaseEstimator):
    """What classifier and regressor share: the model, its inputs, and the examples that it was shown."""

    support_: Tensor
    targets_: np.ndarray

    def __init__(
        self,
        model: str | Path | Run | Method = "nearest",
        *,
        options: Mapping[str, Any] | None = None,
        size: int | None = None,
        invert: Invert = "auto",
        transductive: bool = False,
        device: str = "cpu",
        backbone: str | Encoder | None = None,
        backbone_options: Mapping[str, Any] | None = None,
    ) -> None:
        self.model = model
        self.options = options
        self.size = size
        self.invert = invert
        self.transductive = transductive
        self.device = device
        self.backbone = backbone
        self.backbone_options = backbone_options

    def fit(self, X: Any, y: Any) -> Self:
        """Learn from these examples alone.

        Args:
            X: rows of numbers [M, D], pictures [M, H, W], [M, H, W, C] or [M, C, H, W], paths, or PIL pictures; with
                an encoder of sentences, texts.
            y: their targets [M].
        """
        for name in [n for n in vars(self) if n.endswith("_") and not n.startswith("_")]:
            delattr(self, name)
        return self.partial_fit(X, y)

    def partial_fit(self, X: Any, y: Any, classes: Any = None) -> Self:
        """Learn from these examples and all that were shown before; they may bring new classes.

        Args:
            X, y: as for `fit`.
            classes: not needed; named by scikit-learn's contract.
        """
        first = not hasattr(self, "support_")
        if first:
            self.encoder_ = self._encoder()
            self.method_, self.input_shape_, self.temperature_ = self._open()
        targets = self._targets(y)
        x = self._inputs(X, first=first)
        check_consistent_length(x, targets)
        x = x if first else torch.cat([self.support_, x])
        targets = targets if first else np.concatenate([self.targets_, targets])
        self._learn(x, targets)  # examples that it refuses leave it as it was
        self.support_, self.targets_ = x, targets
        return self

    def _encoder(self) -> Encoder | None:
        """The frozen encoder, if one was named."""
        if self.backbone is None:
            return None
        if self.size is not None or self.invert == "yes":
            raise UserError(
                "with a backbone, pictures are prepared as that wants them: leave out size and invert (an encoder's "
                "own size is said by backbone_options={'size': ...})"
            )
        if isinstance(self.backbone, Encoder):
            return self.backbone
        return open_encoder(self.backbone, device=self.device, **(self.backbone_options or {}))

    def _open(self) -> tuple[Method, tuple[int, ...] | None, float]:
        """The method, the shape of its inputs if it has one, and the temperature of its probabilities."""
        if isinstance(self.model, Method):
            return self.model.to(self.device), None, 1.0
        name = str(self.model.path if isinstance(self.model, Run) else self.model)
        if self.encoder_ is not None:
            if name not in METHODS and (Path(name).exists() or name in BUILTIN):
                raise UserError(
                    f"{name} is a run, which has an encoder of its own: leave out backbone, or name a method"
                )
            return feature_method(name, self.encoder_.dim, **(self.options or {})).to(self.device), None, 1.0
        if isinstance(self.model, Run) or Path(name).exists() or name not in METHODS:  # a run, or a built-in model
            run = self.model if isinstance(self.model, Run) else load_run(name, self.device, options=self.options)
            if run.method.about.support != "examples":
                raise UserError(
                    f"{name} learns a class from its description, and a fit gives examples: take the run of another "
                    f"method, or `kshot predict {name} --support FILE.csv`"
                )
            return run.method, tuple(run.config["spec"]["input_shape"]), run.temperature
        if METHODS[name].about.meta_trained:
            raise UserError(
                f"{name} has to be trained first (kshot train {name} --out RUN): give its run folder, a built-in "
                f"model ({', '.join(BUILTIN)}), or a method that needs no training"
            )
        return build_method(name, TaskSpec((1, 28, 28), way=2, num_classes=None), **(self.options or {})), None, 1.0

    def _inputs(self, X: Any, *, first: bool) -> Tensor:
        """X as the method wants it; the first call decides about shape and inversion."""
        x = self._given(X, first) if self.encoder_ is None else self.encoder_.encode(X)
        if first:
            self.input_shape_ = tuple(x.shape[1:])
            self.n_features_in_ = x[0].numel()
        elif tuple(x.shape[1:]) != self.input_shape_:
            raise UserError(f"X holds inputs of shape {tuple(x.shape[1:])}; fitted were {self.input_shape_}")
        return x.to(self.device)

    def _given(self, X: Any, first: bool) -> Tensor:
        """X without an encoder: pictures [M, C, H, W] or rows of numbers [M, D]."""
        shape, pictures = self.input_shape_, are_pictures(X)
        if not pictures:
            X = validate_data(self, X, reset=first, dtype="numeric")  # [M, D]
            if shape is not None and X.shape[1] != math.prod(shape):
                raise UserError(
                    f"the model takes inputs of shape {shape}, and these rows have {X.shape[1]} numbers: give "
                    f"pictures, or rows of {math.prod(shape)} numbers"
                )
            pictures = shape is not None and len(shape) == 3
            X = X if shape is None else X.reshape(-1, *shape)
        if not pictures:
            return torch.from_numpy(np.asarray(X, np.float64))
        x = picture_inputs(X, shape, self.size)
        if first:
            self.inverted_ = ink_high(x, self.invert) is not x
        return 255 - x if self.inverted_ else x

    def _targets(self, y: Any) -> np.ndarray:
        """y [M], checked."""
        raise NotImplementedError

    def _learn(self, x: Tensor, targets: np.ndarray) -> None:
        """Adapt the method to all examples x [M, ...], targets [M]."""
        raise NotImplementedError

    def _outputs(self, X: Any) -> Tensor:
        """What the method predicts for X: float [M, N]."""
        check_is_fitted(self, "state_")
        x = self._inputs(X, first=False)
        if self.transductive and not self.method_.about.transductive:
            raise UserError(f"{self.method_.about.title} has no transductive mode: leave out transductive")
        mode = {"transductive": True} if self.transductive else {}
        pieces = [x] if self.transductive else x.split(QUERIES_AT_ONCE)
        with evaluating(self.method_):
            return torch.cat([self.method_.predict(self.state_, piece[None], **mode)[0].cpu() for piece in pieces])

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        return tags


class FewShotClassifier(ClassifierMixin, _FewShot):
    """A classifier for any number of classes with any number of examples each, also unequal numbers.

    Args:
        model: a run folder, the name of a built-in model (characters), a run that was loaded, a method, or the name of
            a method that needs no training.
        options: arguments of the method that shall differ from those of the training, such as {"eval_steps": 10}.
        size: side in pixels to which pictures are brought where the model does not say.
        invert: whether dark ink on light paper becomes high ink, as in training; auto decides by the first examples.
        transductive: the pictures of one call of `predict` are seen together; only for methods that can.
        device: where to compute.
        backbone: a frozen encoder whose features the method learns from, by its name ("timm:NAME",
            "sentence-transformers:NAME", a file .pt2; see `kshot.encoders`) or as `open_encoder` gives it. The model is
            then a method that needs no training on features: nearest, protonet, matching, r2d2, embedding.
        backbone_options: arguments of a backbone given by name, such as {"weights": "FILE.safetensors"}.

    Attributes:
        classes_: the labels, sorted.
        n_features_in_: numbers in one input.
        method_: the method; support_, targets_: all examples shown so far; state_: what it learned from them.
        temperature_: what its outputs are divided by to become calibrated probabilities, fitted on validation tasks or,
            with a backbone, on the examples themselves; 1 where none was fitted.
    """

    def _targets(self, y: Any) -> np.ndarray:
        y = column_or_1d(y, warn=True)
        check_classification_targets(y)
        return np.asarray(y)

    def _learn(self, x: Tensor, targets: np.ndarray) -> None:
        classes, codes = np.unique(targets, return_inverse=True)
        if "classes" not in self.method_.about.targets:
            raise UserError(f"{self.method_.about.title} learns curves, not classes: use FewShotRegressor")
        way = head_way(self.method_, len(classes))
        labels = torch.from_numpy(codes.astype(np.int64)).to(self.device)
        with evaluating(self.method_):
            self.state_ = self.method_.adapt(x[None], labels[None], way)
        if self.encoder_ is not None:
            self.temperature_ = own_temperature(self.method_, x, labels)
        self.classes_ = classes

    def predict_proba(self, X: Any) -> np.ndarray:
        """The probability of each of `classes_`: float64 [M, N], calibrated, see `temperature_`."""
        logits = self._outputs(X)[:, : len(self.classes_)]  # a head of fixed way may have outputs to spare
        return (logits.double() / self.temperature_).softmax(-1).numpy()

    def predict(self, X: Any) -> np.ndarray:
        """The most probable label of each: [M]."""
        p = self.predict_proba(X)
        return self.classes_[p.argmax(-1)]


class FewShotRegressor(RegressorMixin, _FewShot):
    """A regressor from a few points.

    The default model knows sine curves of one number.

    Args:
        model: a run folder of a method that learns curves, a built-in model of that kind (sine-maml), or such a method.
        options: arguments of the method that shall differ from those of the training, such as {"eval_steps": 10}.
        size: of pictures, where the model does not say.
        invert: as for the classifier.
        transductive: the inputs of one call of `predict` are seen together; only for methods that can.
        device: where to compute.
        backbone, backbone_options: as for the classifier; methods that learn curves have none of these.
    """

    def __init__(
        self,
        model: str | Path | Run | Method = "sine-maml",
        *,
        options: Mapping[str, Any] | None = None,
        size: int | None = None,
        invert: Invert = "auto",
        transductive: bool = False,
        device: str = "cpu",
    ) -> None:
        super().__init__(model, options=options, size=size, invert=invert, transductive=transductive, device=device)

    def _targets(self, y: Any) -> np.ndarray:
        if y is None:
            raise UserError("FewShotRegressor requires y to be passed, but the target y is None")
        y = check_array(y, ensure_2d=False, dtype=np.float32)
        return y[:, None] if y.ndim == 1 else y

    def _learn(self, x: Tensor, targets: np.ndarray) -> None:
        if "regression" not in self.method_.about.targets:
            raise UserError(f"{self.method_.about.title} learns classes, not curves: use FewShotClassifier")
        outputs = int(getattr(self.method_, "output_dim", 0))
        if outputs and outputs != targets.shape[1]:
            raise UserError(f"the model predicts {outputs} numbers for each input, and y has {targets.shape[1]}")
        y = torch.from_numpy(targets).to(self.device)
        with evaluating(self.method_):
            self.state_ = self.method_.adapt(x[None], y[None], 0)

    def predict(self, X: Any) -> np.ndarray:
        """The predicted values: float64 [M], or [M, D]."""
        out = self._outputs(X).double().numpy()
        return out[:, 0] if out.shape[1] == 1 else out

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags
