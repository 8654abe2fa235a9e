"""Claims of prototypes with generated examples: the hallucinator and the adversarial form (float64)."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from kshot.errors import UserError
from kshot.functional.adversarial import discriminator_loss, generator_loss, with_generated_class
from kshot.methods import Hallucinate, ProtoNet
from support import image_tasks, noise, outputs, small_method

N = 3


def method(**options: object) -> Hallucinate:
    made = small_method("hallucinate", **options)
    assert isinstance(made, Hallucinate)
    return made


def disturbed(**options: object) -> Hallucinate:
    """With a generator that is not the identity any more."""
    made = method(**options)
    with torch.no_grad():
        for i, p in enumerate(made.generator.parameters()):
            p.add_(0.1 * noise(i, *p.shape))
    return made


def gradients(model: torch.nn.Module, loss: torch.Tensor) -> dict[str, torch.Tensor]:
    names, parts = zip(*((n, p) for n, p in model.named_parameters() if p.requires_grad))
    found = torch.autograd.grad(loss, parts, allow_unused=True, retain_graph=True)
    return {n: torch.zeros_like(p) if g is None else g for n, p, g in zip(names, parts, found)}


def test_without_generated_examples_it_is_the_prototypical_network() -> None:
    """The same outputs, the same loss and the same gradients, bit by bit."""
    tasks, a, b = image_tasks(0), method(generated=0), small_method("protonet")
    assert isinstance(b, ProtoNet)
    assert torch.equal(outputs(a, tasks), outputs(b, tasks))
    for model in (a.train(), b.train()):
        model.meta_step(tasks)
    assert list(dict(a.named_parameters())) == list(dict(b.named_parameters()))
    assert all(torch.equal(p.grad, q.grad) for p, q in zip(a.backbone.parameters(), b.backbone.parameters()))


def test_at_the_start_the_generator_is_the_identity() -> None:
    """Copies of the examples, whatever the noise: the predictions are those of the prototypical network."""
    tasks, model = image_tasks(0), method()
    features = model.embed(tasks.xs).detach()
    made = model.generator(features, noise(3, 2, 5, 32))
    torch.testing.assert_close(made, features[:, :, None].expand_as(made))
    torch.testing.assert_close(outputs(model, tasks), outputs(small_method("protonet"), tasks))


def test_in_plain_loops() -> None:
    tasks, model = image_tasks(1, way=N, shot=2), disturbed(generated=2, noise=3)
    state, M = model.adapt(tasks.xs, tasks.ys, N), 2
    z = model.draw(torch.tensor([0]), "noise", torch.float64)[0]
    out = outputs(model, tasks)
    f, q = model.embed(tasks.xs).detach(), model.embed(tasks.xq).detach()
    layers = [(layer.weight.detach(), layer.bias.detach()) for layer in model.generator.layers]
    for t in range(2):
        for n in range(N):
            members = []
            for s in (i for i in range(2 * N) if tasks.ys[t, i] == n):
                members.append(f[t, s])
                for m in range(M):
                    h = torch.cat([f[t, s], z[m]])
                    for k, (W, b) in enumerate(layers):
                        h = W @ h + b if k == 2 else (W @ h + b).clamp(min=0)
                    members.append(h)
            centre = torch.stack(members).mean(0)
            torch.testing.assert_close(out[t, :, n], -(q[t] - centre).square().sum(-1))
    assert state.features.shape[1] == 2 * N * (1 + M)


def test_noise_depends_on_seed_and_task_in_training_and_on_nothing_else_in_use() -> None:
    tasks, model = image_tasks(0), disturbed()
    a = model.draw(torch.tensor([4, 7]), "training noise", torch.float64)
    assert torch.equal(a[1:], model.draw(torch.tensor([7]), "training noise", torch.float64))
    assert not torch.equal(a[0], a[1])
    assert not torch.equal(a, disturbed(seed=1).draw(torch.tensor([4, 7]), "training noise", torch.float64))
    moved = replace(tasks, indices=tasks.indices + 100)
    assert torch.equal(outputs(model, tasks), outputs(model, moved))
    assert torch.equal(outputs(model, tasks), outputs(model, tasks))
    assert model.meta_loss(tasks)[0] != model.meta_loss(moved)[0]
    assert model.meta_loss(tasks)[0] == model.meta_loss(tasks)[0]


def test_the_generator_learns_from_the_meta_loss_and_from_noise() -> None:
    model = method().train()
    found = gradients(model, model.meta_loss(image_tasks(0))[0])
    weight = found["generator.layers.2.weight"]
    assert weight[:, :4].abs().max() > 1e-8
    assert weight[:, 4:].abs().max() > 1e-8  # the columns of the noise


def test_the_extra_class_takes_what_is_not_real() -> None:
    logits, h = noise(0, 2, 4, N), noise(1, 2, 4)
    p = with_generated_class(logits, h).softmax(-1)
    torch.testing.assert_close(p[..., :N].sum(-1), torch.sigmoid(h))
    torch.testing.assert_close(p[..., :N] / p[..., :N].sum(-1, keepdim=True), logits.softmax(-1))


def test_the_losses_have_the_right_signs_in_plain_loops() -> None:
    real, fake, y = noise(0, 1, 4, N + 1), noise(1, 1, 6, N + 1), torch.tensor([[0, 2, 1, 1]])
    p, g = real.softmax(-1)[0], fake.softmax(-1)[0]
    d = -sum(float(p[i, y[0, i]].log()) for i in range(4)) / 4 - sum(float(g[j, N].log()) for j in range(6)) / 6
    assert float(discriminator_loss(real, y, fake)) == pytest.approx(d)
    assert float(generator_loss(fake)) == pytest.approx(-sum(float((1 - g[j, N]).log()) for j in range(6)) / 6)
    found_out, believed = torch.eye(N + 1)[[N]] * 9, torch.eye(N + 1)[[0]] * 9
    assert discriminator_loss(real.float(), y, found_out) < discriminator_loss(real.float(), y, believed)
    assert generator_loss(believed) < generator_loss(found_out)


def test_each_side_of_the_game_moves_its_own_part() -> None:
    """The generator's step makes its examples look more real; the discriminator's, less; neither moves the other."""
    tasks, model = image_tasks(0), disturbed(adversarial=True).train()
    S = tasks.xs.shape[1]
    features = model.embed(torch.cat([tasks.xs, tasks.xq], 1)).detach()
    z = model.draw(tasks.indices, "training noise", torch.float64)

    def realness() -> torch.Tensor:
        return model.discriminator(model.generator(features[:, :S], z))[..., 0].mean()

    for side, sign in (("generator", 1), ("discriminator", -1)):
        logits = model.discriminator(model.generator(features[:, :S], z).flatten(1, 2))[..., 0]
        extra = with_generated_class(torch.zeros(*logits.shape, N, dtype=torch.float64), logits)
        nothing = torch.zeros(1, 1, N + 1, dtype=torch.float64)
        loss = generator_loss(extra) if sign == 1 else discriminator_loss(nothing, torch.zeros(1, 1).long(), extra)
        before, grads = realness(), gradients(model, loss)
        with torch.no_grad():
            for n, p in model.named_parameters():
                if n.startswith(side):
                    p.sub_(1e-4 * grads[n])
        assert sign * (realness() - before) > 0

    loss, measures = model.meta_loss(tasks)
    torch.testing.assert_close(loss.detach(), measures["discriminator_loss"] + measures["generator_loss"])


def test_the_generators_loss_stops_at_the_features_and_at_the_discriminator(monkeypatch: pytest.MonkeyPatch) -> None:
    import kshot.methods.hallucinate as module

    tasks, model = image_tasks(0), disturbed(adversarial=True).train()
    zero = lambda *a: torch.zeros((), dtype=torch.float64)  # noqa: E731
    with monkeypatch.context() as m:
        m.setattr(module, "discriminator_loss", zero)
        found = gradients(model, model.meta_loss(tasks)[0])
        assert all(float(g.abs().max()) == 0 for n, g in found.items() if not n.startswith("generator"))
        assert max(float(g.abs().max()) for n, g in found.items() if n.startswith("generator")) > 0
    with monkeypatch.context() as m:
        m.setattr(module, "generator_loss", zero)
        whole = gradients(model, model.meta_loss(tasks)[0])
    alone = gradients(model, model_meta_loss(model, tasks))
    for n, g in whole.items():
        if n.startswith("generator"):  # what it learns beside the game is the meta-loss
            torch.testing.assert_close(g, alone[n], rtol=1e-6, atol=1e-9)


def model_meta_loss(model: Hallucinate, tasks) -> torch.Tensor:
    """-log p(y | x) over N classes."""
    S = tasks.xs.shape[1]
    features = model.embed(torch.cat([tasks.xs, tasks.xq], 1))
    z = model.draw(tasks.indices, "training noise", torch.float64)
    from kshot.methods.metric import Embedded

    support = model.with_generated(Embedded(features[:, :S], tasks.ys, N), z)
    return F.cross_entropy(model.score(support, features[:, S:]).flatten(0, 1), tasks.yq.flatten())


def test_mistakes_are_explained() -> None:
    with pytest.raises(UserError, match="generated must be at least 0 and noise at least 1; got -1 and 32"):
        method(generated=-1)
    with pytest.raises(UserError, match="nothing to discriminate: give --generated 1"):
        method(generated=0, adversarial=True)
