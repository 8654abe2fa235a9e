"""Frozen encoders: what they take, what they refuse, and what methods make of their features."""

from __future__ import annotations

import copy
import math
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.base import clone
from sklearn.model_selection import cross_val_score
from torch import nn

from cli_support import kshot, mistake
from encoder_support import COLOURS, TABLE, colour_encoder, coloured, folders, letter_encoder, small_fit
from kshot.data import Images, Sinusoid, load
from kshot.encoders import Encoder, module_encoder, open_encoder
from kshot.errors import UserError
from kshot.estimator import FewShotClassifier
from kshot.evaluation import evaluate
from kshot.evaluation.frozen import predict_frozen
from kshot.methods import METHODS, feature_method
from kshot.tasks import make_source

ABLE = [name for name, method in METHODS.items() if method.about.on_features]


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KSHOT_CACHE", str(tmp_path / "cache"))


def test_these_methods_learn_from_features() -> None:
    assert set(ABLE) == {"nearest", "protonet", "matching", "r2d2", "embedding"}


@pytest.mark.parametrize("name", ABLE)
def test_a_method_learns_from_features_without_training(name: str) -> None:
    """Classes of points around different corners: every such method names their queries."""
    generator = torch.Generator().manual_seed(0)
    ys = torch.arange(4).repeat(3)[None]  # [T, S]
    x = torch.eye(4, 9)[ys] + 0.1 * torch.randn(1, 12, 9, generator=generator)
    method = feature_method(name, 9)
    with torch.no_grad():
        logits = method.predict(method.adapt(x, ys, 4), torch.eye(4, 9)[None])
    assert logits.argmax(-1).tolist() == [[0, 1, 2, 3]]


@pytest.mark.parametrize("head", ["logistic", "ridge", "centroid"])
def test_the_heads_of_the_embedding(head: str, tmp_path: Path) -> None:
    support, query = folders(tmp_path)
    method = feature_method("embedding", 3, head=head)
    found, _ = predict_frozen(method, colour_encoder()[0], support, query)
    assert [row.label for row in found] == list(COLOURS)


def test_other_methods_say_that_they_need_training() -> None:
    with pytest.raises(UserError, match=r"maml has to be trained together with its encoder; .* protonet"):
        feature_method("maml", 4)
    with pytest.raises(UserError, match="a frozen encoder has none"):
        feature_method("embedding", 4, centre=True)


def test_every_form_of_picture_gives_the_same_feature(tmp_path: Path) -> None:
    encoder, _ = colour_encoder()
    paths = [coloured(tmp_path / f"{name}.png", name) for name in COLOURS]
    pil = [Image.open(path).convert("RGB") for path in paths]
    array = np.stack([np.asarray(p) for p in pil])
    forms = [paths, list(map(str, paths)), pil, array, array / 255.0, torch.from_numpy(array).permute(0, 3, 1, 2)]
    features = [encoder.encode(form) for form in forms]
    assert features[0].shape == (3, 3)
    for other in features[1:]:
        torch.testing.assert_close(other, features[0], atol=2e-3, rtol=0)
    grey = encoder.encode(np.full((2, 5, 5), 128, np.uint8))
    torch.testing.assert_close(grey, torch.full((2, 3), 3**-0.5))


def test_features_have_unit_length_unless_asked() -> None:
    encoder, _ = colour_encoder(2.0)
    white = np.full((1, 4, 4), 255, np.uint8)
    assert float(encoder.encode(white).norm()) == pytest.approx(1)
    encoder.unit = False
    torch.testing.assert_close(encoder.encode(white), torch.full((1, 3), 2.0))


@pytest.mark.parametrize(
    ("X", "message"),
    [
        (["a good film", "a bad film"], "'a good film' is no file but, it seems, a text: take an encoder of sentences"),
        ("one.png", "X is the single str 'one.png'; expected a list"),
        (["gone.png"], "gone.png cannot be opened"),
        (np.zeros((3, 4)), r"X is an array of float64 of shape \[3, 4\]; expected file paths"),
        ([], "X is an array of float64 of shape"),
        ([1, "a.png"], "expected file paths"),
    ],
)
def test_what_is_no_picture_is_explained(X: object, message: str) -> None:
    with pytest.raises(UserError, match=message):
        colour_encoder()[0].encode(X)


def test_what_is_no_sentence_is_explained(tmp_path: Path) -> None:
    path = coloured(tmp_path / "red.png", "red")
    encoder = letter_encoder()
    for X, message in [
        (np.zeros((2, 8, 8)), "encodes sentences, and X holds an array of float64"),
        ([Image.new("L", (4, 4))], "encodes sentences, and X holds Image; .* timm:NAME"),
        ([str(path)], "red.png' names a picture: take an encoder of pictures"),
        ([path], "X holds PosixPath"),
        (["a", "  "], "text 1 of X is empty"),
        ("a sentence", "X is the single str"),
    ]:
        with pytest.raises(UserError, match=message):
            encoder.encode(X)


