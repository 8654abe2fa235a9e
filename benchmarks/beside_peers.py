"""Measure kshot beside the peers: python benchmarks/beside_peers.py [--only WORK ...] [--quick] [--threads 2]

Every library works in a process and an environment of its own (see `make bench-peers`), all on the same data from the
same first weights with the same number of threads. They take turns, so that whatever else the machine does meets
all of them; a ratio is that of one round, its median and extremes are over the rounds. Writes results/bench/*.json.
"""

from __future__ import annotations

import argparse
import datetime
import json
import shlex
import statistics
import sys
import tempfile
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from kshot.evaluation.files import write_whole
from kshot.evaluation.records import commit
from kshot.evaluation.report import versions
from workers import HERE, ROOT, Failed, Worker, works_here
from works.plan import WORKS, Entry, Work

RECORDS = ROOT / "results" / "bench"
LONG = 2.0  # a first step of so many seconds is trial enough


def fastest(entry: Entry, work: Work, folder: Path, threads: int, reference: Worker | None) -> Worker:
    """The worker of an entry in the fastest of its variants that is right, after a trial of each."""
    best: tuple[float, Worker] | None = None
    trials: dict[str, float] = {}
    for variant in entry.variants:
        try:
            worker = Worker(entry, variant, work, folder, threads)
            worker.differs = worker.difference(reference, work.tolerance) if reference else ""
            if len(entry.variants) == 1:
                return worker
            trial = worker.first_seconds if worker.first_seconds > LONG else worker.round(1)
        except Failed as problem:
            if len(entry.variants) == 1:
                raise
            print(f"  {problem}", flush=True)
            continue
        print(f"  trial of {entry.name} {variant}: {trial:.4f} s {worker.differs}", flush=True)
        if worker.differs:
            worker.end()
            continue
        trials[variant] = trial
        if best is None or trial < best[0]:
            if best is not None:
                best[1].end()
            best = (trial, worker)
        else:
            worker.end()
    if best is None:
        raise Failed(f"{entry.name}: no variant works")
    best[1].trials = trials
    return best[1]


def gather(work: Work, folder: Path, threads: int, workers: list[Worker]) -> None:
    """Start everyone who can take part, one after the other, and compare their first steps."""
    reference: Worker | None = None
    for entry in work.entries:
        if not works_here(entry.library):
            print(f"  {entry.library} has no working environment: make bench-peers", flush=True)
            continue
        try:
            worker = fastest(entry, work, folder, threads, reference)
        except Failed as problem:
            print(f"  does not work: {problem}", flush=True)
            continue
        workers.append(worker)
        if not entry.peer:
            reference = worker
        norm = sum(float(g.square().sum()) for g in worker.gradient) ** 0.5
        print(f"  {entry.name} {worker.ready['note']}: first {worker.first:.7g}, gradient {norm:.7g}", flush=True)
    for worker in workers:
        worker.differs = worker.difference(reference or workers[0], work.tolerance)
        if worker.differs:
            print(f"  NOT THE SAME MATHEMATICS: {worker.entry.name}: {worker.differs}", flush=True)


