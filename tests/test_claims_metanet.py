"""Identities of meta networks (float64)."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from kshot.functional.fast_weights import affine, augmented, contrastive, example_gradients, read, verification_pairs
from kshot.methods import MetaNet
from kshot.methods.metanet import Memory
from kshot.methods.metric import Embedded
from support import WAY, image_tasks, noise, outputs, small_method


def test_without_fast_weights_a_layer_is_its_slow_self() -> None:
    slow, x = noise(0, 4, 6), noise(1, 2, 7, 5)
    fast = noise(2, 2, 4, 6)
    torch.testing.assert_close(
        augmented(slow, torch.zeros_like(fast), x), F.linear(x, slow[:, :-1], slow[:, -1]).relu()
    )
    both = [F.linear(x[t], w[:, :-1], w[:, -1]).relu() for t in range(2) for w in (slow, fast[t])]
    torch.testing.assert_close(augmented(slow, fast, x), torch.stack([both[0] + both[1], both[2] + both[3]]))


def test_with_an_empty_memory_the_network_is_the_slow_one() -> None:
    method, features = small_method("metanet"), noise(3, 2, 6, 4)
    zeros = torch.zeros(2, 1, sum(w.numel() for w in method.base.values())).double()
    memory = Memory(noise(4, 2, 1, 5), zeros, torch.zeros(2, *method.embedding.shape).double())
    h = affine(method.base["hidden"], affine(method.embedding, features).relu()).relu()
    torch.testing.assert_close(method.answer(memory, features), affine(method.base["output"], h))


def test_reading() -> None:
    """Rows that are alike are mixed in equal parts, a single row comes back whole, and nearness counts."""
    keys, values, queries = noise(5, 2, 3, 4), noise(6, 2, 3, 7), noise(7, 2, 5, 4)
    alike = keys[:, :1].expand(-1, 3, -1)
    mean = values.mean(1, keepdim=True).expand(-1, 5, -1)
    torch.testing.assert_close(read(alike, values, queries), mean)
    torch.testing.assert_close(read(keys[:, :1], values[:, :1], queries), values[:, :1].expand(-1, 5, -1))
    torch.testing.assert_close(read(keys, values, keys, temperature=1e6), values)
    torch.testing.assert_close(read(3 * keys, values, queries / 5), read(keys, values, queries))


def test_gradients_of_single_examples() -> None:
    weight, x, y = noise(8, 3, 5), noise(9, 2, 4, 4), torch.tensor([[0, 1, 2, 2], [1, 0, 0, 2]])

    def loss(p: dict[str, Tensor], x: Tensor, y: Tensor) -> Tensor:
        return F.cross_entropy(affine(p["w"], x[None]), y[None])

    weight.requires_grad_()
    for differentiable in (False, True):
        found = example_gradients(loss, {"w": weight}, x, y, differentiable=differentiable)["w"]
        assert found.requires_grad is differentiable
        for t in range(2):
            for i in range(4):
                expected = torch.autograd.grad(loss({"w": weight}, x[t, i], y[t, i]), weight)[0]
                torch.testing.assert_close(found[t, i], expected)


def test_pairs_are_by_turns_of_one_class_and_of_two() -> None:
    ys = torch.tensor([[0, 0, 1, 1, 2, 2], [2, 0, 1, 0, 1, 2]])
    a, b, same = verification_pairs(ys, 4)
    assert same.tolist() == [[True, False, True, False]] * 2
    assert (a != b).all()
    for t in range(2):
        assert torch.equal(ys[t, a[t]] == ys[t, b[t]], same[t])
    assert not verification_pairs(torch.tensor([[0, 1, 2]]), 3)[2].any(), "one shot has no pair of one class"


def test_contrastive_loss() -> None:
    d = torch.tensor([0.3, 0.3, 1.4]).double()
    assert contrastive(d, torch.tensor([True, False, False])).tolist() == pytest.approx([0.09, 0.49, 0.0])


@pytest.mark.parametrize("representation", ["classes", "contrastive", "verification"])
def test_the_algorithm_written_out(representation: str) -> None:
    """The slow oracle: Algorithm 1 in loops over tasks, examples and coordinates' inputs, with torch's layers."""
    method = small_method("metanet", representation=representation, examples=3)
    support, ys, queries = (
        noise(10, 2, 6, 4),
        torch.tensor([[0, 0, 1, 1, 2, 2], [2, 0, 1, 0, 1, 2]]),
        noise(11, 2, 5, 4),
    )
    found = method.score(Embedded(support, ys, WAY), queries)
    pairs = verification_pairs(ys, 3)
    for t in range(2):
        expected = one_task(method, support[t], ys[t], queries[t], [p[t] for p in pairs])
        torch.testing.assert_close(found[t], expected, rtol=1e-8, atol=1e-10)


def layer(weight: Tensor, x: Tensor) -> Tensor:
    return F.linear(x, weight[:, :-1], weight[:, -1])


def prep(g: Tensor) -> Tensor:
    """The two numbers of every coordinate, by the definition."""
    rows = []
    for x in g.flatten().tolist():
        rows.append([math.log(abs(x)) / 7, math.copysign(1, x)] if abs(x) >= math.exp(-7) else [-1, math.exp(7) * x])
    return torch.tensor(rows).double()


def one_task(method: MetaNet, support: Tensor, ys: Tensor, queries: Tensor, pairs: list[Tensor]) -> Tensor:
    Q, head, d, m = method.embedding, method.head, method.task_level, method.example_level
    H = d["bias"].numel() // 4
    cell = torch.nn.utils.skip_init(torch.nn.LSTMCell, 2, H).double()
    with torch.no_grad():
        for p, value in zip(cell.parameters(), (d["weight"][:, :2], d["weight"][:, 2:], d["bias"], 0.0)):
            p.copy_(torch.as_tensor(value))
    state = None
    for a, b, same in zip(*pairs):
        r1, r2 = layer(Q, support[a]).relu(), layer(Q, support[b]).relu()
        if method.representation == "classes":
            loss = F.cross_entropy(layer(head, r1), ys[a])
        elif method.representation == "contrastive":
            distance = (r1 - r2).norm()
            loss = distance**2 if same else (1 - distance).clamp(min=0) ** 2
        else:
            p = torch.sigmoid(layer(head, (r1 - r2).abs()))[0]
            loss = -p.log() if same else -(1 - p).log()
        (g,) = torch.autograd.grad(loss, Q)
        state = cell(prep(g), state)
    fast_Q = layer(d["output"], state[0]).view(Q.shape)

    def u(x: Tensor) -> Tensor:
        return layer(Q, x).relu() + layer(fast_Q, x).relu()

    W1, W2 = method.base["hidden"], method.base["output"]
    keys, memory = [], []
    for x, y in zip(support, ys):
        r = u(x)
        grads = torch.autograd.grad(F.cross_entropy(layer(W2, layer(W1, r.detach()).relu()), y), [W1, W2])
        written = []
        for g, w in zip(grads, (W1, W2)):
            hidden = layer(m["second"], layer(m["first"], prep(g)).relu()).relu()
            written.append(layer(m["output"], hidden).view(w.shape))
        keys.append(r)
        memory.append(written)
    logits = []
    for x in queries:
        r = u(x)
        weights = torch.softmax(torch.stack([F.cosine_similarity(r, k, dim=0) for k in keys]), 0)
        fast = [sum(a * written[j] for a, written in zip(weights, memory)) for j in range(2)]
        h = layer(W1, r).relu() + layer(fast[0], r).relu()
        logits.append(layer(W2, h) + layer(fast[1], h))
    return torch.stack(logits)


@pytest.mark.parametrize("representation", ["classes", "verification"])
def test_differentiating_through_the_gradients_is_a_flag(representation: str) -> None:
    """The same predictions, and another gradient of the slow weights; L^emb's own layer learns only with it."""
    tasks, options = image_tasks(1), {"representation": representation}
    first = small_method("metanet", **options).train()
    second = small_method("metanet", differentiate=True, **options).train()
    losses = [m.meta_step(tasks)["loss"] for m in (first, second)]
    torch.testing.assert_close(*losses)
    assert not torch.allclose(first.embedding.grad, second.embedding.grad, rtol=1e-6)
    assert first.head.grad is None
    assert second.head.grad.abs().sum() > 0


