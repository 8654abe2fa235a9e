"""Repeat a committed result in shortened form: train from its own configuration for a few steps, measure as it did.

    python results/smoke.py results/protonet-omniglot-random-5w1s.json --steps 80 --episodes 100

Exits with 1 if the shortened training does not even reach the raw-pixel nearest neighbour on the same tasks.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import fields
from pathlib import Path

from kshot.evaluation import compare
from kshot.methods import build_method
from kshot.training import RunConfig, start


def main() -> int:
    """Train, measure, print both figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("record", type=Path)
    parser.add_argument("--steps", type=int, default=80)
    parser.add_argument("--episodes", type=int, default=100)
    asked = parser.parse_args()
    record = json.loads(asked.record.read_text())
    known = {f.name for f in fields(RunConfig)}
    config = RunConfig(**{k: v for k, v in record["config"].items() if k in known} | {"validation": None})
    config.training.update(steps=asked.steps, val_every=None, device="cpu")
    trained = start(config, None)
    tasks = {k: record[k] for k in ("way", "shot", "query", "seed")}
    source = config.source_of(
        record["split"], data=record["data"], within=record["config"]["source"]["within"], **tasks
    )
    found = compare(
        {"shortened": trained.method, "nearest": build_method("nearest", source.spec)},
        source,
        episodes=asked.episodes,
        transductive=False,
    )
    for report in found.reports:
        print(f"{report.method:<10} {report.value:6.2f} +- {report.ci95:.2f} % on {report.episodes} tasks")
    print(f"{'recorded':<10} {record['accuracy']:6.2f} +- {record['ci95']:.2f} % after {record['train_steps']} steps")
    return 0 if found.reports[0].value > found.reports[1].value else 1


if __name__ == "__main__":
    sys.exit(main())
