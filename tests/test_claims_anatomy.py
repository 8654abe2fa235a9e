"""What the meta-gradients of MAML, first-order MAML and Reptile consist of (Nichol et al. 2018, section 5; float64)."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import permutations

import pytest
import torch
from torch import Tensor

from kshot.functional.anatomy import (
    FORMS,
    SYSTEMS,
    Loss,
    Terms,
    distinct_batches,
    measured,
    order,
    predicted,
    same_batch,
    terms,
)
from support import noise

P = 4


def problems(m: int) -> list[tuple[Tensor, Tensor]]:
    """m quadratics theta.A.theta / 2 - b.theta: A [P, P] positive definite, b [P]."""
    roots = [noise(i, P, P) for i in range(m)]
    return [(r @ r.T / P + torch.eye(P, dtype=torch.float64), noise(50 + i, P)) for i, r in enumerate(roots)]


def quadratics(m: int) -> list[Loss]:
    return [lambda w, A=A, b=b: w @ A @ w / 2 - b @ w for A, b in problems(m)]


def bent(m: int) -> list[Loss]:
    """Losses with third derivatives."""
    return [lambda w, A=A, b=b: w @ A @ w / 2 - b @ w + (w**4).sum() / 12 + torch.sin(w).sum() for A, b in problems(m)]


THETA = noise(9, P)


def derivatives(losses: list[Loss]) -> tuple[list[Tensor], list[Tensor]]:
    """g_i [P] and H_i [P, P] at THETA."""
    g = [torch.func.grad(loss)(THETA) for loss in losses]
    return g, [torch.func.jacrev(torch.func.grad(loss))(THETA) for loss in losses]


def mean(tensors: list[Tensor]) -> Tensor:
    return torch.stack(tensors).mean(0)


def test_the_terms_are_means_over_all_ordered_pairs() -> None:
    losses = bent(4)
    g, H = derivatives(losses)
    found = terms(losses, THETA)
    pairs = list(permutations(range(4), 2))
    torch.testing.assert_close(found.A, mean(g), rtol=1e-12, atol=1e-13)
    torch.testing.assert_close(found.B, mean([H[i] @ g[j] for i, j in pairs]), rtol=1e-12, atol=1e-13)
    torch.testing.assert_close(found.C, mean([H[i] @ g[i] for i in range(4)]), rtol=1e-12, atol=1e-13)
    grads = [torch.func.grad(loss) for loss in losses]
    inner = torch.func.grad(lambda w: sum(grads[i](w) @ grads[j](w) for i, j in pairs) / len(pairs))(THETA)
    torch.testing.assert_close(found.B, inner / 2, rtol=1e-12, atol=1e-13)


def test_on_quadratics_two_batches_are_exact() -> None:
    """FOMAML = A - aB and Reptile = 2A - aB without residual; MAML leaves a^2 mean H_i H_j g_i (all ordered pairs)."""
    losses, alpha = quadratics(3), 0.1
    g, H = derivatives(losses)
    t, found = terms(losses, THETA), distinct_batches(losses, THETA, 0.1, 2)
    torch.testing.assert_close(found["fomaml"][1], t.A - alpha * t.B, rtol=1e-12, atol=1e-13)
    torch.testing.assert_close(found["reptile"][1], 2 * t.A - alpha * t.B, rtol=1e-12, atol=1e-13)
    left = mean([H[i] @ H[j] @ g[i] for i, j in permutations(range(3), 2)])
    torch.testing.assert_close(found["maml"][1], t.A - 2 * alpha * t.B + alpha**2 * left, rtol=1e-12, atol=1e-13)


def slow(losses: list[Loss], alpha: float, k: int, form: str) -> dict[str, Tensor]:
    """The expected meta-gradients in plain loops; MAML through autograd of the whole path."""
    found: dict[str, list[Tensor]] = {s: [] for s in SYSTEMS}
    chosen = permutations(losses, k) if form == "distinct" else ((a,) * k + (b,) for a, b in permutations(losses, 2))
    for batches in chosen:
        start = THETA.clone().requires_grad_()
        w, seen = start, []
        for loss in batches[:-1]:
            seen.append(torch.autograd.grad(loss(w), w, create_graph=True)[0])
            w = w - alpha * seen[-1]
        last = torch.autograd.grad(batches[-1](w), w, create_graph=True)[0]
        found["fomaml"].append(last.detach())
        found["maml"].append(torch.autograd.grad(batches[-1](w), start)[0])
        steps = [*seen, last] if form == "distinct" else seen
        found["reptile"].append(sum(steps, torch.zeros(P).double()).detach())
    return {s: mean(g) for s, g in found.items()}


@pytest.mark.parametrize("form", FORMS)
def test_expected_gradients_in_plain_loops(form: str) -> None:
    losses, alpha = bent(4), 0.07
    found = FORMS[form](losses, THETA, alpha, 3)
    for k in (1, 2, 3):
        for system, g in slow(losses, alpha, k, form).items():
            torch.testing.assert_close(found[system][k - 1], g, rtol=1e-11, atol=1e-12, msg=f"{system} {k}")


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("system", SYSTEMS)
@pytest.mark.parametrize("k", [1, 2, 3, 4])
def test_coefficients_and_the_order_of_what_is_left(form: str, system: str, k: int) -> None:
    """Measured coefficients are those of the theory, and the residual falls with the square of alpha."""
    losses, alphas = bent(4), [1e-4, 2e-4, 4e-4]
    t = terms(losses, THETA)
    found = {a: FORMS[form](losses, THETA, a, k)[system][-1] for a in (-alphas[0], *alphas)}
    wanted = predicted(form, system, k)  # type: ignore[arg-type]
    got, unexplained = measured(found[alphas[0]], found[-alphas[0]], alphas[0], t)
    assert got == pytest.approx(wanted, abs=1e-4)
    assert unexplained < 1e-5
    left = [float((found[a] - t.mixed(wanted, a)).norm()) for a in alphas]
    if wanted[1:] == (0, 0):
        assert max(left) < 1e-13, "one batch and no step: the joint gradient"
    else:
        assert order(alphas, left, 1e-14) == pytest.approx(2, abs=0.02)


def test_full_batch_reptile_follows_its_own_gradients_norm_and_not_b() -> None:
    """nA - n(n-1)/4 a grad mean |g_i|^2: Reptile needs distinct minibatches to make batches agree."""
    losses, alpha, n = bent(3), 1e-5, 3
    t = terms(losses, THETA)
    found = same_batch(losses, THETA, alpha, n)["reptile"][-1]
    norm = torch.func.grad(lambda w: sum(torch.func.grad(loss)(w).square().sum() for loss in losses) / 3)(THETA)
    torch.testing.assert_close(found, n * t.A - n * (n - 1) / 4 * alpha * norm, rtol=0, atol=1e-7)
    with_b = n * t.A - n * (n - 1) / 2 * alpha * t.B
    assert (found - with_b).norm() > 100 * (found - n * t.A + n * (n - 1) / 4 * alpha * norm).norm()


def test_first_order_maml_is_the_next_step_of_sgd() -> None:
    """Its gradient is the plain one at theta_{k-1}, (theta_{k-1} - theta_k) / a of one more step; Reptile sums them."""
    losses, alpha = bent(3), 0.05
    found = distinct_batches(losses, THETA, alpha, 3)
    ends: dict[int, list[Tensor]] = {k: [] for k in range(4)}
    for batches in permutations(losses):
        w = THETA
        ends[0].append(w)
        for k, loss in enumerate(batches, 1):
            w = w - alpha * torch.func.grad(loss)(w)
            ends[k].append(w)
    for k in (1, 2, 3):
        torch.testing.assert_close(found["fomaml"][k - 1], (mean(ends[k - 1]) - mean(ends[k])) / alpha)
        torch.testing.assert_close(found["reptile"][k - 1], (THETA - mean(ends[k])) / alpha)


def descend(loss: Callable[[Tensor], Tensor], k: int, alpha: float = 0.1) -> Tensor:
    w = THETA
    for _ in range(k):
        w = w - alpha * torch.func.grad(loss)(w)
    return w


def test_descending_on_the_mean_loss_is_the_mean_of_descents_only_for_one_hessian() -> None:
    """E[SGD(L, k)] = SGD(E[L], k) for k = 1, and for quadratics that share a Hessian; otherwise not."""
    A = problems(1)[0][0]
    shared = [lambda w, b=b: w @ A @ w / 2 - b @ w for _, b in problems(3)]
    for losses, k, same in ((bent(3), 1, True), (shared, 3, True), (quadratics(3), 2, False)):
        gap = mean([descend(loss, k) for loss in losses]) - descend(lambda w, ls=losses: sum(f(w) for f in ls) / 3, k)
        assert bool(gap.norm() < 1e-12) is same


def test_measuring_tells_b_from_c() -> None:
    t = Terms(noise(0, P), noise(1, P), noise(2, P))
    mixed = (1.5, -3.0, 0.25)
    got, unexplained = measured(t.mixed(mixed, 0.1), t.mixed(mixed, -0.1), 0.1, t)
    assert got == pytest.approx(mixed)
    assert unexplained < 1e-12
    stray = 0.1 * noise(3, P)
    assert measured(t.mixed(mixed, 0.1) + stray, t.mixed(mixed, -0.1) - stray, 0.1, t)[1] > 0.05


def test_the_order_is_a_slope_of_what_lies_above_rounding() -> None:
    alphas = [1e-3, 1e-2, 1e-1]
    assert order(alphas, [3 * a**2 for a in alphas], 0) == pytest.approx(2)
    assert order(alphas, [1e-16, 1e-3, 1e-2], 1e-13) == pytest.approx(1)
    assert order(alphas, [1e-6, 1e-4, 1e-3], 0, first=2) == pytest.approx(2)
    assert math.isnan(order(alphas, [0.0, 1e-16, 1e-2], 1e-13))
