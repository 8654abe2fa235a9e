"""Write results/README.md from the records beside this file: python results/table.py"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
HEAD = """# Results

Made by `python results/table.py` from the records in this folder, which `kshot evaluate --record` wrote; a record holds
the complete configuration of its training (`config`), the command that measured it, versions, seed and commit.
Intervals are 95 % over tasks, of one training. "queries" is for each class (for each curve); "all together" means
transductive: the queries of a task share their batch normalisation. Training times are wall times.

| method | trained on | tested on | task | queries | all together | result | tasks | steps | minutes | record |
|---|---|---|---|---|---|---|---|---|---|---|
"""


def measured(record: dict[str, Any]) -> str:
    """The measure with its interval."""
    if "accuracy" in record:
        return f"{record['accuracy']:.2f} ± {record['ci95']:.2f} %"
    return f"mse {record['mse']:.3f} ± {record['ci95']:.3f}"


def row(path: Path) -> str:
    """One line of the table."""
    record = json.loads(path.read_text())
    config = record["config"] or {}
    trained = config.get("data", {}).get("spec", "nothing")
    way = f"{record['way']}-way " if record["way"] else ""
    within = " within groups" if "within" in str(record.get("description", "")) else ""
    steps = config.get("options", {}).get("eval_steps")
    name = record["method"] + (f" ({steps} steps)" if steps else "")
    cells = [
        name,
        trained,
        f"{record['data']} {record['split']}{within}",
        f"{way}{record['shot']}-shot",
        str(record["query"]),
        "yes" if record["transductive"] else "no",
        measured(record),
        str(record["episodes"]),
        str(record["train_steps"] or 0),
        f"{(record['train_seconds'] or 0) / 60:.1f}",
        f"[{path.stem}]({path.name})",
    ]
    return "| " + " | ".join(cells) + " |\n"


def page() -> str:
    """results/README.md as it should be."""
    return HEAD + "".join(row(path) for path in sorted(HERE.glob("*.json")))


if __name__ == "__main__":
    (HERE / "README.md").write_text(page())
