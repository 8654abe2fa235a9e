"""How far a step is from what the machine could do: its floating-point operations at the rate of matrix products.

    python benchmarks/limit.py [--threads 2]

The rate is measured with products of large float32 matrices; the operations of a step (convolutions and matrix
products, in all its passes) are counted by torch. Writes results/bench/limit.json.
"""

from __future__ import annotations

import argparse
import datetime
import json
import shlex
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from beside_peers import RECORDS
from kshot.evaluation.files import write_whole
from kshot.evaluation.records import commit
from kshot.evaluation.report import versions
from works import maml_kshot, protonet_kshot
from works.plan import WORKS

NAMES = ("protonet-60way", "maml-5way", "maml-5way-strided", "maml-sine")
SIZE = 2048  # of the matrices


def seconds(f: Callable[[], object], least: float = 2.0) -> list[float]:
    """Times of calls until so many seconds are over; the first is not counted."""
    f()
    taken: list[float] = []
    while sum(taken) < least or len(taken) < 3:
        began = time.perf_counter()
        f()
        taken.append(time.perf_counter() - began)
    return taken


def rate() -> float:
    """Floating-point operations a second in products of large matrices."""
    a, b = torch.randn(SIZE, SIZE), torch.randn(SIZE, SIZE)
    return float(2 * SIZE**3 / statistics.median(seconds(lambda: a @ b)))


def operations(step: Callable[[], object]) -> int:
    """Floating-point operations of a step that runs in this thread."""
    with FlopCounterMode(display=False) as counter:
        step()
    return int(counter.get_total_flops())


def measure(name: str, best: float) -> dict[str, Any]:
    """One work: kshot's step, and the time its arithmetic alone would take."""
    work = WORKS[name]
    module = protonet_kshot if name.startswith("protonet") else maml_kshot
    counted = module.build(work.kind, "kshot", "eager+loop" if module is maml_kshot else "eager", None)
    flops = operations(counted.first)
    running = module.build(work.kind, "kshot", "eager", None)
    taken = seconds(running.first)
    alone = flops / best
    return {
        "work": "limit",
        "title": "a step beside its arithmetic alone, at the rate of large matrix products",
        "ours": f"{name}: kshot",
        "ours_variant": running.note,
        "ours_s": statistics.median(taken),
        "peer": "the arithmetic alone",
        "peer_variant": f"{flops / 1e9:.3g} GFLOP at {best / 1e9:.0f} GFLOP/s",
        "peer_trials": {},
        "peer_counts": False,
        "peer_s": alone,
        "ratio": alone / statistics.median(taken),
        "spread": [alone / max(taken), alone / min(taken)],
        "unit": "step",
        "rate": None,
        "threads": torch.get_num_threads(),
        "device": "cpu",
        **dict.fromkeys(("ours_peak_mb", "ours_step_mb", "peer_peak_mb", "peer_step_mb"), 0),
        "ours_differs": "",
        "peer_differs": "",
        "bar": {"text": "none; 1 would be the limit", "ratio": None, "memory": None, "seconds": None},
        "rounds": len(taken),
        "steps": 1,
        "flops": flops,
        "flops_per_second": best,
        "versions": versions(),
        "date": datetime.date.today().isoformat(),
        "commit": commit(),
        "command": shlex.join(["python", "benchmarks/limit.py", *sys.argv[1:]]),
    }


def main() -> None:
    """Measure and write the record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--no-record", action="store_true")
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    best = rate()
    found = [measure(name, best) for name in NAMES]
    for r in found:
        print(f"{r['ours']} {r['ours_variant']}: {r['ours_s']:.4f} s; {r['peer_variant']}: {r['peer_s']:.4f} s")
    if not asked.no_record:
        write_whole(RECORDS / "limit.json", (json.dumps(found, indent=2) + "\n").encode())


if __name__ == "__main__":
    main()
