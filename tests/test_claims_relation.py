"""Claims about relation networks (Sung et al. 2018), in double precision."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kshot.backbones import Conv4Maps
from kshot.backbones.norm import with_batch_statistics
from kshot.methods import Relation
from kshot.methods.metric import Embedded
from kshot.methods.relation import RelationModule
from kshot.tasks import Tasks
from support import Plain, image_tasks, noise, outputs, small_method

T, N, K, Q, C = 2, 3, 2, 4, 3


def module(side: int, seed: int = 0) -> RelationModule:
    """A relation module on C maps with statistics of its own."""
    made = RelationModule((C, side, side), 8, False, seed).double()
    for i, norm in enumerate(made.norms):
        norm.running_mean.copy_(noise(i, C))
        norm.running_var.copy_(noise(i + 5, C).exp())
    return made


def textbook(m: RelationModule, s: Tensor, q: Tensor) -> Tensor:
    """One pair: maps laid on each other, two blocks in the paper's order, two layers."""
    x = torch.cat([s, q])[None]  # [1, 2C, H, W]
    for conv, norm in zip((m.first, m.second), m.norms):
        x = F.relu(norm(F.conv2d(x, conv.weight, padding=conv.padding)))
        x = F.max_pool2d(x, 2) if min(x.shape[-2:]) > 1 else x
    return m.last(F.relu(m.hidden(x.flatten(1))))[0, 0]


