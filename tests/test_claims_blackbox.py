"""Identities of the black boxes: conditional neural process and attention over examples (float64)."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from kshot.data.curves import Sinusoid
from kshot.errors import UserError
from kshot.methods import CNP, Attention, build_method
from kshot.tasks import CurveTasks, Tasks
from support import image_tasks, noise, outputs, small_method

SOURCE = CurveTasks(Sinusoid(), shot=5, query=7)


def cnp(**options: int) -> CNP:
    method = build_method("cnp", SOURCE.spec, **{"hidden": 8, **options}).double()
    assert isinstance(method, CNP)
    return method.eval()


def curves(T: int = 3) -> Tasks:
    return SOURCE.batch(range(T)).map(lambda t: t.double() if t.is_floating_point() else t)


@torch.no_grad()
def test_cnp_in_plain_loops() -> None:
    """Every example encoded by itself, the codes averaged, every query decoded by itself."""
    method, tasks = cnp(encoder_layers=2, decoder_layers=2), curves()
    (h1, _, h2), (g1, _, g2) = method.encoder, method.decoder
    mu, sigma = method.distribution(method.adapt(tasks.xs, tasks.ys, 0), tasks.xq)
    for t in range(3):
        codes = []
        for x, y in zip(tasks.xs[t], tasks.ys[t]):
            hidden = (h1.weight @ torch.cat([x, y]) + h1.bias).clamp(min=0)
            codes.append(h2.weight @ hidden + h2.bias)
        r = sum(codes) / len(codes)
        for i, x in enumerate(tasks.xq[t]):
            m, w = g2.weight @ (g1.weight @ torch.cat([r, x]) + g1.bias).clamp(min=0) + g2.bias
            assert float(mu[t, i]) == pytest.approx(float(m), rel=1e-9)
            assert float(sigma[t, i]) == pytest.approx(0.1 + 0.9 * math.log(1 + math.exp(float(w))), rel=1e-9)


def test_the_order_of_the_points_and_their_repetition_change_nothing() -> None:
    method, tasks = cnp(), curves()
    r = method.adapt(tasks.xs, tasks.ys, 0)
    order = torch.tensor([3, 1, 4, 0, 2])
    torch.testing.assert_close(method.adapt(tasks.xs[:, order], tasks.ys[:, order], 0), r)
    twice = method.adapt(torch.cat([tasks.xs, tasks.xs], 1), torch.cat([tasks.ys, tasks.ys], 1), 0)
    torch.testing.assert_close(twice, r)
    assert not torch.allclose(method.adapt(tasks.xs[:, :4], tasks.ys[:, :4], 0), r)


def test_a_query_sees_neither_its_companions_nor_other_tasks() -> None:
    method, tasks = cnp(), curves()
    whole = outputs(method, tasks)
    for i in range(7):
        alone = outputs(method, tasks[1].with_queries(tasks.xq[1:2, i : i + 1], tasks.yq[1:2, i : i + 1]))
        torch.testing.assert_close(alone[0, 0], whole[1, i])


def test_the_loss_is_the_likelihood_of_all_points_and_the_error_that_of_the_queries() -> None:
    method, tasks = cnp(), curves()
    loss, measures = method.meta_loss(tasks)
    r = method.adapt(tasks.xs, tasks.ys, 0)
    total, points = 0.0, 0
    for x, y in ((tasks.xs, tasks.ys), (tasks.xq, tasks.yq)):
        mu, sigma = (v.detach().flatten().tolist() for v in method.distribution(r, x))
        for m, s, target in zip(mu, sigma, y.flatten().tolist()):
            total += 0.5 * ((target - m) / s) ** 2 + math.log(s) + 0.5 * math.log(2 * math.pi)
            points += 1
    assert float(loss.detach()) == pytest.approx(total / points, rel=1e-9)
    torch.testing.assert_close(measures["mse"], F.mse_loss(outputs(method, tasks), tasks.yq))


def test_the_report_also_has_the_likelihood_of_the_queries() -> None:
    method, tasks = cnp(), curves()
    with torch.no_grad():
        nll = method.further(tasks)["nll"]
        mu, sigma = method.distribution(method.adapt(tasks.xs, tasks.ys, 0), tasks.xq)
    assert nll.shape == (3,)
    expected = -torch.distributions.Normal(mu, sigma).log_prob(tasks.yq).mean((1, 2))
    torch.testing.assert_close(nll, expected)


def test_sigma_cannot_collapse() -> None:
    method, tasks = cnp(), curves()
    torch.nn.init.constant_(method.decoder[-1].bias, -1e3)
    sigma = method.distribution(method.adapt(tasks.xs, tasks.ys, 0), tasks.xq)[1]
    torch.testing.assert_close(sigma.detach(), torch.full_like(sigma, 0.1))


def test_training_makes_use_of_the_examples() -> None:
    """After some steps a curve is likelier beside its own examples than beside those of the next curve."""
    method, tasks = cnp(hidden=32), curves(8)
    optimiser = torch.optim.Adam(method.parameters(), 1e-2)
    for _ in range(100):
        optimiser.zero_grad()
        loss = method.meta_step(tasks)["loss"]
        optimiser.step()
    other = Tasks(tasks.xs.roll(1, 0), tasks.ys.roll(1, 0), tasks.xq, tasks.yq, tasks.classes, tasks.indices)
    with torch.no_grad():
        own, strange = (method.further(t)["nll"].mean() for t in (tasks, other))
    assert own < strange - 0.5
    assert loss < 2.0  # a normal distribution that knows only the mean size of the curves reaches 2.3


def test_cnp_learns_curves_only() -> None:
    with pytest.raises(UserError, match="cnp learns regression, and these tasks are classes"):
        small_method("cnp")


def attention(**options: int) -> Attention:
    method = small_method("attention", width=8, heads=2, **options)
    assert isinstance(method, Attention)
    return method


def layer_in_loops(layer: torch.nn.Module, token: Tensor, support: Tensor) -> Tensor:
    """One token [W] after one layer: attention head by head, example by example, then the MLP."""
    heads = len(layer.sharpness)
    s, x = layer.norm(support), layer.norm(token)
    found = []
    for h, (q, *kv) in enumerate(zip(*(p(t).chunk(heads, -1) for p, t in
                                       ((layer.query, x), (layer.key, s), (layer.value, s))))):  # fmt: skip
        k, v = kv
        score = [float(layer.sharpness[h] * (q @ k[i]) / (q.norm() * k[i].norm())) for i in range(len(s))]
        total = sum(math.exp(a) for a in score)
        found.append(sum(math.exp(a) / total * v[i] for i, a in enumerate(score)))
    token = token + layer.out(torch.cat(found))
    return token + layer.mlp(layer.norm_mlp(token))


def test_attention_in_plain_loops() -> None:
    method, tasks = attention(layers=2), image_tasks(0)
    expected = outputs(method, tasks)
    with torch.no_grad():
        for t in range(2):
            embed = lambda x: method.project(method.backbone(x))  # noqa: E731
            support = embed(tasks.xs[t]) + method.labels.weight.T[tasks.ys[t]]
            queries = embed(tasks.xq[t]) + method.labels.weight.T[method.way]
            for layer in method.layers:
                queries = torch.stack([layer_in_loops(layer, q, support) for q in queries])
                support = torch.stack([layer_in_loops(layer, s, support) for s in support])
            torch.testing.assert_close(method.head(method.norm(queries)), expected[t], rtol=1e-9, atol=1e-10)


def test_attention_begins_by_similarity() -> None:
    """Keys start as the queries' projection: a token attends most to itself."""
    layer = attention().layers[0]
    tokens = noise(0, 1, 5, 8)
    q, k = (F.normalize(layer.split(p(layer.norm(tokens))), dim=-1) for p in (layer.query, layer.key))
    assert torch.equal((q @ k.transpose(-1, -2)).argmax(-1), torch.arange(5).expand(1, 2, 5))


def test_labels_reach_a_query_through_the_support_set_alone() -> None:
    """Another label of one example changes the predictions; the labels of the queries are never seen."""
    method, tasks = attention(), image_tasks(0)
    other = tasks.ys.clone()
    other[:, 0] = (other[:, 0] + 1) % 3
    state = method.adapt(tasks.xs, other, 3)
    assert not torch.allclose(method.predict(state, tasks.xq), outputs(method, tasks))
    assert torch.equal(outputs(method, tasks.with_queries(tasks.xq, (tasks.yq + 1) % 3)), outputs(method, tasks))


def test_width_must_be_shared_out_among_the_heads() -> None:
    with pytest.raises(UserError, match="width 64 and 5 heads"):
        small_method("attention", width=64, heads=5)
