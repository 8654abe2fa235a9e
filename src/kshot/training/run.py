"""Runs that are done: from a run folder to a method ready to use."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from ..errors import UserError
from ..methods.base import Method
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
        train_seconds, train_steps: of the training so far; None if the folder has no state.
        device: where the method lies.
    """

    method: Method = field(repr=False)
    config: dict[str, Any]
    path: Path
    step: int | None
    train_seconds: float | None
    train_steps: int | None
    device: str = "cpu"

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


def load_run(
    path: Path | str,
    device: torch.device | str = "cpu",
    *,
    last: bool = False,
    options: Mapping[str, Any] | None = None,
) -> Run:
    """The method of a run folder with its best (or last) weights; nothing is unpickled.

    Args:
        path: the run folder.
        device: where the weights go.
        last: the last weights, not the best by validation.
        options: arguments of the method that shall differ from those of the training, such as `eval_steps`; the weights
            must still fit.
    """
    folder = RunFolder(Path(path))
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
    config["options"] = {**config.get("options", {}), **(options or {})}
    run = RunConfig.from_dict(config)
    method = run.build(spec_from_dict(config["spec"]))
    tensors, note = load_tensors(weights)
    load_into(method, tensors, str(weights))
    state: dict[str, Any] = dict(load_note(folder.state)) if folder.state.exists() else {}
    return Run(
        method=method.to(device).eval(),
        config=config,
        path=Path(path),
        step=note.get("step"),  # type: ignore[arg-type]
        train_seconds=state.get("seconds"),
        train_steps=state.get("step"),
        device=str(device),
    )


def spec_from_dict(values: dict[str, Any]) -> TaskSpec:
    """A TaskSpec from config.yaml."""
    try:
        given = {"input_shape": tuple(values["input_shape"]), "attributes": tuple(values.get("attributes", ()))}
        return TaskSpec(**{**values, **given})
    except (KeyError, TypeError) as error:
        raise UserError(
            f"spec in config.yaml must hold input_shape, way, num_classes, output_dim; got {values}"
        ) from error