@pytest.mark.parametrize("side", [1, 2, 5, 11])
def test_every_pair_in_plain_loops(side: int) -> None:
    m = module(side).eval()
    s, q = noise(0, T, N, C, side, side), noise(1, T, Q, C, side, side)
    out = m(s, q)
    assert out.shape == (T, Q, N)
    for t in range(T):
        for i in range(Q):
            for n in range(N):
                torch.testing.assert_close(out[t, i, n], textbook(m, s[t, n], q[t, i]), rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize(("side", "inputs", "maps"), [(28, 64, (64, 5, 5)), (84, 576, (64, 19, 19))])
def test_the_papers_sizes(side: int, inputs: int, maps: tuple[int, int, int]) -> None:
    """Omniglot: maps of 5 x 5 and 64 -> 8 -> 1 units; mini-ImageNet: 19 x 19 and 576 -> 8 -> 1."""
    net = Conv4Maps((1, side, side))
    assert net.map_shape == maps
    assert net(torch.zeros(1, 1, side, side)).shape == (1, net.out_features)
    m = RelationModule(maps, 8, False, 0)
    assert (m.hidden.in_features, m.hidden.out_features, m.last.out_features) == (inputs, 8, 1)
    assert m.eval()(torch.zeros(1, 1, *maps), torch.zeros(1, 1, *maps)).shape == (1, 1, 1)


@pytest.mark.parametrize("combine", ["sum", "mean"])
def test_a_class_is_the_sum_or_the_mean_of_its_maps(combine: str) -> None:
    model = small_method("relation", combine=combine)
    assert isinstance(model, Relation)
    f, ys = noise(0, T, N * K, *model.map_shape), torch.tensor([[0, 1, 2, 2, 0, 1], [2, 1, 0, 0, 1, 2]])
    out = model.class_maps(Embedded(f.flatten(2), ys, N))
    for t in range(T):
        for n in range(N):
            members = [f[t, s] for s in range(N * K) if ys[t, s] == n]
            expected = sum(members) / (len(members) if combine == "mean" else 1)
            torch.testing.assert_close(out[t, n], expected)


def test_the_mean_does_not_depend_on_the_number_of_examples() -> None:
    tasks = image_tasks(0)
    twice = Tasks(torch.cat([tasks.xs, tasks.xs], 1), torch.cat([tasks.ys, tasks.ys], 1), tasks.xq, tasks.yq,
                  tasks.classes, tasks.indices)  # fmt: skip
    for combine, same in (("mean", True), ("sum", False)):
        model = small_method("relation", combine=combine)
        assert torch.allclose(outputs(model, tasks), outputs(model, twice), rtol=1e-9) == same


def test_the_loss_is_the_squared_error_in_plain_loops() -> None:
    model, tasks = small_method("relation"), image_tasks(0)  # evaluation mode: predict sees what the loss sees
    loss, _ = model.meta_loss(tasks)
    r = outputs(model, tasks).sigmoid()
    errors = [(float(r[t, q, n]) - float(tasks.yq[t, q] == n)) ** 2
              for t in range(len(r)) for q in range(r.shape[1]) for n in range(r.shape[2])]  # fmt: skip
    assert loss.item() == pytest.approx(sum(errors) / len(errors), rel=1e-12)


@pytest.mark.parametrize(("way", "plateau"), [(5, 0.16), (20, 0.0475)])
def test_the_best_constant_is_one_nth_and_costs_its_variance(way: int, plateau: float) -> None:
    """(1/N)(1 - 1/N): the plateau that a relation module which sees nothing cannot leave."""
    truth = torch.eye(way)
    loss = {r: float((r - truth).square().mean()) for r in (1 / way - 0.01, 1 / way, 1 / way + 0.01)}
    assert min(loss, key=loss.__getitem__) == 1 / way
    assert loss[1 / way] == pytest.approx(plateau, rel=1e-4)


@pytest.mark.parametrize("p", [0.1, 0.5, 0.8])
def test_squared_error_and_cross_entropy_have_the_same_best_score(p: float) -> None:
    """Where a pair is of one class with probability p, both are least at r = p: scores are probabilities."""
    r = torch.linspace(0.01, 0.99, 99, dtype=torch.float64)
    squared = p * (r - 1) ** 2 + (1 - p) * r**2
    entropy = -p * r.log() - (1 - p) * (1 - r).log()
    assert float(r[squared.argmin()]) == pytest.approx(p)
    assert float(r[entropy.argmin()]) == pytest.approx(p)


def test_vectors_can_be_compared_too() -> None:
    """An encoder without maps: one pixel a side, so that the blocks are linear layers."""

    model = Relation(nn.Flatten(), input_shape=(1, 4, 4)).double().eval()
    assert model.map_shape == (16, 1, 1)
    assert model.relation.first.kernel_size == model.relation.second.kernel_size == (1, 1)
    xs, xq, ys = noise(0, T, N, 1, 4, 4), noise(1, T, Q, 1, 4, 4), torch.arange(N).expand(T, N)
    assert model.predict(model.adapt(xs, ys, N), xq).shape == (T, Q, N)


def test_transductive_is_the_statistics_of_each_task_in_plain_loops() -> None:
    """As published: batch norm of both networks by the task at hand; here a task at a time, by torch's own layers."""
    model, tasks = small_method("relation"), image_tasks(3)
    found = outputs(model, tasks, transductive=True)
    S = tasks.xs.shape[1]
    before = {k: v.clone() for k, v in model.state_dict().items()}
    model.train()  # torch's layers normalise by the batch
    for t in range(len(tasks.xs)):
        with torch.no_grad():
            f = model.backbone(torch.cat([tasks.xs[t], tasks.xq[t]]))[None]
            expected = model.score(Embedded(f[:, :S], tasks.ys[t : t + 1], 3), f[:, S:])
        torch.testing.assert_close(found[t : t + 1], expected, rtol=1e-8, atol=1e-9)
    model.load_state_dict(before)


def test_the_transductive_mode_leaves_no_trace() -> None:
    model, tasks = small_method("relation"), image_tasks(4)
    before = {k: v.clone() for k, v in model.state_dict().items()}
    outputs(model, tasks, transductive=True)
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    twin = with_batch_statistics(model.backbone)
    assert [id(p) for p in twin.parameters()] == [id(p) for p in model.backbone.parameters()]
    assert all(isinstance(b.norm, nn.BatchNorm2d) for b in model.backbone.blocks)


@pytest.mark.parametrize(("start", "blind"), [("difference", True), ("independent", False)])
def test_at_first_the_relation_of_equal_maps_does_not_depend_on_them(start: str, blind: bool) -> None:
    """Filters that see the difference: a map beside itself has one score, whatever it shows."""
    model = Relation(Plain(), input_shape=(256,), start=start).double().eval()
    x = noise(0, 1, 2, *model.map_shape)
    scores = model.relation(x, x)[0].diagonal()
    assert bool(torch.allclose(scores[0], scores[1], rtol=1e-9)) == blind
