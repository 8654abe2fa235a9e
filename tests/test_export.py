"""Exported classifiers say what `kshot predict` says.

Longer than 300 lines: all tests share one trained run and its export, which take most of the time.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from PIL import Image

from cli_support import document, fine, mistake, trained
from encoder_support import folders as coloured_folders
from encoder_support import letter_encoder, small_fit
from kshot.encoders import Encoder, module_encoder
from kshot.errors import UserError
from kshot.estimator import FewShotClassifier, FewShotRegressor
from kshot.export import ExportError, Fitted, export, files
from kshot.export.check import TOLERANCE, check
from kshot.methods import METHODS, Method, build_method
from kshot.tasks import TaskSpec
from support import SHAPE, image_tasks, small_method

DOC = (Path(__file__).parent.parent / "docs" / "export.md").read_text(encoding="utf-8")
NAMES = ("ash", "beech", "cedar")
CLASSIFIERS = [n for n, m in METHODS.items() if "classes" in m.about.targets and m.about.support == "examples"]


def pictures() -> tuple[np.ndarray, list[str]]:
    """Two pictures of each of three classes, uint8 [6, 1, 16, 16]."""
    tasks = image_tasks(T=1)
    return (255 * tasks.xs[0]).round().to(torch.uint8).numpy(), [NAMES[y] for y in tasks.ys[0].tolist()]


def fitted(method: Method | str, **options: Any) -> FewShotClassifier:
    return FewShotClassifier(method, invert="no", **options).fit(*pictures())


def onnx_answers(folder: Path, x: np.ndarray) -> list[np.ndarray]:
    """Logits and probabilities by onnxruntime."""
    found: list[np.ndarray] = onnxruntime.InferenceSession(folder / "model.onnx").run(None, {"pixels": x})
    return found


def others(count: int) -> np.ndarray:
    """Pictures that no check has seen."""
    return np.random.default_rng(7).integers(0, 256, (count, *SHAPE), np.uint8)


def agrees(name: str, folder: Path) -> None:
    """Both files of a small method of the registry answer like the estimator."""
    classifier = fitted(small_method(name).float())
    export(classifier, folder)
    program = torch.export.load(folder / "model.pt2").module()
    for count in (1, 5):
        x = others(count)
        expected = classifier.predict_proba(x)
        for logits, p in (onnx_answers(folder, x), [t.numpy() for t in program(torch.from_numpy(x))]):
            assert logits.shape == p.shape == (count, len(NAMES))
            np.testing.assert_allclose(p, expected, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted({*CLASSIFIERS} - {"hausdorff"}))
def test_every_method_can_be_exported(name: str, tmp_path: Path) -> None:
    agrees(name, tmp_path)


def test_what_cannot_be_exported_says_why(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"\(modified Hausdorff\) cannot be exported: it compares points of ink"):
        export(fitted("hausdorff"), tmp_path / "out")
    with pytest.raises(UserError, match="a transductive classifier cannot be exported"):
        export(fitted(small_method("maml").float(), transductive=True), tmp_path / "out")

    class Odd(torch.nn.Module):
        out_features = 1

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.flatten(1)[:, :1] * float(x.sum())

    odd = build_method("protonet", TaskSpec(SHAPE, 3, None), backbone=Odd())
    with pytest.raises(UserError, match="with this encoder cannot be exported"):
        export(fitted(odd), tmp_path / "out", formats=["torch"])
    assert not (tmp_path / "out").exists()


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained(tmp_path_factory.mktemp("runs") / "protonet", "--steps", "12")


def ink(kind: int, shift: int) -> np.ndarray:
    """Dark ink on light paper, 16 x 16 pixels: a cross, a box, a line."""
    paper = np.full((16, 16), 255, np.uint8)
    at = 5 + shift
    if kind == 0:
        paper[at, 2:14] = paper[2:14, at] = 0
    elif kind == 1:
        paper[at : at + 6, 3:13] = 40
    else:
        np.fill_diagonal(paper[shift:], 0)
    return paper


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Examples of three classes and pictures to label, all of 16 pixels."""
    root = tmp_path_factory.mktemp("pictures")
    (root / "unsorted").mkdir()
    for kind, name in enumerate(NAMES):
        (root / "examples" / name).mkdir(parents=True)
        for shift in range(3):
            Image.fromarray(ink(kind, shift)).save(root / "examples" / name / f"{shift}.png")
        Image.fromarray(ink(kind, 3)).save(root / "unsorted" / f"{name}.png")
    return root / "examples", root / "unsorted"


