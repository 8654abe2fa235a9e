"""MAML's relatives: each against plain loops, and against the method that it generalises (float64)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kshot.backbones import MLP
from kshot.errors import UserError
from kshot.functional.multistep import step_weights
from kshot.functional.prototypes import class_means, linear_head
from kshot.methods import ANIL, BOIL, CAVIA, FOMAML, MAML, MAMLpp, MetaSGD, ProtoMAML, ProtoNet
from kshot.tasks import Tasks
from support import Plain, gradient_of, image_tasks, noise, outputs, plain_method, small_method

Theta = dict[str, Tensor]
Rate = Callable[[str, int], Tensor | float]


def leaves(method: nn.Module) -> Theta:
    """The network's parameters as tensors of their own."""
    return {n: p.detach().clone().requires_grad_() for n, p in method.net.named_parameters()}


def oracle(method: MAML, tasks: Tasks, theta: Theta, rate: Rate, weights: Sequence[float]) -> Tensor:
    """The mean over tasks of the weighted query losses after each inner step, in plain loops."""
    total = torch.zeros((), dtype=torch.float64)
    for t in range(len(tasks)):
        w = theta
        for i, weight in enumerate(weights):
            support = torch.func.functional_call(method.net, w, (tasks.xs[t],))
            g = torch.autograd.grad(
                method.way * F.cross_entropy(support, tasks.ys[t]), list(w.values()), create_graph=True
            )
            w = {n: p - rate(n, i) * d for (n, p), d in zip(w.items(), g)}
            query = torch.func.functional_call(method.net, w, (tasks.xq[t],))
            total = total + weight * F.cross_entropy(query, tasks.yq[t]) / len(tasks)
    return total


def rates_of(method: MetaSGD | MAMLpp) -> dict[str, nn.Parameter]:
    """The learned rates by the names of the network's parameters."""
    return {n: method.alpha[n.replace(".", "_")] for n, _ in method.net.named_parameters()}


