"""Several data sets together: the tasks of one, then of the next, by turns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import UserError
from .images import Images

if TYPE_CHECKING:
    from .scribbles import Scribbles


@dataclass(frozen=True)
class Mixture:
    """Data sets of pictures whose tasks alternate; no task mixes their classes.

    Attributes:
        parts: the data sets, in order.
        name: theirs, joined by "+".
    """

    parts: tuple[Images | Scribbles, ...]
    name: str

    def __post_init__(self) -> None:
        from .scribbles import Scribbles

        if len(self.parts) < 2 or not all(isinstance(part, Images | Scribbles) for part in self.parts):
            raise UserError(f"{self.name!r} must be two or more data sets of pictures, as in scribbles+glyphs")
