"""How long a step of each recipe takes that nobody has trained here: python benchmarks/recipe_steps.py [NAME ...]

Writes results/bench/recipes.json, from which `python results/table.py` tells how long the whole training would take.
Pictures are noise of the recipe's size (which picture it is does not matter to the time), on one thread. Validation is
left out, and so is compiling: what it saves differs from machine to machine. Recipes for a GPU are not measured.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from kshot import __version__
from kshot.cli.train import configured
from kshot.evaluation.files import write_whole
from kshot.recipes import Recipe, recipes
from kshot.training import RunConfig, start

OUT = Path(__file__).resolve().parent.parent / "results" / "bench" / "recipes.json"
BUILT_IN = ("glyphs", "scribbles", "sinusoid")
COLOUR = ("mini-imagenet", "tiered-imagenet", "cub", "cifar-fs", "fc100", "caltech101")
ENOUGH = 20.0  # seconds of steps
MOST = 200


def wanted(recipe: Recipe) -> bool:
    """Whether its time is to be measured: it has no record, needs no GPU and no other run."""
    return not (
        recipe.records or "GPU" in recipe.needs or "teacher" in recipe.settings or "features" in recipe.settings
    )


def noise(config: RunConfig, folder: Path) -> str:
    """An .npz file with noise in the shape of the recipe's data."""
    name = str(config.data["spec"]).partition(":")[0]
    size = config.data.get("size") or (32 if name in ("cifar-fs", "fc100") else 84 if name in COLOUR else 28)
    way = config.source.get("way", 5)
    classes = 2 * (way if isinstance(way, int) else max(way)) + 10
    shape = (classes * 40, size, size, 3) if name in COLOUR else (classes * 40, size, size)
    path = folder / "noise.npz"
    pictures = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    np.savez(path, x=pictures, y=np.repeat(np.arange(classes), 40))
    return str(path)


def measure(recipe: Recipe) -> dict[str, object]:
    """Seconds of a step: the difference of two trainings, so that what happens once does not count."""
    config = configured(recipe.words)
    steps = config.training["steps"]
    with tempfile.TemporaryDirectory() as folder:
        data = dict(config.data)
        if str(data["spec"]).partition(":")[0] not in BUILT_IN:
            data = {"spec": noise(config, Path(folder))}
        config = replace(config, data=data, validation=None)
        config.training.update(compile=False, patience=None, val_every=None)
        count, few = 2, seconds(config, 1)
        while True:
            took = (seconds(config, 1 + count) - few) / count
            if took * count > ENOUGH / 2 or count >= MOST:
                break
            count = min(MOST, max(2 * count, int(ENOUGH / max(took, 1e-3))))
    return {
        "steps": steps,
        "seconds_a_step": took,
        "measured": count,
        "threads": torch.get_num_threads(),
        "device": "cpu",
        "versions": {"kshot": __version__, "torch": str(torch.__version__)},
    }


def seconds(config: RunConfig, steps: int) -> float:
    """A training of so many steps."""
    config.training.update(steps=steps, log_every=1000)
    began = time.perf_counter()
    start(config, None, progress=False)
    return time.perf_counter() - began


def main() -> None:
    """Measure what is asked for, or what is not measured yet."""
    torch.set_num_threads(1)
    known = json.loads(OUT.read_text())["recipes"] if OUT.exists() else {}
    asked = sys.argv[1:]
    todo = [r for r in recipes() if (r.name in asked if asked else wanted(r) and r.name not in known)]
    for recipe in todo:
        known[recipe.name] = measure(recipe)
        print(f"{recipe.name}: {known[recipe.name]['seconds_a_step']:.3f} s a step", flush=True)
        kept = {r.name: known[r.name] for r in recipes() if r.name in known}
        write_whole(OUT, (json.dumps({"recipes": kept}, indent=2) + "\n").encode())


if __name__ == "__main__":
    main()
