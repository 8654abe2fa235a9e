"""Claims about tasks and their sources: purity, balance, no leaks, and that a seed means the same in every version."""

from __future__ import annotations

import hashlib
import math
from dataclasses import replace

import pytest
import torch

from kshot.data.curves import Sinusoid
from kshot.data.images import Images, offsets_of
from kshot.data.mixture import Mixture
from kshot.data.runs import OneShotRuns
from kshot.data.scribbles import Scribbles
from kshot.errors import UserError
from kshot.functional.instances import instance_numbers
from kshot.tasks import CurveTasks, ImageTasks, Tasks, TaskSource, make_source
from support import image_tasks


def pictures(classes: int = 12, each: int = 6, groups: int = 3) -> Images:
    """Pictures whose pixels tell their class and their number."""
    tag = torch.stack(torch.meshgrid(torch.arange(classes), torch.arange(each), indexing="ij"), -1)
    tag = tag.view(-1, 1, 1, 2).repeat(1, 1, 2, 1)  # [M, 1, 2, 2], both rows alike
    return Images(
        pixels=tag.to(torch.uint8),
        offsets=torch.arange(classes + 1) * each,
        names=tuple(f"class{i}" for i in range(classes)),
        groups=tuple(f"group{i % groups}" for i in range(classes)),
        name="tags",
        split="train",
        split_note="",
    )


def digest(source: TaskSource, count: int = 4) -> str:
    """A hash of the first tasks, robust to the last digits of real numbers."""
    total = hashlib.sha256()
    for i in range(count):
        task = source[i]
        for part in (task.xs, task.ys, task.xq, task.yq, task.classes):
            value = (part * 1000).round().to(torch.int64) if part.is_floating_point() else part.to(torch.int64)
            total.update(value.contiguous().numpy().tobytes())
    return total.hexdigest()[:16]


def sources() -> dict[str, TaskSource]:
    small = {"way": 3, "shot": 2, "query": 2, "seed": 7}
    return {
        "images": make_source(pictures(), **small),
        "within": make_source(pictures(), within=True, **small),
        "large classes": make_source(pictures(4, 80, 1), **small),
        "ranges": make_source(pictures(), way=(2, 4), shot=(1, 3), query=2, seed=7, block=2),
        "augmented": make_source(pictures(), augment="affine-elastic", **small),
        "scribbles": make_source(Scribbles(), **small),
        "scribbles within": make_source(Scribbles(), within=True, **small),
        "curves": make_source(Sinusoid(noise=0.1), shot=5, query=5, seed=7),
        "mixed": make_source(Mixture((pictures(), pictures(4, 6)), "tags+tags"), **small),
    }


DIGESTS: dict[str, str] = {
    "augmented": "2d52f319767fc287",
    "curves": "b3e03f0b8b01b6ff",
    "images": "fae5a22808e171ef",
    "large classes": "9abbdf92384ce899",
    "mixed": "6d299fc73884dcc5",
    "ranges": "3fc872e0fb9b0102",
    "scribbles": "d6737ebe2ebd995b",
    "scribbles within": "cc84e0c615a8d764",
    "within": "618c2d9d51c8617d",
}


@pytest.mark.parametrize("name", sorted(sources()))
def test_a_task_is_a_pure_function_of_its_index(name: str) -> None:
    source, again = sources()[name], sources()[name]
    batch = source.batch([4, 5])
    for i, task in ((0, again[4]), (1, again[5])):
        for part in ("xs", "ys", "xq", "yq", "classes", "indices"):
            assert torch.equal(getattr(batch, part)[i], getattr(task, part)[0]), part
    assert not torch.equal(source[0].xs, source[8].xs)


@pytest.mark.parametrize("name", sorted(sources()))
def test_a_seed_means_the_same_tasks_in_every_version(name: str) -> None:
    assert digest(sources()[name]) == DIGESTS[name], "results of all earlier versions change: is that meant?"


@pytest.mark.parametrize("name", ["images", "within", "large classes"])
def test_labels_and_pictures_agree_and_no_picture_is_seen_twice(name: str) -> None:
    tasks = sources()[name].batch(range(50))
    x, y = torch.cat([tasks.xs, tasks.xq], 1), torch.cat([tasks.ys, tasks.yq], 1)
    tags = x[:, :, 0, 0]  # [T, S+Q, 2]: class, number
    assert torch.equal(tags[..., 0].long(), tasks.classes.gather(1, y))
    codes = tags[..., 0].long() * 1000 + tags[..., 1].long()
    assert all(len(set(row)) == len(row) for row in codes.tolist())
    assert all(torch.bincount(row, minlength=3).tolist() == [2, 2, 2] for row in (*tasks.ys, *tasks.yq))


