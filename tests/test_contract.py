"""What holds for every method of the registry."""

from __future__ import annotations

import copy
import gc

import pytest
import torch

from kshot.data.curves import Sinusoid
from kshot.errors import UserError
from kshot.functional import random
from kshot.methods import METHODS, Method, build_method, method_options
from kshot.tasks import CurveTasks, Tasks
from support import WAY, outputs, small_method, spec_for, tasks_for

CLASSIFIERS = sorted(n for n, m in METHODS.items() if "classes" in m.about.targets)
TRAINED = [n for n in CLASSIFIERS if METHODS[n].about.meta_trained]
REGRESSORS = sorted(n for n, m in METHODS.items() if "regression" in m.about.targets)


@pytest.fixture(params=CLASSIFIERS)
def name(request: pytest.FixtureRequest) -> str:
    return request.param


def trained(name: str) -> torch.nn.Module:
    """A method after a few steps of training, so that running statistics and moments are not at their start."""
    method = small_method(name)
    if method.about.meta_trained:
        method.train()
        optimiser = torch.optim.SGD(method.parameters(), lr=1e-3)
        for seed in range(2):
            optimiser.zero_grad()
            method.meta_step(tasks_for(name, seed))
            optimiser.step()
    return method.eval()


def live_tensors() -> int:
    gc.collect()
    return sum(issubclass(type(o), torch.Tensor) for o in gc.get_objects())


@pytest.mark.parametrize("name", TRAINED)
def test_a_step_leaves_no_memory_behind(name: str) -> None:
    """A graph that leads back to itself through an object of ours is never freed."""
    method, counts = small_method(name).train(), []
    for seed in range(4):
        method.zero_grad()
        method.meta_step(tasks_for(name, seed))
        counts.append(live_tensors())
    assert counts[1] == counts[3]


def test_says_what_it_is(name: str) -> None:
    about = METHODS[name].about
    assert about.title
    assert about.source
    assert about.idea
    assert METHODS[name].__doc__
    for option in method_options(name).values():
        assert option.default is not option.empty
        assert f"{option.name}:" in METHODS[name].__doc__, "every option is explained"


def test_predicts_logits_of_every_query(name: str) -> None:
    tasks = tasks_for(name)
    out = outputs(small_method(name), tasks)
    assert out.shape == (*tasks.yq.shape, WAY)
    assert torch.isfinite(out).all()


def test_uint8_pictures_are_the_same_as_floats_over_255(name: str) -> None:
    tasks = tasks_for(name)
    bytes_ = (tasks.xs * 255).round().to(torch.uint8), (tasks.xq * 255).round().to(torch.uint8)
    method = trained(name)
    with torch.no_grad():
        a = method.predict(method.adapt(bytes_[0], tasks.ys, WAY), bytes_[1])
        b = method.predict(method.adapt(bytes_[0].double() / 255, tasks.ys, WAY), bytes_[1].double() / 255)
    torch.testing.assert_close(a.double(), b.double(), rtol=1e-5, atol=1e-5)


def test_adapt_leaves_no_trace(name: str) -> None:
    method, tasks = trained(name), tasks_for(name, 5)
    before = copy.deepcopy(method.state_dict())
    first = outputs(method, tasks)
    outputs(method, tasks_for(name, 6))
    assert torch.equal(first, outputs(method, tasks))
    for key, value in method.state_dict().items():
        assert torch.equal(value, before[key]), key
    assert all(p.grad is None or not p.grad.requires_grad for p in method.parameters())


def test_tasks_of_a_batch_do_not_see_each_other(name: str) -> None:
    method, tasks = trained(name), tasks_for(name, 7, T=3)
    together = outputs(method, tasks)
    alone = torch.cat([outputs(method, tasks[i]) for i in range(3)])
    torch.testing.assert_close(together, alone, rtol=1e-7, atol=1e-9)


