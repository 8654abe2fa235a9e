"""Recipes: whole commands whose results are known."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Recipe:
    """A command worth knowing: its name, what it gives, and the command itself."""

    name: str
    what: str
    command: str


RECIPES: list[Recipe] = []
