"""What a run is, in one record: enough to train it again to the same weights."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import yaml

from ..data import load
from ..errors import UserError, unknown
from ..methods import build_method, default_backbone, method_class, method_options
from ..methods.base import Method
from ..tasks import TaskSource, TaskSpec, make_source
from . import distributed
from .callbacks import Callback
from .settings import Settings
from .trainer import TrainResult, train

DATA = ("spec", "size", "data_dir", "skip_bad", "attributes")
PATHS = ("data_dir", "attributes")
OTHER_DATA = ("data", *DATA[1:])
SOURCE = tuple(k for k in inspect.signature(make_source).parameters if k not in ("data", "split", "device", "block"))
WRITTEN = ("versions", "spec")  # in config.yaml, but not chosen


@dataclass(frozen=True)
class RunConfig:
    """A training that can be repeated.

    Attributes:
        method: registry name.
        data: `spec` (name, name:variant or path) and `size`, `data_dir`, `skip_bad`, `attributes` of kshot.data.load.
        training: arguments of train: `steps`, `tasks`, `lr`, ...
        options: the method's own arguments.
        backbone, backbone_options: its encoder; None for the method's default.
        source: arguments of make_source for the training tasks: `way`, `shot`, `query`, `within`, `augment`, `seed`.
        validation: the same for the validation tasks, where not as in training (they are not augmented, have 15
            queries, and the seed after that of the training); None for no validation.
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
        try:
            yaml.safe_dump(self.to_dict())
        except yaml.YAMLError as error:
            raise UserError(
                f"a run consists of numbers, text, lists and names, so that it can be stored: {error}"
            ) from error

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

    def source_of(self, split: str, **options: Any) -> TaskSource:
        """Tasks as those of the training, but for the given options; neither augmented nor turned unless asked for.

        Args:
            split: of the data.
            options: `data` (another name or path), `size`, `data_dir`, `skip_bad`, `attributes`, and the arguments of
                make_source.
        """
        device = options.pop("device", self.training.get("device", "cpu"))
        data = {**self.data, **{("spec" if k == "data" else k): options.pop(k) for k in OTHER_DATA if k in options}}
        if data["spec"] != self.data["spec"] and data.get("attributes") == self.data.get("attributes"):
            data.pop("attributes", None)  # they describe other classes
        _known("task option", options, (*SOURCE, "block"))
        chosen: dict[str, Any] = {"seed": self.seed, **self.source, "augment": None, "rotations": False, **options}
        chosen = {k: tuple(v) if isinstance(v, list) else v for k, v in chosen.items()}
        given: dict[str, Any] = {
            k: Path(v) if k in PATHS and v is not None else v for k, v in data.items() if k != "spec"
        }
        loaded = load(data["spec"], split, device=device, **given)
        return make_source(loaded, split=split, device=device, **chosen)

    def complete(self) -> RunConfig:
        """The same run with every default written out, so that a later version with other defaults repeats it."""
        parameters = inspect.signature(make_source).parameters
        source = {k: parameters[k].default for k in SOURCE} | {"seed": self.seed}
        if method_class(self.method).about.support == "descriptions":
            source["shot"] = 0
        source |= self.source
        validation = None
        if self.validation is not None:
            fresh = {"augment": None, "rotations": False, "seed": source["seed"] + 1}
            validation = {**source, **fresh, "query": parameters["query"].default, **self.validation}
        options = {k: p.default for k, p in method_options(self.method).items() if p.default is not p.empty}
        return replace(
            self,
            options=options | self.options,
            source=source,
            validation=validation,
            training=Settings.from_dict(self.training).to_dict(),
        )

    def sources(self) -> tuple[TaskSource, TaskSource | None]:
        """Training and validation tasks."""
        whole = self.complete()
        block = whole.training["tasks"]  # with ranges of way and shot, these change from step to step
        first = self.source_of("train", block=block, **whole.source)
        return first, None if whole.validation is None else self.source_of("val", block=block, **whole.validation)

    def build(self, spec: TaskSpec) -> Method:
        """The method, with its first weights."""
        return build_method(
            self.method,
            spec,
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
    """Train what a RunConfig describes: load the data, build the method, train it into the run folder `out`.

    Under torchrun, the processes train one model together.
    """
    config = config.complete()
    with distributed.from_environment(config.training["device"]):
        source, validation = config.sources()
        if config.backbone is None:
            config = replace(config, backbone=default_backbone(config.method, source.spec))
        return train(
            config.build(source.spec),
            source,
            validation=validation,
            out=out,
            config={**config.to_dict(), "spec": _plain(asdict(source.spec))},
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
