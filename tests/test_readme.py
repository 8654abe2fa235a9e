"""What the README and the documentation show works: commands are understood, the README's Python runs (shorter)."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from cli_support import understand

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def commands(page: Path) -> list[str]:
    """The lines of a page that call kshot."""
    return [line.strip() for line in page.read_text(encoding="utf-8").splitlines() if line.startswith("    kshot ")]


COMMANDS = commands(ROOT / "README.md")
IN_DOCS = sorted({command for page in (ROOT / "docs").rglob("*.md") for command in commands(page)})
PYTHON = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


def test_there_are_commands_and_python() -> None:
    assert len(COMMANDS) >= 4
    assert len(IN_DOCS) >= 8
    assert len(PYTHON) >= 2


@pytest.mark.parametrize("command", [*COMMANDS, *IN_DOCS])
def test_every_command_is_understood(command: str) -> None:
    understand(command)


def test_the_python_runs_as_it_stands_but_shorter() -> None:
    code = "\n".join(PYTHON).replace("steps=300", "steps=1").replace("episodes=500", "episodes=2")
    scope: dict[str, object] = {}
    exec(compile(code, "README.md", "exec"), scope)
    assert tuple(scope["logits"].shape) == (4, 300, 20)  # type: ignore[attr-defined]