def assert_gradients(method: MAML, tasks: Tasks, expected: Sequence[Tensor]) -> None:
    for got, wanted in zip(gradient_of(method, tasks), expected, strict=True):
        torch.testing.assert_close(got, wanted, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(("make", "moves"), [(ANIL, "head."), (BOIL, "backbone.")])
@pytest.mark.parametrize("engine", ["vmap", "loop+recompute"])
def test_anil_moves_the_head_and_boil_the_body(make: type[MAML], moves: str, engine: str) -> None:
    tasks = image_tasks(0)
    method = plain_method(make, inner_steps=3, inner_lr=0.125, eval_steps=2, engine=engine)
    theta = leaves(method)
    loss = oracle(method, tasks, theta, lambda n, _: 0.125 if n.startswith(moves) else 0.0, [0, 0, 1])
    assert_gradients(method, tasks, torch.autograd.grad(loss, list(theta.values())))
    learned = method.adapt(tasks.xs, tasks.ys, 3).params
    for n in theta:
        assert bool((learned[n] - theta[n]).abs().max() > 1e-6) is n.startswith(moves)


def test_anil_computes_the_features_once() -> None:
    method, calls, task = plain_method(ANIL, inner_steps=5), list[int](), image_tasks(0, T=1)
    method.net.backbone.register_forward_hook(lambda *_: calls.append(1))
    method.adapt(task.xs, task.ys, 3)
    assert len(calls) == 1


def test_meta_sgd_with_one_rate_is_maml_and_without_a_rate_on_the_body_anil() -> None:
    tasks = image_tasks(0)
    method = plain_method(MetaSGD, least_lr=0.125, most_lr=0.125, inner_steps=2)
    assert_gradients(method, tasks, gradient_of(plain_method(MAML, inner_lr=0.125, inner_steps=2), tasks))
    for name, rate in rates_of(method).items():
        if name.startswith("backbone."):
            rate.data.zero_()
    assert_gradients(method, tasks, gradient_of(plain_method(ANIL, inner_lr=0.125, inner_steps=2), tasks))


def test_meta_sgd_gradient_by_a_rate_is_minus_query_times_support_gradient() -> None:
    """One step: dL/dalpha = -g_query(theta') * g_support(theta), coordinate by coordinate."""
    tasks = image_tasks(0, T=1)
    method = plain_method(MetaSGD)
    gradient_of(method, tasks)
    theta = leaves(method)
    g = torch.autograd.grad(method.inner_loss(theta, tasks.xs[0], tasks.ys[0]), list(theta.values()))
    rates = rates_of(method)
    learned = {n: (p - rates[n] * d).detach().requires_grad_() for (n, p), d in zip(theta.items(), g)}
    q = torch.autograd.grad(method.query_loss(learned, tasks.xq[0], tasks.yq[0])[0], list(learned.values()))
    for rate, support, query in zip(rates.values(), g, q):
        assert (rate >= 0.005).all()
        assert (rate <= 0.1).all()
        torch.testing.assert_close(rate.grad, -query * support, rtol=1e-9, atol=1e-13)


@pytest.mark.parametrize("epochs", [1, 7, 15])
@pytest.mark.parametrize("steps", [2, 5])
def test_weights_of_the_steps_sum_to_one_and_both_clips_bind_together(steps: int, epochs: int) -> None:
    weights = [step_weights(e, epochs, steps) for e in range(epochs + 3)]
    for w in weights:
        assert sum(w) == pytest.approx(1, abs=1e-12)
        assert min(w) == pytest.approx(max(0.03 / steps, w[0]))
    assert weights[0] == [1 / steps] * steps
    assert weights[epochs] == pytest.approx([0.03 / steps] * (steps - 1) + [1 - 0.03 * (steps - 1) / steps])
    just, after = step_weights(969, 1000, steps), step_weights(971, 1000, steps)
    assert just[0] > 0.03 / steps
    assert just[-1] < after[-1]
    assert after == pytest.approx(step_weights(1000, 1000, steps))


def plus_plus(**options: object) -> MAMLpp:
    return plain_method(MAMLpp, **{"inner_steps": 3, "inner_lr": 0.125, "msl_epochs": 0, "epoch_steps": 1, **options})


@pytest.mark.parametrize("engine", ["vmap", "loop", "vmap+recompute", "loop+recompute"])
def test_mamlpp_in_plain_loops(engine: str) -> None:
    """A rate for each step and tensor, and the loss of all steps: gradients by theta and by the rates."""
    tasks = image_tasks(0)
    method = plus_plus(msl_epochs=4, engine=engine)
    for i, rate in enumerate(method.alpha.values()):
        rate.data += 0.02 * noise(i, 3)
    theta = leaves(method)
    rates = {n: r.detach().clone().requires_grad_() for n, r in rates_of(method).items()}
    loss = oracle(method, tasks, theta, lambda n, i: rates[n][i], step_weights(0, 4, 3))
    expected = torch.autograd.grad(loss, [*theta.values(), *rates.values()])
    assert_gradients(method, tasks, expected[: len(theta)])
    for rate, wanted in zip(rates_of(method).values(), expected[len(theta) :]):
        torch.testing.assert_close(rate.grad, wanted, rtol=1e-9, atol=1e-12)


def test_mamlpp_with_one_rate_and_the_last_step_alone_is_maml() -> None:
    """With batch norm too: the gradients of the steps' scales and shifts add up to those of MAML's."""
    tasks = image_tasks(0)
    assert_gradients(plus_plus(), tasks, gradient_of(plain_method(MAML, inner_steps=3, inner_lr=0.125), tasks))
    method = small_method("mamlpp", inner_lr=0.125, msl_epochs=0).train()
    maml = small_method("maml", inner_steps=3, inner_lr=0.125).train()
    for (n, p), wanted in zip(method.net.named_parameters(), gradient_of(maml, tasks)):
        method.meta_step(tasks)
        got = p.grad.sum(0) if "norm" in n else p.grad
        torch.testing.assert_close(got, wanted, rtol=1e-8, atol=1e-11)


def test_the_loss_of_all_steps_is_the_weighted_sum_of_those_of_maml_with_fewer_steps() -> None:
    tasks = image_tasks(0)
    parts = [gradient_of(plain_method(MAML, inner_steps=k, inner_lr=0.125), tasks) for k in (1, 2, 3)]
    weights = step_weights(0, 2, 3)
    assert_gradients(plus_plus(msl_epochs=2), tasks, [sum(w * g for w, g in zip(weights, gs)) for gs in zip(*parts)])


def test_epochs_of_mamlpp_end() -> None:
    """First order in the first epoch, second order then; the loss of all steps for two epochs, the last one's then."""
    tasks = image_tasks(0)
    method = plus_plus(first_order_epochs=1, msl_epochs=2)
    assert method.phase() == "all steps, first order"
    method.meta_step(tasks)
    assert method.phase() == "all steps, second order"
    method.meta_step(tasks)
    assert method.phase() == "last step, second order"
    assert_gradients(method, tasks, gradient_of(plain_method(MAML, inner_steps=3, inner_lr=0.125), tasks))
    first = plus_plus(first_order_epochs=1)
    assert_gradients(first, tasks, gradient_of(plain_method(FOMAML, inner_steps=3, inner_lr=0.125), tasks))


def test_mamlpp_normalises_each_step_in_its_own_way() -> None:
    method, tasks = small_method("mamlpp"), image_tasks(0)
    before = method.predict_steps(tasks.xs, tasks.ys, tasks.xq, 3, 5)
    with torch.no_grad():
        method.net.backbone.blocks[3].norm.bias[3] += 1
    after = method.predict_steps(tasks.xs, tasks.ys, tasks.xq, 3, 5)
    changed = [not torch.allclose(a, b) for a, b in zip(before, after)]
    assert changed == [False, False, False, True, True, True]  # later steps go on with the last


def test_a_linear_layer_is_a_prototypical_network() -> None:
    features, tasks = noise(0, 2, 6, 5), image_tasks(0)
    c = class_means(features, tasks.ys, 3)
    weight, bias = linear_head(c)
    f = noise(1, 2, 4, 5)
    linear = f @ weight.transpose(-1, -2) + bias[:, None]
    distance = -(f[:, :, None] - c[:, None]).square().sum(-1)
    torch.testing.assert_close(linear.softmax(-1), distance.softmax(-1), rtol=1e-10, atol=1e-12)


def test_protomaml_without_steps_is_protonet_and_takes_any_way() -> None:
    method = ProtoMAML(Plain(), input_shape=(1, 16, 16), inner_steps=0, eval_steps=0, engine="vmap").double()
    protonet = ProtoNet(Plain()).double()
    for way in (3, 5):
        tasks = image_tasks(0, way=way)
        same = outputs(protonet, tasks).softmax(-1)
        torch.testing.assert_close(outputs(method, tasks).softmax(-1), same, rtol=1e-9, atol=1e-12)
        expected = gradient_of_loss(protonet, tasks)
        for got, wanted in zip(gradient_of(method.train(), tasks), expected, strict=True):
            torch.testing.assert_close(got, wanted, rtol=1e-8, atol=1e-11)


def gradient_of_loss(method: nn.Module, tasks: Tasks) -> list[Tensor]:
    loss, _ = method.meta_loss(tasks)
    return list(torch.autograd.grad(loss, list(method.backbone.parameters())))


@pytest.mark.parametrize("first", [False, True])
@pytest.mark.parametrize("engine", ["vmap", "loop+recompute"])
def test_protomaml_in_plain_loops(first: bool, engine: str) -> None:
    """The gradient flows through the prototypes, in first order too."""
    tasks = image_tasks(0, T=2)
    options = {"inner_steps": 2, "inner_lr": 0.05, "first_order": first, "engine": engine}
    method = ProtoMAML(Plain(), input_shape=(1, 16, 16), **options).double().train()
    body = {n: p.detach().clone().requires_grad_() for n, p in method.net.backbone.named_parameters()}
    total = torch.zeros((), dtype=torch.float64)
    for t in range(2):
        f = torch.func.functional_call(method.net.backbone, body, (tasks.xs[t],))
        c = torch.stack([f[tasks.ys[t] == n].mean(0) for n in range(3)])
        w = {**body, "weight": 2 * c, "bias": -(c * c).sum(1)}
        w = {n: p.clone() for n, p in w.items()}  # the steps take the head as independent of the body

        def output(w: Theta, x: Tensor) -> Tensor:
            f = torch.func.functional_call(method.net.backbone, {n: w[n] for n in body}, (x,))
            return f @ w["weight"].T + w["bias"]

        for _ in range(2):
            loss = 3 * F.cross_entropy(output(w, tasks.xs[t]), tasks.ys[t])
            g = torch.autograd.grad(loss, list(w.values()), create_graph=not first)
            w = {n: p - 0.05 * d for (n, p), d in zip(w.items(), g)}
        total = total + F.cross_entropy(output(w, tasks.xq[t]), tasks.yq[t]) / 2
    assert_gradients(method, tasks, torch.autograd.grad(total, list(body.values())))


def beside_the_input(**options: object) -> CAVIA:
    backbone = MLP((6,), hidden=7)
    backbone.layers[1].bias.data += 0.3 * noise(3, 7)
    return CAVIA(backbone, input_shape=(6,), output_dim=2, engine="vmap", context=4, **options).double()


def test_context_beside_the_input_shifts_the_first_bias() -> None:
    """[W, W_z] [x, z] = W x + W_z z; one step on z is a step on the first bias, preconditioned by W_z W_z^T."""
    method, x, y = beside_the_input(inner_lr=0.125), noise(0, 5, 6), noise(1, 5, 2)
    z = noise(2, 4)
    theta = method.parameters_now()
    first, W_z = method.net.backbone.layers[1], method.conditioning
    wide = nn.functional.linear(torch.cat([x, z.expand(5, 4)], 1), torch.cat([first.weight, W_z], 1), first.bias)
    rest = nn.Sequential(*method.net.backbone.layers[2:], method.net.head)
    torch.testing.assert_close(method.forward_with(theta | {"context": z}, x), rest(wide), rtol=1e-10, atol=1e-12)
    learned = method.eval().adapt(x[None], y[None], 0).params["context"][0]
    g = torch.autograd.grad(F.mse_loss(rest(first(x)), y), first.bias)[0]
    torch.testing.assert_close(W_z @ learned, -0.125 * W_z @ W_z.T @ g, rtol=1e-9, atol=1e-12)


def test_cavia_learns_the_context_alone() -> None:
    for name in ("context", "backbone.blocks.2.norm.bias", "head.weight"):
        method, tasks = small_method("cavia"), image_tasks(0)
        learned = method.adapt(tasks.xs, tasks.ys, 3).params[name]
        assert bool((learned - learned[:1]).abs().max() > 0) is (name == "context")
    assert "context" not in method.state_dict()


def test_cavia_modulates_one_batch_norm_layer() -> None:
    method, tasks, z = small_method("cavia", layer=2), image_tasks(0), noise(0, 4)
    theta = method.parameters_now()
    scale, shift = (method.conditioning @ z).chunk(2)
    norm = method.net.backbone.blocks[1].norm
    plain = {n: p for n, p in theta.items() if n not in ("context", "conditioning")}
    plain["backbone.blocks.1.norm.weight"] = norm.weight * (1 + scale)
    plain["backbone.blocks.1.norm.bias"] = norm.bias + shift
    expected = torch.func.functional_call(method.net, plain, (tasks.xs[0],))
    torch.testing.assert_close(method.forward_with(theta | {"context": z}, tasks.xs[0]), expected)
    with pytest.raises(UserError, match=r"layer must be between 1 and 4, .*; got 5"):
        small_method("cavia", layer=5)
    with pytest.raises(UserError, match="CAVIA needs a layer where the context parameters can enter"):
        CAVIA(nn.Flatten(), input_shape=(1, 16, 16))
