"""How time and memory of a MAML step grow with inner steps, tasks, ways and filters.

    python benchmarks/cost_curves.py [--lines loop vmap loop+recompute higher] [--axes steps tasks] [--limit 20]

A line is an engine of kshot or the name of a peer. Every point is measured in a process of its own, so that its peak
memory is its own. Writes results/bench/cost-curves.json and docs/figures/cost-curves.svg and .png; `--figure` draws
them again.
"""

from __future__ import annotations

import argparse
import datetime
import json
import shlex
import statistics
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from beside_peers import RECORDS, peaks
from kshot.evaluation.files import write_whole
from kshot.evaluation.records import commit
from kshot.evaluation.report import versions
from workers import ROOT, Failed, Worker, works_here
from works.plan import WORKS, Entry, Work

RECORD, FIGURES = RECORDS / "cost-curves.json", ROOT / "docs" / "figures"
AXES: dict[str, tuple[int, ...]] = {
    "steps": (1, 2, 5, 10, 20),
    "tasks": (1, 4, 16, 64, 256),
    "way": (5, 10, 20, 50, 100),
    "filters": (16, 32, 64, 128),
}
TITLES = {"steps": "inner steps", "tasks": "tasks", "way": "ways", "filters": "filters"}
PEERS = {
    "higher": Entry("higher", "maml_higher"),
    "torchopt": Entry("torchopt", "maml_torchopt", ("loop",)),
    "iteryne": Entry("iteryne", "maml_iteryne"),
    "parallel-metalearn": Entry("parallel-metalearn", "maml_parallel_metalearn", ("vmap:4",)),
}
STYLES = [("-", "o"), ("--", "s"), (":", "^"), ("-.", "D"), ((0, (5, 1, 1, 1, 1, 1)), "v"), ((0, (1, 3)), "x")]


def entry_of(line: str) -> Entry:
    """A peer, or kshot with an engine."""
    return PEERS.get(line) or Entry("kshot", "maml_kshot", (f"eager+{line}",), label=f"kshot {line}")


def point(line: str, kind: dict[str, Any], threads: int) -> dict[str, Any]:
    """Seconds and peak memory of a step."""
    entry = entry_of(line)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if line in PEERS:  # any first weights will do
            Worker(entry_of("loop"), "eager+loop", work_of({**kind, "tasks": 1, "steps": 1}), folder, threads).end()
        worker = Worker(entry, entry.variants[0], work_of(kind), folder, threads)
        slow = worker.first_seconds > 5  # the first step of kshot is also recorded
        if not slow:
            worker.round(1)
        taken = [worker.round(1) for _ in range(1 if slow else 3)]
        return {"seconds": statistics.median(taken), **peaks("ours", worker.end())}


def work_of(kind: dict[str, Any]) -> Work:
    """A work of that kind alone."""
    return replace(WORKS["maml-5way-strided"], kind=kind)


def measure(
    lines: list[str], axes: list[str], base: dict[str, Any], threads: int, limit: float
) -> list[dict[str, Any]]:
    """All points; a line ends where a step would last longer than the limit."""
    points = []
    for axis in axes:
        for line in lines:
            last = (0, 0.0)
            for value in AXES[axis]:
                if last[0] and last[1] * value / last[0] > limit:
                    print(f"{axis} {value}, {line}: left out, a step would last over {limit:g} s", flush=True)
                    continue
                try:
                    found = point(line, {**base, axis: value}, threads)
                except Failed as problem:
                    print(f"{axis} {value}, {line}: does not work: {problem}", flush=True)
                    break
                last = (value, found["seconds"])
                points.append({"line": line, "axis": axis, "value": value, **found})
                print(f"{axis} {value}, {line}: {found['seconds']:.3f} s, {found['ours_peak_mb']} MB", flush=True)
    return points


def draw(record: dict[str, Any]) -> None:
    """Two rows of panels: time and memory; lines differ in dash and marker, so that black and white is enough."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    axes = list(dict.fromkeys(p["axis"] for p in record["points"]))
    lines = list(dict.fromkeys(p["line"] for p in record["points"]))
    quantities = {"seconds": "seconds a step", "ours_peak_mb": "peak memory (MB)"}
    figure, panels = plt.subplots(2, len(axes), figsize=(3 * len(axes) + 1, 6), squeeze=False, sharey="row")
    for column, axis in enumerate(axes):
        for row, (quantity, label) in zip(panels, quantities.items()):
            for line, (dash, marker) in zip(lines, STYLES):
                found = [(p["value"], p[quantity]) for p in record["points"] if (p["line"], p["axis"]) == (line, axis)]
                name = line if line in PEERS else f"kshot {line}"
                shade = "0.5" if line in PEERS else "black"
                if not found:
                    continue
                row[column].plot(*zip(*found), linestyle=dash, marker=marker, color=shade, label=name, markersize=5)
            row[column].set(xscale="log", yscale="log", xticks=AXES[axis], xlabel=TITLES[axis])
            row[column].set_xticks(AXES[axis], [str(v) for v in AXES[axis]])
            row[column].minorticks_off()
            row[column].grid(visible=True, color="0.9")
            if column == 0:
                row[column].set_ylabel(label)
    largest = max(p["ours_peak_mb"] for p in record["points"])
    ticks = [mb for mb in (250, 500, 1000, 2000, 4000, 8000, 16000, 32000) if mb < 2 * largest]
    panels[1][0].set_yticks(ticks, [f"{mb:,}" for mb in ticks])
    handles, names = panels[0][0].get_legend_handles_labels()
    figure.legend(handles, names, loc="upper center", ncols=len(names), frameon=False)
    figure.tight_layout(rect=(0, 0, 1, 0.94))
    FIGURES.mkdir(parents=True, exist_ok=True)
    for ending in ("svg", "png"):
        figure.savefig(FIGURES / f"cost-curves.{ending}", dpi=150, metadata={"Date": None} if ending == "svg" else None)


def main() -> None:
    """Measure and draw, or draw alone."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--lines", nargs="+", default=["loop", "vmap", "loop+recompute", "higher"])
    parser.add_argument("--axes", nargs="+", choices=list(AXES), default=list(AXES))
    parser.add_argument("--limit", type=float, default=20.0, help="seconds that a step may last")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--figure", action="store_true", help="only draw the figure of the record that is there")
    parser.add_argument("--out", type=Path, default=RECORD)
    asked = parser.parse_args()
    if not asked.figure:
        lines = [line for line in asked.lines if line not in PEERS or works_here(line)]
        base = {**WORKS["maml-5way-strided"].kind, "tasks": 8, "steps": 5}
        points = measure(lines, asked.axes, base, asked.threads, asked.limit)
        record = {
            "title": "MAML, Conv4 (strided), 1-shot, second order: one thing varied, the others as in base",
            "base": base,
            "points": points,
            "threads": asked.threads,
            "device": "cpu",
            "versions": versions(),
            "date": datetime.date.today().isoformat(),
            "commit": commit(),
            "command": shlex.join(["python", "benchmarks/cost_curves.py", *sys.argv[1:]]),
        }
        write_whole(asked.out, (json.dumps(record, indent=2) + "\n").encode())
    draw(json.loads(asked.out.read_text()))


if __name__ == "__main__":
    main()
