"""What stands in the place of RUN on the command line: a run folder, a built-in model, or a method without training."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import UserError, unknown
from .flags import given, pairs
from .sources import SPLITS, data_choice, task_choice

if TYPE_CHECKING:
    from ..encoders import Encoder
    from ..methods.base import Method
    from ..tasks import TaskSource, TaskSpec
    from ..training import Run


@dataclass(frozen=True)
class Learner:
    """A method for the tasks to come.

    Attributes:
        name: as the user called it.
        run: the run it comes from; None for a method without training.
        build: the method for the tasks of a spec.
        encoder: the frozen encoder whose features the method learns from; None if it takes the inputs themselves.
    """

    name: str
    run: Run | None
    build: Callable[[TaskSpec], Method]
    encoder: Encoder | None = None

    @property
    def input_shape(self) -> tuple[int, ...] | None:
        """(C, H, W) of the inputs it was trained on; None if it takes any."""
        return tuple(self.run.config["spec"]["input_shape"]) if self.run else None

    def tasks(self, source: TaskSource) -> TaskSource:
        """The tasks as it takes them: pictures are brought to the shape it was trained on."""
        from ..tasks import fit_source

        source, wanted = fit_source(source, self.input_shape), self.input_shape
        if wanted is not None and source.spec.input_shape != wanted:
            raise UserError(
                f"{self.name} was trained on inputs of shape {wanted}, and those of {source.name} have the shape "
                f"{source.spec.input_shape}: only pictures can be converted; use other --data"
            )
        trained = tuple(self.run.config["spec"].get("attributes", ())) if self.run else source.spec.attributes
        if trained != source.spec.attributes:
            raise UserError(
                f"{self.name} was trained to learn a class from {_shown(trained)}, and the tasks of {source.name} give "
                f"{_shown(source.spec.attributes)}: leave out --shot, and use data with descriptions as in training"
            )
        return source

    def method(self, source: TaskSource) -> Method:
        """The method for these tasks."""
        return self.build(source.spec)


def _shown(attributes: tuple[str, ...]) -> str:
    """What a support set holds, in words."""
    if not attributes:
        return "examples"
    return f"{len(attributes)} numbers or words ({', '.join(attributes[:3])}{', ...' * (len(attributes) > 3)})"


def find_learner(
    name: str,
    device: str = "cpu",
    options: Mapping[str, Any] | None = None,
    encoder: Encoder | None = None,
) -> Learner:
    """The run, the built-in model or the method of that name.

    Args:
        name: a run folder, the name of a built-in model, or the registry name of a method that needs no training.
        device: where the weights go.
        options: the method's own arguments; for a run, those that shall differ from the training's.
        encoder: a frozen one; a method (not a run) then learns from its features.
    """
    from ..methods import METHODS, build_method
    from ..models import BUILTIN

    if not Path(name).exists() and name in METHODS and encoder is not None:
        return Learner(name, None, lambda spec: _on_features(name, spec, options or {}), encoder)
    if not Path(name).exists() and name in METHODS:
        if METHODS[name].about.meta_trained:
            raise UserError(
                f"{name} has to be trained first: kshot train {name} --data glyphs --out runs/{name}, and then give "
                f"the folder runs/{name}. Models that are trained: {', '.join(BUILTIN)}"
            )
        return Learner(name, None, lambda spec: build_method(name, spec, **(options or {})))
    from ..training import load_run

    run = load_run(name, device, options=options)
    return Learner(name, run, lambda spec: run.method)


def _on_features(name: str, spec: TaskSpec, options: Mapping[str, Any]) -> Method:
    """The method for tasks whose examples are features."""
    from ..methods import feature_method

    if spec.support != "examples":
        raise UserError(f"{name} learns from the features of examples, and shot 0 gives none: use --shot 1 or more")
    return feature_method(name, spec.input_shape[0], **options)


def same_tasks(
    learner: Learner, first: Learner, source: TaskSource, values: Mapping[str, Any], device: str
) -> TaskSource:
    """The tasks of another learner's source, made of what this one learns from: pixels, or features.

    Args:
        first: the other learner, whose data, way, shot and queries hold where the user said nothing.
        source: its tasks.
    """
    told = dict(values)
    if first.run is not None and told["data"] is None:
        told |= {n: first.run.config["data"].get(n) for n in ("size", "skip_bad")}
        told["data"] = str(first.run.config["data"]["spec"])
    for name in ("way", "shot"):
        counts = getattr(source, name)
        told[name] = "-".join(map(str, counts)) if isinstance(counts, tuple) else str(counts)
    return evaluation_source(learner, {**told, "query": source.query}, device)


def chosen_encoder(
    values: Mapping[str, Any], names: Sequence[str], device: str, options: Mapping[str, Any] | None = None
) -> Encoder | None:
    """The frozen encoder of --backbone, if that was given; mistakes in all else are found before it is loaded.

    Args:
        names: what the user gave in the place of RUN: at least one must be a method that learns from features.
        options: of these methods.
    """
    backbone, given = values["backbone"], pairs("--backbone-option", values["backbone_option"] or [])
    if backbone is None:
        if given:
            raise UserError("--backbone-option is an argument of an encoder: name that by --backbone")
        return None
    from ..encoders import open_encoder
    from ..methods import METHODS, feature_method

    methods = [name for name in names if name in METHODS and not Path(name).exists()]
    for name in methods:
        feature_method(name, 2, **(options or {}))
    if not methods:
        able = ", ".join(n for n, m in METHODS.items() if m.about.on_features)
        raise UserError(
            f"--backbone {backbone} belongs to a method ({able}), and {names[0]} is none of them; a run has an encoder "
            f"of its own"
        )
    return open_encoder(backbone, device=device, **given)


def evaluation_source(learner: Learner, values: Mapping[str, Any], device: str) -> TaskSource:
    """The tasks that the user asked for: those of the run where nothing else was said."""
    from ..data import is_photos, load
    from ..tasks import make_source
    from ..training.config import PATHS

    split = values["split"]
    if split not in SPLITS:
        raise unknown("split", split, SPLITS)
    data, tasks = data_choice(values), {**task_choice(values), "seed": values["seed"]}
    if learner.run is None:
        if "spec" not in data:
            raise UserError(f"{learner.name} knows no data of its own: add --data NAME (see `kshot list data`)")
        spec = data.pop("spec")
        data |= {name: Path(data[name]) for name in PATHS if name in data}
        if learner.encoder is not None and "size" not in data and is_photos(spec):
            data["size"] = learner.encoder.size
        loaded = load(spec, split, device=device, **data)
        if learner.encoder is not None:
            loaded = learner.encoder.encode_data(loaded)
        return make_source(loaded, split=split, device=device, **tasks)
    other = given(values, ("data",)) and {"data": data.pop("spec")}
    return learner.run.source(split, device=device, **other, **data, **tasks)