def test_the_second_derivative_is_right() -> None:
    """Through the gradients that d and m see: against finite differences."""
    method = small_method("metanet", differentiate=True)
    support, ys, queries = noise(12, 1, 3, 4), torch.tensor([[0, 1, 2]]), noise(13, 1, 2, 4)

    def value() -> Tensor:
        return method.score(Embedded(support, ys, WAY), queries).square().sum()

    for p in (method.embedding, method.base["output"]):
        (g,) = torch.autograd.grad(value(), p)
        for at in ((0, 0), (2, 3)):
            ends = []
            for step in (1e-5, -1e-5):
                with torch.no_grad():
                    p[at] += step
                    ends.append(value())
                    p[at] -= step
            torch.testing.assert_close(g[at], (ends[0] - ends[1]) / 2e-5, rtol=1e-4, atol=1e-7)


def test_a_query_of_the_support_set_is_read_by_its_label_after_training() -> None:
    """A few steps on one task: what was written is found again."""
    method, tasks = small_method("metanet", units=16, meta_units=8).train(), image_tasks(2)
    optimiser = torch.optim.Adam([p for p in method.parameters() if p.requires_grad], 1e-2)
    for _ in range(60):
        optimiser.zero_grad()
        method.meta_step(tasks)
        optimiser.step()
    found = outputs(method, tasks.with_queries(tasks.xs, tasks.ys)).argmax(-1)
    assert (found == tasks.ys).double().mean() > 0.9
