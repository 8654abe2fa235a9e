"""One library at one work, in its own process and environment; started and asked by beside_peers.py.

Reads lines from standard input (`first FILE`, `round N`, `end`) and answers each with one line of JSON.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import torch

from works.common import Running

warnings.simplefilter("ignore")


def memory(field: str) -> float:
    """VmRSS (now) or VmHWM (the peak) of this process in MB, by the operating system."""
    line = next(x for x in Path("/proc/self/status").read_text().splitlines() if x.startswith(field))
    return int(line.split()[1]) / 1024


def forget_peak() -> None:
    """Let the peak start anew from now, where the operating system can."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return


def gradient_of(running: Running) -> list[torch.Tensor]:
    """The meta-gradient, in the order that all libraries share."""
    return [p.grad.detach().cpu().double().contiguous() for p in running.parameters if p.grad is not None]


def main() -> None:
    """Build, then answer."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--module", required=True)
    parser.add_argument("--library", required=True)
    parser.add_argument("--variant", default="")
    parser.add_argument("--kind", required=True, type=json.loads)
    parser.add_argument("--start")
    parser.add_argument("--threads", type=int, default=2)
    asked = parser.parse_args()
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print goes to standard error

    def answer(**values: Any) -> None:
        answers.write(json.dumps(values) + "\n")
        answers.flush()

    torch.set_num_threads(asked.threads)
    built = importlib.import_module(f"works.{asked.module}").build(
        asked.kind, asked.library, asked.variant, asked.start
    )
    before, built_mb = memory("VmRSS"), memory("VmHWM")
    forget_peak()
    device = "cpu"
    if torch.cuda.is_initialized():
        torch.cuda.reset_peak_memory_stats()
        device = f"cuda ({torch.cuda.get_device_name()})"
    answer(device=device, torch=torch.__version__, note=built.note)
    for line in sys.stdin:
        word, _, rest = line.strip().partition(" ")
        if word == "first":
            began = time.perf_counter()
            first = built.first()
            taken = time.perf_counter() - began
            torch.save(gradient_of(built), rest)
            answer(first=first, seconds=taken)
        elif word == "round":
            answer(seconds=built.seconds(int(rest)))
        else:
            gpu = torch.cuda.max_memory_allocated() / 2**20 if torch.cuda.is_initialized() else None
            answer(peak_mb=memory("VmHWM"), before_mb=before, built_mb=built_mb, gpu_mb=gpu)
            return


if __name__ == "__main__":
    main()
