"""Small trained models that come with kshot, and the folder behind whatever a user names as a run.

Each folder beside this file is a run folder as `kshot train` writes it, without the state that only resuming needs: the
configuration, the weights, the metrics of the training, the temperature of the probabilities; and, written by the
program too, what it reached on classes never seen (record.json). The recipe of its name trains it again.
"""

from __future__ import annotations

from pathlib import Path

from ..errors import UserError, unknown

BUILTIN: dict[str, str] = {
    "characters": "drawn and printed characters, any number of classes: a prototypical network",
    "characters-maml": "the same, two to five classes, by gradient steps: MAML",
    "sine-maml": "sine curves from a few points, by gradient steps: MAML",
    "sine-pretrained": "what MAML is compared with: one network for all sine curves, fine-tuned",
}
HERE = Path(__file__).resolve().parent
MARK = "config.yaml"  # what makes a folder a run


def find_run(run: Path | str) -> Path:
    """The run folder that is meant: a folder, or the name of a built-in model.

    A run folder of a built-in model's name in the working directory goes before the built-in model.

    Raises:
        UserError: neither; or a folder of a built-in model's name that is no run, so that either may be meant.
    """
    name, path = str(run), Path(run)
    if name in BUILTIN:
        if not path.exists():
            return HERE / name
        if not (path / MARK).is_file():
            raise UserError(
                f"{name} is the name of a built-in model, and here also of something that is no run: {path.resolve()}. "
                f"Rename that, or give the model by its folder, {HERE / name}"
            )
    if path.exists() or path.name != name:
        return path  # whoever reads it says what is wrong with it
    from ..methods import METHODS

    raise unknown("run folder, built-in model or method", name, [*METHODS, *BUILTIN, *_runs_nearby()])


def is_builtin(path: Path) -> bool:
    """Whether a run folder is a built-in model's, into which nothing is written."""
    return path.resolve().parent == HERE


def _runs_nearby() -> list[str]:
    """Run folders near here, to offer one for a misspelt name."""
    return [str(p.parent) for pattern in (f"*/{MARK}", f"*/*/{MARK}") for p in Path().glob(pattern)]
