"""Claims about full context embeddings (Vinyals et al. 2016, section 2.1.2 and appendix A), in double precision."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from kshot.errors import UserError
from kshot.functional.context import lstm_outputs, query_context, read, support_context
from kshot.methods import MatchingFCE
from kshot.tasks import Tasks
from support import image_tasks, noise, outputs, small_method

T, S, Q, D = 2, 5, 3, 4


def gates(seed: int, inputs: int) -> tuple[Tensor, Tensor]:
    """Random weight [4D, inputs] and bias [4D]."""
    return noise(seed, 4 * D, inputs) / 2, noise(seed + 50, 4 * D)


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def lstm_by_hand(x: list[float], c: list[float], gates: tuple[Tensor, Tensor]) -> tuple[list[float], list[float]]:
    """One step from all its inputs (x, h, ...), unit by unit: input, forget, output gate, candidate."""
    W, b = gates
    z = [float(b[j]) + sum(float(W[j, k]) * x[k] for k in range(len(x))) for j in range(4 * D)]
    new = [sigmoid(z[D + d]) * c[d] + sigmoid(z[d]) * math.tanh(z[3 * D + d]) for d in range(D)]
    return [sigmoid(z[2 * D + d]) * math.tanh(new[d]) for d in range(D)], new


def test_the_support_context_in_plain_loops() -> None:
    x, forwards, backwards = noise(0, T, S, D), gates(1, 2 * D), gates(2, 2 * D)
    out = support_context(x, forwards, backwards)
    for t in range(T):
        expected = x[t].tolist()
        for order, weights in ((range(S), forwards), (range(S - 1, -1, -1), backwards)):
            h, c = [0.0] * D, [0.0] * D
            for i in order:
                h, c = lstm_by_hand(x[t, i].tolist() + h, c, weights)
                expected[i] = [e + v for e, v in zip(expected[i], h)]
        torch.testing.assert_close(out[t], torch.tensor(expected, dtype=torch.float64), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("reads", [0, 1, 3])
def test_the_query_context_in_plain_loops(reads: int) -> None:
    f, g, weights = noise(0, T, Q, D), noise(1, T, S, D), gates(2, 3 * D)
    out = query_context(f, g, weights, reads)
    for t in range(T):
        for q in range(Q):
            x = f[t, q].tolist()
            h, c = x, [0.0] * D
            for _ in range(reads):
                dots = [sum(h[d] * float(g[t, s, d]) for d in range(D)) for s in range(S)]
                a = [math.exp(v) / sum(math.exp(u) for u in dots) for v in dots]
                r = [sum(a[s] * float(g[t, s, d]) for s in range(S)) for d in range(D)]
                change, c = lstm_by_hand(x + h + r, c, weights)
                h = [change[d] + x[d] for d in range(D)]
            torch.testing.assert_close(out[t, q], torch.tensor(h, dtype=torch.float64), rtol=1e-10, atol=1e-12)


def test_the_lstm_is_torchs() -> None:
    """Whose gates stand in another order: input, forget, candidate, output."""
    x, (W, b) = noise(0, T, S, D), gates(1, 2 * D)
    peer = torch.nn.LSTM(D, D, batch_first=True, device="meta").to_empty(device="cpu").double()
    rows = torch.cat([torch.arange(2 * D), torch.arange(3 * D, 4 * D), torch.arange(2 * D, 3 * D)])
    with torch.no_grad():
        peer.weight_ih_l0.copy_(W[rows, :D])
        peer.weight_hh_l0.copy_(W[rows, D:])
        peer.bias_ih_l0.copy_(b[rows])
        peer.bias_hh_l0.zero_()
    torch.testing.assert_close(lstm_outputs(x, (W, b)), peer(x)[0], rtol=1e-10, atol=1e-12)


def test_without_lstm_weights_the_contexts_are_the_features() -> None:
    """All weights and biases zero: g(x_i, S) = g'(x_i) and f(x, S) = f'(x), bit by bit."""
    x, q = noise(0, T, S, D), noise(1, T, Q, D)
    two, three = ((torch.zeros(4 * D, n * D).double(), torch.zeros(4 * D).double()) for n in (2, 3))
    assert torch.equal(support_context(x, two, two), x)
    assert torch.equal(query_context(q, x, three, 4), q)


def test_no_reads_is_the_simple_matching_network() -> None:
    tasks = image_tasks(0)
    assert torch.equal(outputs(small_method("matching-fce", reads=0), tasks), outputs(small_method("matching"), tasks))
    names = (n for n, _ in small_method("matching-fce", reads=0).named_parameters())
    assert list(names) == [n for n, _ in small_method("matching").named_parameters()]


def test_zero_lstms_are_the_simple_matching_network() -> None:
    tasks, model = image_tasks(0), small_method("matching-fce")
    assert isinstance(model, MatchingFCE)
    assert not torch.allclose(outputs(model, tasks), outputs(small_method("matching"), tasks))
    for layer in (model.forwards, model.backwards, model.reader):
        torch.nn.init.zeros_(layer.weight)
    assert torch.equal(outputs(model, tasks), outputs(small_method("matching"), tasks))


def test_a_read_is_a_mixture_of_the_support_set() -> None:
    g, h = noise(0, T, S, D), noise(1, T, Q, D)
    torch.testing.assert_close(read(h, torch.ones_like(g)), torch.ones_like(h))
    nearest = read(1e4 * h, g)
    best = (h @ g.transpose(-1, -2)).argmax(-1)
    torch.testing.assert_close(nearest, g.gather(1, best[..., None].expand(-1, -1, D)))


def test_the_order_of_the_support_set_matters_and_with_simple_matching_it_does_not() -> None:
    """A bidirectional LSTM reads in order (a shortcoming that the paper names); the method says so of itself."""
    tasks = image_tasks(1)
    flipped = Tasks(tasks.xs.flip(1), tasks.ys.flip(1), tasks.xq, tasks.yq, tasks.classes, tasks.indices)
    fce, none = small_method("matching-fce"), small_method("matching-fce", reads=0)
    assert fce.about.support_order
    assert not torch.allclose(outputs(fce, tasks), outputs(fce, flipped))
    torch.testing.assert_close(outputs(none, tasks), outputs(none, flipped), rtol=1e-9, atol=1e-12)


def test_probabilities_sum_to_one() -> None:
    p = outputs(small_method("matching-fce"), image_tasks(2)).exp()
    torch.testing.assert_close(p.sum(-1), torch.ones_like(p[..., 0]))


def test_the_whole_is_differentiable() -> None:
    """Gradients of contexts and reads, by finite differences."""
    x, q = noise(0, 1, 3, 2).requires_grad_(), noise(1, 1, 2, 2).requires_grad_()
    two, three = (noise(i, 8, i * 2).requires_grad_() for i in (2, 3))
    bias = noise(4, 8).requires_grad_()

    def contexts(x: Tensor, q: Tensor, two: Tensor, three: Tensor, bias: Tensor) -> Tensor:
        g = support_context(x, (two, bias), (two, bias))
        return F.normalize(query_context(q, g, (three, bias), 2), dim=-1)

    assert torch.autograd.gradcheck(contexts, (x, q, two, three, bias))


def test_reads_are_counted() -> None:
    with pytest.raises(UserError, match="reads must be at least 0; got -1"):
        small_method("matching-fce", reads=-1)
