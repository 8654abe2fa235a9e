"""Help texts out of docstrings: the documentation of an argument is written once, beside the code."""

from __future__ import annotations

import inspect
import re

_SECTION = re.compile(r"^(Args|Attributes|Returns|Raises|Yields|Example|Examples|Note|Notes):\s*$")
_ENTRY = re.compile(r"^\s+(?P<names>[\w, *]+?)(?: \([^)]*\))?: (?P<text>.*)$")


def summary(thing: object) -> str:
    """The first paragraph of a docstring, in one line."""
    doc = inspect.getdoc(thing) or ""
    return " ".join(doc.split("\n\n")[0].split())


def argument_help(thing: object) -> dict[str, str]:
    """The lines under `Args:` or `Attributes:` by argument; `a, b: text` gives both the text. Bases come first.

    >>> def f(filters): '''Do.\\n\\n    Args:\\n        filters: how many.\\n            Really.\\n    '''
    >>> argument_help(f)
    {'filters': 'how many. Really.'}
    """
    found: dict[str, str] = {}
    for source in reversed(inspect.getmro(thing)) if inspect.isclass(thing) else [thing]:
        if source is not object:
            found |= _sections(vars(source).get("__doc__") if inspect.isclass(source) else source.__doc__)
            if inspect.isclass(source) and "__init__" in vars(source):
                found |= _sections(vars(source)["__init__"].__doc__)
    return found


def _sections(doc: str | None) -> dict[str, str]:
    found: dict[str, str] = {}
    inside, margin = False, 0
    names: list[str] = []
    for line in inspect.cleandoc(doc or "").splitlines():
        if heading := _SECTION.match(line):
            inside, names, margin = heading[1] in ("Args", "Attributes"), [], 0
        elif inside and line.strip():
            indent = len(line) - len(line.lstrip())
            entry = _ENTRY.match(line)
            if indent == 0:
                inside = False
            elif entry and (not margin or indent == margin):
                margin = indent
                names = [n.strip(" *") for n in entry["names"].split(",")]
                found |= dict.fromkeys(names, entry["text"].strip())
            else:
                for name in names:
                    found[name] += " " + line.strip()
    return found
