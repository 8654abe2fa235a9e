"""Identities of ridge regression and of the heads built on it (float64)."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from kshot.errors import UserError
from kshot.functional.prototypes import class_means
from kshot.functional.ridge import dual, primal, ridge
from kshot.methods import R2D2
from kshot.methods.metric import Embedded
from support import image_tasks, noise, outputs, small_method

T, N, K, Q = 2, 3, 2, 4
S = N * K
FEW, MANY = 4, 9  # features: fewer and more than the S = 6 examples


def support(D: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Features [T, S, D], and labels [T, S] in mixed order."""
    ys = torch.stack([torch.randperm(S, generator=torch.Generator().manual_seed(t)) % N for t in range(T)])
    return noise(seed, T, S, D), ys


def r2d2(**options: float) -> R2D2:
    return R2D2(torch.nn.Flatten(), **options).double()


def logits(model: R2D2, x: Tensor, ys: Tensor, q: Tensor) -> Tensor:
    return model.score(Embedded(x, ys, N), q).detach()


@pytest.mark.parametrize("D", [FEW, S, MANY])
def test_primal_is_dual(D: int) -> None:
    """(X'X + lambda I)^-1 X' = X' (XX' + lambda I)^-1 (Woodbury)."""
    x, y = support(D)[0], noise(1, T, S, N)
    for lam in (1e-3, 1.0, 50.0):
        torch.testing.assert_close(primal(x, y, lam), dual(x, y, lam), rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("D", [FEW, MANY])
def test_r2d2_in_plain_loops(D: int) -> None:
    """One task, one label at a time, by least squares on [X; sqrt(lambda) I] and [y; 0]."""
    x, ys = support(D)
    q, lam, alpha = noise(2, T, Q, D), 0.7, 3.0
    out = logits(r2d2(lam=lam, scale=alpha), x, ys, q)
    for t in range(T):
        for n in range(N):
            rows = np.vstack([x[t].numpy(), math.sqrt(lam) * np.eye(D)])
            target = [1.0 if ys[t, s] == n else 0.0 for s in range(S)] + [0.0] * D
            w = np.linalg.lstsq(rows, np.array(target), rcond=None)[0]
            for i in range(Q):
                expected = alpha * sum(float(q[t, i, d]) * w[d] for d in range(D))
                assert float(out[t, i, n]) == pytest.approx(expected, rel=1e-6, abs=1e-7)  # lambda is a float32


def test_a_vanishing_lambda_fits_the_examples() -> None:
    """As many features as examples or more: X W = Y."""
    for D in (S, MANY):
        x, ys = support(D)
        fit = x @ ridge(x, F.one_hot(ys, N), 1e-12)
        torch.testing.assert_close(fit, F.one_hot(ys, N).double(), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("D", [FEW, MANY])
def test_a_large_lambda_leaves_the_class_means(D: int) -> None:
    """lambda * logits -> K * (query . class mean)."""
    x, ys = support(D)
    q, lam = noise(2, T, Q, D), 1e9
    found = lam * (q @ ridge(x, F.one_hot(ys, N), lam))
    torch.testing.assert_close(found, K * q @ class_means(x, ys, N).transpose(-1, -2), rtol=1e-6, atol=1e-6)


def test_turning_the_features_changes_nothing() -> None:
    x, ys = support(MANY)
    q, turn = noise(2, T, Q, MANY), torch.linalg.qr(noise(9, MANY, MANY)).Q
    torch.testing.assert_close(logits(r2d2(), x @ turn, ys, q @ turn), logits(r2d2(), x, ys, q))


def test_the_bias_is_in_the_logits_and_not_in_the_probabilities() -> None:
    """beta is one number for all classes: the softmax does not see it."""
    x, ys = support(MANY)
    q, model = noise(2, T, Q, MANY), r2d2()
    before = logits(model, x, ys, q)
    torch.nn.init.constant_(model.bias, 5.0)
    torch.testing.assert_close(logits(model, x, ys, q), before + 5)
    torch.testing.assert_close(logits(model, x, ys, q).softmax(-1), before.softmax(-1))


def test_the_gradient_goes_through_the_solution() -> None:
    """Of lambda, alpha and the encoder, by finite differences."""
    for D in (FEW, MANY):
        x, q, lam = noise(0, 1, S, D), noise(2, 1, Q, D), torch.tensor(0.3, dtype=torch.float64)
        y = F.one_hot(torch.arange(S) % N, N)[None]
        inputs = [t.requires_grad_() for t in (x, lam)]
        assert torch.autograd.gradcheck(lambda x, lam, q=q, y=y: q @ ridge(x, y, lam), inputs)


def test_training_changes_lambda_and_scale_unless_told_not_to() -> None:
    tasks = image_tasks(0)
    learned, fixed = small_method("r2d2"), small_method("r2d2", learn_lam=False, learn_scale=False)
    for method in (learned, fixed):
        method.train().meta_step(tasks)
    assert float(learned.log_lam.grad) != 0
    assert float(learned.scale.grad) != 0
    assert fixed.log_lam.grad is None
    assert fixed.scale.grad is None


def test_any_way_and_shot() -> None:
    tasks = image_tasks(0, way=5, shot=3)
    assert outputs(small_method("r2d2"), tasks).shape == (*tasks.yq.shape, 5)


def test_lambda_must_be_positive() -> None:
    with pytest.raises(UserError, match=r"lam must be greater than 0.*got 0\.0"):
        small_method("r2d2", lam=0.0)