def uneven() -> Images:
    """Classes of 6 and of 80 pictures by turns."""
    small, large = pictures(12, 6), pictures(12, 80)
    rows = [(large if c % 2 else small).select([c]).pixels for c in range(12)]
    counts = torch.tensor([len(r) for r in rows])
    return replace(small, pixels=torch.cat(rows), offsets=offsets_of(counts))


@pytest.mark.parametrize("balanced", [True, False])
def test_classes_of_different_sizes_do_not_change_the_tasks_beside_them(balanced: bool) -> None:
    source = make_source(uneven(), way=3, shot=2, query=2, seed=7, balanced=balanced)
    together = source.batch(range(30))
    for i in range(30):
        assert torch.equal(together[i].xs, source[i].xs)
        assert torch.equal(together[i].xq, source[i].xq)


def test_without_balance_every_example_has_a_class_of_its_own() -> None:
    """Uniform at every place and independent of the place before; pictures repeat only when a class has no other."""
    T = 4000
    tasks = make_source(pictures(), way=3, shot=3, query=2, balanced=False).batch(range(T))
    same = torch.arange(3)[:, None] == tasks.ys[:, None]  # [T, 3, S]
    deviation = (2 / 9 / T) ** 0.5
    assert (same.double().mean(0) - 1 / 3).abs().max() < 4.5 * deviation
    assert abs(float((tasks.ys[:, 1:] == tasks.ys[:, :-1]).double().mean()) - 1 / 3) < 4.5 * deviation
    tags, asked = tasks.xs[:, :, 0, 0].long(), tasks.xq[:, :, 0, 0].long()  # [T, P, 2]: class, number
    assert torch.equal(tags[..., 0], tasks.classes.gather(1, tasks.ys))
    codes, queries = tags[..., 0] * 10 + tags[..., 1], asked[..., 0] * 10 + asked[..., 1]
    assert not (codes[:, :, None] == queries[:, None]).any(), "a query is never shown before"
    again = (codes[:, :, None] == codes[:, None]).tril(-1).any(-1)
    assert torch.equal(again, instance_numbers(tasks.ys) >= 6 - 2)


def test_nothing_is_readable_from_the_position_of_a_query() -> None:
    tasks = make_source(pictures(), way=4, shot=1, query=2).batch(range(4000))
    for place in range(tasks.yq.shape[1]):
        share = torch.bincount(tasks.yq[:, place], minlength=4) / 4000
        assert (share - 0.25).abs().max() < 4.5 * (0.1875 / 4000) ** 0.5


def test_every_class_and_every_example_comes_up_equally_often() -> None:
    tasks = make_source(pictures(), way=4, shot=1, query=2).batch(range(6000))
    share = torch.bincount(tasks.classes.flatten(), minlength=12) / 24_000
    assert (share - 1 / 12).abs().max() < 5 * (1 / 12 / 24_000) ** 0.5
    numbers = torch.bincount(tasks.xs[:, :, 0, 0, 1].flatten().long(), minlength=6) / 24_000
    assert (numbers - 1 / 6).abs().max() < 5 * (1 / 6 / 24_000) ** 0.5


def test_tasks_within_a_group_stay_within_it() -> None:
    tasks = sources()["within"].batch(range(200))
    groups = tasks.classes % 3
    assert (groups == groups[:, :1]).all()
    assert len(set(groups[:, 0].tolist())) == 3


