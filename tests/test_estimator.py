"""The scikit-learn face: the library's own checks, and what people do with it."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import estimator_checks_generator

from kshot.data.glyphs import load_glyphs
from kshot.errors import UserError
from kshot.estimator import FewShotClassifier, FewShotRegressor
from kshot.evaluation.prediction import probabilities
from kshot.methods import build_method
from kshot.tasks import TaskSpec
from support import small_method

NOT_HERE = {"check_array_api_input": "needs SCIPY_ARRAY_API", "check_classifier_data_not_an_array": "needs pandas"}
CHECKS = {getattr(check, "func", check).__name__: check for _, check in estimator_checks_generator(FewShotClassifier())}


@pytest.mark.parametrize("name", sorted(CHECKS.keys() - NOT_HERE))
@pytest.mark.filterwarnings("ignore")
def test_scikit_learns_own_checks(name: str) -> None:
    CHECKS[name](FewShotClassifier())


def blobs(seed: int = 0, each: int = 8) -> tuple[np.ndarray, np.ndarray]:
    """Three classes of points."""
    rng = np.random.default_rng(seed)
    y = np.repeat(["ash", "beech", "cedar"], each)
    return rng.normal(size=(3 * each, 4)) + 3 * np.repeat(np.eye(3, 4), each, 0), y


def letters(each: int = 4, classes: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Pictures [M, 28, 28] of the first letters of the test scripts, and their names."""
    images = load_glyphs(split="test")
    rows = [int(images.offsets[c]) + i for c in range(classes) for i in range(each)]
    return images.pixels[rows, 0].numpy(), np.repeat([images.names[c] for c in range(classes)], each)


def test_in_pipeline_search_and_cross_validation() -> None:
    X, y = blobs()
    pipe = make_pipeline(StandardScaler(), FewShotClassifier())
    assert cross_val_score(pipe, X, y, cv=4).mean() > 0.9
    search = GridSearchCV(FewShotClassifier(), {"options": [{"metric": "cosine"}, {"metric": "euclidean"}]}, cv=3)
    lengths = np.linspace(1, 9, 24)[:, None] * np.ones(3)  # classes on one ray: their directions are the same
    assert search.fit(lengths, y).best_params_["options"]["metric"] == "euclidean"


def test_pickles_and_clones() -> None:
    X, y = blobs()
    fitted = FewShotClassifier(small_method("protonet").float(), invert="no").fit(*letters())
    again = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(again.predict_proba(letters()[0]), fitted.predict_proba(letters()[0]))
    fresh = clone(FewShotClassifier(options={"metric": "cosine"}).fit(X, y))
    assert fresh.options == {"metric": "cosine"}
    with pytest.raises(NotFittedError):
        fresh.predict(X)


def test_unequal_numbers_and_new_classes_later() -> None:
    X, y = blobs()
    some = np.r_[0:2, 8:9]
    grown = FewShotClassifier().fit(X[some], y[some])
    assert list(grown.classes_) == ["ash", "beech"]
    rest = np.setdiff1d(np.arange(len(X)), some)
    grown.partial_fit(X[rest], y[rest])
    assert list(grown.classes_) == ["ash", "beech", "cedar"]
    order = np.r_[some, rest]
    at_once = FewShotClassifier().fit(X[order], y[order])
    np.testing.assert_array_equal(grown.predict_proba(X), at_once.predict_proba(X))


def test_the_same_numbers_as_the_contract() -> None:
    X, y = letters()
    method = small_method("protonet").float()
    found = FewShotClassifier(method, invert="no").fit(X, y).predict_proba(X)
    ys = torch.from_numpy(np.unique(y, return_inverse=True)[1])
    xs = torch.from_numpy(X)[:, None]
    np.testing.assert_allclose(found, probabilities(method, xs, ys, xs).numpy(), atol=1e-6)


