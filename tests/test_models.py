"""The built-in models: small, complete, and wherever a run can stand."""

from __future__ import annotations

import json
import pickle
import time
import tomllib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline

from cli_support import document, fine, mistake, process
from kshot.cli.train import configured
from kshot.data.glyphs import load_glyphs
from kshot.errors import UserError
from kshot.estimator import FewShotClassifier, FewShotRegressor
from kshot.methods import METHODS
from kshot.models import BUILTIN, HERE, find_run, is_builtin
from kshot.training import RunConfig, load_run
from kshot.training.folder import flatten, read_config

ROOT = Path(__file__).resolve().parent.parent
CLASSIFIERS = ["characters", "characters-maml"]
CURVES = ["sine-maml", "sine-pretrained"]


def test_every_folder_is_a_model_and_no_model_is_a_method() -> None:
    assert set(BUILTIN) == {p.name for p in HERE.iterdir() if (p / "config.yaml").exists()}
    assert set(BUILTIN) == {*CLASSIFIERS, *CURVES}
    assert not set(BUILTIN) & set(METHODS)


@pytest.mark.parametrize("name", BUILTIN)
def test_a_model_is_small_and_complete(name: str) -> None:
    folder = find_run(name)
    files = {p.name: p.stat().st_size for p in folder.iterdir()}
    assert sum(files.values()) < 1_000_000
    wanted = {"config.yaml", "weights.safetensors", "metrics.jsonl", "record.json"}
    assert set(files) == wanted | ({"calibration.json"} if name in CLASSIFIERS else set())
    run = load_run(name)
    assert run.train_seconds > 0
    assert run.train_steps == run.config["training"]["steps"]
    assert (run.temperature != 1) == (name in CLASSIFIERS)
    assert is_builtin(run.path)


@pytest.mark.parametrize("name", BUILTIN)
def test_the_recipe_of_its_name_is_how_a_model_was_trained(name: str) -> None:
    """The recipe, understood by today's command line, is the whole of config.yaml."""
    told = configured(["--recipe", name]).complete()
    stored = RunConfig.from_dict(read_config(find_run(name) / "config.yaml"))
    a, b = flatten(told.to_dict()), flatten(stored.to_dict())
    chosen = {"backbone", "options.engine", "training.compile"}  # where the command says nothing, by the training
    assert {k for k in a.keys() | b.keys() if a.get(k) != b.get(k)} <= chosen


@pytest.mark.parametrize("name", BUILTIN)
def test_the_record_beside_a_model_is_of_these_weights_on_test_tasks(name: str) -> None:
    record = json.loads((find_run(name) / "record.json").read_text(encoding="utf-8"))
    run = load_run(name, options={k: v for k, v in record["config"]["options"].items() if k == "eval_steps"})
    assert record["split"] == "test"
    assert record["episodes"] >= 400
    assert record["config"] == run.config
    assert record["train_steps"] == run.train_steps
    assert record["data"] == ("glyphs" if name in CLASSIFIERS else "sinusoid")
    tasks = {"data": record["data"], "way": record["way"], "shot": record["shot"], "query": record["query"]}
    from kshot.evaluation import evaluate

    source = run.source("test", **{k: v for k, v in tasks.items() if v}, seed=record["seed"])
    report = evaluate(run.method, source, episodes=20)
    assert report.value == pytest.approx(record[record["measure"]], abs=5 * record["ci95"] * 50**0.5 / 2)


def test_the_package_holds_the_files() -> None:
    patterns = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]["kshot"]
    packed = {p for pattern in patterns for p in (ROOT / "src" / "kshot").glob(pattern)}
    assert {p for name in BUILTIN for p in (HERE / name).iterdir()} <= packed


def test_a_run_folder_goes_before_a_model_and_another_folder_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert find_run("characters") == HERE / "characters"
    (tmp_path / "characters").mkdir()
    with pytest.raises(
        UserError, match=r"name of a built-in model, and here also of something that is no run: .*Rename"
    ):
        find_run("characters")
    (tmp_path / "characters" / "config.yaml").write_text("")
    assert find_run("characters") == Path("characters")
    assert not is_builtin(find_run("characters"))


