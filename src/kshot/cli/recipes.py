"""`kshot train --recipe NAME`: the recipe's flags in the place of the name; flags beside it come later and win."""

from __future__ import annotations

from collections.abc import Sequence

from ..errors import UserError
from ..recipes import find

OPTION = "--recipe"


def expand(words: Sequence[str]) -> list[str]:
    """The words after `kshot train`, with the recipe that they name written out."""
    name, rest = _taken_out(list(words))
    if name is None:
        return rest
    method, *flags = find(name).words
    if rest and not rest[0].startswith("-"):  # kshot train protonet --recipe NAME
        if rest[0] != method:
            raise UserError(f"the recipe {name} trains {method}, not {rest[0]}: leave out {rest[0]}")
        rest = rest[1:]
    return [method, *flags, *rest]


def _taken_out(words: list[str]) -> tuple[str | None, list[str]]:
    """The recipe's name, and the other words."""
    for place, word in enumerate(words):
        if word == OPTION:
            if place + 1 == len(words):
                raise UserError(f"{OPTION} needs a name: see `kshot list recipes`")
            return words[place + 1], words[:place] + words[place + 2 :]
        if word.startswith(OPTION + "="):
            return word.removeprefix(OPTION + "="), words[:place] + words[place + 1 :]
    return None, words
