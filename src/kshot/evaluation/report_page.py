"""A report as one HTML file: text, tables, figures as inline SVG and pictures as inline PNG; nothing is loaded."""

from __future__ import annotations

import base64
import html
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor

from .figures import COLOURS, INK, rendered
from .plots.task import TaskPicture, looked_at, mistakes_first
from .report_style import STYLE

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Section:
    """A part of a page: a heading, a paragraph in plain text, and HTML made by the functions below."""

    title: str
    text: str
    body: str = ""


def page(title: str, lead: str, sections: Sequence[Section], foot: str) -> str:
    """The whole document.

    Args:
        title: heading.
        lead: the paragraph under it, plain text.
        sections: the parts.
        foot: small print, plain text.
    """
    parts = "\n".join(
        f"<section>\n<h2>{html.escape(s.title)}</h2>\n{paragraphs(s.text)}\n{s.body}\n</section>" for s in sections
    )
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f"<title>{html.escape(title)}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n"
        f"<h1>{html.escape(title)}</h1>\n{paragraphs(lead, 'lead')}\n{parts}\n<footer>{paragraphs(foot)}</footer>\n"
        "</main>\n</body>\n</html>\n"
    )


def paragraphs(text: str, kind: str = "") -> str:
    """Plain text as paragraphs, which blank lines part; `code` is set as code."""
    mark = f' class="{kind}"' if kind else ""
    texts = [html.escape(" ".join(t.split()), quote=False) for t in text.split("\n\n") if t.strip()]
    texts = [re.sub(r"`([^`]+)`", r"<code>\1</code>", t) for t in texts]
    return "\n".join(f"<p{mark}>{t}</p>" for t in texts)


def table(columns: Sequence[str], rows: Sequence[Sequence[str]], caption: str = "") -> str:
    """An HTML table whose first column names the row; numbers are aligned to the right."""
    head = "".join(f'<th scope="col">{html.escape(c)}</th>' for c in columns)
    body = ""
    for first, *rest in rows:
        cells = "".join(f"<td>{html.escape(c)}</td>" for c in rest)
        body += f'<tr><th scope="row">{html.escape(first)}</th>{cells}</tr>\n'
    note = f"<caption>{html.escape(caption)}</caption>" if caption else ""
    return f'<div class="wide"><table>{note}<thead><tr>{head}</tr></thead><tbody>\n{body}</tbody></table></div>'


def figure(picture: Figure, name: str, alt: str, caption: str = "") -> str:
    """A matplotlib figure as inline SVG whose ink follows the page's text colour and whose lines follow its palette."""
    drawn = rendered(picture, "svg", name, background="none").decode()
    drawn = drawn[drawn.index("<svg") :].replace(INK, "currentColor")
    for i, colour in enumerate(COLOURS):
        drawn = drawn.replace(colour, f"var(--series-{i})")
    drawn = re.sub(r"<metadata>.*?</metadata>", "", drawn, flags=re.DOTALL)
    drawn = re.sub(r"\bid=\"([^\"]+)\"", rf'id="{name}-\1"', drawn)  # one document, many figures
    drawn = re.sub(r"(url\(|href=\")#([\w.-]+)", rf"\1#{name}-\2", drawn)
    drawn = drawn.replace("<svg", f'<svg role="img" aria-label="{html.escape(alt)}"', 1)
    words = f"<figcaption>{html.escape(caption)}</figcaption>" if caption else ""
    return f'<figure><div class="wide">{drawn}</div>{words}</figure>'


def task(picture: TaskPicture, per_class: int = 5) -> str:
    """A task as rows of pictures: the examples of a class, then queries of it; mistakes have a heavy frame and say why.

    Args:
        picture: the task.
        per_class: how many queries of each class are shown (mistakes first).
    """
    predicted = picture.probabilities.argmax(-1)
    rows = []
    for n, name in enumerate(picture.names):
        examples = "".join(tile(x, "example", ink=picture.ink) for x in picture.xs[picture.ys == n])
        queries = ""
        for q in mistakes_first(picture.yq, predicted, n)[:per_class]:
            p, wrong = float(picture.probabilities[q].max()), int(predicted[q]) != n
            note = f"✗ taken for {int(predicted[q]) + 1}" if wrong else f"✓ {100 * p:.0f} %"
            queries += tile(picture.xq[q], "wrong" if wrong else "right", note, ink=picture.ink)
        rows.append(
            f'<div class="row"><div class="known"><b>{n + 1}</b>{examples}<small>{html.escape(name)}</small></div>'
            f'<div class="queries" style="--columns:{per_class}">{queries}</div></div>'
        )
    head = '<div class="row head"><div class="known">the one example</div><div class="queries">new drawings</div></div>'
    if int((picture.ys == 0).sum()) > 1:
        head = head.replace("the one example", "the examples")
    return f'<div class="task">{head}\n' + "\n".join(rows) + "</div>"


def tile(pixels: Tensor, kind: str, note: str = "", *, ink: bool = True) -> str:
    """One picture uint8 [C, H, W] as inline PNG with a note; the ink of drawings is shown dark on white."""
    from PIL import Image

    picture = Image.fromarray(np.ascontiguousarray(looked_at(pixels.cpu().numpy(), ink)))
    stream = io.BytesIO()
    picture.save(stream, format="PNG", optimize=True)
    data = base64.b64encode(stream.getvalue()).decode()
    words = f"<figcaption>{html.escape(note)}</figcaption>" if note else ""
    alt = html.escape(f"{kind} {note}".strip())
    return f'<figure class="tile {kind}"><img src="data:image/png;base64,{data}" alt="{alt}">{words}</figure>'
