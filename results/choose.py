"""The table of docs/choose.md: what each method reaches, costs and needs; table.py writes it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from kshot.methods import METHODS

COSTS = Path(__file__).resolve().parent / "bench" / "predict.json"
COLUMNS = ("method", "accuracy", "training", "learns a task in", "answers in", "memory", "weights", "needs")
Record = dict[str, Any]


def needs(name: str) -> str:
    """What a method asks of its tasks, from what it states of itself."""
    about = METHODS[name].about
    said = []
    if not about.meta_trained:
        said.append("no training")
    if "classes" not in about.targets:
        said.append("curves only")
    if about.support == "descriptions":
        said.append("a description of each class")
    if about.fixed_way:
        said.append("the number of classes of its training")
    if about.support_order:
        said.append("the order of the examples matters")
    return "; ".join(said) or "any number of classes"


def size(parameters: int) -> str:
    """A number of weights in thousands."""
    return f"{parameters / 1000:.0f} k" if parameters >= 1000 else str(parameters)


def rows(headline: Callable[[str], Record | None], shown: Callable[[Record], str]) -> list[list[str]]:
    """A row for each method.

    Args:
        headline: the record by which a method is compared; None where it has none.
        shown: a record's measure with its interval.
    """
    costs = json.loads(COSTS.read_text(encoding="utf-8"))["methods"]
    made = []
    for name in METHODS:
        record, cost = headline(name), costs[name]
        minutes = f"{record['train_seconds'] / 60:.1f} min" if record and record["train_seconds"] else "-"
        made.append(
            [
                f"[{name}](methods/{name}.md)",
                shown(record) if record else "-",
                minutes,
                f"{cost['adapt_ms']:.1f} ms",
                f"{cost['predict_ms']:.1f} ms",
                f"{cost['memory_mb']:.0f} MB",
                size(cost["parameters"]),
                needs(name) + ("" if "shot curve" not in cost["task"] else f" (times: {cost['task']})"),
            ]
        )
    return made