def test_a_network_that_gives_nonsense_is_refused() -> None:
    def encoder(module: nn.Module) -> Encoder:
        return module_encoder(module, small_fit, name="broken", size=8)

    class Nan(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.flatten(1) * math.nan

    X = np.arange(128, dtype=np.uint8).reshape(2, 8, 8)
    with pytest.raises(UserError, match="broken gave numbers that are infinite or NaN"):
        encoder(Nan()).encode(X)
    with pytest.raises(UserError, match=r"must give a vector \[D\] for each of 2 pictures; it gave \[2, 3, 8, 8\]"):
        encoder(nn.Identity()).encode(X)


def test_the_classifier_sorts_pictures(tmp_path: Path) -> None:
    support, query = folders(tmp_path)
    paths = sorted(support.glob("*/*.png"))
    names = [p.parent.name for p in paths]
    for model in ABLE:
        sorter = FewShotClassifier(model, backbone=colour_encoder()[0]).fit(paths[:-1], names[:-1])
        assert list(sorter.predict(sorted(query.glob("*.png")))) == list(COLOURS)
    sorter.partial_fit([coloured(tmp_path / "grey.png", "red")], ["brick"])
    assert list(sorter.classes_) == ["blue", "brick", "green", "red"]
    assert sorter.n_features_in_ == 3
    np.testing.assert_allclose(sorter.predict_proba(paths).sum(1), 1)


def test_the_command_and_the_classifier_give_the_same_probabilities(tmp_path: Path) -> None:
    support, query = folders(tmp_path, shots=3)
    encoder = colour_encoder()[0]
    rows, _ = predict_frozen(feature_method("protonet", 3), encoder, support, query)
    paths = sorted(support.glob("*/*.png"))
    sorter = FewShotClassifier("protonet", backbone=encoder).fit(paths, [p.parent.name for p in paths])
    assert sorter.temperature_ != 1
    expected = sorter.predict_proba([row.path for row in rows])
    np.testing.assert_allclose([list(row.probabilities.values()) for row in rows], expected, atol=1e-5)


def test_the_classifier_sorts_sentences() -> None:
    X, y = ["aaa", "aab", "zzz", "zzy", "mm m"], ["a", "a", "z", "z", "m"]
    sorter = FewShotClassifier("protonet", backbone=letter_encoder()).fit(X, y)
    assert list(sorter.predict(np.array(["aaaa", "zz", "m m"]))) == ["a", "z", "m"]
    assert cross_val_score(FewShotClassifier("r2d2", backbone=letter_encoder()), X[:4], y[:4], cv=2).mean() == 1
    with pytest.raises(UserError, match="encodes sentences, and X holds"):
        sorter.predict(np.zeros((1, 8, 8), np.uint8))


def test_the_classifier_with_an_encoder_clones_and_explains(tmp_path: Path) -> None:
    encoder, _ = colour_encoder()
    assert clone(FewShotClassifier("protonet", backbone=encoder)).backbone is encoder
    X, y = np.zeros((2, 8, 8), np.uint8), ["a", "b"]
    for options, message in [
        ({"model": "maml"}, "maml has to be trained together with its encoder"),
        ({"model": "protnet"}, "did you mean 'protonet'"),
        ({"model": str(tmp_path)}, "is a run, which has an encoder of its own"),
        ({"model": "protonet", "size": 20}, "leave out size and invert"),
        ({"model": "protonet", "options": {"distnce": "cosine"}}, "did you mean 'distance'"),
    ]:
        with pytest.raises(UserError, match=message):
            FewShotClassifier(backbone=encoder, **options).fit(X, y)


def test_an_encoder_pickles_with_its_network_or_by_its_name() -> None:
    encoder, _ = colour_encoder()
    X = np.full((1, 8, 8), 9, np.uint8)
    again = pickle.loads(pickle.dumps(encoder))
    assert again.key == encoder.key
    torch.testing.assert_close(again.encode(X), encoder.encode(X))
    assert copy.deepcopy(encoder) is encoder


def test_a_data_set_becomes_features_and_keeps_its_tasks() -> None:
    """The same tasks, of vectors: features that are the pixels give exactly what pixels give."""

    class Pixels(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x[:, :1].flatten(1)

    pixels = np.random.default_rng(0).integers(0, 256, (60, 1, 8, 8), np.uint8)
    names = tuple(f"class {i}" for i in range(12))
    images = Images(torch.from_numpy(pixels), torch.arange(0, 61, 5), names, ("",) * 12, "noise", "test", "some noise")
    encoder = module_encoder(Pixels(), lambda p: torch.from_numpy(np.array(p)).permute(2, 0, 1) / 255, name="p", size=8)
    encoder.unit = False
    features = encoder.encode_data(images)
    assert features.pixels.shape == (60, 64)
    assert features.split_note == "some noise; pictures of 8x8 px as features of p"
    assert features.names == names
    method = METHODS["nearest"]()
    reports = [evaluate(method, make_source(x, way=5, query=3), episodes=20) for x in (images, features)]
    assert reports[0].value == pytest.approx(reports[1].value)
    assert reports[0].tasks_digest == reports[1].tasks_digest


def test_data_of_the_wrong_kind_are_refused(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(TABLE)
    sentences = load(tmp_path / "t.csv", "all")
    with pytest.raises(UserError, match=r"colours encodes pictures .* others \(sentences\)"):
        colour_encoder()[0].encode_data(sentences)
    with pytest.raises(UserError, match=r"letters encodes sentences .* use a table of sentences"):
        letter_encoder().encode_data(Images(torch.zeros(1, 1, 4, 4).byte(), torch.arange(2), ("a",), ("",), "x", "all"))
    with pytest.raises(UserError, match="that lie in memory"):
        colour_encoder()[0].encode_data(Sinusoid())
    with pytest.raises(UserError, match="sentences, from which methods learn through an encoder: add --backbone"):
        make_source(sentences, way=2)


def test_folders_to_labels_with_bad_files_left_out(tmp_path: Path) -> None:
    support, query = folders(tmp_path)
    (query / "broken.png").write_bytes(b"no picture")
    (support / "red" / "empty.png").write_bytes(b"")
    method, encoder = feature_method("protonet", 3), colour_encoder()[0]
    with pytest.raises(UserError, match=r"empty.png is empty .* --skip-bad"):
        predict_frozen(method, encoder, support, query)
    found, left_out = predict_frozen(method, encoder, support, query, skip_bad=True)
    assert [Path(row.path).stem for row in found] == [row.label for row in found] == list(COLOURS)
    assert [name in " ".join(left_out) for name in ("broken.png", "empty.png")] == [True, True]


def test_tables_to_labels(tmp_path: Path) -> None:
    (tmp_path / "support.csv").write_text(TABLE)
    (tmp_path / "query.txt").write_text("no parcel has come\n\ngive money back, i want money\n")
    (tmp_path / "more.csv").write_text('id,text\n7,"a parcel, a parcel"\n')
    method = feature_method("protonet", 27)
    queries = [tmp_path / "query.txt", tmp_path / "more.csv"]
    found, _ = predict_frozen(method, letter_encoder(), tmp_path / "support.csv", queries)
    assert [(Path(row.path).name, row.text, row.label) for row in found] == [
        ("query.txt:1", "no parcel has come", "delivery"),
        ("query.txt:3", "give money back, i want money", "refund"),
        ("more.csv:2", "a parcel, a parcel", "delivery"),
    ]


def test_pictures_for_sentences_and_the_reverse(tmp_path: Path) -> None:
    support, query = folders(tmp_path)
    (tmp_path / "t.csv").write_text(TABLE)
    method = feature_method("protonet", 27)
    with pytest.raises(UserError, match=r"t.csv is a file, and colours encodes pictures"):
        predict_frozen(method, colour_encoder()[0], tmp_path / "t.csv", query)
    with pytest.raises(UserError, match="is a folder, and letters encodes sentences"):
        predict_frozen(method, letter_encoder(), support, query)
    with pytest.raises(UserError, match="query is a folder, and letters encodes sentences"):
        predict_frozen(method, letter_encoder(), tmp_path / "t.csv", query)
    (tmp_path / "one.csv").write_text("text,label\na,b\n")
    with pytest.raises(UserError, match="has sentences of 1 class"):
        predict_frozen(method, letter_encoder(), tmp_path / "one.csv", tmp_path / "t.csv")


def test_names_of_encoders_are_checked(tmp_path: Path) -> None:
    for name, message in [
        ("resnet18", "'resnet18' is no frozen encoder; expected timm:NAME"),
        ("timmm:resnet18", "did you mean 'timm'"),
        ("timm:", "names no model: expected timm:NAME"),
        ("weights.safetensors", r"holds weights, and not the network .* weights=weights.safetensors"),
    ]:
        with pytest.raises(UserError, match=message):
            open_encoder(name)
    with pytest.raises(UserError, match=r"unknown option of gone.pt2 'men'; did you mean 'mean'"):
        open_encoder("gone.pt2", men=0.5)
    with pytest.raises(UserError, match=r"gone\.pt2 cannot be opened"):
        open_encoder("gone.pt2")


def test_the_command_line_says_where_an_encoder_belongs(tmp_path: Path) -> None:
    assert "nothing is trained" in mistake("train", "protonet", "--backbone", "timm:resnet18", "--out", tmp_path / "r")
    told = ["--support", tmp_path, "--query", tmp_path]
    assert "maml has to be trained together" in mistake("predict", "maml", *told, "--backbone", "timm:resnet18")
    assert "is none of them; a run has" in mistake("predict", "runs/x", *told, "--backbone", "timm:resnet18")
    assert "name that by --backbone" in mistake("predict", "nearest", *told, "--backbone-option", "size=3")
    assert "unknown option of protonet 'a'" in mistake(
        "evaluate", "protonet", "--data", "glyphs", "--backbone", "timm:resnet18", "--option", "a=1"
    )
    listed = kshot("list", "backbones").stdout
    assert all(name in listed for name in ("timm:NAME", "sentence-transformers:NAME", "FILE.pt2"))
