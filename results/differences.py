"""The tables of paired comparisons, from the records in compare/; table.py writes them into the docs."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
MARKED = re.compile(r"(<!-- differences:(?P<name>[\w-]+) -->\n).*?(<!-- /differences -->)", re.DOTALL)


def table(name: str) -> str:
    """Each method of a comparison, beside its difference from the first one on the same tasks."""
    record = json.loads((HERE / "compare" / f"{name}.json").read_text(encoding="utf-8"))
    first, *others = record["reports"]
    apart = {d["b"]: d for d in record["differences"] if d["a"] == first["method"]}
    lines = [line(record, first, "")]
    for report in others:
        d = apart[report["method"]]
        lines.append(line(record, report, f"{0 - d['difference']:+.2f} ± {d['ci95']:.2f} (p = {d['p']:.1g})"))
    mode = "all queries together" if first["transductive"] else "each query on its own"
    head = (
        f"{first['data']} {first['split']}, {first['way']}-way {first['shot']}-shot, {first['query']} queries of each "
        f"class, {mode}, {first['episodes']} tasks of seed {first['seed']}; one training each. "
        f"Record: [{name}](../../results/compare/{name}.json).\n\n"
    )
    columns = (
        "| run | method, and options that differ | minutes | accuracy (%) | beside the first, same tasks |\n"
        "|---|---|---|---|---|\n"
    )
    return head + columns + "".join(lines)


def line(record: dict[str, Any], report: dict[str, Any], difference: str) -> str:
    """One method."""
    training = record["trainings"][report["method"]]
    everyone = [t["config"].get("options", {}) for t in record["trainings"].values()]
    own = training["config"].get("options", {})
    apart = [f"{n} {v}" for n, v in own.items() if v and any(options.get(n) != v for options in everyone)]
    shown = ", ".join([training["config"]["method"], *apart])
    cells = [
        Path(report["method"]).name,
        shown,
        f"{(training['train_seconds'] or 0) / 60:.1f}",
        f"{report['accuracy']:.2f} ± {report['ci95']:.2f}",
        difference,
    ]
    return "| " + " | ".join(cells) + " |\n"


def with_differences(text: str) -> str:
    """A page with its tables as they should be."""
    return MARKED.sub(lambda found: found[1] + table(found["name"]) + found[3], text)
