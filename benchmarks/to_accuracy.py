"""Wall time of training ProtoNet from nothing to 98 % on Omniglot, with kshot and with easyfsl.

    python benchmarks/to_accuracy.py [--goal 98] [--repeats 1] [--minutes 30] [--threads 2]

Both train one 60-way task a step from the same first weights with the same learning rates and the same (unsquared)
distance, and are checked every so many steps on 5-way 1-shot tasks of validation classes, which does not count. Writes
results/bench/to-accuracy.json.
"""

from __future__ import annotations

import argparse
import datetime
import json
import shlex
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch

from beside_peers import RECORDS, peaks, version_of
from kshot.data import load
from kshot.data.images import Images
from kshot.evaluation.files import write_whole
from kshot.evaluation.records import commit
from kshot.evaluation.report import versions
from workers import HERE, ROOT, environment_of, python_of

NAME = "to-accuracy"


def table_of(images: Images) -> torch.Tensor:
    """Pictures as [classes, each, 1, H, W]; every Omniglot character has equally many."""
    return images.pixels.unflatten(0, (len(images.names), -1))


def run(library: str, kind: dict[str, Any], start: Path, threads: int) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Train one library: its checks, and how it ended."""
    command = [str(python_of(library)), str(HERE / "works" / "accuracy.py"), "--library", library]
    command += ["--kind", json.dumps(kind), "--start", str(start), "--threads", str(threads)]
    environment = environment_of(library, threads, hide_gpus=True)
    checks: list[dict[str, Any]] = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        for line in process.stdout:
            told = json.loads(line)
            if "accuracy" in told:
                checks.append(told)
                at = f"step {told['step']}: {told['accuracy']:.2f} % after {told['seconds']:.1f} s"
                print(f"  {library} {at}", flush=True)
    if process.returncode:
        sys.exit(f"{library} ended with an error (exit code {process.returncode})")
    return checks, told


def main() -> None:
    """Train both, write the record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--goal", type=float, default=98.0, help="accuracy in percent")
    parser.add_argument("--repeats", type=int, default=1, help="each with another seed")
    parser.add_argument("--minutes", type=float, default=30.0, help="longest training")
    parser.add_argument("--way", type=int, default=60)
    parser.add_argument("--shot", type=int, default=1)
    parser.add_argument("--query", type=int, default=5)
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--halve-every", type=int, default=2000)
    parser.add_argument("--check-every", type=int, default=50)
    parser.add_argument("--check-tasks", type=int, default=400)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--data-dir", help="folder with the archives of Omniglot")
    parser.add_argument("--no-record", action="store_true")
    asked = parser.parse_args()
    if not (ROOT / ".bench" / "easyfsl" / "done").exists():
        sys.exit("easyfsl has no working environment: make bench-peers")
    shape = {k: getattr(asked, k) for k in ("way", "shot", "query", "lr", "halve_every", "check_every", "check_tasks")}
    shape["distance"] = "unsquared"  # easyfsl's softmax is over plain distances
    shape |= {"goal": asked.goal, "minutes": asked.minutes, "steps": 1_000_000, "filters": 64}
    taken: dict[str, list[float]] = {"kshot": [], "easyfsl": []}
    curves: dict[str, Any] = {"kshot": [], "easyfsl": []}
    ended: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        loaded = [load("omniglot:random", split, data_dir=asked.data_dir) for split in ("train", "val")]
        torch.save([table_of(images) for images in loaded], folder / "pixels.pt")
        for seed in range(asked.repeats):
            kind = {**shape, "seed": seed, "pixels": str(folder / "pixels.pt"), "data_dir": asked.data_dir}
            for library in ("kshot", "easyfsl"):  # kshot first: it writes the first weights
                checks, ended[library] = run(library, kind, folder / "start.pt", asked.threads)
                curves[library].append(checks)
                if ended[library]["reached"]:
                    taken[library].append(checks[-1]["seconds"])
    if any(len(t) < asked.repeats for t in taken.values()):
        sys.exit(f"not everyone reached {asked.goal} % in {asked.minutes} minutes: no record")
    ratios = [b / a for a, b in zip(taken["kshot"], taken["easyfsl"])]
    bar = {"text": "at most half of the wall time of easyfsl", "ratio": 2.0, "memory": None, "seconds": None}
    record = {
        "work": NAME,
        "title": f"training ProtoNet from nothing to {asked.goal:g} % 5-way 1-shot on Omniglot (random)",
        "ours": "kshot",
        "ours_variant": "",
        "ours_s": statistics.median(taken["kshot"]),
        "peer": "easyfsl",
        "peer_variant": "",
        "peer_trials": {},
        "peer_counts": True,
        "peer_s": statistics.median(taken["easyfsl"]),
        "ratio": statistics.median(ratios),
        "spread": [min(ratios), max(ratios)],
        "unit": "training, without the checks",
        "rate": None,
        "threads": asked.threads,
        "device": "cpu",
        **peaks("ours", ended["kshot"]),
        **peaks("peer", ended["easyfsl"]),
        "ours_differs": "",
        "peer_differs": "",
        "bar": bar,
        "rounds": asked.repeats,
        "steps": None,
        "kind": shape,
        "curves": curves,
        "versions": {**versions(), "peer": version_of("easyfsl"), "torch of peer": ended["easyfsl"]["torch"]},
        "date": datetime.date.today().isoformat(),
        "commit": commit(),
        "command": shlex.join(["python", "benchmarks/to_accuracy.py", *sys.argv[1:]]),
    }
    print(f"kshot {record['ours_s']:.1f} s, easyfsl {record['peer_s']:.1f} s: ratio {record['ratio']:.2f}")
    if not asked.no_record:
        text = json.dumps([record], indent=2, ensure_ascii=False) + "\n"
        write_whole(RECORDS / f"{NAME}.json", text.encode())


if __name__ == "__main__":
    main()
