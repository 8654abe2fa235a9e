"""What the README and the documentation show, found and made runnable; test_documented.py runs it.

A page is taken as one session in an empty folder: its commands (indented lines that begin with `kshot`) and its blocks
of Python run in their order, blocks with a title become the files that the title names. What a page takes for granted
(a folder of examples, a table of descriptions) is made beforehand, small.
"""

from __future__ import annotations

import pickle
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
FENCE = re.compile(r"^```(?P<kind>\w+)(?: title=\"(?P<title>[^\"]+)\")?\s*$")


@dataclass(frozen=True)
class Step:
    """Something that a page shows.

    Attributes:
        kind: "kshot" for a command, else the language of the block.
        text: the command, or the block.
        title: the file that the block is; empty where it is none.
        line: where it stands.
    """

    kind: str
    text: str
    title: str = ""
    line: int = 0


@cache
def steps(page: Path) -> list[Step]:
    """What a page shows, in its order."""
    found: list[Step] = []
    inside: re.Match[str] | None = None
    block: list[str] = []
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), 1):
        if inside is not None:
            if line.startswith("```"):
                found.append(Step(inside["kind"], "\n".join(block) + "\n", inside["title"] or "", number - len(block)))
                inside, block = None, []
            else:
                block.append(line)
        elif line.startswith("```"):
            inside = FENCE.match(line)
            assert inside is not None, f"{page}:{number}: a block needs its language: ```text, ```python"
        elif line.startswith("    kshot ") or line.startswith("    $ kshot "):
            found.append(Step("kshot", line.strip().removeprefix("$ "), "", number))
    return found


def commands(page: Path) -> list[str]:
    """The commands that a page shows."""
    return [step.text for step in steps(page) if step.kind == "kshot"]


# A shortened command is the printed one with further flags, which win; data that has to be brought gets a stand-in.
FEW_STEPS = {"train": "--steps 2 --log-every 1"}
FEW_TASKS = {
    "train": "--steps 2 --tasks 1 --log-every 1 --no-validation",
    "evaluate": "--episodes 2 --query 1",
    "compare": "--episodes 2 --query 1",
    "analyze": "--tasks 1 --steps 2",
    "plot": "--episodes 2 --query 2 --steps 2 --shots 1 --curves 1 --formats svg",
}
BROUGHT = re.compile(
    r"(?<=--data )(omniglot|mini-imagenet|tiered-imagenet|cifar-fs|fc100|cub|caltech101)(:\w+)?(?= |$)"
)
COLOUR = ("mini-imagenet", "tiered-imagenet", "cifar-fs", "fc100", "cub", "caltech101")
ENGINES = ("maml", "fomaml", "reptile", "anil", "boil", "metasgd", "mamlpp", "imaml", "protomaml", "cavia")


def shortened(command: str, less: Mapping[str, str]) -> list[str]:
    """The words of a command with what makes it shorter: flags by the name of the command, and stand-ins for data."""
    words = shlex.split(BROUGHT.sub(lambda m: "colour.npz" if m[1] in COLOUR else "grey.npz", command))[1:]
    more = less.get(words[0], "").split()
    if words[0] == "train" and words[1] in ENGINES:
        more += ["--engine", "vmap"]  # the fastest one would be looked for
    if words[0] == "analyze" and "conv4" in words:
        more += ["--backbone-option", "filters=4", "--way", "2"]
    if "--warmup" in words:
        more += ["--warmup", "0"]
    if words[:2] == ["evaluate", "hausdorff"]:
        more += ["--size", "28"]
    if words[0] == "train" and "koch" in words:
        more += ["--size", "105", "--way", "2"]
    return words + more


def prepare(folder: Path) -> None:
    """What pages take for granted."""
    rng = np.random.default_rng(0)

    def picture(path: Path, side: int = 20) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (side, side), dtype=np.uint8)).save(path)

    for name in ("cat", "dog", "owl", "cow", "bee"):
        for i in range(5):
            picture(folder / "examples" / name / f"{i}.png")
            picture(folder / "pictures" / "train" / name / f"{i}.png")
            picture(folder / "pictures" / "val" / f"val {name}" / f"{i}.png")
            picture(folder / "pictures" / "test" / f"test {name}" / f"{i}.png")
    for i in range(3):
        picture(folder / "unsorted" / f"{i}.png")
    (folder / "letters.csv").write_text(
        "class,description\no macron,latin small o macron\nomega tonos,greek capital omega tonos\n"
    )
    labels = np.repeat(np.arange(120), 20)
    for name, shape in (("grey", (28, 28)), ("colour", (28, 28, 3))):
        np.savez(folder / f"{name}.npz", x=rng.integers(0, 256, (len(labels), *shape), dtype=np.uint8), y=labels)
    attributes = rng.random((120, 312)).astype(np.float32)
    np.savez(folder / "cub.npz", x=rng.random((len(labels), 64)).astype(np.float32), y=labels, attributes=attributes)
    for split in ("train", "val", "test"):
        kept = {"class_dict": {"n01": [0, 1]}, "image_data": rng.integers(0, 256, (2, 8, 8, 3), dtype=np.uint8)}
        (folder / f"mini-imagenet-cache-{split}.pkl").write_bytes(pickle.dumps(kept))
