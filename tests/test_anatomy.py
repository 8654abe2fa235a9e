"""`kshot analyze gradients`: the anatomy of real networks, its figure and its command."""

from __future__ import annotations

import json
import math
from dataclasses import fields
from pathlib import Path

import pytest
import torch
from torch import Tensor

from cli_support import document, fine, mistake, trained
from kshot.backbones import Conv4, ResNet12
from kshot.backbones.smooth import smooth
from kshot.data.curves import Sinusoid
from kshot.errors import UserError
from kshot.evaluation.anatomy import Anatomy, Row, batches_of, gradient_anatomy, losses_of
from kshot.evaluation.anatomy_figure import anatomy_figure, markdown
from kshot.functional.anatomy import same_batch
from kshot.functional.inner import as_params, as_vector
from kshot.methods import MAML, METHODS, build_method
from kshot.methods.gradient import GradientMethod
from kshot.tasks import CurveTasks, Tasks, TaskSource, TaskSpec
from support import SHAPE, gradient_of, image_tasks, plain_method, small_method

DOCS = Path(__file__).parent.parent / "docs"


class Pictures(TaskSource):
    """Tasks of noisy pictures, see support.py."""

    name, split, description = "pictures", "train", "noise"

    def __init__(self, shot: int = 1, query: int = 2) -> None:
        super().__init__(3, shot, query)

    @property
    def spec(self) -> TaskSpec:
        return TaskSpec(SHAPE, 3, 20)

    def draw(self, indices: Tensor, way: int, shot: int) -> Tasks:
        return image_tasks(int(indices[0]), T=1, shot=shot, query=self.query, way=way)


def test_on_smooth_conv4_the_coefficients_are_the_theorys_and_the_residual_is_of_second_order() -> None:
    method = small_method("maml", backbone="conv4")
    found = gradient_anatomy(method, Pictures(), tasks=1, steps=3, alphas=(1e-4, 1e-3), smooth=True)
    assert len(found.rows) == 2 * 3 * 3
    for row in found.rows:
        assert row.measured == pytest.approx(row.predicted, abs=5e-3), row.name
        assert row.unexplained < 1e-3
        if row.predicted[1:] == (0, 0):
            assert math.isnan(row.order)
        else:
            assert (row.order, row.order_small) == pytest.approx((2, 2), abs=0.1), row.name
    assert (found.batches, found.batch_size) == (3, 3)


CHANGING = ["mamlpp", "protomaml"]
SAME = sorted(n for n, m in METHODS.items() if issubclass(m, GradientMethod) and n not in CHANGING)


@pytest.mark.parametrize("name", SAME)
def test_every_gradient_method_with_one_network_has_an_anatomy(name: str) -> None:
    """Of the parameters that it adapts."""
    found = gradient_anatomy(small_method(name), Pictures(query=1), tasks=1, steps=2, alphas=(1e-5, 1e-4), smooth=True)
    row = next(r for r in found.rows if (r.form, r.system, r.k) == ("distinct", "maml", 2))
    assert row.measured == pytest.approx((1, -2, 0), abs=0.01)
    assert row.unexplained < 1e-3


@pytest.mark.parametrize("name", CHANGING)
def test_networks_that_change_are_refused(name: str) -> None:
    with pytest.raises(UserError, match="the expansion is of one network"):
        gradient_anatomy(small_method(name), Pictures(query=1), steps=2)


def test_curves_and_the_method_is_left_as_it_was() -> None:
    source = CurveTasks(Sinusoid(), shot=3, query=3)
    method = build_method("maml", source.spec, backbone_options={"hidden": 8}).train()
    before = as_vector(method.parameters_now()).clone()
    found = gradient_anatomy(method, source, tasks=1, steps=2, alphas=(1e-6, 1e-5))
    assert torch.equal(as_vector(method.parameters_now()), before)
    assert before.dtype == torch.float32
    assert method.training
    assert found.rows[3].measured == pytest.approx((1, -2, 0), abs=1e-3)
    assert found.about["parameters"] == before.numel()


