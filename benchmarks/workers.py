"""Processes that work, each in the environment of its library; see worker.py for what runs in them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from works.plan import Entry, Work

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
OURS = ("THP_MEM_ALLOC_ENABLE", "GOMP_SPINCOUNT")  # what importing kshot sets here; a peer's user would not have it
LENT = os.environ.get("KSHOT_BENCH_LENT") == "1"  # run the peers' packages with this interpreter


def works_here(library: str) -> bool:
    """Whether a library's environment is there, and the library could be imported in it."""
    known = library == "kshot" or (ROOT / ".bench" / library).is_dir()
    return known and python_of(library).exists() and not (ROOT / ".bench" / library / "failed.txt").exists()


class Failed(Exception):
    """A worker that ended with an error; holds its last words."""


def python_of(library: str) -> Path:
    """The interpreter of a library's environment."""
    return Path(sys.executable) if library == "kshot" or LENT else ROOT / ".bench" / library / "bin" / "python"


def environment_of(library: str, threads: int, *, hide_gpus: bool) -> dict[str, str]:
    """Environment variables of a worker; with KSHOT_BENCH_LENT=1, this interpreter borrows the peer's packages."""
    found = {k: v for k, v in os.environ.items() if library == "kshot" or k not in OURS}
    found["OMP_NUM_THREADS"] = str(threads)
    if hide_gpus:
        found["CUDA_VISIBLE_DEVICES"] = ""
    if LENT and library != "kshot":
        packages = next((ROOT / ".bench" / library / "lib").glob("python*")) / "site-packages"
        found["PYTHONPATH"] = os.pathsep.join([str(packages), os.environ.get("PYTHONPATH", "")])
    return found


class Worker:
    """A process of worker.py, after its first step."""

    def __init__(self, entry: Entry, variant: str, work: Work, folder: Path, threads: int) -> None:
        self.entry, self.variant = entry, variant
        self.taken: list[float] = []
        self.trials: dict[str, float] = {}
        self.differs = ""
        self.words = tempfile.TemporaryFile("w+")  # noqa: SIM115 - lives as long as the worker
        command = [str(python_of(entry.library)), str(HERE / "worker.py"), "--module", entry.module]
        command += ["--library", entry.library, "--variant", variant, "--start", str(folder / "start.pt")]
        command += ["--kind", json.dumps({**work.kind, **entry.change}), "--threads", str(threads)]
        environment = environment_of(entry.library, threads, hide_gpus="device" not in work.kind)
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.words, text=True, env=environment
        )
        self.ready = self.listen()
        told = self.ask(f"first {folder / 'gradient.pt'}")
        self.first, self.first_seconds = float(told["first"]), float(told["seconds"])
        self.gradient: list[Tensor] = torch.load(folder / "gradient.pt")

    def difference(self, other: Worker, tolerance: float) -> str:
        """What differs from another's first loss and gradient; empty if nothing does."""
        if abs(self.first - other.first) > tolerance * abs(other.first):  # false if there is none (NaN)
            return f"first loss {self.first:.7g}, not {other.first:.7g}"
        whole = torch.stack([g.norm() for g in other.gradient] or [torch.zeros(())]).norm()
        for mine, expected in zip(self.gradient, other.gradient, strict=True):
            off = float((mine - expected).norm() / expected.norm().clamp(min=1e-3 * float(whole)))
            if not off <= tolerance:
                return f"the gradient of a parameter {tuple(expected.shape)} is off by {off:.1e}"
        return ""

    def listen(self) -> dict[str, Any]:
        """One answer."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            self.process.wait()
            self.words.seek(0)
            lines = [x for x in self.words.read().splitlines() if x.strip()] or [f"exit {self.process.returncode}"]
            raise Failed(f"{self.entry.name} {self.variant}: {lines[-1]}")
        return dict(json.loads(line))

    def ask(self, words: str) -> dict[str, Any]:
        """One question, one answer."""
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(words + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass  # listen() says why
        return self.listen()

    def round(self, steps: int) -> float:
        """The seconds of a step."""
        return float(self.ask(f"round {steps}")["seconds"])

    def end(self) -> dict[str, Any]:
        """Stop the process; its peak memory."""
        if self.process.poll() is not None:
            return {}
        told = self.ask("end")
        self.process.wait()
        return told
