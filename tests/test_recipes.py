"""Recipes: whole trainings by name, and what is said of them is what was recorded."""

from __future__ import annotations

import functools
import json
import shlex
from pathlib import Path
from typing import Any

import pytest

from cli_support import document, fine, mistake
from kshot.cli.train import configured
from kshot.methods import METHODS
from kshot.recipes import Recipe, find, names, recipes
from kshot.training import RunConfig
from kshot.training.folder import flatten

RECORDS = Path(__file__).resolve().parent.parent / "results"
ALL = recipes()
RECORDED = [(recipe, record) for recipe in ALL for record in recipe.records]
WITHOUT_A_PAPER_S = {
    "cnp": "the paper's curves of a Gaussian process are not among the data",
    "hallucinate": "the paper's features of ImageNet are not among the data",
    "attention": "it follows no single paper",
}
NOT_THE_TRAINING = ("versions", "spec", "backbone", "training.device", "training.log_every", "training.max_minutes")
CHOSEN_WHERE_IT_RUNS = ("options.engine", "training.checkpoint_every")
RENAMED = {("metanet", "options.hidden"): "options.meta_units"}  # since its record was made


@functools.cache
def training(name: str) -> RunConfig:
    return configured(["--recipe", name])


@pytest.mark.parametrize("recipe", ALL, ids=lambda r: r.name)
def test_every_recipe_is_understood(recipe: Recipe) -> None:
    assert training(recipe.name).method == recipe.method
    assert training(recipe.name).training["steps"] == int(recipe.settings["steps"])  # type: ignore[arg-type]


def test_the_command_of_a_recipe_is_the_same_training() -> None:
    for name in ("omniglot-reptile", "omniglot-mann-lstm"):
        assert configured(shlex.split(find(name).command)[2:]) == training(name)


@pytest.mark.parametrize(("recipe", "record"), RECORDED, ids=lambda x: x if isinstance(x, str) else x.name)
def test_a_recipe_is_the_training_of_its_records(recipe: Recipe, record: str) -> None:
    """Every setting of the training that the record keeps, as far as there was such a setting at the time."""
    kept = json.loads((RECORDS / f"{record}.json").read_text())
    asked = set(kept["command"].partition("--option ")[2].replace("--option ", "").split())  # said at the evaluation
    said = {f"options.{option.partition('=')[0]}" for option in asked if "=" in option}
    ours = flatten(training(recipe.name).complete().to_dict())
    theirs = {RENAMED.get((recipe.method, n), n): value for n, value in flatten(kept["config"]).items()}
    free = {*NOT_THE_TRAINING, *CHOSEN_WHERE_IT_RUNS, *said}
    free |= {"training.compile"} if recipe.settings.get("compile") else set()  # allowed: done where it is worth it
    compared = {n: v for n, v in theirs.items() if n not in free and not n.startswith(("versions.", "spec."))}
    assert len(compared) > 20
    assert {n: ours.get(n) for n in compared} == compared
    if kept["config"]["backbone"] and "backbone" in recipe.settings:
        assert recipe.settings["backbone"] == kept["config"]["backbone"]


@pytest.mark.parametrize("method", [name for name, m in METHODS.items() if m.about.meta_trained])
def test_every_trained_method_has_its_paper_s_setting(method: str) -> None:
    own = [recipe for recipe in ALL if recipe.method == method]
    assert own
    papers = [r for r in own if r.name.endswith("-paper")]
    assert all(r.reproduces for r in papers)
    assert bool(papers) != (method in WITHOUT_A_PAPER_S)


def test_flags_beside_a_recipe_win() -> None:
    plain, other = configured(["--recipe", "letters"]), configured(["--recipe=letters", "--way", "7", "--validation"])
    assert (plain.source["way"], other.source["way"]) == (60, 7)
    assert plain.validation is None
    assert other.validation is not None
    assert other.training == plain.training
    assert configured(["protonet", "--recipe", "letters"]) == plain


def test_a_recipe_trains_into_a_folder_of_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    fine("train", "--recipe", "sine-pretrained", "--steps", "2")
    assert (tmp_path / "runs" / "sine-pretrained" / "weights.safetensors").exists()
    fine("train", "--recipe", "sine-pretrained", "--steps", "2", "--out", "elsewhere")
    assert (tmp_path / "elsewhere" / "config.yaml").exists()


def test_a_recipe_of_ones_own(tmp_path: Path) -> None:
    own = tmp_path / "mine.yaml"
    own.write_text("what: mine\nmethod: maml\nsettings:\n  lr: 1e-2\n  shot: 1-3\n  mean: false\n  compile: true\n")
    recipe = find(str(own))
    assert recipe.words == ["maml", "--out", "runs/mine", "--lr", "1e-2", "--shot", "1-3", "--no-mean", "--compile"]
    assert configured(["--recipe", str(own)]).source["shot"] == (1, 3)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("what: x\nmethod: maml\n", "needs names and values, and `settings:`"),
        ("what: x\nsettings:\n  way: 5\n", "needs a line `method:`"),
        ("what: x\nmethod: maml\nsettings:\n  way: 5\nrecord: y\n", "did you mean 'records'?"),
        ("what: [", "cannot read the recipe"),
        ("what: x\nmethod: maml\nsettings:\n  wya: 5\n", "--wya"),
    ],
)
def test_mistakes_in_a_file_are_told(text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(text)
    assert said in mistake("train", "--recipe", tmp_path / "mine.yaml")


def test_mistakes_on_the_command_line_are_told(tmp_path: Path) -> None:
    assert "did you mean 'letters'?" in mistake("train", "--recipe", "leters")
    assert "needs a name" in mistake("train", "--recipe")
    assert "trains protonet, not maml" in mistake("train", "maml", "--recipe", "letters")
    assert "cannot read the recipe" in mistake("train", "--recipe", tmp_path / "none.yaml")


def test_the_list_says_what_each_reproduces_takes_and_reached() -> None:
    listed: list[dict[str, Any]] = document("list", "recipes")
    assert [row["name"] for row in listed] == names()
    maml = next(row for row in listed if row["name"] == "omniglot-maml")
    record = json.loads((RECORDS / "maml-omniglot-random-5w1s.json").read_text())
    assert maml["reproduces"].startswith("Finn, Abbeel & Levine 2017")
    assert maml["takes"] == f"{record['train_seconds'] / 60:.0f} minutes of one core"
    assert maml["reached"][0].startswith(f"{record['accuracy']:.2f} ± {record['ci95']:.2f} %")
    text = fine("list", "recipes").stdout
    for said in (maml["reproduces"], maml["takes"], *maml["reached"], "kshot train --recipe omniglot-maml"):
        assert said in text
    assert all(row["takes"] for row in listed)