def test_the_form_of_one_batch_is_what_kshots_maml_computes() -> None:
    """Each of two batches is support set once: the mean of two tasks' meta-gradients, whatever the engine does."""
    tasks, n, alpha = image_tasks(0, T=1), 3, 0.05
    turned = Tasks(tasks.xq, tasks.yq, tasks.xs, tasks.ys, tasks.classes, tasks.indices + 1)
    both = Tasks(*(torch.cat([getattr(t, f.name) for t in (tasks, turned)]) for f in fields(Tasks)))
    method = plain_method(MAML, inner_steps=n, inner_lr=alpha / 3)  # kshot's inner loss is N = 3 times the mean
    losses, _ = losses_of(method, tasks, 2)
    expected = same_batch(losses, as_vector(method.parameters_now()), alpha, n)["maml"][-1]
    torch.testing.assert_close(torch.cat([g.flatten() for g in gradient_of(method, both)]), expected)


def test_batches_are_disjoint_and_of_all_classes() -> None:
    tasks = image_tasks(0, T=1, shot=2, query=6)
    found = batches_of(tasks, 4)
    assert [sorted(y.tolist()) for _, y in found] == [[0, 0, 1, 1, 2, 2]] * 4
    every = torch.cat([x for x, _ in found]).flatten(1)
    assert len(every.unique(dim=0)) == 24
    for x, y in found[1:]:
        for picture, label in zip(x, y):
            at = (tasks.xq[0] == picture).flatten(1).all(1).nonzero()[0, 0]
            assert tasks.yq[0, at] == label
    with pytest.raises(UserError, match="3 batches of 6 examples need 12 queries; this task has 18"):
        batches_of(tasks, 3)


def test_vectors_and_parameters() -> None:
    params = {"a": torch.arange(6.0).view(2, 3), "b": torch.tensor([7.0])}
    back = as_params(as_vector(params), params)
    assert all(torch.equal(back[n], p) for n, p in params.items())


@pytest.mark.parametrize("make", [Conv4, ResNet12])
def test_the_smooth_twin_has_the_parameters_and_no_kinks(make: type[torch.nn.Module]) -> None:
    net = make(SHAPE, **({"filters": 3} if make is Conv4 else {"width": 2})).double().train()
    twin, x = smooth(net), image_tasks(0).xs[0]
    assert list(dict(twin.named_parameters())) == list(dict(net.named_parameters()))
    assert not torch.allclose(twin(x), net(x))
    names = set()

    def visit(node: object) -> None:
        if node is not None and node not in seen:
            seen.add(node)
            names.add(type(node).__name__)
            for parent, _ in node.next_functions:  # type: ignore[attr-defined]
                visit(parent)

    seen: set[object] = set()
    visit(twin(x).sum().grad_fn)
    assert any("Softplus" in n for n in names)
    assert not [n for n in names if "Relu" in n or "MaxPool" in n or "Pooled" in n]


def test_mistakes_are_explained() -> None:
    source, method = Pictures(), small_method("maml")
    for told, said in (
        ({"steps": 3, "batches": 2}, "at least steps = 3"),
        ({"alphas": (1e-3,)}, "at least two positive numbers"),
        ({"alphas": (1e-3, 1e-4)}, "each above the last"),
        ({"steps": 7}, "7 batches in 7 steps have 13699 ordered choices"),
        ({"tasks": 0}, "tasks=0"),
    ):
        with pytest.raises(UserError, match=said):
            gradient_anatomy(method, source, **told)  # type: ignore[arg-type]
    with pytest.raises(UserError, match="take a run of maml, fomaml or reptile"):
        gradient_anatomy(small_method("protonet"), source)


SINE = ["--data", "sinusoid", "--shot", "2", "--steps", "2", "--tasks", "1", "--alphas", "1e-5,1e-4"]


