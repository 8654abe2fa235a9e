"""What stands in the place of RUN on the command line: a run folder, a built-in model, or a method without training."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import UserError, unknown
from .flags import given
from .sources import SPLITS, data_choice, task_choice

if TYPE_CHECKING:
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
    """

    name: str
    run: Run | None
    build: Callable[[TaskSpec], Method]

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


def find_learner(name: str, device: str = "cpu", options: Mapping[str, Any] | None = None) -> Learner:
    """The run, the built-in model or the method of that name.

    Args:
        name: a run folder, the name of a built-in model, or the registry name of a method that needs no training.
        device: where the weights go.
        options: the method's own arguments; for a run, those that shall differ from the training's.
    """
    from ..methods import METHODS, build_method
    from ..models import BUILTIN

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


def evaluation_source(learner: Learner, values: Mapping[str, Any], device: str) -> TaskSource:
    """The tasks that the user asked for: those of the run where nothing else was said."""
    from ..data import load
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
        return make_source(load(spec, split, device=device, **data), split=split, device=device, **tasks)
    other = given(values, ("data",)) and {"data": data.pop("spec")}
    return learner.run.source(split, device=device, **other, **data, **tasks)
