"""Accuracy gates: short trainings of the foundation's methods by the command line, on real data, on validation classes.

Each gate lies two to four points (or a third of the error) below what the same command reached when it was written, so
that a mistake in mathematics, tasks or training shows, and rounding does not.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from cli_support import document, fine

pytestmark = pytest.mark.slow

CHARACTERS = "--data omniglot:random --lr 3e-3 --schedule cosine --no-validation"
STEP = "--way 60 --shot 1 --query 5 --tasks 1 --steps 150"
ONE_SHOT = "--split val --way 5 --shot 1"
CURVES = "--data sinusoid --shot 10 --query 10 --tasks 25 --no-validation"


@dataclass(frozen=True)
class Gate:
    """A training, how it is evaluated, and the bound on its measure: at least for accuracy, at most for errors."""

    train: str
    evaluate: str
    bound: float


GATES = {
    "protonet": Gate(f"{CHARACTERS} {STEP}", ONE_SHOT, 92.0),
    "matching": Gate(f"{CHARACTERS} {STEP}", ONE_SHOT, 93.0),
    "maml": Gate(
        f"{CHARACTERS} --way 5 --shot 1 --query 1 --tasks 16 --filters 32 --steps 600",
        f"{ONE_SHOT} --transductive",
        76.0,
    ),
    "fomaml": Gate(
        f"{CHARACTERS} --way 5 --shot 1 --query 1 --tasks 16 --filters 32 --inner-lr 0.1 --eval-steps 5 --steps 600",
        f"{ONE_SHOT} --transductive",
        76.0,
    ),
    "reptile": Gate(
        f"{CHARACTERS} --way 5 --shot 1 --query 9 --tasks 5 --steps 300 --inner-steps 8 --inner-lr 3e-3 "
        "--inner-batch 10 --eval-steps 20 --optimizer sgd --filters 32 --no-mean",
        f"{ONE_SHOT} --transductive",
        76.0,
    ),
    "maml on curves": Gate(f"{CURVES} --steps 4000 --inner-lr 0.01 --eval-steps 10", "--shot 10", 0.4),
}


@pytest.mark.parametrize("name", GATES)
def test_a_short_training_reaches_its_gate(name: str, tmp_path: Path, kshot_data: Path) -> None:
    gate, run, method = GATES[name], str(tmp_path / "run"), name.partition(" ")[0]
    data = ["--data-dir", str(kshot_data)] if "omniglot" in gate.train else []
    fine("train", method, *gate.train.split(), *data, "--out", run)
    report = document("evaluate", run, *gate.evaluate.split(), *data, "--episodes", "200")
    if report["measure"] == "accuracy":
        assert report["accuracy"] >= gate.bound
    else:
        assert report[report["measure"]] <= gate.bound
