"""Train the built-in models again by the recipes of their names, and measure them: python results/models.py [NAME ...]

A recipe writes runs/NAME. What a model needs of it goes to src/kshot/models/NAME, with the record of its test tasks.
A training that was stopped goes on. With --copy nothing is trained: the run is taken as it is.
"""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
from pathlib import Path

from kshot.models import BUILTIN, HERE

KEPT = ("config.yaml", "weights.safetensors", "metrics.jsonl", "calibration.json")
CHARACTERS = "--data glyphs --split test --way 5 --shot 1 --query 15 --episodes"
SINES = "--split test --shot 5 --query 50 --option eval_steps=5 --episodes 1000"
TASKS = {
    "characters": f"{CHARACTERS} 1000",
    "characters-maml": f"{CHARACTERS} 400",
    "sine-maml": SINES,
    "sine-pretrained": SINES,
}


def kshot(*words: str) -> None:
    """Run a command; stop where it fails."""
    print("kshot", shlex.join(words), flush=True)
    code = "import sys; from kshot.cli import main; sys.argv[0] = 'kshot'; main()"
    subprocess.run([sys.executable, "-c", code, *words], check=True)


def make(name: str, train: bool) -> None:
    """Train, copy and measure one model."""
    folder, run = HERE / name, Path("runs") / name
    if train:
        kshot("train", "--recipe", name, "--threads", "1", "--resume")
    for file in KEPT:
        if (run / file).exists():
            shutil.copyfile(run / file, folder / file)
    told = shlex.split(TASKS[name])
    kshot("evaluate", name, *told, "--threads", "1", "--record", str(folder / "record.json"))


if __name__ == "__main__":
    names = [word for word in sys.argv[1:] if word != "--copy"]
    for model in names or BUILTIN:
        make(model, "--copy" not in sys.argv)