def test_no_query_sees_its_companions_unless_transductive(name: str) -> None:
    """The batch norm test: predictions one by one, in another order, and beside strangers are the same."""
    method, tasks = trained(name), tasks_for(name, 8)
    all_at_once = outputs(method, tasks)
    one = torch.cat([outputs(method, tasks.with_queries(tasks.xq[:, i : i + 1], tasks.yq[:, i : i + 1]))
                     for i in range(tasks.xq.shape[1])], 1)  # fmt: skip
    torch.testing.assert_close(all_at_once, one, rtol=1e-7, atol=1e-9)
    strangers = torch.cat([tasks.xq, torch.rand_like(tasks.xq, generator=torch.Generator().manual_seed(0)) * 9], 1)
    more = outputs(method, tasks.with_queries(strangers, torch.cat([tasks.yq, tasks.yq], 1)))
    torch.testing.assert_close(all_at_once, more[:, : tasks.xq.shape[1]], rtol=1e-7, atol=1e-9)


def test_transductive_methods_see_the_companions() -> None:
    for name in (n for n in CLASSIFIERS if METHODS[n].about.transductive):
        method, tasks = trained(name), tasks_for(name, 9)
        full = outputs(method, tasks, transductive=True)
        half = outputs(method, tasks.with_queries(tasks.xq[:, :3], tasks.yq[:, :3]), transductive=True)
        assert not torch.allclose(full[:, :3], half), name


def test_order_of_the_support_set(name: str) -> None:
    method, tasks = trained(name), tasks_for(name, 10)
    flipped = Tasks(tasks.xs.flip(1), tasks.ys.flip(1), tasks.xq, tasks.yq, tasks.classes, tasks.indices)
    if not method.about.support_order:
        torch.testing.assert_close(outputs(method, tasks), outputs(method, flipped), rtol=1e-7, atol=1e-9)


def test_renamed_labels_rename_the_predictions(name: str) -> None:
    method, tasks = trained(name), tasks_for(name, 11)
    rename = torch.tensor([2, 0, 1])
    renamed = Tasks(tasks.xs, rename[tasks.ys], tasks.xq, rename[tasks.yq], tasks.classes, tasks.indices)
    if method.about.label_symmetric:
        torch.testing.assert_close(outputs(method, tasks), outputs(method, renamed)[..., rename], rtol=1e-7, atol=1e-9)


def test_random_labels_are_at_chance(name: str) -> None:
    """With labels that have nothing to do with the pictures nothing can be known: a leak would show here."""
    tasks = tasks_for(name, 12, T=40, query=4)
    key = random.keys(0, torch.arange(40), "random labels")
    yq = random.integers(key, tasks.yq.shape[1], high=WAY)
    accuracy = (outputs(trained(name), tasks).argmax(-1) == yq).double().mean()
    assert abs(accuracy - 1 / WAY) < 4 * (2 / 9 / yq.numel()) ** 0.5  # four standard deviations


def test_what_is_measured_beside_has_one_value_a_task_and_leaves_no_trace(name: str) -> None:
    method, tasks = trained(name), tasks_for(name, 14, T=3)
    before = outputs(method, tasks)
    with torch.no_grad():
        together, alone = method.further(tasks), method.further(tasks[1])
    for measure, values in together.items():
        assert values.shape == (3,)
        torch.testing.assert_close(values[1:2], alone[measure], rtol=1e-7, atol=1e-9, equal_nan=True)
    assert torch.equal(before, outputs(method, tasks))


def test_features_and_similarities_leave_no_trace_and_no_query_sees_another(name: str) -> None:
    method, tasks = trained(name), tasks_for(name, 15)
    before = outputs(method, tasks)
    with torch.no_grad():
        state = method.adapt(tasks.xs, tasks.ys, WAY)
        features, found = method.represent(state, tasks.xq), method.similarity(state, tasks.xs, tasks.xq)
        one, alone = method.represent(state, tasks.xq[:, 1:2]), method.similarity(state, tasks.xs, tasks.xq[:, 1:2])
    assert torch.equal(before, outputs(method, tasks))
    assert (features is None) == (one is None)
    if features is not None and one is not None:
        assert features.shape[:2] == tasks.yq.shape
        assert features.ndim == 3
        torch.testing.assert_close(features[:, 1:2], one, rtol=1e-7, atol=1e-9)
    assert found is not None, "all that learn classes can say how alike two pictures are"
    assert alone is not None
    assert found.values.shape == (*tasks.yq.shape, tasks.ys.shape[1])
    assert torch.isfinite(found.values).all()
    assert found.of
    torch.testing.assert_close(found.values[:, 1:2], alone.values, rtol=1e-7, atol=1e-9)


