"""The web page: the same models as the command line, to draw on, to watch and to look into."""

from __future__ import annotations

from .app import create_app
from .library import Library

__all__ = ["Library", "create_app"]
