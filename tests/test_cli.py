"""The command line as a whole: help, lists, messages, exit codes."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from cli_support import document, fine, kshot, mistake, process
from kshot import __version__
from kshot.methods import METHODS


def test_help_names_every_command_in_the_order_of_use() -> None:
    text = fine("--help").stdout
    names = ("run", "train", "evaluate", "predict", "compare", "calibrate", "plot", "list", "version")
    places = [text.index(f" {name} ") for name in names]
    assert places == sorted(places)
    assert fine().stdout.strip() == text.strip()


HELP = """
import sys, time
sys.argv = ["kshot", "--help"]
try:
    from kshot.cli import main
    main()
finally:
    print([m for m in ("torch", "numpy", "matplotlib") if m in sys.modules], time.process_time() < 0.6, file=sys.stderr)
"""


def test_help_does_not_load_torch_and_is_quick() -> None:
    done = subprocess.run([sys.executable, "-c", HELP], capture_output=True, text=True, check=True)
    assert done.stderr == "[] True\n"


def test_the_version() -> None:
    assert fine("version").stdout == fine("--version").stdout == f"kshot {__version__}\n"


def test_list_as_json_names_every_method_with_its_options() -> None:
    listed = document("list", "methods")
    assert [row["name"] for row in listed] == list(METHODS)
    assert "inner_lr" in next(row for row in listed if row["name"] == "maml")["options"]
    assert set(document("list")) == {"methods", "models", "data", "backbones", "recipes", "figures"}


def test_lists_are_readable_tables() -> None:
    text = fine("list").stdout
    assert all(name in text for name in (*METHODS, "omniglot", "conv4-strided", "package.module:function"))


@pytest.mark.parametrize(
    ("arguments", "offered"),
    [
        (["trian"], "did you mean 'train'?"),
        (["train", "protnet"], "did you mean 'protonet'?"),
        (["list", "method"], "did you mean 'methods'?"),
        (["evaluate", "nearst"], "did you mean 'nearest'?"),
        (["evaluate", "nearest", "--data", "omniglott"], "did you mean 'omniglot'?"),
        (["evaluate", "nearest", "--data", "scribbles", "--split", "tset"], "did you mean 'test'?"),
        (["evaluate", "nearest", "--data", "scribbles", "--option", "metrc=cosine"], "did you mean 'metric'?"),
        (["evaluate", "nearest", "--data", "scribbles", "--episods", "5"], "--episodes"),
        (["evaluate", "nearest", "--data", "scribbles", "--device", "cpuu"], "did you mean 'cpu'?"),
        (["train", "maml", "--out", "never", "--schedule", "cosin"], "did you mean 'cosine'?"),
        (["train", "maml", "--out", "never", "--filtres", "8"], "--filters"),
        (["train", "protonet", "--out", "never", "--distance", "euclidian"], "did you mean 'euclidean'?"),
        (["train", "protonet", "--out", "never", "--backbone", "conv5"], "did you mean 'conv4'?"),
        (
            ["train", "protonet", "--out", "never", "--data", "scribbles", "--augment", "afine"],
            "did you mean 'affine'?",
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_misspelt_name_offers_the_nearest(arguments: list[str], offered: str) -> None:
    assert offered in mistake(*arguments)


SCRIBBLES = ("--data", "scribbles")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["train", "protonet"], "Missing option '--out'"),
        (["train", "nearest", "--out", "never"], "nearest needs no training"),
        (["evaluate", "maml"], "maml has to be trained first: kshot train maml"),
        (["evaluate", "nearest"], "add --data NAME"),
        (["evaluate", "nearest", "--data", "scribbles", "--way", "five"], "--way must be a number (5) or a range"),
        (["evaluate", "nearest", "--data", "scribbles", "--way", "1"], "way must be a number of at least 2"),
        (["evaluate", "nearest", "--data", "scribbles", "--transductive"], "Leave out --transductive"),
        (["evaluate", "nearest", "--data", "scribbles", "--option", "cosine"], "must look like name=value"),
        (["evaluate", "nearest", "--data", "./nowhere"], "./nowhere does not exist"),
        (["compare", "nearest", "--data", "scribbles"], "at least two runs"),
        (["train", "protonet", "--out", "never", "--steps", "0"], "steps must be at least 1"),
        (["train", "protonet", "--out", "never", "--threads", "0"], "--threads must be at least 1"),
        (["train", "protonet", *SCRIBBLES, "--out", "never", "--backbone", "json:nothing"], "cannot import backbone"),
        (["train", "protonet", "--out", "never", "--data", "sinusoid"], "protonet learns classes"),
        (["run", "--minutes", "0"], "--minutes must be more than 0"),
        (["run", "--out", __file__], "--out needs a folder"),
    ],
    ids=lambda value: " ".join(map(str, value)) if isinstance(value, list) else "",
)  # fmt: skip
def test_a_mistake_is_explained(arguments: list[str], said: str) -> None:
    assert said in " ".join(mistake(*arguments).split())


def test_a_failure_is_no_mistake_of_the_users(monkeypatch: pytest.MonkeyPatch) -> None:
    from kshot.cli import listing

    def broken() -> None:
        raise RuntimeError("out of order")

    monkeypatch.setitem(listing.ROWS, "methods", broken)
    result = kshot("list", "methods")
    assert result.exit_code == 1
    assert "RuntimeError: out of order" in result.stderr
    assert "Traceback" not in result.stderr
    monkeypatch.setenv("KSHOT_DEBUG", "1")
    assert "Traceback" in kshot("list", "methods").stderr


def test_a_reader_who_leaves_early_gets_no_complaint() -> None:
    with process("list", "--json") as listing:
        assert listing.stdout is not None
        assert listing.stderr is not None
        listing.stdout.close()
        assert listing.stderr.read() == ""
        assert listing.wait(60) in (1, 141)


def test_standard_output_of_a_process_is_the_document_alone() -> None:
    out, err = process("evaluate", "nearest", "--data", "scribbles", "--episodes", "3", "--json").communicate(
        timeout=90
    )
    report = json.loads(out)
    assert report["episodes"] == 3
    assert err == ""