def test_ranges_vary_between_batches_but_not_within() -> None:
    source = sources()["ranges"]
    seen = set()
    for i in range(0, 60, 2):
        tasks = source.batch([i, i + 1])
        seen.add((tasks.way, tasks.xs.shape[1] // tasks.way))
    assert {w for w, _ in seen} == {2, 3, 4}
    assert {s for _, s in seen} == {1, 2, 3}
    with pytest.raises(UserError, match=r"one way and one shot.*blocks of 2 tasks"):
        source.batch(range(12))


def test_turned_classes_are_further_classes() -> None:
    tasks = make_source(pictures(), way=4, shot=1, query=1, rotations=True).batch(range(100))
    assert set(range(48)) == set(tasks.classes.flatten().tolist())
    with pytest.raises(UserError, match="leave out --rotations"):
        make_source(Sinusoid(), rotations=True)


def test_splits_of_scribbles_share_no_character() -> None:
    seen = [
        set(make_source(Scribbles(), way=5, split=s, query=1).batch(range(20)).classes.flatten().tolist())
        for s in ("train", "val", "test")
    ]
    assert len(set.union(*seen)) == sum(len(s) for s in seen)
    with pytest.raises(UserError, match=r"unknown split 'tests'; did you mean 'test'"):
        make_source(Scribbles(), split="tests")


def test_sine_curves_have_the_papers_distribution() -> None:
    tasks = CurveTasks(Sinusoid(), shot=50, query=50).batch(range(4000))
    assert float(tasks.xs.abs().max()) <= 5
    assert float(tasks.ys.abs().max()) <= 5
    # E[y^2] = E[A^2] / 2 * (1 - E[cos 2(x - phi)]) and the last term vanishes over phi in [0, pi]
    mean_square = (0.1**2 + 0.1 * 5 + 5**2) / 6
    assert abs(float(tasks.yq.square().mean()) - mean_square) < 0.2
    assert abs(mean_square - 4.25) < 0.01
    blind = -2 / math.pi * 2.55 * torch.cos(tasks.xq)  # the best predictor that does not know the task
    assert abs(float((tasks.yq - blind).square().mean()) - 3.006) < 0.15


def test_splits_of_curves_share_no_curve() -> None:
    train, test = (make_source(Sinusoid(), shot=5, query=5, split=s).batch(range(50)) for s in ("train", "test"))
    assert not torch.isin(test.xs, train.xs).any()
    assert not torch.isin(test.yq, train.yq).any()


def test_noise_is_added_to_the_targets() -> None:
    clean, noisy = (CurveTasks(Sinusoid(noise=s), shot=200, query=1).batch(range(20)) for s in (0.0, 0.3))
    assert torch.equal(clean.xs, noisy.xs)
    assert abs(float((clean.ys - noisy.ys).std()) - 0.3) < 0.02


def test_one_shot_runs_are_played_in_order() -> None:
    support = torch.arange(2 * 3, dtype=torch.uint8).view(2, 3, 1, 1, 1).expand(2, 3, 1, 4, 4)
    labels = torch.tensor([[2, 0, 1], [1, 1, 0]])
    runs = OneShotRuns(support, support, labels, ("run01", "run02"))
    source = make_source(runs)
    assert len(source) == 2
    assert torch.equal(source.batch([1, 0]).yq, labels.flip(0))
    with pytest.raises(UserError, match="indices run from 0 to 1"):
        source.batch([2])


@pytest.mark.parametrize("augment", [None, "affine", "affine-elastic"])
def test_nothing_is_read_back_from_the_device_of_the_pictures(augment: str | None) -> None:
    source = make_source(pictures(), way=3, shot=2, query=2, augment=augment)
    assert isinstance(source, ImageTasks)
    source._pixels = source._pixels.to("meta")  # tensors without numbers: reading one is an error
    tasks = source.batch([3, 4])
    assert all(getattr(tasks, part).is_meta for part in ("xs", "ys", "xq", "yq", "classes", "indices"))
    assert tasks.xq.shape == (2, 6, 1, 2, 2)
    runs = OneShotRuns(*(torch.zeros(2, 3, 1, 4, 4, dtype=torch.uint8),) * 2, torch.zeros(2, 3).long(), ("a", "b"))
    assert make_source(runs, device="meta").batch([1, 0]).xs.is_meta


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"shot": 5, "query": 2},
            r"12 of 12 classes of tags have fewer than shot \+ query = 7 pictures \('class0' has 6\)",
        ),
        ({"way": 13, "query": 2}, r"has 12 classes, too few for 13-way tasks; lower --way to 12"),
        ({"way": 5, "query": 2, "within": True}, r"no group of tags has 5 classes \(the largest, 'group0', has 4\)"),
        ({"way": 1}, r"way must be a number of at least 2.*got 1"),
        ({"way": (5, 3)}, r"way must be a number of at least 2.*got \(5, 3\)"),
        ({"query": 0}, r"at least 1; got query=0"),
        ({"augment": "affin", "query": 1}, r"unknown augmentation 'affin'; did you mean 'affine'"),
    ],
)
def test_impossible_tasks_are_explained(options: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        make_source(pictures(), **options)


def test_curves_have_no_groups_and_no_pictures() -> None:
    for options in ({"within": True}, {"balanced": False}, {"augment": "jitter"}):
        with pytest.raises(UserError, match="neither classes nor pictures"):
            make_source(Sinusoid(), **options)


def test_a_batch_of_tasks_is_checked_at_the_door() -> None:
    tasks = image_tasks()
    with pytest.raises(UserError, match="same number of tasks"):
        Tasks(tasks.xs[:1], tasks.ys, tasks.xq, tasks.yq, tasks.classes, tasks.indices)
    with pytest.raises(UserError, match="inputs and targets must match"):
        Tasks(tasks.xs, tasks.ys[:, :2], tasks.xq, tasks.yq, tasks.classes, tasks.indices)
    assert len(tasks[1]) == len(tasks[-1]) == 1
    assert isinstance(make_source(pictures(), query=1), ImageTasks)
