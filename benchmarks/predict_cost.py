"""What it costs to use each method: python benchmarks/predict_cost.py [METHOD ...]

For one new task (5-way 1-shot pictures of 28 pixels; for methods of curves, ten points of one): the time to learn it,
the time to answer one query afterwards, and the memory that both took beyond the model itself, on one thread, each
method in a process of its own. The network is that of the recipe whose result stands in the table of methods
(its weights do not matter to the time). Writes results/bench/predict.json, which `python results/table.py` shows in
docs/choose.md.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from kshot.cli.train import configured
from kshot.evaluation import evaluating
from kshot.evaluation.files import write_whole
from kshot.evaluation.records import commit
from kshot.evaluation.report import versions
from kshot.methods import METHODS, Method, build_method
from kshot.recipes import Recipe, recipes
from kshot.tasks import TaskSpec
from worker import forget_peak, memory

OUT = Path(__file__).resolve().parent.parent / "results" / "bench" / "predict.json"
WAY, SIDE, POINTS, WORDS, CLASSES = 5, 28, 10, 160, 4400
ENOUGH = 2.0  # seconds of calls


def recipe_of(method: str) -> Recipe | None:
    """The recipe whose network is measured: of those on Omniglot or built-in data, one with records before others."""
    own = [r for r in recipes() if r.method == method and not r.name.endswith("-paper") and "copy" not in r.needs]
    plain = f"omniglot-{method}"
    return min(own, key=lambda r: (r.name != plain, not r.records, r.name), default=None)


def spec_of(method: str) -> TaskSpec:
    """The tasks that it is measured on."""
    about = METHODS[method].about
    recipe = recipe_of(method)
    if "classes" not in about.targets or (recipe is not None and recipe.settings.get("data") == "sinusoid"):
        return TaskSpec((1,), way=0, num_classes=0, output_dim=1)
    words = tuple(f"word {i}" for i in range(WORDS)) if about.support == "descriptions" else ()
    return TaskSpec((1, SIDE, SIDE), way=WAY, num_classes=CLASSES, attributes=words)


def build(method: str, spec: TaskSpec) -> Method:
    """The method with the network of its recipe."""
    recipe = recipe_of(method)
    if recipe is None:
        return build_method(method, spec)
    words = recipe.words
    if "teacher" in recipe.settings:  # which is not needed to predict
        at = words.index("--teacher")
        del words[at : at + 2]
    return configured(words).build(spec)


def task_of(spec: TaskSpec) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Support inputs, their targets and one query: noise."""
    g = torch.Generator().manual_seed(0)
    if spec.regression:
        return torch.randn(1, POINTS, 1, generator=g), torch.randn(1, POINTS, 1, generator=g), torch.zeros(1, 1, 1)
    query = torch.rand(1, 1, *spec.input_shape, generator=g)
    labels = torch.arange(WAY)[None]
    if spec.attributes:
        return (torch.rand(1, WAY, WORDS, generator=g) > 0.9).float(), labels, query
    return torch.rand(1, WAY, *spec.input_shape, generator=g), labels, query


def shortest_ms(f: Callable[[], object]) -> float:
    """The shortest time of calls in milliseconds: what else runs on the machine only adds to it."""
    f()
    taken: list[float] = []
    while sum(taken) < ENOUGH or len(taken) < 5:
        began = time.perf_counter()
        f()
        taken.append(time.perf_counter() - began)
    return 1000 * min(taken)


def measure(name: str) -> dict[str, Any]:
    """The costs of one method, in this process."""
    torch.set_num_threads(1)
    spec = spec_of(name)
    way = 0 if spec.regression else WAY
    method = build(name, spec)
    xs, ys, query = task_of(spec)
    with evaluating(method):
        torch.nn.functional.conv2d(torch.zeros(1, 1, 8, 8), torch.zeros(1, 1, 3, 3))  # what torch loads for itself
        forget_peak()
        before = memory("VmRSS")
        state = method.adapt(xs, ys, way)
        method.predict(state, query)
        grown = memory("VmHWM") - before
        adapt_ms = shortest_ms(lambda: method.adapt(xs, ys, way))
        predict_ms = shortest_ms(lambda: method.predict(state, query))
    recipe = recipe_of(name)
    return {
        "recipe": recipe.name if recipe else None,
        "task": f"{POINTS}-shot curve" if spec.regression else f"{WAY}-way {0 if spec.attributes else 1}-shot",
        "adapt_ms": round(adapt_ms, 3),
        "predict_ms": round(predict_ms, 3),
        "memory_mb": round(grown, 1),
        "parameters": sum(p.numel() for p in method.parameters()),
        "threads": 1,
        "device": "cpu",
        "versions": versions(),
        "commit": commit(),
    }


def main() -> None:
    """Measure each method in a process of its own, and write the record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("methods", nargs="*", metavar="METHOD")
    parser.add_argument("--here", action="store_true", help="measure the one method in this process and print it")
    asked = parser.parse_args()
    if asked.here:
        print(json.dumps(measure(asked.methods[0])))
        return
    known = json.loads(OUT.read_text())["methods"] if OUT.exists() else {}
    for name in asked.methods or METHODS:
        command = [sys.executable, __file__, "--here", name]
        known[name] = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
        print(f"{name}: {known[name]['adapt_ms']} ms, {known[name]['predict_ms']} ms, {known[name]['memory_mb']} MB")
        kept = {n: known[n] for n in METHODS if n in known}
        write_whole(OUT, (json.dumps({"methods": kept}, indent=2) + "\n").encode())


if __name__ == "__main__":
    main()
