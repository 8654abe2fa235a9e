"""Compiled recordings: the same as those that are not, to rounding."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
import torch
from torch import Tensor, fx

from kshot.functional import compiling
from kshot.functional.recording import Unrecordable, record
from kshot.methods import MAML
from support import Noisy, compiler, image_tasks, its_own_warning

pytestmark = [compiler, its_own_warning]


@pytest.fixture(autouse=True)
def _an_empty_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))


def f(p: Tensor, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """A product that is added with a factor, which the compiler gets wrong (torch 2.13); constants; changed memory."""
    filled = torch.zeros(3, 4).add_(torch.tensor([1.0, 2.0, 3.0, 4.0]))
    filled[0].mul_(2)
    return torch.add(p, a @ b, alpha=-0.25), filled * p


def operands() -> tuple[Tensor, Tensor, Tensor]:
    g = torch.Generator().manual_seed(0)
    return torch.randn(3, 4, generator=g), torch.randn(3, 6, generator=g), torch.randn(6, 4, generator=g)


def test_compiled_recordings_have_the_same_results_for_every_layout() -> None:
    p, a, b = operands()
    fast = record(f, p, a, b, threads=1)
    for args in ((p, a, b), (p.t().contiguous().t(), -a, 2 * b)):
        for x, y in zip(fast(*args), f(*args)):
            torch.testing.assert_close(x, y)


def test_a_compiler_that_errs_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = fx.symbolic_trace(lambda p, a, b: [p, p])
    monkeypatch.setattr(compiling, "graph", lambda notes, results: wrong)
    with pytest.raises(Unrecordable, match="compiled, it has other results"):
        record(f, *operands(), threads=1)


def test_what_cannot_be_recorded_is_not_compiled_and_the_user_is_told(caplog: pytest.LogCaptureFixture) -> None:
    method = MAML(Noisy(), input_shape=(1, 16, 16), way=3, engine="loop").double().train()
    method.compiled = True
    with torch.random.fork_rng(devices=[]), caplog.at_level(logging.INFO, "kshot"):
        method.meta_step(image_tasks(0, T=2))
    assert "the steps are not compiled: it draws random numbers" in caplog.messages
    assert next(method.parameters()).grad is not None
