"""Data by name or path."""

import subprocess
import sys

import pytest

from kshot.data import DATASETS, Sinusoid, load
from kshot.errors import UserError


def test_names_and_variants():
    assert {"glyphs", "omniglot", "scribbles", "sinusoid"} <= set(DATASETS)
    assert isinstance(load("sinusoid"), Sinusoid)
    assert load("scribbles", size=32).size == 32
    for name in ("sinusoid", "scribbles"):
        with pytest.raises(UserError, match=f"{name} has no variants; got 'big': leave out ':big'"):
            load(f"{name}:big")


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("omniglott", "unknown data 'omniglott'; did you mean 'omniglot'"),
        ("zzz", "unknown data 'zzz'. Known: caltech101, .*glyphs, .*omniglot, scribbles, sinusoid"),
        (
            "./zzz",
            r"./zzz does not exist; expected a folder of class folders .*, an .npz file, a table .*, or one of glyphs",
        ),
        ("zzz.npz", "zzz.npz does not exist"),
    ],
)
def test_what_is_neither_name_nor_path_is_explained(spec, message):
    with pytest.raises(UserError, match=message):
        load(spec)


def test_a_file_of_another_kind_is_explained(tmp_path):
    (tmp_path / "a.tar.gz").write_bytes(b"x")
    with pytest.raises(UserError, match=r"a.tar.gz is neither a folder .* nor an .npz file, .* unpack an archive"):
        load(tmp_path / "a.tar.gz")


def test_a_name_wins_over_a_folder_of_that_name(tmp_path, monkeypatch):
    (tmp_path / "sinusoid").mkdir()
    monkeypatch.chdir(tmp_path)
    assert isinstance(load("sinusoid"), Sinusoid)
    with pytest.raises(UserError, match="sinusoid holds nothing"):
        load("./sinusoid")


def test_importing_data_loads_nothing_heavy():
    heavy = ("PIL", "pooch", "scipy", "matplotlib", "rich")
    code = f"import sys, kshot.data; print(*(m for m in {heavy} if m in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
