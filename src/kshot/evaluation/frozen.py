"""Labels for pictures or sentences by the features of a frozen encoder: one task, no training."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from ..data.classes import find_classes
from ..data.folder import query_files, support_labels
from ..data.problems import Problems
from ..data.sentences import is_table, read_labelled, read_texts
from ..encoders import Encoder
from ..encoders.inputs import file_examples, sentence_examples
from ..errors import UserError
from ..functional.calibration import fit_temperature
from ..methods.base import Method
from .prediction import Prediction, predictions_of, probabilities
from .score import evaluating

TEXTS = (".txt", ".csv", ".tsv")
EXAMPLES, NUMBERS, AT_ONCE = 64, 200_000_000, 8  # set aside in all rounds; of all their support sets; rounds at a time


def predict_frozen(
    method: Method,
    encoder: Encoder,
    support: Path,
    query: Path | Sequence[Path],
    *,
    skip_bad: bool = False,
    device: torch.device | str = "cpu",
) -> tuple[list[Prediction], list[str]]:
    """Learn the classes of a support set from features, and label the queries.

    Args:
        method: one that learns from features (`methods.feature_method`).
        encoder: of pictures or of sentences; it decides what support and query are.
        support: `support/<class>/*`, or a table of sentences with columns text and label.
        query: a folder of pictures or picture files; or files of sentences (.txt with one on each line, or a table).
        skip_bad: leave out unusable files and lines instead of stopping at the first.
        device: where to compute.

    Returns:
        the predictions, in the order of the files and lines, and a message for each that was left out.
    """
    problems = Problems(skip=skip_bad)
    texts: list[str] | None = None
    if encoder.kind == "sentences":
        xs, ys, names = _labelled_sentences(encoder, support, problems)
        xq, queries, texts = _sentences(encoder, query)
    else:
        xs, ys, names = _labelled_pictures(encoder, support, problems)
        xq, queries = _pictures(encoder, query, problems)
    method.to(device)
    xs, ys, xq = xs.to(device), ys.to(device), xq.to(device)
    p = probabilities(method, xs, ys, xq, temperature=own_temperature(method, xs, ys))
    return predictions_of(queries, names, p, texts), list(problems.messages)


def own_temperature(method: Method, xs: Tensor, ys: Tensor) -> float:
    """The temperature that suits a support set best, from its own examples: some are predicted from the others.

    A frozen encoder comes without validation tasks. In each round one example of every class that has several is set
    aside, so that the classes keep their proportions; where no class has several, the temperature is 1. One example of
    unknown label is added in thought, so that a few clear examples do not make everything certain.

    Args:
        method: learns in closed form.
        xs: features [S, D] of the support set.
        ys: labels 0..N-1 [S].
    """
    counts = ys.bincount()
    several = int((counts > 1).sum())
    if several == 0:
        return 1.0
    rounds = min(int(counts.max()), max(2, EXAMPLES // several), max(1, NUMBERS // xs.numel()))
    held = aside(ys, rounds)  # [rounds, S]
    one, others = held.nonzero()[:, 1].view(rounds, -1), (~held).nonzero()[:, 1].view(rounds, -1)
    logits = []
    with evaluating(method):
        for some, rest in zip(one.split(AT_ONCE), others.split(AT_ONCE)):
            state = method.adapt(xs[rest], ys[rest], len(counts))
            logits.append(method.predict(state, xs[some]).flatten(0, 1))
    return fit_temperature(torch.cat(logits), ys[one].flatten(), smoothing=1 / (one.numel() + 1))


def aside(ys: Tensor, rounds: int) -> Tensor:
    """Which example of every class that has several is set aside in each round: bool [rounds, S] for labels [S]."""
    order, counts = ys.argsort(stable=True), ys.bincount()
    first = counts.cumsum(0) - counts  # where each class begins in that order
    place = torch.empty_like(ys)  # of each example among those of its class
    place[order] = torch.arange(len(ys), device=ys.device) - first[ys[order]]
    now = torch.arange(rounds, device=ys.device)[:, None]
    return (place == now % counts[ys]) & (counts[ys] > 1)


def _labelled_pictures(encoder: Encoder, support: Path, problems: Problems) -> tuple[Tensor, Tensor, tuple[str, ...]]:
    if support.is_file():
        raise UserError(
            f"{support} is a file, and {encoder.name} encodes pictures: expected a folder of class folders of "
            f"pictures. For sentences take an encoder of sentences (sentence-transformers:NAME)"
        )
    classes = find_classes(support, problems)
    files = [f for c in classes for f in c.files]
    features, kept = encoder.features(file_examples(files), problems)
    ys, names = support_labels(support, classes, [files[i] for i in kept])
    return features, ys, names


def _pictures(encoder: Encoder, query: Path | Sequence[Path], problems: Problems) -> tuple[Tensor, list[str]]:
    files = query_files(query, problems)
    features, kept = encoder.features(file_examples(files), problems)
    return features, [str(files[i]) for i in kept]


def _labelled_sentences(encoder: Encoder, support: Path, problems: Problems) -> tuple[Tensor, Tensor, tuple[str, ...]]:
    if support.is_dir() or not is_table(support):
        raise UserError(
            f"{support} is {'a folder' if support.is_dir() else 'no table'}, and {encoder.name} encodes sentences: "
            f"expected a table (.csv) with columns text and label. For pictures take an encoder of pictures (timm:NAME)"
        )
    lines = read_labelled(support, problems)
    names = tuple(sorted({line.label for line in lines}))
    if len(names) < 2:
        raise UserError(f"{support} has sentences of {len(names)} class; a task needs at least 2: add others")
    features, _ = encoder.features(sentence_examples([line.text for line in lines]))
    return features, torch.tensor([names.index(line.label) for line in lines]), names


def _sentences(encoder: Encoder, query: Path | Sequence[Path]) -> tuple[Tensor, list[str], list[str]]:
    """The features of all sentences, "file:line" of each, and their texts."""
    where, texts = list[str](), list[str]()
    for file in [query] if isinstance(query, Path) else query:
        if file.is_dir() or file.suffix.lower() not in TEXTS:
            raise UserError(
                f"{file} is {'a folder' if file.is_dir() else 'no file of sentences'}, and {encoder.name} encodes "
                f"sentences: expected {', '.join(TEXTS)}. For pictures take an encoder of pictures (timm:NAME)"
            )
        for line in read_texts(file):
            where.append(f"{file}:{line.number}")
            texts.append(line.text)
    return encoder.features(sentence_examples(texts))[0], where, texts
