"""Imports point down: functional <- data <- tasks <- methods (on backbones) <- evaluation, training <- the faces."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parent.parent / "src" / "kshot"

MAY_IMPORT: dict[str, set[str]] = {
    "errors": set(),
    "cache": set(),
    "functional": set(),
    "data": {"functional"},
    "tasks": {"functional", "data"},
    "backbones": {"functional"},
    "encoders": {"functional", "data", "backbones"},
    "methods": {"functional", "tasks", "backbones"},
    "evaluation": {"functional", "data", "tasks", "backbones", "encoders", "methods"},
    "models": {"methods"},
    "training": {"functional", "data", "tasks", "backbones", "methods", "evaluation", "models"},
}
FACES = {"cli", "estimator", "export", "recipes", "serve", "__main__", "__init__"}  # may import everything


def imports(path: Path, package: Path) -> set[tuple[str, int]]:
    """The parts of kshot that a file imports anywhere in it, with the line: ("data", 12)."""
    inside = path.relative_to(package).parts[:-1]
    found: set[tuple[str, int]] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name.split(".") for alias in node.names]
            found |= {(name[1] if len(name) > 1 else "__init__", node.lineno) for name in names if name[0] == "kshot"}
        elif isinstance(node, ast.ImportFrom):
            where = (node.module or "").split(".") if node.module else []
            if node.level == 0:
                if where[:1] != ["kshot"]:
                    continue
                where = where[1:]
            else:
                where = [*inside[: len(inside) - node.level + 1], *where]
            if where:
                found.add((where[0], node.lineno))
            else:  # from kshot import x, from .. import x
                parts = {p.stem for p in package.iterdir()}
                found |= {(a.name if a.name in parts else "__init__", node.lineno) for a in node.names}
    return found


def arrows_up(package: Path) -> list[str]:
    """Every import that the ladder does not allow."""
    wrong = []
    for path in sorted(package.rglob("*.py")):
        part = path.relative_to(package).parts[0].removesuffix(".py")
        if part in FACES:
            continue
        if part not in MAY_IMPORT:
            wrong.append(f"{part} stands on no rung of the ladder")
            continue
        allowed = MAY_IMPORT[part] | {part, "errors", "cache"}
        wrong += [
            f"{path.relative_to(package)}:{line} imports {name}"
            for name, line in sorted(imports(path, package))
            if name not in allowed and not (name == "__init__" and part == "evaluation")  # reports name the version
        ]
    return wrong


def test_no_import_points_up() -> None:
    assert arrows_up(SOURCE) == []


def test_the_ladder_knows_every_package() -> None:
    parts = {p.stem for p in SOURCE.iterdir() if p.suffix == ".py" or (p / "__init__.py").exists()}
    assert parts <= MAY_IMPORT.keys() | FACES


@pytest.mark.parametrize(
    "line",
    [
        "from ..training import train",
        "from ..training.loop import Loop",
        "from .. import training",
        "from kshot.training import train",
        "from kshot import training",
        "import kshot.training.loop",
        "def late():\n    from ..training import train",
        "from ..data import load",
        "from .. import METHODS",
    ],
)
def test_an_arrow_that_points_up_is_found(line: str, tmp_path: Path) -> None:
    """A planted import in a method."""
    for part in ("methods", "training", "data"):
        (tmp_path / part).mkdir()
        (tmp_path / part / "__init__.py").write_text("")
    (tmp_path / "methods" / "good.py").write_text("import torch\nfrom ..tasks import Tasks\nfrom .base import Method\n")
    assert arrows_up(tmp_path) == []
    (tmp_path / "methods" / "planted.py").write_text(line + "\n")
    assert len(arrows_up(tmp_path)) == 1
    assert arrows_up(tmp_path)[0].startswith("methods/planted.py:")