@pytest.fixture(scope="module")
def exported(run: Path, folders: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    out = tmp_path_factory.mktemp("exports") / "classifier"
    return out, document("export", run, "--support", folders[0], "--out", out)


def test_the_files_answer_like_kshot_predict(run: Path, folders: tuple[Path, Path], exported: tuple[Path, Any]) -> None:
    out, said = exported
    rows = document("predict", run, "--support", folders[0], "--query", folders[1])
    x = np.stack([np.asarray(Image.open(row["path"]))[None] for row in rows])
    expected = [[row["probabilities"][name] for name in said["classes"]] for row in rows]
    program = torch.export.load(out / "model.pt2").module()
    for p in (onnx_answers(out, x)[1], program(torch.from_numpy(x))[1].numpy()):
        np.testing.assert_allclose(p, expected, atol=1e-5)
        assert [said["classes"][i] for i in p.argmax(1)] == [row["label"] for row in rows]


def test_export_json_says_what_goes_in_and_comes_out(exported: tuple[Path, Any]) -> None:
    out, said = exported
    assert json.loads((out / "export.json").read_text()) == {k: v for k, v in said.items() if k != "out"}
    assert said["classes"] == list(NAMES)
    assert said["examples"] == dict.fromkeys(NAMES, 3)
    assert said["input"] == {"name": "pixels", "shape": ["batch", 1, 16, 16], "dtype": "uint8", "range": "0..255"}
    assert said["outputs"] == {"logits": ["batch", 3], "probabilities": ["batch", 3]}
    assert said["inverted"] is True
    for name in ("model.onnx", "model.pt2"):
        file = said["files"][name]
        assert file["bytes"] == (out / name).stat().st_size
        assert [d["batch"] for d in file["differences"]] == [1, 2, 7, 32]
        assert all(0 <= d["probabilities"] <= TOLERANCE and d["labels"] == 0 for d in file["differences"])
    model = onnx.load(out / "model.onnx")
    assert said["files"]["model.onnx"]["opset"] == model.opset_import[0].version == 18
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    assert json.loads(metadata["classes"]) == list(NAMES)
    shapes = {v.name: [d.dim_param or d.dim_value for d in v.type.tensor_type.shape.dim] for v in model.graph.output}
    assert shapes == {"logits": ["batch", 3], "probabilities": ["batch", 3]}


def test_only_what_is_needed_is_stored(exported: tuple[Path, Any]) -> None:
    """The encoder's four convolutions of 4 filters, with a bias each, and three prototypes of 4 features."""
    stored = {i.name: list(i.dims) for i in onnx.load(exported[0] / "model.onnx").graph.initializer}
    numbers = sum(int(np.prod(dims)) for dims in stored.values())
    assert numbers < 4 * 9 + 3 * 4 * 4 * 9 + 4 * 4 + 3 * 4 + 40


def test_the_snippet_of_the_docs_runs(
    folders: tuple[Path, Path], exported: tuple[Path, Any], run: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    snippet = re.findall(r"```python\n(.*?)```", DOC, re.DOTALL)[0]
    (tmp_path / "classifier").symlink_to(exported[0])
    (tmp_path / "unsorted").symlink_to(folders[1])
    monkeypatch.chdir(tmp_path)
    exec(compile(snippet, "export.md", "exec"), {})
    rows = document("predict", run, "--support", folders[0], "--query", folders[1])
    expected = [f"{Path(row['path']).name} {row['label']} {row['probability']:.3f}" for row in rows]
    assert capsys.readouterr().out.splitlines()[-3:] == expected


def test_floats_and_formats_can_be_chosen(run: Path, folders: tuple[Path, Path], tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    told = ["export", run, "--support", folders[0], "--out", tmp_path]
    done = fine(*told, "--format", "torch", "--pixels", "float")
    assert "model.pt2" in done.stdout
    assert sorted(p.name for p in tmp_path.iterdir()) == ["export.json", "model.pt2", "notes.txt"]
    program = torch.export.load(tmp_path / "model.pt2").module()
    x = torch.from_numpy(others(4))
    classifier = FewShotClassifier(run, invert="yes").fit(*_read(folders[0]))
    np.testing.assert_allclose(program(x / 255)[1].numpy(), classifier.predict_proba(x.numpy()), atol=1e-5)


def _read(folder: Path) -> tuple[list[Path], list[str]]:
    paths = sorted(folder.glob("*/*.png"))
    return paths, [p.parent.name for p in paths]


def test_outputs_to_spare_are_cut_off_and_the_temperature_is_inside(tmp_path: Path) -> None:
    X, y = pictures()
    two = [i for i, name in enumerate(y) if name != "cedar"]
    classifier = FewShotClassifier(small_method("maml").float(), invert="no").fit(X[two], [y[i] for i in two])
    classifier.temperature_ = 2.5
    written = export(classifier, tmp_path, formats=["torch"])
    assert (written["classes"], written["temperature"]) == (["ash", "beech"], 2.5)
    logits, p = torch.export.load(tmp_path / "model.pt2").module()(torch.from_numpy(others(3)))
    torch.testing.assert_close(p, (logits / 2.5).softmax(-1))
    np.testing.assert_allclose(p.numpy(), classifier.predict_proba(others(3)), atol=1e-5)
    assert p.shape == (3, 2)


def test_rows_of_numbers_and_curves(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(6, 4))
    export(FewShotClassifier().fit(rows, [1, 1, 2, 2, 3, 3]), tmp_path / "rows", formats=["torch"])
    p = torch.export.load(tmp_path / "rows" / "model.pt2").module()(torch.from_numpy(rows).float())[1]
    assert p.argmax(1).tolist() == [0, 0, 1, 1, 2, 2]
    maml = build_method("maml", TaskSpec((1,), way=0, num_classes=0, output_dim=1), engine="vmap", inner_lr=0.01)
    curve = FewShotRegressor(maml).fit(rows[:, :1], rows[:, 1])
    written = export(curve, tmp_path / "curve", formats=["torch"])
    assert written["outputs"] == {"values": ["batch", "D"]}
    (values,) = torch.export.load(tmp_path / "curve" / "model.pt2").module()(torch.from_numpy(rows[:, :1]).float())
    np.testing.assert_allclose(values[:, 0].numpy(), curve.predict(rows[:, :1]), atol=1e-5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t + 0.01, "does not say what the model says: for 1 inputs the outputs differ by up to 0.01"),
        (lambda t: t * torch.nan, "does not say what the model says"),
        (lambda t: t.flip(1), "clear labels are others"),
        (lambda t: t[:1].expand(2, -1), r"for 1 inputs the file answers with the shapes"),
        (lambda t: t + 1e-5, None),
    ],
)
def test_a_file_that_says_something_else_is_refused(
    change: Callable[[torch.Tensor], torch.Tensor], message: str | None
) -> None:
    model = Fitted.of(fitted("nearest"))

    def run(x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        logits, p = model.answer(x)
        assert p is not None
        return change(logits), change(p)

    if message is None:
        assert max(d.probabilities or 0 for d in check("a file", model, run)) == pytest.approx(1e-5, rel=1e-3)
        return
    with pytest.raises(ExportError, match=message):
        check("a file", model, run)


def test_and_then_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(*arguments: Any) -> Any:
        content, run, more = files._torch(*arguments)
        return content, lambda x: tuple(t.roll(1, 1) for t in run(x)), more

    monkeypatch.setitem(files.FORMATS, "torch", ("model.pt2", wrong))
    with pytest.raises(ExportError, match=r"model\.pt2 does not say what the model says"):
        export(fitted("nearest"), tmp_path / "out", formats=["torch"])
    assert not (tmp_path / "out").exists()


def network_encoder(gamma: float = 1.0) -> Encoder:
    """An encoder of 8-pixel pictures by a small convolution, which prepares them with mean and standard deviation."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = torch.nn.Sequential(
            torch.nn.Conv2d(3, 6, 3), torch.nn.ReLU(), torch.nn.AdaptiveAvgPool2d(2), torch.nn.Flatten()
        )

    def prepare(picture: Image.Image) -> torch.Tensor:
        return (small_fit(picture) ** gamma - torch.tensor([0.5, 0.4, 0.3])[:, None, None]) / 0.2

    return module_encoder(module, prepare, name="small", size=8, identity={"gamma": gamma})


def coloured_examples() -> tuple[np.ndarray, list[str]]:
    """Two pictures [6, 3, 8, 8] of each of three classes: noise in one channel."""
    rng = np.random.default_rng(1)
    x = rng.integers(0, 60, (6, 3, 8, 8))
    for i in range(6):
        x[i, i % 3] += 150
    return x.astype(np.uint8), [NAMES[i % 3] for i in range(6)]


def test_a_head_on_a_frozen_encoder(tmp_path: Path) -> None:
    """Ridge regression: what is solved for the support set is a constant of the file."""
    X, y = coloured_examples()
    classifier = FewShotClassifier("r2d2", backbone=network_encoder()).fit(X, y)
    said: Any = export(classifier, tmp_path, formats=["torch"])
    assert said["input"]["shape"] == ["batch", 3, 8, 8]
    assert said["input"]["dtype"] == "uint8"
    assert "mean and standard deviation" in said["inside"][-1]
    assert said["temperature"] == classifier.temperature_ != 1
    x = np.random.default_rng(2).integers(0, 256, (5, 3, 8, 8), np.uint8)
    p = torch.export.load(tmp_path / "model.pt2").module()(torch.from_numpy(x))[1]
    np.testing.assert_allclose(p.numpy(), classifier.predict_proba(x), atol=1e-5)


def test_an_encoder_that_does_more_than_scaling_takes_prepared_pictures(tmp_path: Path) -> None:
    X, y = coloured_examples()
    encoder = network_encoder(gamma=2.2)
    classifier = FewShotClassifier("protonet", backbone=encoder).fit(X, y)
    said: Any = export(classifier, tmp_path, formats=["torch"])
    assert (said["input"]["dtype"], said["input"]["range"]) == ("float32", "any numbers")
    assert "prepare it for the encoder" in said["outside"][-1]
    ready = torch.stack([encoder.prepare(Image.fromarray(x.transpose(1, 2, 0))) for x in X])
    p = torch.export.load(tmp_path / "model.pt2").module()(ready)[1]
    np.testing.assert_allclose(p.numpy(), classifier.predict_proba(X), atol=1e-5)


def test_sentences_cannot_be_exported(tmp_path: Path) -> None:
    texts = FewShotClassifier("protonet", backbone=letter_encoder()).fit(["aaa", "bbb"], ["a", "b"])
    with pytest.raises(UserError, match="letters cannot be exported: sentences become tokens outside of any graph"):
        export(texts, tmp_path / "out")


@pytest.mark.slow
def test_a_network_of_timm_on_the_command_line(tmp_path: Path) -> None:
    support, query = coloured_folders(tmp_path)
    told = ["r2d2", "--backbone", "timm:resnet10t", "--support", support]
    for option in ("weights=random", "size=64"):
        told += ["--backbone-option", option]
    said = document("export", *told, "--out", tmp_path / "out")
    assert said["input"]["shape"] == ["batch", 3, 64, 64]
    assert "Normalize" in said["outside"][-1]
    rows = document("predict", *told, "--query", query)
    x = np.stack([np.asarray(Image.open(row["path"]).resize((64, 64))).transpose(2, 0, 1) for row in rows])
    for p, row in zip(onnx_answers(tmp_path / "out", x)[1], rows):  # of one colour: resizing changes nothing
        assert dict(zip(said["classes"], p)) == pytest.approx(row["probabilities"], abs=1e-4)


@pytest.mark.slow
def test_descriptions(tmp_path: Path) -> None:
    run = tmp_path / "run"
    fine("train", "protonet-zero", "--data", "glyphs:names", "--way", "9", "--query", "1", "--steps", "2",
         "--tasks", "1", "--size", "16", "--filters", "4", "--no-validation", "--out", run)  # fmt: skip
    table = tmp_path / "classes.csv"
    table.write_text("class,description\nplain,latin small a\nmarked,latin small a acute\n")
    told = ["export", run, "--support", table, "--format", "torch", "--out", tmp_path / "out"]
    assert "say --invert yes" in mistake(*told)
    assert document(*told, "--invert", "yes")["classes"] == ["plain", "marked"]
    Image.fromarray(ink(0, 0)).save(tmp_path / "query.png")
    (row,) = document("predict", run, "--support", table, "--query", tmp_path / "query.png", "--invert", "yes")
    program = torch.export.load(tmp_path / "out" / "model.pt2").module()
    p = program(torch.from_numpy(ink(0, 0))[None, None])[1][0]
    np.testing.assert_allclose(p, [row["probabilities"][n] for n in ("plain", "marked")], atol=1e-5)


def test_mistakes_are_explained(
    run: Path, folders: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = ["export", run, "--support", folders[0], "--out", tmp_path / "out"]
    assert "unknown format 'onyx'; did you mean 'onnx'" in mistake(*told, "--format", "onyx")
    assert "no format was given" in mistake(*told, "--format", ",")
    assert "was trained at 16 pixels" in mistake(*told, "--size", "28")
    assert "does not exist" in mistake(*told[:3], tmp_path / "none")
    (tmp_path / "file").write_text("")
    assert "is a file" in mistake(*told[:-1], tmp_path / "file", "--format", "torch")
    sine = tmp_path / "sine"
    fine("train", "maml", "--data", "sinusoid", "--steps", "1", "--engine", "loop", "--no-validation", "--out", sine)
    assert "not on pictures: export it from Python" in mistake("export", sine, *told[2:])
    monkeypatch.setattr(files, "find_spec", lambda name: None if name == "onnxscript" else find_spec(name))
    assert "not installed (onnxscript): pip install 'kshot[export]'" in mistake(*told)
