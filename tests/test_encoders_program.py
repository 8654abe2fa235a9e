"""Networks that torch.export saved, as encoders; what is no such file is refused before it runs anything."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from cli_support import document, mistake
from encoder_support import COLOURS, Evil, close, folders
from kshot.encoders import open_encoder
from kshot.encoders.libraries import quiet, unseeded
from kshot.errors import UserError


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KSHOT_CACHE", str(tmp_path / "cache"))


class Patches(torch.nn.Module):
    """Mean colours of a 2 x 2 grid."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = torch.nn.Parameter(torch.tensor(2.0))
        self.register_buffer("shift", torch.tensor([0.1, 0.2, 0.3])[:, None, None])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return (torch.nn.functional.avg_pool2d(x, 8) * self.scale + self.shift).flatten(1)


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network for any batch of pictures of 16 pixels."""
    path = tmp_path_factory.mktemp("program") / "patches.pt2"
    batch = torch.export.Dim("batch", min=1, max=512)
    with quiet():
        torch.export.save(
            torch.export.export(Patches(), (torch.zeros(2, 3, 16, 16),), dynamic_shapes=[{0: batch}]), path
        )
    return path


def test_a_program_of_torch_export(program: Path, tmp_path: Path) -> None:
    X = np.random.default_rng(1).integers(0, 256, (5, 16, 16, 3), np.uint8)
    x = torch.from_numpy(X).permute(0, 3, 1, 2) / 255
    with torch.no_grad():
        close(open_encoder(str(program)).encode(X), Patches()(x))
        close(open_encoder(str(program), mean=0.5, std=0.25).encode(X), Patches()((x - 0.5) / 0.25))
    with quiet():
        torch.export.save(torch.export.export(Patches(), (torch.zeros(2, 3, 16, 16),)), tmp_path / "two.pt2")
    two = open_encoder(str(tmp_path / "two.pt2"))  # a network for batches of two
    with torch.no_grad():
        close(two.encode(X), Patches()(x))


def rewritten(
    path: Path, out: Path, change: Callable[[str, bytes], bytes], more: dict[str, bytes] | None = None
) -> Path:
    """A copy of an archive with other contents."""
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(out, "w") as new:
        for name in old.namelist():
            new.writestr(name, change(name, old.read(name)))
        root = old.namelist()[0].partition("/")[0]
        for name, content in (more or {}).items():
            new.writestr(f"{root}/{name}", content)
    return out


def test_a_program_that_would_be_unpickled_is_refused_and_runs_nothing(program: Path, tmp_path: Path) -> None:
    stream = io.BytesIO()
    torch.save(Evil(tmp_path / "mark"), stream)

    def evil_inputs(name: str, content: bytes) -> bytes:
        return stream.getvalue() if "sample_inputs" in name else content

    def evil_weights(name: str, content: bytes) -> bytes:
        if not name.endswith("weights_config.json"):
            return content if "/data/weights/weight_" not in name else stream.getvalue()
        config = json.loads(content)
        for entry in config["config"].values():
            entry["use_pickle"] = True
        return json.dumps(config).encode()

    def same(name: str, content: bytes) -> bytes:
        return content

    refused = [
        rewritten(program, tmp_path / "inputs.pt2", evil_inputs),
        rewritten(program, tmp_path / "weights.pt2", evil_weights),
        rewritten(program, tmp_path / "legacy.pt2", same, {"data/weights/model.pt": stream.getvalue()}),
    ]
    for path in refused:
        with pytest.raises(UserError, match="holds Python objects, which are not read"):
            open_encoder(str(path))
    compiled = rewritten(program, tmp_path / "compiled.pt2", same, {"data/aotinductor/model/a.so": b""})
    with pytest.raises(UserError, match="holds compiled code, which is not run"):
        open_encoder(str(compiled))
    assert not (tmp_path / "mark").exists()
    assert open_encoder(str(rewritten(program, tmp_path / "same.pt2", same))).key == open_encoder(str(program)).key


def test_a_file_that_is_no_program(tmp_path: Path) -> None:
    (tmp_path / "text.pt2").write_text("no archive")
    with pytest.raises(UserError, match=r"text.pt2 cannot be read as a program of torch.export \(BadZipFile"):
        open_encoder(str(tmp_path / "text.pt2"))
    with quiet(), unseeded():
        torch.export.save(torch.export.export(torch.nn.Linear(3, 2), (torch.zeros(2, 3),)), tmp_path / "rows.pt2")
    with pytest.raises(UserError, match=r"must take one tensor of pictures \[B, C, H, W\] .* of shape \[2, 3\]"):
        open_encoder(str(tmp_path / "rows.pt2"))


# --- the command line


def test_the_command_line_from_pictures_to_labels_and_measures(program: Path, tmp_path: Path) -> None:
    support, query = folders(tmp_path, shots=6)
    found = document("predict", "protonet", "--backbone", program, "--support", support, "--query", query)
    assert [Path(row["path"]).stem for row in found] == [row["label"] for row in found] == list(COLOURS)
    backbone = ["--backbone", program]
    told = [*backbone, "--data", support, "--split", "all", "--way", "3", "--query", "3", "--episodes", "20"]
    record = tmp_path / "record.json"
    report = document("evaluate", "r2d2", *told, "--record", record)
    assert report["accuracy"] == 100
    assert "pictures of 16x16 px as features of" in report["description"]
    encoder = json.loads(record.read_text())["config"]["encoder"]
    assert encoder["key"] == open_encoder(str(program)).key
    both = document("compare", "protonet", "nearest", *told)
    assert [r["method"] for r in both["reports"]] == ["protonet", "nearest"]
    beside = document("compare", "characters", "r2d2", *told[:6], "--way", "3", "--episodes", "5")
    assert beside["reports"][0]["query"] == beside["reports"][1]["query"] != 15  # that of the run
    (tmp_path / "said.csv").write_text("blue,1\ngreen,2\nred,3\n")
    described = [*told, "--attributes", tmp_path / "said.csv", "--shot", "0"]
    assert "learns from the features of examples" in mistake("evaluate", "protonet", *described)
    assert "no meaning with --backbone" in mistake(
        "predict", "protonet", "--backbone", program, "--support", support, "--query", query, "--invert", "yes"
    )
