"""How the learning rate changes: pure functions of the step to a factor in 0..1."""

from __future__ import annotations

import math
from collections.abc import Callable

from ..errors import UserError, unknown

Factor = Callable[[int], float]


def constant() -> Factor:
    """1 for ever."""
    return lambda step: 1.0


def step_decay(every: int, factor: float) -> Factor:
    """factor ** (step // every): Snell et al. 2017 halve the rate every 2,000 episodes."""
    if every < 1:
        raise UserError(f"the step schedule needs decay_every of at least 1 step; got {every}")
    return lambda step: factor ** (step // every)


def linear(steps: int) -> Factor:
    """From 1 at step 0 straight to 0 at `steps`."""
    return lambda step: max(0.0, 1.0 - step / max(1, steps))


def cosine(steps: int) -> Factor:
    """Half a cosine from 1 at step 0 to 0 at `steps` (Loshchilov & Hutter 2017, without restarts)."""
    return lambda step: 0.5 * (1.0 + math.cos(math.pi * min(1.0, step / max(1, steps))))


def with_warmup(factor: Factor, warmup: int) -> Factor:
    """Linear growth over the first `warmup` steps, then `factor`, whose step 0 is step `warmup`."""
    return lambda step: (step + 1) / (warmup + 1) if step < warmup else factor(step - warmup)


SCHEDULES = ("constant", "step", "cosine", "linear")


def build_schedule(
    name: str, steps: int, *, warmup: int = 0, decay_every: int | None = None, decay_factor: float = 0.5
) -> Factor:
    """The schedule of that name for a training of `steps` steps.

    Args:
        name: constant, step, cosine or linear.
        steps: of the whole training, the warmup included.
        warmup: steps of linear growth before it.
        decay_every, decay_factor: of the step schedule; by default the rate is halved after each third of the training.
    """
    if name not in SCHEDULES:
        raise unknown("schedule", name, SCHEDULES)
    if not 0 <= warmup < max(steps, 1):
        raise UserError(f"warmup must be at least 0 and less than the {steps} steps of the training; got {warmup}")
    rest = steps - warmup
    every = decay_every if decay_every is not None else max(1, -(-rest // 3))
    made = {
        "constant": constant,
        "step": lambda: step_decay(every, decay_factor),
        "cosine": lambda: cosine(rest),
        "linear": lambda: linear(rest),
    }[name]()
    return with_warmup(made, warmup) if warmup else made
