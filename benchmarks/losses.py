"""The losses of the first steps of one library at one work, as a JSON list; run in the environment of that library."""

from __future__ import annotations

import argparse
import importlib
import json
import os
import warnings

import torch

warnings.simplefilter("ignore")


def main() -> None:
    """Build, take the steps, print the losses."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--module", required=True)
    parser.add_argument("--library", required=True)
    parser.add_argument("--variant", default="")
    parser.add_argument("--kind", required=True, type=json.loads)
    parser.add_argument("--start")
    parser.add_argument("--steps", type=int, default=3)
    asked = parser.parse_args()
    answer = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print goes to standard error
    torch.set_num_threads(1)
    module = importlib.import_module(f"works.{asked.module}")
    built = module.build(asked.kind, asked.library, asked.variant, asked.start)
    with answer:
        answer.write(json.dumps([built.step() for _ in range(asked.steps)]))


if __name__ == "__main__":
    main()