def measure(name: str, work: Work, threads: int, quick: bool) -> list[dict[str, Any]]:
    """The records of a work: each form of kshot beside each of the others."""
    threads = work.threads or threads
    rounds, steps = (2, max(1, work.steps // 5)) if quick else (work.rounds, work.steps)
    workers: list[Worker] = []
    try:
        with tempfile.TemporaryDirectory() as folder:
            gather(work, Path(folder), threads, workers)
        for worker in workers:
            if worker.first_seconds < LONG:
                worker.round(1)  # warm
        for _ in range(rounds):
            for worker in workers:
                worker.taken.append(worker.round(steps) * work.scale)
        memory = [worker.end() for worker in workers]
    finally:
        for worker in workers:
            worker.process.kill()
    found = []
    for i, ours in enumerate(workers):
        if ours.entry.bar is None:
            continue
        others = [j for j, w in enumerate(workers) if w.entry.bar is None]
        alone = ours.entry.bar.ratio is None and ours.entry.bar.memory is None
        for j in [None] if alone else others:
            peer = None if j is None else (workers[j], memory[j])
            found.append(record(name, work, (ours, memory[i]), peer, threads=threads, steps=steps))
            show(found[-1])
    return found


def record(
    name: str,
    work: Work,
    ours: tuple[Worker, dict[str, Any]],
    peer: tuple[Worker, dict[str, Any]] | None,
    *,
    threads: int,
    steps: int,
) -> dict[str, Any]:
    """One line of the table."""
    us, memory = ours
    bar = us.entry.bar
    found: dict[str, Any] = {
        "work": name,
        "title": work.title,
        "ours": us.entry.name,
        "ours_variant": us.ready["note"],
        "ours_s": statistics.median(us.taken),
        **dict.fromkeys(("peer", "peer_variant", "peer_s", "ratio", "spread")),
        "unit": work.unit,
        "rate": work.rate,
        "threads": threads,
        "device": us.ready["device"],
        **peaks("ours", memory),
        "ours_built_mb": round(memory["built_mb"]),
        "ours_differs": us.differs,
        "bar": asdict(bar) if bar else None,
        "rounds": len(us.taken),
        "steps": steps,
        "kind": work.kind,
        "versions": versions(),
        "date": datetime.date.today().isoformat(),
        "commit": commit(),
        "command": shlex.join(["python", "benchmarks/beside_peers.py", *sys.argv[1:]]),
    }
    if peer is not None:
        they, memory = peer
        ratios = [b / a for a, b in zip(us.taken, they.taken)]
        found |= {
            "peer": they.entry.name,
            "peer_variant": they.variant,
            "peer_trials": they.trials,
            "peer_counts": they.entry.peer,
            "peer_s": statistics.median(they.taken),
            "ratio": statistics.median(ratios),
            "spread": [min(ratios), max(ratios)],
            **peaks("peer", memory),
            "peer_differs": they.differs,
            "versions": {**versions(), "peer": version_of(they.entry.library), "torch of peer": they.ready["torch"]},
        }
    return found


def peaks(whose: str, memory: dict[str, Any]) -> dict[str, int]:
    """Peak memory of a process (or of a GPU that it used), and how much of it came with the steps."""
    if memory.get("gpu_mb") is not None:
        return {f"{whose}_peak_mb": round(memory["gpu_mb"]), f"{whose}_step_mb": round(memory["gpu_mb"])}
    return {
        f"{whose}_peak_mb": round(memory["peak_mb"]),
        f"{whose}_step_mb": round(memory["peak_mb"] - memory["before_mb"]),
    }


def version_of(library: str) -> str | None:
    """The pinned version of a peer."""
    pinned = HERE / "peers" / f"{library}.txt"
    return pinned.read_text().split()[0].partition("==")[2] if pinned.exists() else None


def show(found: dict[str, Any]) -> None:
    """A record on the screen."""
    line = f"  {found['ours']} {found['ours_s']:.5f} s"
    if found["peer"]:
        low, high = found["spread"]
        line += f", {found['peer']} {found['peer_variant']} {found['peer_s']:.5f} s: ratio {found['ratio']:.2f} "
        line += f"({low:.2f} to {high:.2f}); peak {found['ours_peak_mb']} and {found['peer_peak_mb']} MB"
        line += f", of the steps {found['ours_step_mb']} and {found['peer_step_mb']} MB"
    print(line, flush=True)


def main() -> None:
    """Measure the works asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=list(WORKS), metavar="WORK", help=", ".join(WORKS))
    parser.add_argument("--quick", action="store_true", help="two rounds of few steps; nothing is recorded")
    parser.add_argument("--full", action="store_true", help="evaluate all 1,000 tasks, once, in place of a part")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="cpu", help="cuda: MAML and ProtoNet on a GPU; records WORK-cuda.json")
    parser.add_argument("--out", type=Path, default=RECORDS, help="where the records go")
    parser.add_argument("--set", nargs="+", default=[], metavar="NAME=NUMBER", help="change a work, such as steps=5")
    asked = parser.parse_args()
    for name in asked.only or WORKS:
        began = time.monotonic()
        work = WORKS[name]
        if asked.full and "episodes" in work.kind:
            work = replace(work, kind={**work.kind, "episodes": 1000}, rounds=1, scale=1, unit="1,000 tasks")
        for change in asked.set:
            option, _, value = change.partition("=")
            if option not in work.kind:
                parser.error(f"{name} has no {option!r} to set; it has {', '.join(work.kind)}")
            work = replace(work, kind={**work.kind, option: json.loads(value)}, title=f"{work.title}, {change}")
            name += f"-{option}{value}"  # noqa: PLW2901 - the record's name
        if asked.device != "cpu":
            work = replace(work, kind={**work.kind, "device": asked.device}, title=f"{work.title}, on a GPU")
            name = f"{name}-{asked.device}"  # noqa: PLW2901 - the record's name
        print(f"{name}: {work.title}", flush=True)
        try:
            found = measure(name, work, asked.threads, asked.quick)
        except Failed as problem:
            print(f"  broke off: {problem}", flush=True)
            continue
        if found and not asked.quick:
            asked.out.mkdir(parents=True, exist_ok=True)
            text = json.dumps(found, indent=2, allow_nan=False, ensure_ascii=False) + "\n"
            write_whole(asked.out / f"{name}.json", text.encode())
        print(f"  ({time.monotonic() - began:.0f} s)", flush=True)


if __name__ == "__main__":
    main()
