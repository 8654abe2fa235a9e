"""The page "Your own method": its three files, added to a copy of kshot, make a method that trains and is tested."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from documented import ROOT, commands, steps

PAGE = ROOT / "docs" / "own-method.md"
CONTRACT = "tests/test_contract.py"


def test_the_three_files_make_a_method(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "src", tmp_path / "src", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "tests", tmp_path / "tests", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    blocks = {step.title: step.text for step in steps(PAGE) if step.title}
    registry = tmp_path / "src" / "kshot" / "methods" / "__init__.py"
    text = registry.read_text(encoding="utf-8")
    text = text.replace("from .metanet import", blocks.pop("src/kshot/methods/__init__.py") + "from .metanet import")
    text = text.replace('    "attention": Attention,\n', '    "attention": Attention,\n' + blocks.pop("METHODS"))
    registry.write_text(text, encoding="utf-8")
    for name, block in blocks.items():
        (tmp_path / name).write_text(block, encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path / 'src'}{os.pathsep}{tmp_path}", "OMP_NUM_THREADS": "1"}

    def run(*command: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", *command], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    for command in commands(PAGE):
        run(*command.split())
    assert (tmp_path / "runs" / "median" / "weights.safetensors").exists()
    assert "median" in run("kshot", "list", "methods")
    passed = run("pytest", "-p", "no:xdist", "-v", "tests/test_median.py", CONTRACT, "-k", "median")
    assert "failed" not in passed
    assert int(passed.split(" passed")[0].split()[-1]) > 10
