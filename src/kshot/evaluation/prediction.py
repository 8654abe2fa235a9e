"""Labels for pictures that nobody has labelled: one task from folders, any method."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from ..data.descriptions import read_descriptions
from ..data.folder import read_images, read_support
from ..data.pictures import ink_high
from ..data.problems import Problems
from ..errors import UserError
from ..methods.base import Method
from .report import Json
from .score import evaluating

QUERIES_AT_ONCE = 128


@dataclass(frozen=True)
class Prediction:
    """What a method says of one picture or sentence.

    Attributes:
        path: the picture's file; of a sentence, file:line.
        label: the most probable class.
        probability: of that class.
        probabilities: of every class, by name.
        text: the sentence; None of a picture.
    """

    path: str
    label: str
    probability: float
    probabilities: dict[str, float]
    text: str | None = None

    def as_dict(self) -> dict[str, Json]:
        """What `--json` prints."""
        return {
            "path": self.path,
            **({} if self.text is None else {"text": self.text}),
            "label": self.label,
            "probability": self.probability,
            "probabilities": dict(self.probabilities),
        }


def probabilities(
    method: Method,
    xs: Tensor,
    ys: Tensor,
    xq: Tensor,
    *,
    transductive: bool = False,
    batch: int = QUERIES_AT_ONCE,
    temperature: float = 1.0,
) -> Tensor:
    """The probability of every label for every query of one task: float32 [Q, N], on the CPU.

    Args:
        xs, ys: support inputs [S, ...] and labels 0..N-1 [S].
        xq: queries [Q, ...].
        transductive: all queries are seen together; otherwise they are predicted `batch` at a time.
        temperature: what the logits are divided by before the softmax.
    """
    if transductive and not method.about.transductive:
        raise UserError(f"{method.about.title} has no transductive mode: leave out --transductive")
    way = int(ys.max()) + 1
    with evaluating(method):
        state = method.adapt(xs[None], ys[None], head_way(method, way))
        pieces = [xq] if transductive else xq.split(batch)
        mode = {"transductive": True} if transductive else {}
        logits = torch.cat([method.predict(state, piece[None], **mode)[0] for piece in pieces])  # [Q, N]
    return (logits[:, :way].float() / temperature).softmax(-1).cpu()


def head_way(method: Method, way: int) -> int:
    """The way with which a method adapts to that many classes: a head that fixes it may have outputs to spare."""
    fixed = int(getattr(method, "way", 0)) if method.about.fixed_way else 0
    if fixed and way > fixed:
        raise UserError(
            f"this {method.about.title} model was made for {fixed} classes, and there are {way}: train it with a "
            f"larger --way, or use a method without this limit (protonet, matching)"
        )
    return fixed or way


def predict_folders(
    method: Method,
    support: Path,
    query: Path | Sequence[Path],
    *,
    input_shape: tuple[int, ...] | None = None,
    attributes: Sequence[str] = (),
    size: int | None = None,
    invert: Literal["auto", "yes", "no"] = "auto",
    skip_bad: bool = False,
    transductive: bool = False,
    temperature: float = 1.0,
    device: torch.device | str = "cpu",
) -> tuple[list[Prediction], list[str]]:
    """Learn the classes of `support/<class>/*`, or those that a table describes, and label the pictures of `query`.

    Args:
        method: trained, or one that needs no training.
        support: a folder of class folders; for a method that learns from descriptions, a table of them.
        query: a folder of pictures, or picture files.
        input_shape: (C, H, W) of the method's inputs; by default as the support pictures suggest.
        attributes: what describes a class in the method's training, see `Images.attribute_names`.
        size: side of the pictures where input_shape does not say.
        invert: whether dark ink on light paper becomes high ink, as in training; auto decides for all pictures at once.
        skip_bad: leave out unusable files instead of stopping at the first.
        transductive: the queries are seen together (they help each other's normalisation).
        temperature: of the probabilities, see `calibrate`.
        device: where to compute.

    Returns:
        the predictions, in the order of the files, and a message for each file that was left out.
    """
    if input_shape is not None and len(input_shape) != 3:
        raise UserError(f"this model was trained on inputs of shape {input_shape}, not on pictures: nothing to predict")
    size = size if input_shape is None else input_shape[1]
    channels = None if input_shape is None else input_shape[0]
    problems = Problems(skip=skip_bad)
    if method.about.support == "descriptions":
        xs, names = _described(support, attributes)
        ys = torch.arange(len(names))
        xq, files = read_images(query, size, channels, invert, problems)
    else:
        xs, ys, names = read_support(support, size, channels, "no", problems)
        xq, files = read_images(query, xs.shape[-1], xs.shape[1], "no", problems)
        both = ink_high(torch.cat([xs, xq]), invert)
        xs, xq = both[: len(xs)], both[len(xs) :]
    method.to(device)
    mode: dict[str, Any] = {"transductive": transductive, "temperature": temperature}
    p = probabilities(method, xs.to(device), ys.to(device), xq.to(device), **mode)
    return predictions_of(list(map(str, files)), names, p), list(problems.messages)


def predictions_of(
    paths: Sequence[str], names: Sequence[str], p: Tensor, texts: Sequence[str] | None = None
) -> list[Prediction]:
    """What the probabilities p [Q, N] say of Q queries."""
    found = []
    for i, row in enumerate(p.tolist()):
        best = max(range(len(names)), key=row.__getitem__)
        text = None if texts is None else texts[i]
        found.append(Prediction(paths[i], names[best], row[best], dict(zip(names, row)), text))
    return found


def _described(table: Path, attributes: Sequence[str]) -> tuple[Tensor, tuple[str, ...]]:
    """The descriptions of at least two classes [N, A], and their names."""
    if table.is_dir():
        raise UserError(
            f"{table} is a folder, and this model learns from descriptions: name a table (.csv) with a line for "
            f"each class, such as zebra,striped four legs"
        )
    found = read_descriptions(table, attributes)
    if len(found.classes) < 2:
        raise UserError(f"{table} describes {len(found.classes)} class; a task needs at least 2: add a line for each")
    return found.values, found.classes
