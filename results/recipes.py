"""What recipes take and what they reached, from the records; table.py writes it into src/kshot/recipes/*.yaml."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import yaml

from kshot.models import BUILTIN, find_run
from kshot.recipes import MEASURED, Recipe, read

HERE = Path(__file__).resolve().parent
FOLDER = HERE.parent / "src" / "kshot" / "recipes"
COLUMNS = ("recipe", "what", "reproduces", "takes", "reached", "needs")
STEPS = HERE / "bench" / "recipes.json"  # made by benchmarks/recipe_steps.py
Record = dict[str, Any]


def measured_steps() -> dict[str, Record]:
    """The times of steps, by recipe."""
    found: dict[str, Record] = json.loads(STEPS.read_text(encoding="utf-8"))["recipes"]
    return found


def duration(seconds: float) -> str:
    """A time as it is said: 40 seconds, 2.9 minutes, 14 hours, 3 days."""
    for unit, length in (("day", 86400.0), ("hour", 3600.0), ("minute", 60.0), ("second", 1.0)):
        if seconds >= 2 * length or unit == "second":
            count = seconds / length
            return f"{count:.1f} {unit}s" if count < 10 and unit != "second" else f"{count:.0f} {unit}s"
    raise AssertionError


def cores(threads: int) -> str:
    """The processor that a time was measured on."""
    return "one core" if threads == 1 else f"{threads} cores"


def results(recipe: Recipe, records: dict[str, Record]) -> list[Record]:
    """What a training reached: the records that the recipe names, and before them that beside the built-in model of its
    name, where it is of other data.
    """
    named = [records[name] for name in recipe.records]
    if recipe.name in BUILTIN:
        beside: Record = json.loads((find_run(recipe.name) / "record.json").read_text(encoding="utf-8"))
        if beside["data"] not in [record["data"] for record in named]:
            return [beside, *named]
    return named


def takes(recipe: Recipe, records: dict[str, Record], steps: dict[str, Record]) -> str:
    """How long the training takes, measured as a whole or, where nobody trained it, from some of its steps."""
    own = results(recipe, records)
    if own:
        return f"{duration(own[0]['train_seconds'])} of {cores(own[0]['threads'])}"
    if recipe.name in steps:
        found = steps[recipe.name]
        whole = duration(found["seconds_a_step"] * found["steps"])
        return f"about {whole} of {cores(found['threads'])} ({found['measured']} of {found['steps']:,} steps measured)"
    return "not measured"


def options(record: Record) -> str:
    """What was said of the method at the evaluation: ", head=centroid"."""
    return "".join(f", {found}" for found in re.findall(r"--option (\S+)", record["command"]))


def reached(record: Record) -> str:
    """One result in words."""
    name = record.get("measure") or ("accuracy" if "accuracy" in record else "mse")
    unit, digits = (" %", 2) if "accuracy" in name else ("", 3)
    way = f"{record['way']}-way " if record["way"] else ""
    queries = ", queries together" if record["transductive"] else ""
    few = f", {record['query']} of a class" if record["transductive"] and record["query"] != 15 else ""
    within = ", within groups" if "within" in str(record.get("description", "")) else ""
    value = f"{record[name]:.{digits}f} ± {record['ci95']:.{digits}f}{unit}"
    what = f"{name} {value}" if name != "accuracy" else value
    task = f"{way}{record['shot']}-shot{within}{options(record)}{queries}{few}"
    return f"{what} ({record['data']} {record['split']}, {task})"


def measured(recipe: Recipe, records: dict[str, Record], steps: dict[str, Record]) -> str:
    """The part of a recipe's file that is not written by hand."""
    lines: dict[str, str | list[str]] = {"takes": takes(recipe, records, steps)}
    if own := results(recipe, records):
        lines["reached"] = [reached(record) for record in own]
    return MEASURED + yaml.safe_dump(lines, sort_keys=False, allow_unicode=True, width=10**6)


def files(records: dict[str, Record]) -> dict[Path, str]:
    """Every recipe's file as it should be."""
    steps, made = measured_steps(), {}
    for path in sorted(FOLDER.glob("*.yaml")):
        by_hand = path.read_text(encoding="utf-8").partition(MEASURED)[0]
        made[path] = by_hand + measured(read(path), records, steps)
    return made


def rows(records: dict[str, Record]) -> list[list[str]]:
    """The table of docs/recipes.md."""
    steps, made = measured_steps(), []
    for path in sorted(FOLDER.glob("*.yaml")):
        recipe = read(path)
        own = [reached(record) for record in results(recipe, records)]
        cells = (recipe.what, recipe.reproduces, takes(recipe, records, steps), "; ".join(own), recipe.needs)
        made.append([f"`{recipe.name}`", *(cell or "-" for cell in cells)])
    return made
