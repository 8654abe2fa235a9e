"""What is chosen before the first step: the engine, and whether compiling pays."""

from __future__ import annotations

import copy
import logging
import os
import shutil
import time
from typing import Any

import torch

from ..cache import cache_dir, remember, remembered
from ..errors import UserError
from ..functional.memory import keep_memory
from ..methods.base import Method
from ..methods.tuning import device_name
from ..tasks import Tasks, TaskSource
from . import distributed
from .settings import Settings

LOG = logging.getLogger("kshot")
# Seconds of compiling and the gain of the compiled step, where they were never measured. A step of less than SMALL
# seconds is bound by the calls of its operations, which compiling spares.
SMALL, SMALL_GUESS, GUESS = 0.01, (30.0, 2.0), (60.0, 1.3)
MARGIN = 1.2  # compiling has to save so many times what it costs


def prepare(method: Method, source: TaskSource, settings: Settings, before: dict[str, Any]) -> Settings:
    """Make a method ready for a training, in place: its device, other runs, its engine, and compiled if that pays.

    Args:
        before: config.yaml of the run that goes on, whose choices are kept; empty for a new run.

    Returns:
        the settings, with `compile` as it was decided.
    """
    from .run import load_run

    keep_memory()
    method.to(settings.device)
    method.equip(lambda folder: load_run(folder, settings.device).method)
    engine, compiles = before.get("options", {}).get("engine"), before.get("training", {}).get("compile")
    if method.engine == "auto" and engine:
        method.engine = str(engine)
    if method.engine == "auto" or (settings.compile and compiles is None):
        training = method.training
        method.train()
        tasks = source.batch(distributed.share(range(settings.tasks))).to(settings.device)
        if distributed.rank() == 0:
            method.tune(tasks)
        if method.engine:
            method.engine = distributed.first(method.engine)
        if settings.compile and compiles is None:
            compiles = distributed.first(str(decide(method, tasks, settings.steps))) == "True"
        method.train(training)
    method.compiled = settings.compile and bool(compiles)
    return settings.with_compile(method.compiled)


def decide(method: Method, tasks: Tasks, steps: int) -> bool:
    """Whether compiled steps make a training of so many steps shorter, compiling included; tried if it seems so.

    A short training is never compiled; one whose compiled step turns out no faster goes on without.
    """
    check_compiler(tasks)
    key = {
        "method": type(method).__name__,
        "engine": method.engine,
        "modules": [f"{type(m).__name__} {m.extra_repr()}" for m in method.modules()],
        "tasks": [[str(t.dtype), *t.shape] for t in (tasks.xs, tasks.xq)],
        "device": device_name(tasks.xs.device),
        "threads": torch.get_num_threads(),
        "torch": str(torch.__version__),
    }
    probe = copy.deepcopy(method)
    probe.record_now()
    seconds(probe, tasks)
    plain = min(seconds(probe, tasks) for _ in range(2))
    known = remembered("compiled", key)
    cost, gain = (known["seconds"], known["gain"]) if known else SMALL_GUESS if plain < SMALL else GUESS
    saved = steps * plain * (1 - 1 / max(gain, 1e-9))
    if saved < MARGIN * cost:
        LOG.info("not compiled: it would take about %.0f s and save about %.0f s of %.0f s", cost, saved, steps * plain)
        return False
    os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(cache_dir() / "inductor"))
    LOG.info("compiling (once for these shapes; about %.0f s) ...", cost)
    probe.compiled = True
    cost = seconds(probe, tasks)
    quick = min(seconds(probe, tasks) for _ in range(3))
    remember("compiled", key, {"seconds": cost, "gain": plain / quick})
    LOG.info("compiled in %.0f s: a step takes %.3g ms instead of %.3g", cost, 1e3 * quick, 1e3 * plain)
    if quick >= plain:
        return False
    method.programs.update(probe.programs)
    return True


def seconds(method: Method, tasks: Tasks) -> float:
    """Seconds of one meta-step."""
    cuda = tasks.xs.is_cuda
    began = time.perf_counter()
    method.zero_grad()
    method.meta_step(tasks)
    if cuda:
        torch.cuda.synchronize(tasks.xs.device)
    return time.perf_counter() - began


def check_compiler(tasks: Tasks) -> None:
    """Compiling for a processor needs a C++ compiler."""
    if not tasks.xs.is_cuda and not any(shutil.which(c) for c in (os.environ.get("CXX", "g++"), "g++", "clang++")):
        raise UserError(
            "compile needs a C++ compiler (g++ or clang++), and none was found. Install one (Debian: the package g++), "
            "or train without --compile"
        )
