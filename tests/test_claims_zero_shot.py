"""Claims of Snell et al. 2017, section 2.7: classes from descriptions (float64)."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from kshot.errors import UserError
from kshot.methods import ProtoNetZero, build_method
from kshot.methods.metric import Embedded
from kshot.tasks import TaskSpec
from support import ATTRIBUTES, Plain, noise, outputs, small_method, spec_for, tasks_for

T, N, D, A = 2, 3, 5, len(ATTRIBUTES)


def method(**options: object) -> ProtoNetZero:
    return ProtoNetZero(Plain(), input_shape=(1, 16, 16), attributes=ATTRIBUTES, **options).double().eval()


def test_in_plain_loops() -> None:
    model, tasks = method(), tasks_for("protonet-zero")
    out = outputs(model, tasks)
    W, b = model.describe.weight.detach(), model.describe.bias.detach()
    for t in range(T):
        for i, x in enumerate(tasks.xq[t]):
            f = model.backbone(x[None])[0].detach()
            for n in range(N):
                g = [float(W[d] @ tasks.xs[t, n] + b[d]) for d in range(D)]
                length = sum(v * v for v in g) ** 0.5
                expected = -sum((float(f[d]) - g[d] / length) ** 2 for d in range(D))
                assert float(out[t, i, n]) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("units", [0, 7])
def test_prototypes_have_unit_length_and_queries_have_not(units: int) -> None:
    model, tasks = method(description_units=units), tasks_for("protonet-zero")
    prototypes = model.adapt(tasks.xs, tasks.ys, N).features
    torch.testing.assert_close(prototypes.norm(dim=-1), torch.ones(T, N, dtype=torch.float64))
    f, support = noise(1, T, 4, D), Embedded(prototypes, tasks.ys, N)
    twice, once = model.score(support, 2 * f).softmax(-1), model.score(support, f).softmax(-1)
    assert not torch.allclose(twice, once)  # the length of a query is its certainty
    free = method(description_units=units, unit_length=False).adapt(tasks.xs, tasks.ys, N).features
    torch.testing.assert_close(torch.nn.functional.normalize(free, dim=-1), prototypes)


def test_it_is_a_linear_classifier_without_bias() -> None:
    """-|f - c|^2 = 2 c.f - 1 - |f|^2: with unit length only the weights 2 c_n are left in the softmax."""
    model, tasks = method(), tasks_for("protonet-zero")
    state, f = model.adapt(tasks.xs, tasks.ys, N), noise(1, T, 4, D)
    torch.testing.assert_close(
        model.score(state, f).softmax(-1), (2 * f @ state.features.transpose(-1, -2)).softmax(-1), rtol=1e-10, atol=0
    )


def test_the_strength_of_a_description_does_not_matter_to_a_linear_g_without_bias() -> None:
    model, tasks = method(), tasks_for("protonet-zero")
    with torch.no_grad():
        model.describe.bias.zero_()
        a, b = (model.adapt(s * tasks.xs, tasks.ys, N).features for s in (1, 7))
    torch.testing.assert_close(a, b)


def test_several_descriptions_of_a_class_are_averaged() -> None:
    model, tasks = method(), tasks_for("protonet-zero")
    twice = model.adapt(torch.cat([tasks.xs, tasks.xs], 1), torch.cat([tasks.ys, tasks.ys], 1), N)
    torch.testing.assert_close(twice.features, model.adapt(tasks.xs, tasks.ys, N).features)
    two = model.adapt(torch.cat([tasks.xs[:, :1], tasks.xs], 1), torch.tensor([[1, 0, 1, 2]]).expand(T, 4), N)
    with torch.no_grad():
        g = model.describe(tasks.xs)
    mean = torch.nn.functional.normalize((g[:, 0] + g[:, 1]) / 2, dim=-1)
    torch.testing.assert_close(two.features[:, 1], mean)


def test_an_empty_description_is_no_nan() -> None:
    model, tasks = method(), tasks_for("protonet-zero")
    with torch.no_grad():
        model.describe.bias.zero_()
    empty: Tensor = model.adapt(torch.zeros_like(tasks.xs), tasks.ys, N).features
    assert torch.isfinite(empty).all()


def test_descriptions_of_never_seen_classes_are_understood_by_their_parts() -> None:
    """Pictures that are sums of parts, classes that are pairs of parts: pairs never trained on are recognised."""
    parts = noise(0, 6, 16)
    pairs = [(i, j) for i in range(6) for j in range(i)]
    rows = torch.zeros(15, 6, dtype=torch.float64)
    for row, pair in zip(rows, pairs):
        row[list(pair)] = 1
    new = [k for k, pair in enumerate(pairs) if pair in ((3, 1), (5, 2), (4, 0))]
    old = [k for k in range(15) if k not in new]
    model = build_method("protonet-zero", TaskSpec((16,), 12, 15, attributes=tuple("abcdef")), backbone="linear",
                         backbone_options={"features": 8}).double()  # fmt: skip
    optimiser = torch.optim.Adam(model.parameters(), 0.02)
    for step in range(60):
        x = rows[old] @ parts + 0.3 * noise(step, len(old), 16)
        state = model.adapt(rows[old][None], torch.arange(len(old))[None], len(old))
        loss = torch.nn.functional.cross_entropy(model.predict(state, x[None])[0], torch.arange(len(old)))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    x = rows[new].repeat(30, 1) @ parts + 0.3 * noise(99, 90, 16)
    with torch.no_grad():
        state = model.adapt(rows[new][None], torch.arange(3)[None], 3)
        right = model.predict(state, x[None])[0].argmax(-1) == torch.arange(3).repeat(30)
    assert right.double().mean() > 0.9


def test_methods_and_tasks_of_another_kind_are_refused() -> None:
    with pytest.raises(UserError, match=r"learns from descriptions, and .* hold examples: use --shot 0"):
        build_method("protonet-zero", spec_for("protonet"))
    with pytest.raises(UserError, match=r"protonet learns from examples, and .* hold descriptions: use --shot 1 or"):
        build_method("protonet", spec_for("protonet-zero"))
    assert small_method("protonet-zero").describe.weight.shape == (4, 4)  # D of conv4 with 4 filters at 16 pixels; A
