"""What a run is, in one record: enough to train it again to the same weights."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from ..data import load
from ..errors import UserError, unknown
from ..methods import build_method, method_options
from ..methods.base import Method
from ..tasks import TaskSource, make_source
from .callbacks import Callback
from .settings import Settings
from .trainer import TrainResult, train

DATA = ("spec", "size", "data_dir", "skip_bad")
SOURCE = tuple(k for k in inspect.signature(make_source).parameters if k not in ("data", "split", "device", "block"))
WRITTEN = ("versions", "spec")  # in config.yaml, but not chosen


@dataclass(frozen=True)
class RunConfig:
    """A training that can be repeated.

    Attributes:
        method: registry name.
        data: `spec` (name, name:variant or path) and `size`, `data_dir`, `skip_bad` of kshot.data.load.
        training: arguments of train: `steps`, `tasks`, `lr`, ...
        options: the method's own arguments.
        backbone, backbone_options: its encoder; None for the method's default.
        source: arguments of make_source for the training tasks: `way`, `shot`, `query`, `within`, `augment`, `seed`.
        validation: the same for the validation tasks, where not as in training (they are never augmented, and have
            15 queries); None for no validation.
        seed: of the weights, and of the tasks unless `source` has its own.
    """

    method: str
    data: dict[str, Any]
    training: dict[str, Any]
    options: dict[str, Any] = field(default_factory=dict)
    backbone: str | None = None
    backbone_options: dict[str, Any] = field(default_factory=dict)
    source: dict[str, Any] = field(default_factory=dict)
    validation: dict[str, Any] | None = field(default_factory=dict)
    seed: int = 0

    def __post_init__(self) -> None:
        _known(f"option of {self.method}", self.options, method_options(self.method))
        _known("data option", self.data, DATA)
        _known("task option", self.source, SOURCE)
        _known("validation option", self.validation or {}, SOURCE)
        if "spec" not in self.data:
            raise UserError("a run needs data: data: {spec: glyphs}")
        Settings.from_dict(self.training)

    def to_dict(self) -> dict[str, Any]:
        """Plain dicts, lists, numbers and text."""
        return {k: _plain(v) for k, v in asdict(self).items()}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> RunConfig:
        """From config.yaml, or from a dict with the same names; unknown names are refused."""
        known = [f.name for f in fields(cls)]
        _known("run option", {k: v for k, v in values.items() if k not in WRITTEN}, known)
        for name in ("method", "data", "training"):
            if name not in values:
                raise UserError(f"a run needs {name!r}; got only {', '.join(sorted(values)) or 'nothing'}")
        return cls(**{k: v for k, v in values.items() if k in known})

    def load_data(self, split: str, **options: Any) -> Any:
        """The run's data, or other data of the same size."""
        chosen = {**self.data, **options}
        data_dir = chosen.get("data_dir")
        return load(
            chosen["spec"],
            split,
            size=chosen.get("size"),
            data_dir=None if data_dir is None else Path(data_dir),
            skip_bad=bool(chosen.get("skip_bad", False)),
            device=self.training.get("device", "cpu"),
        )

    def source_of(self, split: str, **options: Any) -> TaskSource:
        """Tasks as those of the training, but for the given options; not augmented unless asked for."""
        data = {("spec" if k == "data" else k): options.pop(k) for k in ("data", "size", "data_dir") if k in options}
        _known("task option", options, (*SOURCE, "block"))
        chosen: dict[str, Any] = {"seed": self.seed, **self.source, "augment": None, **options}
        chosen = {k: tuple(v) if isinstance(v, list) else v for k, v in chosen.items()}
        device = self.training.get("device", "cpu")
        return make_source(self.load_data(split, **data), split=split, device=device, **chosen)

    def sources(self) -> tuple[TaskSource, TaskSource | None]:
        """Training and validation tasks."""
        block = Settings.from_dict(self.training).tasks
        first = self.source_of("train", augment=self.source.get("augment"), block=block)
        if self.validation is None:
            return first, None
        chosen = {"query": 15 if first.way else first.query, "seed": first.seed + 1, **self.validation}
        return first, self.source_of("val", **chosen)

    def build(self, source: TaskSource) -> Method:
        """The method, with its first weights."""
        return build_method(
            self.method,
            source.spec,
            backbone=self.backbone,
            backbone_options=dict(self.backbone_options),
            seed=self.seed,
            **self.options,
        )


def start(
    config: RunConfig,
    out: Path | str | None,
    *,
    resume: bool = False,
    overwrite: bool = False,
    callbacks: Sequence[Callback] = (),
    progress: bool | None = None,
) -> TrainResult:
    """Train what a RunConfig describes: load the data, build the method, train it into the run folder `out`."""
    source, validation = config.sources()
    method = config.build(source)
    spec = asdict(source.spec)
    return train(
        method,
        source,
        validation=validation,
        out=out,
        config={**config.to_dict(), "spec": _plain(spec)},
        resume=resume,
        overwrite=overwrite,
        callbacks=callbacks,
        progress=progress,
        **config.training,
    )


def _known(kind: str, given: dict[str, Any], known: Any) -> None:
    for name in given:
        if name not in known:
            raise unknown(kind, name, known)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    return str(value) if isinstance(value, Path) else value
