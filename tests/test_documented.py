"""Every command and every block of Python that the README and the documentation show runs.

Two pages run exactly as they are printed. On the others, a training has two steps (documented.py), and all else is as
printed; on the pages in SHORTENED, which show trainings of minutes to days and data that has to be brought, there are
also fewer tasks, and stand-ins for such data. The slow test runs as printed what is done in minutes with built-in data.
NOT_RUN says what does not run.
"""

from __future__ import annotations

import shlex
import time
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch

from cli_support import kshot, understand
from documented import FEW_STEPS, FEW_TASKS, PAGES, ROOT, Step, commands, prepare, shortened, steps

AS_PRINTED = ("docs/index.md", "docs/tutorial/prototypes.md")
SHORTENED = (
    *("README.md", "docs/methods/", "docs/gradients.md", "docs/data.md", "docs/models.md", "docs/figures.md"),
    "docs/tracking.md",
)
NOT_RUN = {
    "kshot run": "it takes four minutes; tests/test_cli_run.py runs it shortened",
    "kshot serve": "it serves until it is stopped; tests of the page start it",
}
ELSEWHERE = {
    "docs/own-method.md": "test_own_method.py adds the method first",
    "docs/commands.md": "its examples of trainings are those of the pages of the methods; they are parsed",
}
FEW = {"steps=300": "steps=1", "episodes=500": "episodes=2"}
ALL = [page for page in PAGES if steps(page)]
PRINTED_SLOWLY = ("README.md", "docs/tutorial/", "docs/own-data.md", "docs/protocols.md", "docs/recipes.md")


# torch's first forward-mode derivative warns of its own parts
its_own_warning = pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning")


def name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def runs(step: Step) -> bool:
    return not any(step.text == said or step.text.startswith(said + " ") for said in NOT_RUN)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    prepare(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def follow(page: Path, folder: Path, less: Mapping[str, str]) -> dict[str, float]:
    """Do what a page shows, in its order, with further flags for each command; the seconds of each step."""
    scope: dict[str, object] = {"__name__": "__main__"}
    seconds = {}
    for step in steps(page):
        began = time.process_time()
        where = f"{name(page)}:{step.line}"
        if step.title:
            (folder / step.title).parent.mkdir(parents=True, exist_ok=True)
            (folder / step.title).write_text(step.text, encoding="utf-8")
        elif step.kind == "kshot" and runs(step):
            result = kshot(*(shortened(step.text, less) if less else shlex.split(step.text)[1:]))
            assert result.exit_code == 0, f"{where}: {step.text}\n{result.stderr}"
        elif step.kind == "python":
            code = step.text
            for long, few in FEW.items():
                code = code.replace(long, few) if less else code
            with torch.random.fork_rng():  # a reader's program may use the global generator
                exec(compile(code, where, "exec"), scope)
        seconds[step.text] = time.process_time() - began
    return seconds


@pytest.mark.parametrize(
    "command", sorted({c for p in ALL if name(p).startswith((*SHORTENED, "docs/commands.md")) for c in commands(p)})
)
def test_every_command_is_understood_as_printed(command: str) -> None:
    understand(command)


@its_own_warning
@pytest.mark.parametrize("page", [p for p in ALL if name(p) not in ELSEWHERE], ids=name)
def test_a_page_runs(page: Path, folder: Path) -> None:
    printed = name(page) in AS_PRINTED
    follow(page, folder, {} if printed else FEW_TASKS if name(page).startswith(SHORTENED) else FEW_STEPS)


@its_own_warning
@pytest.mark.slow
@pytest.mark.parametrize("page", [p for p in ALL if name(p).startswith(PRINTED_SLOWLY)], ids=name)
def test_a_page_runs_as_printed(page: Path, folder: Path) -> None:
    follow(page, folder, {})


def test_what_is_not_run_is_named() -> None:
    """And nothing is on the list that no page shows."""
    shown = [step for page in ALL for step in steps(page) if step.kind == "kshot"]
    for said in ("kshot run",):
        assert any(step.text == said for step in shown)
    assert len(shown) > 100
    assert sum(runs(step) for step in shown) > 0.9 * len(shown)
