"""Runs that are done: from a run folder to a method ready to use."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from ..errors import UserError
from ..evaluation.calibration import Calibration, read_calibration
from ..methods.base import Method
from ..models import find_run
from ..tasks import TaskSource, TaskSpec, fit_source
from .checkpoint import load_into, load_note, load_tensors
from .config import RunConfig
from .folder import CONFIG, RunFolder, read_config


@dataclass(frozen=True)
class Run:
    """A trained method and where it comes from.

    Attributes:
        method: with its best weights, in evaluation mode.
        config: config.yaml.
        path: the run folder.
        step: of these weights.
        train_seconds, train_steps: of the training so far; None if the folder has neither state nor metrics.
        device: where the method lies.
        calibration: the temperature of its probabilities, where one was fitted for these weights and options.
        others: arguments of the method that differ from those of the training.
    """

    method: Method = field(repr=False)
    config: dict[str, Any]
    path: Path
    step: int | None
    train_seconds: float | None
    train_steps: int | None
    device: str = "cpu"
    calibration: Calibration | None = None
    others: dict[str, Any] = field(default_factory=dict)

    @property
    def temperature(self) -> float:
        """T: probabilities are softmax(logits / T); 1 where none was fitted."""
        return 1.0 if self.calibration is None else self.calibration.temperature

    @property
    def name(self) -> str:
        """The registry name of the method."""
        return str(self.config["method"])

    def source(self, split: str = "test", **options: Any) -> TaskSource:
        """Tasks of the run's data, with its way and shot unless given otherwise.

        Pictures have the shape that the run takes: other data are read at its size unless `size` says otherwise, and
        what differs then is converted. The description says so.

        Args:
            split: of the data.
            options: `data`, `size`, `data_dir`, `skip_bad`, `attributes`, and the arguments of make_source.
        """
        shape = tuple(self.config["spec"]["input_shape"])
        fitted = "data" in options and "size" not in options and len(shape) == 3
        if fitted:
            options["size"] = shape[1]
        source = RunConfig.from_dict(self.config).source_of(split, **{"device": self.device, **options})
        if fitted and len(source.spec.input_shape) == 3:
            source.description += f"; pictures read at {shape[1]} px, as the run was trained"
        return fit_source(source, shape)

    def validation(self, split: str = "val", **options: Any) -> TaskSource:
        """Tasks like those that chose its weights (with a run that was trained without, like those of its training).

        Args:
            split: of the data.
            options: as for `source`.
        """
        whole = RunConfig.from_dict(self.config).complete()
        like = whole.validation or {**whole.source, "seed": whole.source["seed"] + 1, "query": 15}
        return self.source(split, **{**like, "augment": None, "rotations": False, **options})


def load_run(
    path: Path | str,
    device: torch.device | str = "cpu",
    *,
    last: bool = False,
    options: Mapping[str, Any] | None = None,
) -> Run:
    """The method of a run folder with its best (or last) weights; nothing is unpickled.

    Args:
        path: the run folder, or the name of a built-in model.
        device: where the weights go.
        last: the last weights, not the best by validation.
        options: arguments of the method that shall differ from those of the training, such as `eval_steps`; the weights
            must still fit.
    """
    folder = RunFolder(find_run(path))
    if not folder.config.is_file():
        raise UserError(f"{path} is not a run folder: it has no {CONFIG}. Give the --out of a `kshot train`")
    config = read_config(folder.config)
    if "method" not in config or "spec" not in config:
        raise UserError(
            f"{folder.config} does not say how its method was built (it was trained from Python without `config`); "
            f"build the method as you did and load {folder.weights} into it"
        )
    weights = folder.last if last else folder.weights
    if not weights.is_file():
        raise UserError(f"{weights} does not exist: the run was stopped before its first checkpoint; train it again")
    trained = config.get("options", {})
    others = {k: v for k, v in (options or {}).items() if k not in trained or trained[k] != v}
    config["options"] = {**trained, **others}
    run = RunConfig.from_dict(config)
    method = run.build(spec_from_dict(config["spec"]))
    tensors, note = load_tensors(weights)
    load_into(method, tensors, str(weights))
    state: dict[str, Any] = dict(load_note(folder.state)) if folder.state.exists() else last_metrics(folder.metrics)
    calibration = read_calibration(folder.calibration) if folder.calibration.exists() else None
    if calibration is not None and (calibration.step, calibration.options) != (note.get("step"), others):
        calibration = None  # of other weights, or of a method that adapts in another way
    return Run(
        method=method.to(device).eval(),
        config=config,
        path=folder.path,
        step=note.get("step"),  # type: ignore[arg-type]
        train_seconds=state.get("seconds"),
        train_steps=state.get("step"),
        device=str(device),
        calibration=calibration,
        others=others,
    )


def last_metrics(path: Path) -> dict[str, Any]:
    """The last line of metrics.jsonl, which has step and seconds; {} where there is none."""
    try:
        return dict(json.loads(path.read_text(encoding="utf-8").splitlines()[-1]))
    except (OSError, IndexError, ValueError):
        return {}


def spec_from_dict(values: dict[str, Any]) -> TaskSpec:
    """A TaskSpec from config.yaml."""
    try:
        given = {"input_shape": tuple(values["input_shape"]), "attributes": tuple(values.get("attributes", ()))}
        return TaskSpec(**{**values, **given})
    except (KeyError, TypeError) as error:
        raise UserError(
            f"spec in config.yaml must hold input_shape, way, num_classes, output_dim; got {values}"
        ) from error
