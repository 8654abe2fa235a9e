"""How a model sees a task: how near every query is to every example, and all of them in the plane."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ..estimator import FewShotClassifier
from ..evaluation.score import evaluating
from ..functional.distances import cosine, squared_euclidean
from ..methods.base import as_input
from ..methods.gradient import GradientMethod
from .classify import Classifiers, Question
from .library import Served
from .pictures import png
from .schemas import Inside, Point


def look_inside(classifiers: Classifiers, served: Served, question: Question) -> Inside:
    """What the page draws of a task, except the time it took."""
    fitted = classifiers.fitted(served, question)
    xs, xq = question.seen(question.xs), question.seen(question.xq)
    with evaluating(fitted.method_):
        fs, fq, what = features(fitted, xs.to(served.device), xq.to(served.device))
        predictions = fitted.predict(question.xq.numpy())
    plane, explained = principal_plane(torch.cat([fs, fq]))
    classes = sorted(set(question.names))
    rows = {c: [s for s, name in enumerate(question.names) if name == c] for c in classes}
    return Inside(
        model=served.name,
        features=what,
        dimensions=fs.shape[1],
        labels=question.names,
        examples=question.examples,
        distances=_rounded(squared_euclidean(fq[None], fs[None])[0].clamp(min=0).sqrt()),
        cosines=_rounded(cosine(fq[None], fs[None])[0]),
        support_plane=[_point(p) for p in plane[: len(xs)]],
        query_plane=[_point(p) for p in plane[len(xs) :]],
        mean_plane={c: _point(plane[rows[c]].mean(0)) for c in classes},
        explained=explained,
        support_seen=[png(x) for x in xs],
        query_seen=[png(x) for x in xq],
        predictions=[str(p) for p in predictions],
        milliseconds=0.0,
    )


def features(fitted: FewShotClassifier, xs: Tensor, xq: Tensor) -> tuple[Tensor, Tensor, str]:
    """What the model makes of examples xs [S, C, H, W] and queries xq [Q, C, H, W]: [S, D], [Q, D], and what it is."""
    method, state = fitted.method_, fitted.state_
    parts = [method.represent(state, x[None]) for x in (xs, xq)]  # [1, ., D] each, or nothing
    if any(part is None for part in parts) or next(method.parameters(), None) is None:
        return as_input(xs).flatten(1), as_input(xq).flatten(1), "raw pixels: this method has no embedding"
    fs, fq = (part[0] for part in parts if part is not None)
    after = isinstance(method, GradientMethod)
    words = (
        "the last layer but one of the network, after it has learned the examples" if after else "the model's embedding"
    )
    return fs, fq, words


def principal_plane(x: Tensor) -> tuple[Tensor, list[float]]:
    """Places [M, 2] of points [M, D] on their first two principal axes, and which part of the variance these hold.

    The sign of an axis is chosen so that its largest coordinate is positive: the picture does not flip by chance.
    """
    centred = x.double() - x.double().mean(0)
    u, s, _ = torch.linalg.svd(centred, full_matrices=False)  # [M, R], [R]
    plane = (u * s)[:, :2]
    if plane.shape[1] < 2:
        plane = torch.nn.functional.pad(plane, (0, 2 - plane.shape[1]))
    most = plane.gather(0, plane.abs().argmax(0, keepdim=True))
    total = float((s * s).sum())
    parts = [float(v * v) / total if total > 0 else 0.0 for v in (*s[:2], *[s.new_zeros(())] * (2 - len(s[:2])))]
    return plane * torch.where(most < 0, -1.0, 1.0), parts


def _point(p: Tensor) -> Point:
    return Point(x=float(p[0]), y=float(p[1]))


def _rounded(x: Tensor) -> list[list[float]]:
    values: list[list[float]] = np.round(x.double().cpu().numpy(), 6).tolist()
    return values
