"""Randomness of modules that use torch's global generator (dropout of a user's backbone), as a function of the step."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from . import distributed


@contextmanager
def step_randomness(seed: int, step: int, device: torch.device) -> Iterator[None]:
    """Within, the global generators depend on (seed, step, process) alone; afterwards they are as they were.

    So a training with dropout resumes bit by bit too, and leaves no trace on the program around it.
    """
    generators = [torch.default_generator]
    if device.type == "cuda":
        index = torch.cuda.current_device() if device.index is None else device.index
        generators.append(torch.cuda.default_generators[index])
    states = [generator.get_state() for generator in generators]
    try:
        for generator in generators:
            generator.manual_seed((seed << 40 ^ step * distributed.world() + distributed.rank()) & (2**63 - 1))
        yield
    finally:
        for generator, state in zip(generators, states):
            generator.set_state(state)
