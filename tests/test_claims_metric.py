"""Identities of prototypical and matching networks and of the nearest neighbours (float64)."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from kshot.functional.distances import cosine, squared_euclidean
from kshot.functional.hausdorff import ink_points, modified_hausdorff
from kshot.functional.prototypes import attention_log_probs, class_means, nearest_scores
from kshot.methods import Matching, Nearest, ProtoNet
from kshot.methods.metric import Embedded
from support import image_tasks, noise, outputs, small_method

T, N, K, Q, D = 2, 3, 4, 5, 6


def features(seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """Support features [T, N*K, D] with labels in mixed order, query features [T, Q, D]."""
    ys = torch.stack([torch.randperm(N * K, generator=torch.Generator().manual_seed(t)) % N for t in range(T)])
    return noise(seed, T, N * K, D), ys, noise(seed + 1, T, Q, D)


def scores(model: ProtoNet | Matching, f: Tensor, ys: Tensor, q: Tensor) -> Tensor:
    return model.score(Embedded(f, ys, N), q)


def proto(**options: object) -> ProtoNet:
    return ProtoNet(torch.nn.Flatten(), **options).double()


def matching(**options: object) -> Matching:
    return Matching(torch.nn.Flatten(), **options).double()


def test_prototypes_in_plain_loops() -> None:
    f, ys, q = features()
    out = scores(proto(), f, ys, q)
    for t in range(T):
        for i in range(Q):
            for n in range(N):
                members = [f[t, s] for s in range(N * K) if ys[t, s] == n]
                mean = sum(members) / len(members)
                distance = sum(float(q[t, i, d] - mean[d]) ** 2 for d in range(D))
                assert float(out[t, i, n]) == pytest.approx(-distance, rel=1e-12)


def test_softmax_of_distances_is_a_linear_classifier() -> None:
    """-||f - c||^2 = (2 c.f - ||c||^2) - ||f||^2: weights w = 2c, bias -||c||^2 (Snell et al. 2017, section 2.4)."""
    f, ys, q = features()
    c = class_means(f, ys, N)
    linear = 2 * q @ c.transpose(-1, -2) - c.square().sum(-1)[:, None]
    torch.testing.assert_close(scores(proto(), f, ys, q).softmax(-1), linear.softmax(-1), rtol=1e-12, atol=1e-14)


def test_prototypes_do_not_see_where_the_embedding_lies_but_how_large_it_is() -> None:
    f, ys, q = features()
    rotation = torch.linalg.qr(noise(9, D, D)).Q
    shift = noise(8, D)
    moved = scores(proto(), f @ rotation + shift, ys, q @ rotation + shift)
    torch.testing.assert_close(moved, scores(proto(), f, ys, q), rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(scores(proto(), 3 * f, ys, 3 * q), scores(proto(scale=9.0), f, ys, q))


def test_repeating_the_support_set_changes_nothing() -> None:
    f, ys, q = features()
    twice = scores(proto(), torch.cat([f, f], 1), torch.cat([ys, ys], 1), q)
    torch.testing.assert_close(twice, scores(proto(), f, ys, q))


def test_with_one_shot_prototypes_are_matching() -> None:
    """One example of each class: the same probabilities for the same distance (Snell et al. 2017, section 2.5)."""
    f, q = noise(0, T, N, D), noise(1, T, Q, D)
    ys = torch.tensor([[2, 0, 1], [0, 1, 2]])
    for distance in ("euclidean", "cosine"):
        a = scores(proto(distance=distance, scale=2.0), f, ys, q).softmax(-1)
        b = scores(matching(similarity=distance, temperature=2.0), f, ys, q).softmax(-1)
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-12)


def test_unsquared_distances_are_the_roots_of_the_squared_ones() -> None:
    """The same nearest class, and a finite gradient where a query lies on a prototype."""
    tasks = image_tasks(0, shot=1)
    squared, plain = (small_method("protonet", distance=d) for d in ("euclidean", "unsquared"))
    a, b = outputs(squared, tasks), outputs(plain, tasks)
    torch.testing.assert_close(a, -b.square(), rtol=1e-9, atol=1e-12)
    on_it = tasks.with_queries(tasks.xs, tasks.ys)
    plain.eval().meta_step(on_it)
    assert all(torch.isfinite(p.grad).all() for p in plain.parameters() if p.grad is not None)


def test_the_mean_minimises_the_summed_squared_distance() -> None:
    f, ys, _ = features()
    mean = class_means(f, ys, N)[0, 0]
    members = f[0][ys[0] == 0]
    at_mean = squared_euclidean(members, mean[None]).sum()
    for seed in range(5):
        other = mean + 0.1 * noise(seed, D)
        assert squared_euclidean(members, other[None]).sum() > at_mean


def test_a_support_point_gets_a_kth_of_its_prototypes_gradient() -> None:
    f, ys, q = features()
    f.requires_grad_()
    prototypes = class_means(f, ys, N)
    prototypes.retain_grad()
    (-squared_euclidean(q, prototypes)).log_softmax(-1)[..., 0].sum().backward()
    for t in range(T):
        for s in range(N * K):
            torch.testing.assert_close(f.grad[t, s], prototypes.grad[t, ys[t, s]] / K)


def test_matching_in_plain_loops() -> None:
    f, ys, q = features()
    out = scores(matching(temperature=3.0), f, ys, q).exp()
    for t in range(T):
        for i in range(Q):
            c = [float(q[t, i] @ f[t, s] / (q[t, i].norm() * f[t, s].norm())) for s in range(N * K)]
            a = [math.exp(3 * x) / sum(math.exp(3 * y) for y in c) for x in c]
            for n in range(N):
                expected = sum(a[s] for s in range(N * K) if ys[t, s] == n)
                assert float(out[t, i, n].detach()) == pytest.approx(expected, rel=1e-6)  # the temperature is a float32


def test_matching_gives_probabilities() -> None:
    f, ys, q = features()
    p = scores(matching(), f, ys, q).exp()
    torch.testing.assert_close(p.sum(-1), torch.ones(T, Q, dtype=torch.float64))
    assert (p >= 0).all()


def test_cosine_matching_does_not_see_the_length_of_features() -> None:
    f, ys, q = features()
    torch.testing.assert_close(scores(matching(), 5 * f, ys, 0.1 * q), scores(matching(), f, ys, q))


@pytest.mark.parametrize(("way", "bound"), [(5, 0.649), (20, 0.280)])
def test_without_temperature_the_softmax_of_cosines_is_bounded(way: int, bound: float) -> None:
    """No probability exceeds e / (e + (N - 1) / e), reached by a query that is one example and opposite to the rest."""
    ys = torch.arange(way)[None]
    f = -torch.ones(1, way, 1, dtype=torch.float64)
    f[0, 0] = 1
    best = scores_for(matching(temperature=1.0), f, ys, way, f[:, :1]).detach().exp().max()
    assert float(best) == pytest.approx(math.e / (math.e + (way - 1) / math.e))
    assert float(best) == pytest.approx(bound, abs=5e-4)


def scores_for(model: Matching, f: Tensor, ys: Tensor, way: int, q: Tensor) -> Tensor:
    return model.score(Embedded(f, ys, way), q)


def test_a_class_without_support_has_probability_zero() -> None:
    f, ys, q = features()
    p = attention_log_probs(cosine(q, f), ys, N + 1).exp()
    assert torch.equal(p[..., N], torch.zeros(T, Q, dtype=torch.float64))
    torch.testing.assert_close(p.sum(-1), torch.ones(T, Q, dtype=torch.float64))


def test_far_queries_do_not_underflow() -> None:
    f, ys, q = features()
    out = attention_log_probs(-1e4 * squared_euclidean(q, f), ys, N)
    assert torch.isfinite(out).all()


def test_initial_loss_of_equal_features_is_the_log_of_the_way() -> None:
    for way, loss in ((5, 1.609), (20, 2.996)):
        f, ys = torch.ones(1, way, D, dtype=torch.float64), torch.arange(way)[None]
        for model in (proto(), matching()):
            out = model.score(Embedded(f, ys, way), f)
            assert F.cross_entropy(out.flatten(0, 1), ys.flatten()).item() == pytest.approx(loss, abs=1e-3)


def test_nearest_neighbour_in_plain_loops() -> None:
    f, ys, q = features()
    model = Nearest()
    out = model.predict(model.adapt(f, ys, N), q)
    for t in range(T):
        for i in range(Q):
            nearest = min(range(N * K), key=lambda s, t=t, i=i: float((q[t, i] - f[t, s]).norm()))
            assert int(out[t, i].argmax()) == int(ys[t, nearest])
    assert torch.equal(nearest_scores(-squared_euclidean(q, f), ys, N), out)


def test_modified_hausdorff_by_hand() -> None:
    """Dubuisson & Jain 1994: the larger of the two mean distances to the nearest point."""
    a, b = torch.tensor([[0.0, 0.0], [0.0, 4.0]]), torch.tensor([[0.0, 0.0]])
    assert float(modified_hausdorff(a, b)) == pytest.approx(2.0)
    assert float(modified_hausdorff(b, a)) == pytest.approx(2.0)
    assert float(modified_hausdorff(a, a)) == 0.0


def test_ink_is_seen_relative_to_its_centre() -> None:
    image = torch.zeros(8, 8)
    image[2:4, 5] = 1
    torch.testing.assert_close(ink_points(image), torch.tensor([[-0.5, 0.0], [0.5, 0.0]]))
    moved = torch.roll(image, (3, -2), (0, 1))
    assert float(modified_hausdorff(ink_points(image), ink_points(moved))) == 0.0
    assert ink_points(torch.zeros(8, 8)).shape == (1, 2)