@pytest.mark.parametrize(
    ("name", "offered"),
    [("charcters", "characters"), ("sine-mamll", "sine-maml"), ("protonett", "protonet"), ("leters", "runs/letters")],
)
def test_an_unknown_name_offers_the_nearest(
    name: str, offered: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs" / "letters").mkdir(parents=True)
    (tmp_path / "runs" / "letters" / "config.yaml").write_text("")
    said = mistake("predict", name, "--support", "a", "--query", "b")
    assert f"unknown run folder, built-in model or method '{name}'; did you mean '{offered}'?" in said
    with pytest.raises(UserError, match=f"did you mean '{offered}'"):
        FewShotClassifier(name).fit(np.zeros((4, 2)), [0, 0, 1, 1])


def test_the_list_says_what_each_reaches() -> None:
    rows = {row["name"]: row for row in document("list", "models")}
    assert list(rows) == list(BUILTIN)
    assert rows["characters"]["recipe"].startswith("kshot train protonet")
    text = fine("list", "models").stdout
    assert "5-way 1-shot" in text
    assert "mse" in text


def letters(classes: int, each: int, first: int = 0) -> tuple[np.ndarray, list[str]]:
    images = load_glyphs(split="test")
    rows = [int(images.offsets[c]) + first + i for c in range(classes) for i in range(each)]
    return images.pixels[rows, 0].numpy(), [images.names[c] for c in range(classes) for _ in range(each)]


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_the_estimator_knows_letters_of_scripts_never_seen(name: str) -> None:
    sorter = FewShotClassifier(name).fit(*letters(5, 1))
    assert sorter.score(*letters(5, 8, first=1)) > 0.6
    assert sorter.temperature_ == load_run(name).temperature


def test_the_estimator_draws_sines() -> None:
    x = np.linspace(-5, 5, 10)[:, None]
    y = 3 * np.sin(x[:, 0] + 1)
    scores = {name: FewShotRegressor(name, options={"eval_steps": 10}).fit(x, y).score(x, y) for name in CURVES}
    assert scores["sine-maml"] > 0.7
    assert scores["sine-maml"] > scores["sine-pretrained"]


def test_a_model_in_scikit_learns_tools_with_pictures_as_files(tmp_path: Path) -> None:
    X, y = letters(4, 5)
    paths = [str(tmp_path / f"{i}.png") for i in range(len(X))]
    for x, path in zip(X, paths):
        Image.fromarray(255 - x).save(path)
    assert cross_val_score(FewShotClassifier("characters"), paths, y, cv=3).mean() > 0.8
    search = GridSearchCV(FewShotClassifier(size=28), {"model": ["nearest", "characters"]}, cv=3).fit(paths, y)
    scores = dict(zip(search.cv_results_["param_model"], search.cv_results_["mean_test_score"]))
    assert scores["characters"] > 0.8
    sorter = make_pipeline(FewShotClassifier("characters")).fit(paths, y)
    again = pickle.loads(pickle.dumps(sorter))
    np.testing.assert_array_equal(again.predict_proba(paths), sorter.predict_proba(paths))
    assert clone(sorter[0]).model == "characters"


def test_classes_and_examples_come_later_and_in_unequal_numbers() -> None:
    X, y = letters(4, 5)
    sorter = FewShotClassifier("characters").fit(X[:7], y[:7])  # five of one, two of another
    sorter.partial_fit([Image.fromarray(x) for x in X[10:11]], y[10:11])  # one of a third
    sorter.partial_fit(torch.from_numpy(X[15:18]), y[15:18])
    assert list(sorter.classes_) == sorted(set(y))
    assert sorter.score(X, y) > 0.8


def test_a_model_stands_where_a_run_stands() -> None:
    told = ["--data", "glyphs", "--way", "5", "--shot", "1", "--query", "2", "--episodes", "4"]
    report = document("evaluate", "characters", *told)
    assert report["calibration"]["fitted_on"]
    compared = document("compare", "characters", "characters-maml", "nearest", *told)
    assert [one["method"] for one in compared["reports"]] == ["characters", "characters-maml", "nearest"]
    assert torch.is_tensor(load_run("characters").method.log_scale)


def colours(root: Path, support: int, query: int) -> tuple[Path, Path]:
    """Photos of five kinds of things, 120 x 90 pixels, with names that say the kind."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[0:90, 0:120] / 90
    kinds = {
        "ball": lambda s: (x - 0.65 - s) ** 2 + (y - 0.5) ** 2 < 0.1,
        "fence": lambda s: ((x + s) * 8) % 1 < 0.5,
        "road": lambda s: abs(x - 0.66 - s) < 0.05 + 0.5 * y,
        "sky": lambda s: y < 0.45 + s,
        "window": lambda s: (abs(x - 0.66 - s) < 0.4) & (abs(y - 0.5) < 0.35) & (abs(x - 0.66 - s) > 0.1),
    }
    (root / "unsorted").mkdir()
    for kind, shape in kinds.items():
        (root / "examples" / kind).mkdir(parents=True)
        for i in range(support + query):
            grey = np.where(shape(rng.normal() * 0.04), 60, 200) + rng.normal(size=(90, 120)) * 12
            photo = np.clip(grey[..., None] + rng.normal(size=3) * 15, 0, 255).astype(np.uint8)
            place = root / "examples" / kind / f"{i}.jpg" if i < support else root / "unsorted" / f"{kind}{i}.jpg"
            Image.fromarray(photo).save(place, quality=90)
    return root / "examples", root / "unsorted"


def test_grey_examples_bring_no_advice_about_photos(tmp_path: Path) -> None:
    for i, (x, name) in enumerate(zip(*letters(3, 2))):
        (tmp_path / "examples" / name[-8:]).mkdir(parents=True, exist_ok=True)
        Image.fromarray(255 - x).save(tmp_path / "examples" / name[-8:] / f"{i}.png")
    done = fine("predict", "characters", "--support", tmp_path / "examples", "--query", *tmp_path.rglob("*1.png"))
    assert "Pictures are read as 28 x 28 grey pixels" in done.stderr
    assert "photos" not in done.stderr


def test_the_command_and_the_estimator_give_the_same_calibrated_probabilities(tmp_path: Path) -> None:
    X, y = letters(3, 3)
    for i, (x, name) in enumerate(zip(X, y)):
        (tmp_path / "examples" / name[-8:]).mkdir(parents=True, exist_ok=True)
        Image.fromarray(255 - x).save(tmp_path / "examples" / name[-8:] / f"{i}.png")
    paths = sorted((tmp_path / "examples").glob("*/*.png"))
    shown = sorted(paths, key=lambda p: p.name)[::2]
    told = [word for path in shown for word in ("--query", path)]
    found = document("predict", "characters", "--support", tmp_path / "examples", *told)
    sorter = FewShotClassifier("characters").fit(paths, [p.parent.name for p in paths])
    expected = sorter.predict_proba([row["path"] for row in found])
    got = np.array([[row["probabilities"][str(c)] for c in sorter.classes_] for row in found])
    np.testing.assert_allclose(got, expected, atol=1e-5)


def test_a_newcomer_has_100_photos_sorted_by_one_command_within_a_minute(tmp_path: Path) -> None:
    examples, unsorted = colours(tmp_path, 5, 20)
    began = time.monotonic()
    with process("predict", "characters", "--support", examples, "--query", unsorted, "--json") as command:
        out, err = command.communicate(timeout=60)
    seconds = time.monotonic() - began
    found = json.loads(out)
    assert command.returncode == 0, err
    assert len(found) == 100
    assert seconds < 60
    assert "was made for characters" in err  # these are photos, in colour
    right = [Path(row["path"]).name.startswith(row["label"]) for row in found]
    assert np.mean(right) > 0.8