def test_the_command_writes_and_prints(tmp_path: Path) -> None:
    out = tmp_path / "new" / "anatomy"
    found = document("analyze", "gradients", "maml", *SINE, "--backbone-option", "hidden=8", "--out", out)
    assert {"alphas", "rows", "norms", "cosine_AB", "batches", "data", "seed", "versions"} <= set(found)
    row = next(r for r in found["rows"] if (r["batches"], r["method"], r["k"]) == ("distinct", "fomaml", 2))
    assert row["predicted"] == [1, -1, 0]
    assert row["measured"] == pytest.approx([1, -1, 0], abs=1e-2)
    assert sorted(p.name for p in out.iterdir()) == ["gradients.json", "gradients.md", "gradients.png", "gradients.svg"]
    text = fine("analyze", "gradients", "reptile", *SINE, "--backbone-option", "hidden=8", "--smooth").stdout
    assert "first-order MAML" in text
    assert "smooth pieces" in text


def test_the_command_takes_a_run(tmp_path: Path) -> None:
    run = trained(tmp_path / "run", "--engine", "vmap", method="fomaml")
    told = ["--steps", "1", "--tasks", "1", "--alphas", "1e-5,1e-4"]
    found = document("analyze", "gradients", run, *told)
    assert (found["data"], found["way"], found["shot"], found["batches"]) == ("scribbles", 3, 1, 2)
    assert "has its own encoder" in mistake("analyze", "gradients", run, *told, "--backbone", "conv4")
    protonet = trained(tmp_path / "protonet")
    assert "take a run of maml" in mistake("analyze", "gradients", protonet, *told)


@pytest.mark.parametrize(
    ("told", "said"),
    [
        (["maml"], "add --data"),
        (["mamll", *SINE], "did you mean"),
        (["maml", *SINE, "--shot", "1-3"], "--shot must be one number"),
        (["maml", *SINE, "--alphas", "small"], "--alphas must be numbers"),
    ],
)
def test_mistakes_on_the_command_line(told: list[str], said: str) -> None:
    assert said in mistake("analyze", "gradients", *told)


@pytest.mark.parametrize("name", ["conv4", "conv4-smooth"])
def test_the_page_shows_the_tables_that_were_measured(name: str) -> None:
    table = (DOCS / "gradients" / name / "gradients.md").read_text(encoding="utf-8")
    page = (DOCS / "gradients.md").read_text(encoding="utf-8")
    assert f"<!-- anatomy:{name} -->\n\n{table}\n<!-- /anatomy -->" in page
    measured = json.loads((DOCS / "gradients" / name / "gradients.json").read_text(encoding="utf-8"))["rows"]
    assert len(measured) == len(table.splitlines()) - 2


def test_figure_and_table_say_theory_and_measurement() -> None:
    rows = tuple(
        Row(
            form,
            system,
            k,
            (1, -k, 0.5),
            (1.0, -k + 0.01, 0.5),
            1e-6,
            (1e-10, 1e-8),
            *(2.1, 2.0) if k > 1 else (math.nan,) * 2,
        )
        for form in ("distinct", "same")
        for k in (1, 2)
        for system in ("maml", "fomaml", "reptile")
    )
    found = Anatomy(rows, (1e-5, 1e-4), (1.0, 2.0, 3.0), 0.5, 2, 5, {})  # type: ignore[arg-type]
    axes = anatomy_figure(found).axes
    assert len(axes) == 3
    assert [line.get_label() for line in axes[0].lines][-1] == "slope 2"
    assert axes[1].lines[1].get_ydata().tolist() == [-0.99, -1.99]  # type: ignore[union-attr]
    lines = markdown(found).splitlines()
    assert len(lines) == 2 + 12
    assert lines[2].startswith("| k distinct batches | MAML | 1 | 1.0000 (1) | -0.9900 (-1) | 0.5000 (0.5) |")
    assert "| exact | exact |" in lines[2]
    assert "| 2.00 | 2.10 |" in lines[5]
