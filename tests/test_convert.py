"""Any run on any pictures: sizes and colours are converted, and the report says so."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from cli_support import document, fine, mistake, trained
from kshot.data import Images, Sinusoid, load_folder
from kshot.errors import UserError
from kshot.functional import random
from kshot.tasks import fit_source, make_source
from kshot.tasks.convert import convert, grey
from kshot.training import load_run


def photographs(classes: int = 6, each: int = 9, side: int = 20) -> Images:
    pixels = random.integers(random.keys(0, torch.arange(classes * each), "photos"), 3, side, side, high=256)
    names = tuple(f"class {i}" for i in range(classes))
    offsets = torch.arange(classes + 1) * each
    return Images(pixels.to(torch.uint8), offsets, names, ("",) * classes, "photos", "test", "6 classes of photos")


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A run on grey pictures of 16 pixels and one on colour pictures of 20, and a folder of the latter."""
    folder = tmp_path_factory.mktemp("runs")
    pictures = photographs()
    for i, data in enumerate(pictures.pixels):
        path = folder / "photos" / ("train", "val", "test")[i % 9 // 3] / f"{'abc'[i % 9 // 3]}{i // 9}" / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(data.permute(1, 2, 0).numpy()).save(path)
    told = ["--data", folder / "photos", "--size", "20", "--query", "1", "--val-query", "1"]
    return {
        "grey": trained(folder / "grey"),
        "colour": trained(folder / "colour", *told, "--data", folder / "photos"),
        "photos": folder / "photos",
    }


def test_grey_is_what_pillow_makes_of_colour_byte_by_byte() -> None:
    x = photographs().pixels
    for picture, mine in zip(x, grey(x)):
        theirs = np.asarray(Image.fromarray(picture.permute(1, 2, 0).numpy()).convert("L"))
        assert np.array_equal(mine[0].numpy(), theirs)
    torch.testing.assert_close(grey(x / 255), grey(x) / 255, rtol=0, atol=0.51 / 255)


@pytest.mark.parametrize("shape", [(1, 20, 20), (3, 10, 10), (1, 7, 9), (3, 30, 30)])
@pytest.mark.parametrize("channels", [1, 3])
def test_pictures_are_converted_by_area_averages(channels: int, shape: tuple[int, int, int]) -> None:
    x = photographs(2).pixels[:, :channels].unflatten(0, (2, 9))
    out = convert(x, shape)
    assert out.shape == (2, 9, *shape)
    assert out.dtype == torch.uint8
    floats = convert(x.double() / 255, shape)
    torch.testing.assert_close(floats, out.double() / 255, rtol=0, atol=1.01 / 255)
    if channels == 1:
        assert torch.equal(out[:, :, 0], out[:, :, -1])
    torch.testing.assert_close(out.double().mean(), convert(x.double(), shape).mean(), rtol=0, atol=0.6)


def test_the_same_tasks_are_shown_in_another_shape() -> None:
    source = make_source(photographs(), way=4, shot=2, query=3)
    other = fit_source(source, (1, 8, 8))
    a, b = source[5], other[5]
    for part in ("ys", "yq", "classes", "indices"):
        assert torch.equal(getattr(a, part), getattr(b, part))
    assert torch.equal(b.xs, convert(a.xs, (1, 8, 8)))
    assert torch.equal(b.xq, convert(a.xq, (1, 8, 8)))
    assert (other.spec.input_shape, other.spec.way, len(other)) == ((1, 8, 8), 4, len(source))
    assert other.description == "6 classes of photos; 20 x 20 colour pictures brought to 8 x 8 grey pictures"
    assert fit_source(source, (3, 20, 20)) is source
    assert fit_source(source, None) is source


def test_ranges_stay_those_of_the_source() -> None:
    source = make_source(photographs(), way=(2, 5), shot=(1, 3), query=2, block=2, seed=3)
    other = fit_source(source, (1, 8, 8))
    assert [other.counts(i) for i in range(8)] == [source.counts(i) for i in range(8)]
    assert torch.equal(other.batch([2, 3]).yq, source.batch([2, 3]).yq)


def test_what_is_no_picture_cannot_be_converted() -> None:
    curves = make_source(Sinusoid(), shot=3, query=3)
    assert fit_source(curves, (1, 8, 8)) is curves
    with pytest.raises(UserError, match="pictures of 2 channels cannot become pictures of 3"):
        convert(torch.zeros(1, 2, 8, 8), (3, 8, 8))


def test_a_run_on_grey_pictures_is_measured_on_photographs_and_the_report_says_so(runs: dict[str, Path]) -> None:
    told = ["--data", runs["photos"], "--way", "3", "--query", "1", "--episodes", "3"]
    report = document("evaluate", runs["grey"], *told)
    assert "16 x 16 colour pictures brought to 16 x 16 grey pictures" in report["description"]
    assert "pictures read at 16 px, as the run was trained" in report["description"]
    said = document("evaluate", runs["grey"], *told, "--size", "20")["description"]
    assert said.endswith("20 x 20 colour pictures brought to 16 x 16 grey pictures")


def test_a_run_on_photographs_is_measured_on_grey_pictures(runs: dict[str, Path], tmp_path: Path) -> None:
    told = ["--data", "scribbles", "--way", "3", "--query", "2", "--episodes", "3", "--record", tmp_path / "r.json"]
    report = document("evaluate", runs["colour"], *told)
    assert "20 x 20 grey pictures brought to 20 x 20 colour pictures" in report["description"]
    assert json.loads((tmp_path / "r.json").read_text())["description"] == report["description"]


def test_runs_of_different_shapes_are_compared_on_the_same_tasks(runs: dict[str, Path]) -> None:
    told = ["--data", runs["photos"], "--size", "20", "--way", "3", "--query", "1", "--episodes", "4"]
    found = document("compare", runs["grey"], runs["colour"], "nearest", *told)
    assert len({report["tasks_digest"] for report in found["reports"]}) == 1
    assert [" brought to " in report["description"] for report in found["reports"]] == [True, False, True]


def test_a_run_converts_from_python_too(runs: dict[str, Path]) -> None:
    source = load_run(runs["grey"]).source("test", data=str(runs["photos"]), way=2, query=1)
    assert source[0].xs.shape[2:] == (1, 16, 16)


def test_curves_are_refused(runs: dict[str, Path]) -> None:
    said = mistake("evaluate", runs["grey"], "--data", "sinusoid", "--episodes", "2")
    assert "only pictures can be converted" in said
    assert "Traceback" not in fine("evaluate", runs["grey"], "--episodes", "2").stdout


def test_a_picture_in_a_folder_and_a_converted_one_are_the_same(tmp_path: Path) -> None:
    x = photographs(2, each=2)
    for i, data in enumerate(x.pixels):
        path = tmp_path / x.names[i // 2] / f"{i}.png"
        path.parent.mkdir(exist_ok=True)
        file = io.BytesIO()
        Image.fromarray(data.permute(1, 2, 0).numpy()).save(file, "PNG")
        path.write_bytes(file.getvalue())
    read = load_folder(tmp_path, "all", 20, channels=1, invert="no")
    assert torch.equal(read.pixels, convert(x.pixels, (1, 20, 20)))