SYMMETRIC = [n for n in CLASSIFIERS if n not in ("relation", "matching-fce", "protonet-zero")]  # a query is no example


@pytest.mark.parametrize("name", SYMMETRIC)
def test_two_pictures_are_as_alike_in_either_order_and_none_is_more_like_one_than_itself(name: str) -> None:
    method, tasks = trained(name), tasks_for(name, 16)
    with torch.no_grad():
        found = method.similarity(method.adapt(tasks.xs, tasks.ys, WAY), tasks.xs, tasks.xs)
    torch.testing.assert_close(found.values, found.values.mT, rtol=1e-6, atol=1e-8)
    assert (found.values.diagonal(0, 1, 2) >= found.values.amax(-1) - 1e-8).all()


@pytest.mark.parametrize("name", TRAINED)
def test_meta_step_fills_gradients(name: str) -> None:
    method = small_method(name).train()
    measures = method.meta_step(tasks_for(name))
    assert torch.isfinite(measures["loss"])
    assert 0 <= measures["accuracy"] <= 1
    missing = [n for n, p in method.named_parameters() if p.requires_grad and p.grad is None]
    assert not missing


@pytest.mark.parametrize("name", TRAINED)
def test_meta_training_lowers_the_loss(name: str) -> None:
    method = small_method(name).train()
    # Reptile's gradient is (theta - W) / alpha, made for SGD with learning rate alpha; others use Adam
    sgd = name == "reptile"
    optimiser = torch.optim.SGD(method.parameters(), 1e-2) if sgd else torch.optim.Adam(method.parameters(), 1e-2)
    losses = []
    for _ in range(15):
        optimiser.zero_grad()
        losses.append(float(method.meta_step(tasks_for(name, 3))["loss"]))
        optimiser.step()
    assert losses[-1] < 0.8 * losses[0]


def test_the_same_seed_gives_the_same_weights(name: str) -> None:
    a, b, c = small_method(name), small_method(name), small_method(name)
    if name not in ("nearest", "hausdorff"):
        c = build_method(name, spec_for(name), seed=1, backbone_options={"filters": 4}).double()
    assert all(torch.equal(x, y) for x, y in zip(a.state_dict().values(), b.state_dict().values()))
    same = [torch.equal(x, y) for x, y in zip(a.parameters(), c.parameters())]
    assert not same or not all(same)


@pytest.mark.parametrize("name", REGRESSORS)
def test_regression(name: str) -> None:
    source = CurveTasks(Sinusoid(), shot=5, query=7)
    method = build_method(name, source.spec).eval()
    tasks = source.batch(range(4))
    out = outputs(method, tasks)
    assert out.shape == (4, 7, 1)
    method.train()
    assert "mse" in method.meta_step(tasks)


@pytest.mark.parametrize("name", [n for n in CLASSIFIERS if METHODS[n].about.fixed_way])
def test_another_way_than_the_head_is_refused(name: str) -> None:
    with pytest.raises(UserError, match=r"made for 3-way tasks and got a 5-way task.*--way 5"):
        outputs(small_method(name), tasks_for(name, way=5))


@pytest.mark.parametrize("name", [n for n in CLASSIFIERS if METHODS[n].predict_steps is not Method.predict_steps])
def test_predictions_by_step_end_in_the_prediction(name: str) -> None:
    method, tasks = trained(name), tasks_for(name, 13)
    steps = method.eval_steps
    with torch.no_grad():
        path = method.predict_steps(tasks.xs, tasks.ys, tasks.xq, WAY, steps)
    assert path.shape == (steps + 1, *tasks.yq.shape, WAY)
    torch.testing.assert_close(path[-1], outputs(method, tasks), rtol=1e-9, atol=1e-9)


def test_unknown_names_offer_the_nearest() -> None:
    with pytest.raises(UserError, match=r"unknown method 'protonets'; did you mean 'protonet'\?"):
        build_method("protonets", spec_for("protonet"))
    with pytest.raises(UserError, match=r"unknown option of maml 'inner_step'; did you mean 'inner_steps'\?"):
        build_method("maml", spec_for("maml"), inner_step=3)
    with pytest.raises(UserError, match=r"unknown option of backbone conv4 'filter'; did you mean 'filters'\?"):
        build_method("protonet", spec_for("protonet"), backbone_options={"filter": 3})
