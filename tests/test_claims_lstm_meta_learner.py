"""Identities of the LSTM meta-learner (float64)."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.func import functional_call

from kshot.errors import UserError
from kshot.functional.coordinates import Gated, lstm_step, preprocess
from kshot.functional.inner import SGD, Params, autograd_gradient, functional_gradient, path
from kshot.methods import LSTMMetaLearner, build_method
from kshot.tasks import TaskSpec
from support import WAY, gradient_of, image_tasks, noise, outputs, plain_method, small_method

H = 3
SHAPES = {"a": (2, 3), "b": (4,)}


def random_rule(seed: int = 0, size: float = 1.0) -> Params:
    """A meta-learner whose gates depend on everything they may depend on."""
    shapes = {"weight": (4 * H, 4 + H), "bias": (4 * H,), "forget_weight": (H + 2,), "input_weight": (H + 2,)}
    shapes |= {"forget_bias": (), "input_bias": ()}
    return {f"rule.{n}": size * noise(seed + i, *s, 1).squeeze(-1) for i, (n, s) in enumerate(shapes.items())}


def learner(seed: int = 20) -> Params:
    return {n: noise(seed + i, *s) for i, (n, s) in enumerate(SHAPES.items())}


def support_loss(p: Params, x: Tensor, y: Tensor) -> Tensor:
    """Not a quadratic, and every coordinate matters."""
    return torch.tanh(p["a"] @ x).square().sum() + (p["b"].sin() * y).sum()


def gated(steps: int, adapted: tuple[str, ...] = ("a", "b")) -> Gated:
    return Gated(support_loss, lambda p, x, y: (support_loss(p, x, y), ()), adapted, steps)


DATA = noise(30, 3), noise(31, 4)


def constant_gates(forget: float, enter: float) -> Params:
    """A rule whose gates are sigma(forget) and sigma(enter), whatever it sees."""
    rule = {n: torch.zeros_like(p) for n, p in random_rule().items()}
    return rule | {
        f"rule.{n}": torch.tensor(b, dtype=torch.float64) for n, b in (("forget_bias", forget), ("input_bias", enter))
    }


@pytest.mark.parametrize("gradient", [autograd_gradient, functional_gradient])
def test_kept_whole_and_a_constant_rate_is_sgd_bit_for_bit(gradient: object) -> None:
    """f = 1 and i = alpha: theta - alpha g."""
    rule = constant_gates(50.0, -2.0)
    alpha = float(torch.sigmoid(rule["rule.input_bias"]))
    sgd = SGD(support_loss, gated(1).query_loss, ("a", "b"), alpha, 4, first_order=True)
    ours = path(gated(4), rule | learner(), 4, gradient, *DATA)
    for state, expected in zip(ours, path(sgd, learner(), 4, gradient, *DATA)):
        assert all(torch.equal(state[n], expected[n]) for n in expected)


def test_forgetting_is_weight_decay() -> None:
    """f = 1 - alpha lambda: theta - alpha (g + lambda theta)."""
    alpha, decay = 0.2, 0.7
    rule = constant_gates(math.log((1 - alpha * decay) / (alpha * decay)), math.log(alpha / (1 - alpha)))
    state = gated(1).step(rule, gated(1).start(rule | learner(), *DATA), 0, autograd_gradient, *DATA)
    theta = {n: p.requires_grad_() for n, p in learner().items()}
    support_loss(theta, *DATA).backward()
    for n, p in theta.items():
        torch.testing.assert_close(state[n], (p - alpha * (p.grad + decay * p)).detach(), rtol=1e-13, atol=1e-14)


def test_three_steps_written_out() -> None:
    """The slow oracle: one coordinate after the other, in numbers."""
    rule, theta = random_rule(), learner()
    found = path(gated(3), rule | theta, 3, autograd_gradient, *DATA)[-1]
    w = {n.removeprefix("rule."): p.tolist() for n, p in rule.items()}

    def sigma(x: float) -> float:
        return 1 / (1 + math.exp(-x))

    def prep(x: float, p: float = 10.0) -> list[float]:
        return [math.log(abs(x)) / p, math.copysign(1, x)] if abs(x) >= math.exp(-p) else [-1, math.exp(p) * x]

    def affine(weights: list[float], inputs: list[float], bias: float) -> float:
        return sum(a * b for a, b in zip(weights, inputs, strict=True)) + bias

    memory: dict[tuple[str, int], list] = {}
    for _ in range(3):
        at = {n: p.detach().clone().requires_grad_() for n, p in theta.items()}
        loss = support_loss(at, *DATA)
        loss.backward()
        theta = {n: p.detach().clone() for n, p in at.items()}
        for n, p in at.items():
            for j in range(p.numel()):
                h, c, f, i = memory.get((n, j), [[0.0] * H, [0.0] * H, 0.0, 0.0])
                value, g = float(p.detach().flatten()[j]), float(p.grad.flatten()[j])
                x = [*prep(float(loss.detach())), *prep(g), *h]
                z = [affine(row, x, b) for row, b in zip(w["weight"], w["bias"])]
                c = [sigma(z[H + k]) * c[k] + sigma(z[k]) * math.tanh(z[2 * H + k]) for k in range(H)]
                h = [sigma(z[3 * H + k]) * math.tanh(c[k]) for k in range(H)]
                f = sigma(affine(w["forget_weight"], [*h, value, f], w["forget_bias"]))
                i = sigma(affine(w["input_weight"], [*h, value, i], w["input_bias"]))
                memory[n, j] = [h, c, f, i]
                theta[n].view(-1)[j] = f * value - i * g
    for n, p in theta.items():
        torch.testing.assert_close(found[n], p, rtol=1e-12, atol=1e-13)


def test_the_lstm_is_torchs() -> None:
    x, h, c, weight, bias = noise(0, 4, 5), noise(1, H, 5), noise(2, H, 5), noise(3, 4 * H, 4 + H), noise(4, 4 * H)
    cell = torch.nn.utils.skip_init(torch.nn.LSTMCell, 4, H)
    own = {"weight_ih": weight[:, :4], "weight_hh": weight[:, 4:], "bias_ih": bias, "bias_hh": 0 * bias}
    expected = functional_call(cell, own, (x.T, (h.T, c.T)))
    for ours, theirs in zip(lstm_step(x, h, c, weight, bias), expected):
        torch.testing.assert_close(ours, theirs.T, rtol=1e-13, atol=1e-14)


def test_coordinates_in_another_order_are_updated_alike() -> None:
    """They share the meta-learner, so that permuting a learner permutes what becomes of it."""
    rule, order = random_rule(), torch.tensor([2, 0, 3, 1])
    x, y = DATA
    theta = learner()
    here = path(gated(3), rule | theta, 3, autograd_gradient, x, y)[-1]
    there = path(gated(3), rule | theta | {"b": theta["b"][order]}, 3, autograd_gradient, x, y[order])[-1]
    torch.testing.assert_close(there["b"], here["b"][order], rtol=1e-12, atol=1e-13)
    torch.testing.assert_close(there["a"], here["a"], rtol=1e-12, atol=1e-13)


def test_preprocessing_is_continuous_and_keeps_sizes_apart() -> None:
    edge = math.exp(-10.0)
    x = torch.tensor([edge * (1 - 1e-12), edge * (1 + 1e-12)]).double()
    x = torch.cat([x, -x])
    torch.testing.assert_close(preprocess(x, 10.0), torch.tensor([[-1] * 4, [1, 1, -1, -1]]).double())
    sizes = torch.tensor([1e-3, 1.0, 1e3]).double()
    torch.testing.assert_close(preprocess(sizes, 7.0)[0], sizes.log() / 7)
    assert torch.equal(preprocess(torch.zeros(1).double(), 7.0), torch.tensor([[-1.0], [0.0]]).double())


def test_loss_and_gradient_are_constants_of_the_meta_learner() -> None:
    """Its gradient is that of a program that takes the measured losses and gradients as data: first order."""
    method, tasks = plain_method(LSTMMetaLearner, inner_steps=3, meta_units=H, input_bias=0.0), image_tasks(1)
    with torch.no_grad():
        for name, value in random_rule(5, 0.3).items():
            method.rule[name.removeprefix("rule.")].copy_(value)
    found = gradient_of(method, tasks)
    rule = {f"rule.{n}": p for n, p in method.rule.items()}
    net = dict(method.net.named_parameters())
    total = torch.zeros(()).double()
    for xs, ys, xq, yq in zip(tasks.xs, tasks.ys, tasks.xq, tasks.yq):
        state = Gated(None, None, list(net), 3).start(rule | net, xs, ys)
        for i in range(3):
            at = {n: state[n].detach().requires_grad_() for n in net}
            loss = F.cross_entropy(functional_call(method.net, at, (xs,)), ys)
            grads = dict(zip(net, torch.autograd.grad(loss, list(at.values()))))
            rest = loss.detach() - sum((grads[n] * at[n].detach()).sum() for n in net)

            def linear(p: Params, x: Tensor, y: Tensor, rest: Tensor = rest, g: Params = grads) -> Tensor:
                return rest + sum((g[n] * p[n]).sum() for n in g)  # has that loss and that gradient here

            loop = Gated(linear, None, list(net), 3)
            state = loop.step(rule | net, state, i, autograd_gradient, xs, ys)
        total = total + F.cross_entropy(functional_call(method.net, {n: state[n] for n in net}, (xq,)), yq)
    expected = torch.autograd.grad(total / len(tasks), [*net.values()])
    for a, b in zip(found, expected):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-12)


def test_the_rule_starts_as_the_paper_has_it() -> None:
    method = small_method("lstm-meta-learner", meta_units=20)
    assert 4 <= method.rule["forget_bias"] <= 5
    assert -5 <= method.rule["input_bias"] <= -4
    assert all(method.rule[n].abs().max() <= 0.01 for n in ("weight", "bias", "forget_weight", "input_weight"))


def test_the_traced_gates_are_those_of_the_update() -> None:
    """theta_t = f_t theta_{t-1} - i_t g_t, with g_t by backward."""
    m, tasks = small_method("lstm-meta-learner", input_bias=-1.0), image_tasks()
    gates = m.trace(tasks.xs, tasks.ys, WAY)
    path = m.adapt_path(tasks.xs, tasks.ys, WAY, 2)
    assert set(gates) == {f"{gate} {n}" for gate in ("forget", "input") for n in m.adapted}
    for t in range(2):
        for step in range(2):
            theta = {n: p[t].detach().requires_grad_() for n, p in path[step].items()}
            F.cross_entropy(m.forward_with(theta, tasks.xs[t]), tasks.ys[t]).backward()
            for n in m.adapted:
                f, i = (gates[f"{gate} {n}"][t, step].view(theta[n].shape) for gate in ("forget", "input"))
                expected = (f * theta[n] - i * theta[n].grad).detach()
                torch.testing.assert_close(path[step + 1][n][t], expected, rtol=1e-9, atol=1e-11)
    assert small_method("lstm-meta-learner", update="sgd").trace(tasks.xs, tasks.ys, WAY) == {}, "no rule, no gates"


def test_running_statistics_are_those_of_the_steps_on_the_support_set() -> None:
    """The first layer's, written out: mean_t = (1 - m) mean_{t-1} + m mean(support under theta_{t-1}), from zero."""
    method, tasks = small_method("lstm-meta-learner", norm_momentum=0.7, input_bias=0.0), image_tasks(2)
    state = method.adapt(tasks.xs, tasks.ys, WAY)
    steps = method.adapt_path(tasks.xs, tasks.ys, WAY, 1)
    mean = torch.zeros(2, 4).double()
    for theta in steps:  # theta_0 and theta_1: what the two steps saw
        for t in range(2):
            y = F.conv2d(tasks.xs[t], theta["backbone.blocks.0.conv.weight"][t], padding=1)
            mean[t] = 0.3 * mean[t] + 0.7 * y.mean((0, 2, 3))
    torch.testing.assert_close(state.statistics["backbone.blocks.0.norm.running_mean"], mean, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("engine", ["loop", "chunk:2", "vmap+threads+recompute"])
@pytest.mark.parametrize("backbone", ["conv4", "conv4-strided"])
def test_running_statistics_do_not_depend_on_the_engine(engine: str, backbone: str) -> None:
    tasks, found = image_tasks(3, T=3), []
    for e in ("vmap", engine):
        options = {"inner_steps": 2, "eval_steps": 2, "meta_units": H, "input_bias": 0.0, "engine": e}
        spec = TaskSpec((1, 16, 16), WAY, 20)
        method = build_method("lstm-meta-learner", spec, backbone=backbone, backbone_options={"filters": 4}, **options)
        found.append(outputs(method.double().eval(), tasks))
    torch.testing.assert_close(found[0], found[1], rtol=1e-9, atol=1e-11)


def test_sgd_in_the_place_of_the_rule_is_plain_fine_tuning() -> None:
    method, tasks = plain_method(LSTMMetaLearner, update="sgd", sgd_lr=0.3, eval_steps=3).eval(), image_tasks(4)
    state = method.adapt(tasks.xs, tasks.ys, WAY)
    theta = {n: p.detach().clone().requires_grad_() for n, p in method.net.named_parameters()}
    optimiser = torch.optim.SGD(theta.values(), lr=0.3)
    for _ in range(3):
        optimiser.zero_grad()
        F.cross_entropy(functional_call(method.net, theta, (tasks.xs[0],)), tasks.ys[0]).backward()
        optimiser.step()
    for n, p in theta.items():
        torch.testing.assert_close(state.params[n][0], p.detach(), rtol=1e-10, atol=1e-12)
    with pytest.raises(UserError, match=r"unknown update 'sdg'; did you mean 'sgd'\?"):
        plain_method(LSTMMetaLearner, update="sdg")
