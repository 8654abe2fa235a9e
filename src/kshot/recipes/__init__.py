"""Recipes: whole trainings worth knowing, one small file each (NAME.yaml beside this one).

A recipe is what `kshot train` would be told, with where it comes from, how long it takes and what it reached. The last
two are written by `python results/table.py` from the records that the recipe names, never by hand.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from ..errors import UserError, unknown

HERE = Path(__file__).parent
MEASURED = "# Measured; written by `python results/table.py`.\n"  # what follows is not written by hand


@dataclass(frozen=True)
class Recipe:
    """A training that is worth repeating.

    Attributes:
        name: the file's name.
        what: what it trains, in one line.
        method: registry name.
        settings: flags of `kshot train METHOD` with their values, as typed; "true" and "false" switch.
        reproduces: paper, section and setting; empty where it follows no paper.
        differs: how it differs from what it reproduces.
        needs: what must be there: data of your own, another run, a GPU; empty where nothing is.
        records: names of the results (results/NAME.json) that this training reached.
        takes: how long it takes.
        reached: what it reached.
    """

    name: str
    what: str
    method: str
    settings: Mapping[str, str | list[str]]
    reproduces: str = ""
    differs: str = ""
    needs: str = ""
    records: list[str] = field(default_factory=list)
    takes: str = ""
    reached: list[str] = field(default_factory=list)

    @property
    def words(self) -> list[str]:
        """What follows `kshot train`: the method, where the run goes, and the flags."""
        found = [self.method, "--out", f"runs/{self.name}"]
        for name, value in self.settings.items():
            if value in ("true", "false"):
                found.append(f"--{name}" if value == "true" else f"--no-{name}")
            else:
                for one in value if isinstance(value, list) else [value]:
                    found += [f"--{name}", one]
        return found

    @property
    def command(self) -> str:
        """The whole command."""
        method, out, folder, *flags = self.words
        return "kshot train " + shlex.join([method, *flags, out, folder])


def names() -> list[str]:
    """The recipes that there are."""
    return sorted(path.stem for path in HERE.glob("*.yaml"))


def recipes() -> list[Recipe]:
    """All of them, by name."""
    return [read(HERE / f"{name}.yaml") for name in names()]


def find(name: str) -> Recipe:
    """The recipe of that name, or in that file (a path that ends in .yaml); an unknown name offers the nearest."""
    if name.endswith((".yaml", ".yml")):
        return read(Path(name))
    if name not in names():
        raise unknown("recipe", name, names())
    return read(HERE / f"{name}.yaml")


def read(path: Path) -> Recipe:
    """A recipe from its file. Values are text as it is typed (1e-3, 1-5): YAML shall not read numbers into it."""
    import yaml

    try:
        found = yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.BaseLoader)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UserError(f"cannot read the recipe {path}: {error}") from error
    known = [f.name for f in fields(Recipe) if f.name != "name"]
    if not isinstance(found, dict) or not isinstance(found.get("settings"), dict):
        raise UserError(f"the recipe {path} needs names and values, and `settings:` with the flags of kshot train")
    for name in found:
        if name not in known:
            raise unknown(f"line of the recipe {path}", str(name), known)
    for name in ("what", "method"):
        if not isinstance(found.get(name), str):
            raise UserError(f"the recipe {path} needs a line `{name}:`")
    given: dict[str, Any] = {name: " ".join(v.split()) if isinstance(v, str) else v for name, v in found.items()}
    return Recipe(name=path.stem, **given)
