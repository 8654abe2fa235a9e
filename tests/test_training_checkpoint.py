"""Files are whole or absent, hold tensors and JSON alone, and give an optimiser its state back."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from torch import nn

from kshot.backbones.init import linear_layer
from kshot.errors import UserError
from kshot.evaluation import files
from kshot.functional import random
from kshot.training.checkpoint import load_into, load_note, load_tensors, save_tensors
from kshot.training.optimisers import OPTIMIZERS, build_optimizer, optimizer_tensors, restore_optimizer


def test_tensors_and_note_come_back(tmp_path: Path) -> None:
    shared = torch.randn(3, 4, generator=torch.Generator().manual_seed(0))
    tensors = {"a": shared, "b": shared, "t": shared.t(), "n": torch.tensor(7), "flag": torch.tensor([True, False])}
    save_tensors(tmp_path / "x.safetensors", tensors, {"step": 3, "reason": "", "best": None})
    found, note = load_tensors(tmp_path / "x.safetensors")
    assert found.keys() == tensors.keys()
    assert all(torch.equal(found[k], tensors[k]) for k in tensors)
    assert note == load_note(tmp_path / "x.safetensors") == {"step": 3, "reason": "", "best": None}


def test_equal_contents_are_equal_bytes(tmp_path: Path) -> None:
    a, b = torch.arange(3.0), torch.eye(2)
    save_tensors(tmp_path / "1", {"a": a, "b": b}, {"x": 1, "y": 2})
    save_tensors(tmp_path / "2", {"b": b, "a": a}, {"y": 2, "x": 1})
    assert (tmp_path / "1").read_bytes() == (tmp_path / "2").read_bytes()


def test_a_failed_writing_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x"
    files.write_whole(path, b"old")

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        files.write_whole(path, b"new and longer")
    assert path.read_bytes() == b"old"


@pytest.mark.parametrize("content", [b"", b"half a fi", b"\x80\x04K\x01."], ids=["empty", "torn", "pickle"])
def test_a_broken_file_is_named(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "last.safetensors").write_bytes(content)
    for read in (load_tensors, load_note):
        with pytest.raises(UserError, match=r"last\.safetensors is not a whole safetensors file"):
            read(tmp_path / "last.safetensors")


def test_weights_of_another_model_are_refused() -> None:
    with pytest.raises(UserError, match=r"run/weights does not fit(.|\n)*size mismatch for weight"):
        load_into(linear_layer(2, 3, seed=0), linear_layer(3, 3, seed=0).state_dict(), "run/weights")


@pytest.mark.parametrize(("name", "momentum"), [*((name, 0.0) for name in OPTIMIZERS), ("sgd", 0.9)])
def test_an_optimiser_goes_on_bit_by_bit(name: str, momentum: float) -> None:
    """Also where a parameter never had a gradient, and for weights in another memory layout."""
    draw = torch.Generator().manual_seed(0)

    def step(optimizer: torch.optim.Optimizer, weights: list[nn.Parameter], i: int) -> None:
        generator = torch.Generator().manual_seed(i)
        for weight in weights[:2]:
            weight.grad = torch.randn(weight.shape, generator=generator)
        optimizer.step()

    first = [torch.randn(4, 3, 2, 2, generator=draw), torch.randn(5, generator=draw), torch.randn(2, generator=draw)]
    a = [nn.Parameter(w.clone()) for w in first]
    a[0].data = a[0].data.to(memory_format=torch.channels_last)
    whole = build_optimizer(name, a, lr=0.1, weight_decay=0.01, momentum=momentum)
    for i in range(3):
        step(whole, a, i)
    stored = {k: t.clone(memory_format=torch.contiguous_format) for k, t in optimizer_tensors(whole).items()}
    b = [nn.Parameter(w.detach().clone()) for w in a]
    resumed = build_optimizer(name, b, lr=0.1, weight_decay=0.01, momentum=momentum)
    restore_optimizer(resumed, stored)
    for i in range(3, 6):
        step(whole, a, i)
        step(resumed, b, i)
    assert all(torch.equal(x, y) for x, y in zip(a, b))
    assert optimizer_tensors(whole).keys() == optimizer_tensors(resumed).keys()
    if name != "sgd" or momentum:
        assert stored


@pytest.mark.parametrize("name", ["adam", "adamw"])
def test_steps_are_those_of_the_textbook_however_gradients_lie_in_memory(name: str) -> None:
    """Kingma & Ba 2015, algorithm 1; Loshchilov & Hutter 2019, algorithm 2."""
    start = random.normal(random.keys(0, torch.tensor(0), "weights"), 4, 3, 3, 3).double()
    weight = nn.Parameter(start.clone(memory_format=torch.channels_last))
    optimizer = build_optimizer(name, [weight], lr=0.1, weight_decay=0.01)
    theta, m, v = start.clone(), torch.zeros_like(start), torch.zeros_like(start)
    for t in range(1, 4):
        g = random.normal(random.keys(0, torch.tensor(t), "gradient"), 4, 3, 3, 3).double()
        weight.grad = g if t > 1 else g.to(memory_format=torch.channels_last)
        optimizer.step()
        if name == "adam":
            g = g + 0.01 * theta
        else:
            theta = theta - 0.1 * 0.01 * theta
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
        theta = theta - 0.1 * (m / (1 - 0.9**t)) / ((v / (1 - 0.999**t)).sqrt() + 1e-8)
        torch.testing.assert_close(weight.detach(), theta)


def test_unknown_optimiser_offers_the_nearest() -> None:
    with pytest.raises(UserError, match="did you mean 'adamw'"):
        build_optimizer("adamww", [], lr=0.1)
