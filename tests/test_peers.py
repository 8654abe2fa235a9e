"""Three outer steps of MAML give the losses that other libraries give, from the same weights and data, in float64.

The other library runs in its own environment (make bench-peers) through benchmarks/losses.py.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent
SINE = {"data": "sine", "tasks": 4, "steps": 3, "shot": 5, "query": 6, "alpha": 0.01, "lr": 1e-2, "double": True}
PICTURES = {"data": "pictures", "way": 3, "shot": 2, "query": 2, "tasks": 3, "steps": 2, "filters": 4}
PICTURES |= {"strided": True, "alpha": 0.1, "lr": 1e-2, "double": True}
KINDS: dict[str, dict[str, Any]] = {"sine": SINE, "strided": PICTURES, "max-pool": {**PICTURES, "strided": False}}
PEERS = [
    ("higher", "maml_higher", ""),
    ("torchopt", "maml_torchopt", "loop"),
    ("iteryne", "maml_iteryne", ""),
    ("parallel-metalearn", "maml_parallel_metalearn", "vmap:2"),
]
pytestmark = pytest.mark.peers


def losses(python: Path | str, module: str, variant: str, kind: str, start: Path) -> list[float]:
    command = [str(python), str(ROOT / "benchmarks" / "losses.py"), "--module", module, "--library", "any"]
    command += ["--variant", variant, "--kind", json.dumps(KINDS[kind]), "--start", str(start)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    found: list[float] = json.loads(done.stdout)
    return found


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[list[float], Path]]:
    """kshot's losses, tasks one after the other, and the first weights."""
    folder = tmp_path_factory.mktemp("start")
    return {k: (losses(sys.executable, "maml_kshot", "eager+loop", k, folder / k), folder / k) for k in KINDS}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("peer", "module", "variant"), PEERS, ids=[p for p, _, _ in PEERS])
def test_the_same_losses(ours: dict[str, Any], peer: str, module: str, variant: str, kind: str) -> None:
    venv = ROOT / ".bench" / peer
    if not (venv / "done").exists():
        reason = (venv / "failed.txt").read_text() if (venv / "failed.txt").exists() else "make bench-peers makes it"
        pytest.skip(f"no working environment of {peer}: {reason}")
    expected, start = ours[kind]
    assert expected[0] != pytest.approx(expected[2], rel=1e-3)  # the steps do something
    assert losses(venv / "bin" / "python", module, variant, kind, start) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("engine", ["vmap", "chunk:2", "loop+recompute", "vmap+recompute"])
def test_every_engine_gives_these_losses(ours: dict[str, Any], engine: str, kind: str, tmp_path: Path) -> None:
    expected, _ = ours[kind]
    found = losses(sys.executable, "maml_kshot", f"eager+{engine}", kind, tmp_path / "start")
    assert found == pytest.approx(expected, rel=1e-9)
