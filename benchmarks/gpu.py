"""The table of a GPU: MAML, Conv4-64, 5-way 1-shot, 32 tasks, second order, with 1 and with 5 inner steps.

    python benchmarks/gpu.py [--steps 1 5] [--quick] [--device cuda]

kshot batched over tasks, compiled (one CUDA graph) and in bfloat16, beside a hand-written loop and the peers
whose environments are there (`make bench-peers`), all on the same data from the same first weights, taking turns. First
losses and gradients have to agree to 2 %; whose do not, its record says so. Writes results/bench/maml-gpu-*.json; make
the page anew with `python benchmarks/table.py`.
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from dataclasses import replace
from pathlib import Path

import torch

from beside_peers import RECORDS, measure
from kshot.evaluation.files import write_whole
from workers import Failed
from works.plan import Bar, Entry, Work, maml_pictures

BAR = Bar("at least 10 times the best peer on the same GPU", ratio=10)
AGREE = 0.02  # relative: GPUs compute convolutions in TensorFloat32 unless told otherwise
RECIPE = 60_000  # steps of the published training on Omniglot
FORMS = (
    Entry("kshot", "maml_kshot", ("eager+vmap",), BAR, label="kshot"),
    Entry("kshot", "maml_kshot", ("compiled+vmap",), BAR, label="kshot compiled"),
    Entry("kshot", "maml_kshot_bfloat16", ("eager+vmap",), BAR, label="kshot bfloat16"),
    Entry("kshot", "maml_kshot_bfloat16", ("compiled+vmap",), BAR, label="kshot compiled bfloat16"),
)


def work_of(steps: int, device: str, tasks: int = 32) -> Work:
    """The work with so many inner steps; kshot's forms first, since they write the first weights."""
    work = maml_pictures(5, tasks, steps, BAR, strided=False, rounds=5)
    others = tuple(entry for entry in work.entries if entry.bar is None)
    title = f"{work.title}, on a {'GPU' if device.startswith('cuda') else 'processor'}"
    kind = {**work.kind, "device": device}
    return replace(work, title=title, kind=kind, entries=(*FORMS, *others), steps=5, tolerance=AGREE)


def main() -> int:
    """Measure, write the records, say how long the published training would take."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", nargs="+", type=int, default=[1, 5], help="inner steps")
    parser.add_argument("--tasks", type=int, default=32, help="fewer make a trial shorter")
    parser.add_argument("--quick", action="store_true", help="two rounds of few steps; nothing is recorded")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="cuda", help="cpu tries this script out, with --quick")
    parser.add_argument("--out", type=Path, default=RECORDS, help="where the records go")
    asked = parser.parse_args()
    if asked.device.startswith("cuda") and not torch.cuda.is_available():
        print(
            "benchmarks/gpu.py measures on a CUDA device, and torch finds none here "
            f"(torch {torch.__version__}). Run it on a machine with a GPU and a torch that was built for it; "
            "`make bench` measures on this processor",
            file=sys.stderr,
        )
        return 2
    if not asked.device.startswith("cuda") and not asked.quick:
        parser.error("a processor's times belong to beside_peers.py; here they are only for a trial: add --quick")
    for steps in asked.steps:
        name, work = f"maml-gpu-{steps}step{'s' * (steps > 1)}", work_of(steps, asked.device, asked.tasks)
        print(f"{name}: {work.title}", flush=True)
        try:
            found = measure(name, work, asked.threads, asked.quick)
        except Failed as problem:
            print(f"  broke off: {problem}", flush=True)
            continue
        for form, seconds in {r["ours"]: r["ours_s"] for r in found}.items():
            minutes = RECIPE * seconds / 60
            print(f"  {form}: {1e3 * seconds:.2f} ms a step, {minutes:.1f} minutes for {RECIPE:,} steps", flush=True)
        for record in found:
            record["command"] = shlex.join(["python", "benchmarks/gpu.py", *sys.argv[1:]])
        if found and not asked.quick:
            asked.out.mkdir(parents=True, exist_ok=True)
            text = json.dumps(found, indent=2, allow_nan=False, ensure_ascii=False) + "\n"
            write_whole(asked.out / f"{name}.json", text.encode())
    return 0


if __name__ == "__main__":
    sys.exit(main())