def test_every_form_of_picture(tmp_path: Path) -> None:
    X, y = letters()
    pil = [Image.fromarray(x) for x in X]
    paths = [tmp_path / f"{i}.png" for i in range(len(X))]
    for picture, path in zip(pil, paths):
        picture.save(path)
    forms = [X, X[:, None], X[..., None], torch.from_numpy(X), X / 255.0, pil, paths, list(map(str, paths))]
    forms += [list(X), [torch.from_numpy(x)[None] for x in X], np.array(list(map(str, paths)))]
    answers = [FewShotClassifier(size=28).fit(form, y).predict_proba(form) for form in forms]
    for answer in answers[1:]:
        np.testing.assert_allclose(answer, answers[0], atol=1e-6)


def test_dark_ink_on_light_paper_is_turned_for_examples_and_queries_alike() -> None:
    X, y = letters()
    dark = FewShotClassifier().fit(255 - X, y)
    np.testing.assert_allclose(dark.predict_proba(255 - X), FewShotClassifier().fit(X, y).predict_proba(X))


def test_a_head_of_fixed_way_takes_fewer_classes_and_refuses_more() -> None:
    X, y = letters(classes=4)
    spec = TaskSpec((1, 28, 28), 3, 20)
    maml = build_method("maml", spec, backbone_options={"filters": 4}, engine="vmap", eval_steps=2)
    two = FewShotClassifier(maml).fit(X[:8], y[:8]).predict_proba(X)
    assert two.shape == (16, 2)
    np.testing.assert_allclose(two.sum(1), 1)
    with pytest.raises(UserError, match="made for 3 classes, and there are 4"):
        FewShotClassifier(maml).fit(X, y)
    grown = FewShotClassifier(maml).fit(X[:8], y[:8])
    with pytest.raises(UserError, match="made for 3 classes"):
        grown.partial_fit(X, y)
    np.testing.assert_array_equal(grown.predict_proba(X), two)  # what was refused left no trace


def test_a_run_folder(tmp_path: Path) -> None:
    from cli_support import fine

    folder = tmp_path / "run"
    fine("train", "protonet", "--data", "glyphs", "--way", "5", "--query", "2", "--steps", "2", "--tasks", "1",
        "--filters", "4", "--no-validation", "--out", folder)  # fmt: skip
    X, y = letters()
    fitted = FewShotClassifier(folder).fit(X, y)
    assert fitted.input_shape_ == (1, 28, 28)
    flat = FewShotClassifier(folder, invert="no").fit(X.reshape(len(X), -1) / 255, y)  # as scikit-learn's digits come
    np.testing.assert_allclose(flat.predict_proba(X.reshape(len(X), -1) / 255), fitted.predict_proba(X), atol=1e-5)
    with pytest.raises(UserError, match=r"inputs of shape \(1, 28, 28\), and these rows have 4 numbers"):
        FewShotClassifier(folder).fit(*blobs())


def test_regression_from_a_few_points() -> None:
    spec = TaskSpec((1,), way=0, num_classes=0, output_dim=1)
    maml = build_method("maml", spec, engine="vmap", eval_steps=50, inner_lr=0.05)
    x = np.linspace(-1, 1, 8)[:, None]
    fitted = FewShotRegressor(maml).fit(x, 2 * x[:, 0])
    assert fitted.predict(x).shape == (8,)
    assert fitted.score(x, 2 * x[:, 0]) > 0.5
    with pytest.raises(UserError, match="learns classes, not curves: use FewShotClassifier"):
        FewShotRegressor("nearest").fit(x, x[:, 0])


@pytest.mark.parametrize(
    ("model", "X", "message"),
    [
        ("protonet", None, "protonet has to be trained first"),
        ("runs/none", None, "not a run folder"),
        ("nearest", "picture.png", "single path"),
    ],
)
def test_mistakes_are_explained(model: str, X: object, message: str) -> None:
    points, y = blobs()
    with pytest.raises(UserError, match=message):
        FewShotClassifier(model).fit(points if X is None else X, y)
