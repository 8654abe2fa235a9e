"""The numbers behind the figures, each beside a small oracle."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from kshot.errors import UserError
from kshot.evaluation import compare, evaluate, evaluating, predictions
from kshot.evaluation.plots import (
    Asked,
    LeftOut,
    adaptation,
    confusion,
    embedding,
    reliability,
    side_by_side,
    similarity,
    task,
    way_shot,
)
from kshot.tasks import make_source
from kshot.tasks.mixture import MixedTasks
from plot_support import CLASSES, EACH, curve_subject, fresh, noisy_images, picture_source, subject
from support import WAY

FEW = Asked(episodes=6)


# reliability


def test_reliability_is_that_of_a_plain_loop_and_of_the_report() -> None:
    one = subject("protonet")
    one.temperature = 2.5
    found = reliability.gather([one], FEW)
    report = evaluate(one.method, one.source, episodes=FEW.episodes)
    bare, warm = found["series"]
    assert (bare["temperature"], warm["temperature"]) == (1.0, 2.5)
    assert report.calibration is not None
    assert bare["ece"] == pytest.approx(report.calibration.before.ece, abs=1e-6)
    bins: dict[int, list[tuple[float, bool]]] = {}
    for i in range(FEW.episodes):
        t = one.source.batch([i])
        with evaluating(one.method):
            logits = predictions(one.method, t)[0].double()
        for z, y in zip(logits, t.yq[0].tolist()):
            p = (z / 2.5).softmax(0)
            bins.setdefault(min(14, int(15 * float(p.max()))), []).append((float(p.max()), int(p.argmax()) == y))
    for b, (count, sure, right) in enumerate(warm["bins"]):
        inside = bins.get(b, [])
        assert count == len(inside)
        if inside:
            assert sure == pytest.approx(sum(p for p, _ in inside) / count)
            assert right == pytest.approx(sum(r for _, r in inside) / count)


# confusion


def test_confusion_counts_add_up_and_are_those_of_a_plain_loop() -> None:
    one = subject("protonet")
    found = confusion.gather([one], FEW)
    counts = torch.tensor(found["counts"])
    N, Q = len(found["names"]), one.source.query
    assert N == CLASSES, "a method for any way is asked about as many classes as the data have, up to ten"
    assert counts.sum(1).tolist() == [FEW.episodes * Q] * N
    wide = one.source.recounted(way=N)
    classes = wide.among(wide.batch([0]).classes[0]).batch([0]).classes[0].tolist()
    by_hand = torch.zeros(N, N, dtype=torch.int64)
    for i in range(FEW.episodes):
        t = wide.among(torch.tensor(classes)).batch([i])
        with evaluating(one.method):
            answers = predictions(one.method, t).argmax(-1)[0]
        for true, said in zip(t.yq[0].tolist(), answers.tolist()):
            by_hand[classes.index(int(t.classes[0, true])), classes.index(int(t.classes[0, said]))] += 1
    assert torch.equal(counts, by_hand)


def test_confusion_of_a_fixed_head_keeps_its_way_and_agrees_with_the_accuracy() -> None:
    one = subject("maml")
    found = confusion.gather([one], FEW)
    counts = torch.tensor(found["counts"]).double()
    classes = one.source.batch([0]).classes[0]
    report = evaluate(one.method, one.source.among(classes), episodes=FEW.episodes)
    assert counts.shape == (WAY, WAY)
    assert 100 * float(counts.trace() / counts.sum()) == pytest.approx(report.value)


def test_classes_that_stay_the_same_change_place_and_examples() -> None:
    source = picture_source()
    classes = torch.tensor([5, 0, 7])
    t = source.among(classes).batch(range(30))
    assert all(sorted(row) == [0, 5, 7] for row in t.classes.tolist())
    assert len({tuple(row) for row in t.classes.tolist()}) == 6, "every order comes"
    assert len({x.numpy().tobytes() for x in t.xs}) == 30
    again = source.among(classes).recounted(shot=1).batch([3])
    assert sorted(again.classes[0].tolist()) == [0, 5, 7]
    assert again.xs.shape[1] == 3


def test_mixed_data_name_their_classes_and_stay_with_one_of_them() -> None:
    mixed = MixedTasks([picture_source(), picture_source(seed=5)])
    second = mixed.batch([1])
    assert [mixed.class_name(c) for c in second.classes[0].tolist()] == [
        mixed.sources[1].class_name(c) for c in mixed.sources[1].batch([0]).classes[0].tolist()
    ]
    alone = mixed.among(second.classes[0])
    assert sorted(alone.batch([4]).classes[0].tolist()) == sorted((second.classes[0] - CLASSES).tolist())
    assert mixed.recounted(shot=1, query=3).batch([0, 1]).xq.shape[:2] == (2, 9)
    with pytest.raises(UserError, match="no task has both"):
        mixed.among(torch.tensor([0, CLASSES]))


# similarity and embedding


@pytest.mark.parametrize("distance", ["euclidean", "cosine"])
def test_similarity_is_what_the_method_compares_sorted_by_class(distance: str) -> None:
    one = subject("protonet", distance=distance)
    found = similarity.gather([one], FEW)
    _, t, _ = one.shown_task(FEW)
    values = np.array(found["values"])
    assert values.shape == (WAY * 4, WAY * 2)
    assert found["query_labels"] == sorted(t.yq[0].tolist())
    assert found["example_labels"] == sorted(t.ys[0].tolist())
    f, g = (one.method.embed(x)[0].detach() for x in (t.xq, t.xs))  # type: ignore[operator]
    q, s = int(t.yq[0].argsort(stable=True)[0]), int(t.ys[0].argsort(stable=True)[-1])
    apart = -float((f[q] - g[s]).square().sum())
    alike = float(torch.nn.functional.cosine_similarity(f[q], g[s], 0))
    assert values[0, -1] == pytest.approx(alike if distance == "cosine" else apart, abs=1e-4)
    assert ("cosine" in found["of"]) == (distance == "cosine")


def test_the_plane_of_principal_components_holds_the_largest_variances() -> None:
    z = np.random.default_rng(0).normal(size=(40, 6)) * np.array([5, 3, 1, 1, 1, 0.5])
    plane, percent = embedding.principal_components(z)
    values = np.sort(np.linalg.eigvalsh(np.cov(z.T)))[::-1]
    assert plane.var(0, ddof=1) == pytest.approx(values[:2])
    assert percent == pytest.approx(100 * values[:2] / values.sum(), abs=0.06)


def test_tsne_keeps_neighbours_together_and_is_the_same_each_time() -> None:
    rng = np.random.default_rng(1)
    z = np.concatenate([rng.normal(size=(15, 5)) + 20 * c for c in range(3)])
    plane, perplexity = embedding.neighbours(z)
    again, _ = embedding.neighbours(z)
    assert np.array_equal(plane, again)
    assert perplexity == pytest.approx(44 / 3, abs=0.1)
    nearest = np.linalg.norm(plane[:, None] - plane[None], axis=-1) + 1e9 * np.eye(45)
    assert (nearest.argmin(1) // 15 == np.arange(45) // 15).all()


def test_an_embedding_has_examples_then_queries() -> None:
    one = subject("protonet")
    found = embedding.gather([one], FEW)
    _, t, p = one.shown_task(FEW)
    assert found["examples"] == WAY * 2
    assert found["labels"] == [*t.ys[0].tolist(), *t.yq[0].tolist()]
    assert found["answers"] == p.argmax(-1).tolist()
    assert len(found["pca"]) == len(found["tsne"]) == WAY * 6


# the task that is shown


@pytest.mark.parametrize("spread", [0.5, 2.0, 2.5])
def test_the_task_is_the_first_with_some_mistakes_or_the_one_that_was_named(spread: float) -> None:
    one = subject("nearest", make_source(noisy_images(spread), way=WAY, shot=2, query=4))
    index, t, p = one.shown_task(Asked())
    wrong = []
    for tasks in map(one.source.batch, ([i] for i in range(40))):
        wrong.append(int((predictions(one.method, tasks).argmax(-1) != tasks.yq).sum()))
    some, any_ = ([i for i in range(40) if low <= wrong[i] <= high] for low, high in ((2, 6), (1, 12)))
    assert index == [*some, *any_, 0][0]
    assert torch.equal(t.xs, one.source.batch([index]).xs)
    assert p.sum(-1).tolist() == pytest.approx([1.0] * (WAY * 4), abs=1e-5)
    assert one.shown_task(Asked(task=11))[0] == 11


def test_probabilities_are_calibrated() -> None:
    cold, warm = subject("protonet"), subject("protonet")
    warm.temperature = 50.0
    a, b = (s.shown_task(Asked(task=0))[2] for s in (cold, warm))
    assert torch.equal(a.argmax(-1), b.argmax(-1))
    assert float(b.amax(-1).mean()) < float(a.amax(-1).mean())


def test_a_task_has_mistakes_first() -> None:
    labels, predicted = torch.tensor([0, 1, 0, 0]), torch.tensor([0, 1, 1, 0])
    assert task.mistakes_first(labels, predicted, 0) == [2, 0, 3]
    found = task.gather([subject("protonet")], Asked(task=4))
    assert found["names"] == task.picture(subject("protonet"), Asked(task=4))[1].names
    assert all(name.startswith("letter") for name in found["names"]), "the part of the name that tells them apart"


# adaptation


@pytest.mark.parametrize("name", ["maml", "pretrained", "reptile", "lstm-meta-learner"])
def test_adaptation_at_step_k_is_an_evaluation_with_k_steps(name: str) -> None:
    one = subject(name)
    found = {c["name"]: c for c in adaptation.gather([one], Asked(episodes=4, steps=3))["curves"]}
    for k in (1, 3):
        method = fresh(name, one.source, eval_steps=k)
        for label, together in (("queries one by one", False), ("queries together", True)):
            if together and not method.about.transductive:
                assert label not in found
                continue
            report = evaluate(method, one.source, episodes=4, transductive=together)
            curve = found[label] if method.about.transductive else found[name]
            assert curve["y"][k] == pytest.approx(report.value, abs=1e-6)
            assert curve["spread"][k] == pytest.approx(report.ci95, abs=1e-6)


def test_methods_without_steps_are_left_out() -> None:
    with pytest.raises(LeftOut, match="prototypical network does not learn a task by steps"):
        adaptation.gather([subject("protonet")], FEW)
    both = adaptation.gather([subject("protonet"), subject("pretrained")], Asked(episodes=2, steps=1))
    assert [c["name"] for c in both["curves"]] == ["pretrained"]


# way and shot, and methods side by side


def test_every_cell_of_way_and_shot_is_an_evaluation() -> None:
    one = subject("protonet")
    found = way_shot.gather([one], Asked(episodes=5))
    assert {(c["way"], c["shot"]) for c in found["cells"]} == {(5, s) for s in (1, 2, 3, 5)}, (
        f"{CLASSES} classes of {EACH} pictures give no more"
    )
    cell = next(c for c in found["cells"] if c["shot"] == 3)
    report = evaluate(one.method, one.source.recounted(way=5, shot=3), episodes=5)
    assert (cell["value"], cell["ci95"]) == (pytest.approx(report.value), pytest.approx(report.ci95))
    fixed = way_shot.gather([subject("maml")], Asked(episodes=2, shots=(1,)))
    assert [c["way"] for c in fixed["cells"]] == [WAY]
    with pytest.raises(UserError, match="too few for 9-way tasks"):
        way_shot.gather([one], Asked(episodes=2, ways=(9,), shots=(1,)))


def test_errors_of_curves_fall_with_their_points() -> None:
    found = way_shot.gather([curve_subject("maml", eval_steps=1)], Asked(episodes=3, shots=(1, 5)))
    assert [(c["way"], c["shot"]) for c in found["cells"]] == [(0, 1), (0, 5)]


def test_side_by_side_is_the_paired_comparison() -> None:
    a, b = subject("protonet"), subject("nearest")
    found = side_by_side.gather([a, b], FEW)
    expected = compare({"protonet": a.method, "nearest": b.method}, a.source, episodes=FEW.episodes).as_dict()
    assert found["differences"] == expected["differences"]
    assert [r["accuracy"] for r in found["reports"]] == [r["accuracy"] for r in expected["reports"]]  # type: ignore[index,call-overload,union-attr]
