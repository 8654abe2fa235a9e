"""`kshot predict`: from folders of pictures to labels."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image, ImageDraw

from cli_support import document, fine, mistake, trained

SHAPES = ("circle", "line", "square")


def picture(name: str, shift: int, *, size: tuple[int, int] = (60, 48), ink: int = 0, paper: int = 255) -> Image.Image:
    made = Image.new("L", size, paper)
    draw, (x, y) = ImageDraw.Draw(made), (size[0] // 2, size[1] // 2)
    box = (x - 17 + shift, y - 17, x + 17, y + 17 - shift)
    if name == "circle":
        draw.ellipse(box, fill=ink)
    elif name == "line":
        draw.line(box, fill=ink, width=5)
    else:
        draw.rectangle(box, outline=ink, width=3)
    return made


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    support, query = tmp_path / "support", tmp_path / "query"
    query.mkdir()
    for name in SHAPES:
        (support / name).mkdir(parents=True)
        picture(name, 0).save(support / name / "0.png")
        picture(name, 2).convert("RGB").save(query / f"{name}.jpg", quality=95)
        picture(name, 1, size=(64, 64)).save(query / f"{name} again.png")
    return support, query


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained(tmp_path_factory.mktemp("runs") / "protonet")


@pytest.mark.parametrize("method", ["nearest", "hausdorff"])
def test_clear_shapes_get_their_names(method: str, folders: tuple[Path, Path]) -> None:
    found = document("predict", method, "--support", folders[0], "--query", folders[1])
    assert len(found) == 6
    for row in found:
        assert set(row) == {"path", "label", "probability", "probabilities"}
        assert row["label"] == Path(row["path"]).stem.split()[0]
        assert set(row["probabilities"]) == set(SHAPES)
        assert sum(row["probabilities"].values()) == pytest.approx(1)
        assert row["probability"] == max(row["probabilities"].values())


def test_pictures_are_brought_to_the_size_of_the_run_and_it_is_said(run: Path, folders: tuple[Path, Path]) -> None:
    done = fine("predict", run, "--support", folders[0], "--query", folders[1])
    assert "16 x 16 grey pixels" in done.stderr
    assert all(f"{name}.jpg" in done.stdout for name in SHAPES)
    assert len(document("predict", run, "--support", folders[0], "--query", folders[1])) == 6


def test_single_files_can_be_asked(folders: tuple[Path, Path]) -> None:
    query = [folders[1] / "line.jpg", folders[1] / "circle.jpg"]
    found = document("predict", "nearest", "--support", folders[0], "--query", query[0], "--query", query[1])
    assert [row["label"] for row in found] == ["line", "circle"]


def test_a_query_is_predicted_the_same_alone_and_in_company(run: Path, folders: tuple[Path, Path]) -> None:
    together = document("predict", run, "--support", folders[0], "--query", folders[1])
    alone = document("predict", run, "--support", folders[0], "--query", together[0]["path"])
    assert alone[0]["probabilities"] == pytest.approx(together[0]["probabilities"], abs=1e-6)


def test_light_ink_on_dark_paper_is_taken_as_it_is(folders: tuple[Path, Path], tmp_path: Path) -> None:
    support, query = tmp_path / "dark" / "support", tmp_path / "dark" / "query"
    query.mkdir(parents=True)
    for name in SHAPES:
        (support / name).mkdir(parents=True)
        picture(name, 0, ink=255, paper=0).save(support / name / "0.png")
        picture(name, 2, ink=255, paper=0).save(query / f"{name}.png")
    found = document("predict", "nearest", "--support", support, "--query", query)
    assert [row["label"] for row in found] == list(SHAPES)


def test_bad_files_stop_it_or_are_left_out_and_named(folders: tuple[Path, Path]) -> None:
    (folders[1] / "broken.png").write_bytes(b"no picture")
    told = ["predict", "nearest", "--support", folders[0], "--query", folders[1]]
    assert "broken.png is not a picture" in mistake(*told)
    done = fine(*told, "--skip-bad")
    assert "left out:" in done.stderr
    assert "broken.png" in done.stderr
    assert "broken.png" not in done.stdout


def test_mistakes_with_folders_are_explained(run: Path, folders: tuple[Path, Path], tmp_path: Path) -> None:
    support, query = folders
    assert "no folders" in mistake("predict", "nearest", "--support", query, "--query", query)
    assert "does not exist" in mistake("predict", "nearest", "--support", tmp_path / "none", "--query", query)
    assert "was trained at 16 pixels" in mistake("predict", run, "--support", support, "--query", query, "--size", "28")
    assert "unknown value of --invert" in mistake(
        "predict", "nearest", "--support", support, "--query", query, "--invert", "maybe"
    )


def test_a_model_of_another_way_or_of_curves_says_so(folders: tuple[Path, Path], tmp_path: Path) -> None:
    told = ["--support", folders[0], "--query", folders[1]]
    maml = trained(tmp_path / "maml", "--way", "4", method="maml")
    assert all(set(row["probabilities"]) == set(SHAPES) for row in document("predict", maml, *told))
    two = trained(tmp_path / "two", "--way", "2", method="maml")
    assert "made for 2 classes, and there are 3" in mistake("predict", two, *told)
    sine = tmp_path / "sine"
    fine("train", "maml", "--data", "sinusoid", "--steps", "1", "--tasks", "2", "--no-validation", "--out", sine)
    assert "not on pictures" in mistake("predict", sine, *told)
