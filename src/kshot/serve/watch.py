"""Curves fitted step by step."""

from __future__ import annotations

import torch

from ..data import Sinusoid
from ..evaluation.score import evaluating
from ..functional import random
from ..tasks import make_source
from .library import Served
from .schemas import Curve, CurvesRequest, Fits, Point

GRID = 121  # where a curve is given


def fit_curve(served: Served, request: CurvesRequest) -> Fits:
    """The curve after every step of adaptation to the points, except the time it took.

    A method without steps (a conditional neural process) has one row.
    """
    method = served.method
    low, high = Sinusoid().x_range
    grid = torch.linspace(low, high, GRID)
    x = torch.tensor([[p.x] for p in request.points])  # [S, 1]
    y = torch.tensor([[p.y] for p in request.points])
    xq = torch.cat([grid[:, None], x])[None].to(served.device)  # [1, G + S, 1]
    xs, ys = x[None].to(served.device), y[None].to(served.device)
    with evaluating(method):
        path = method.predict_steps(xs, ys, xq, 0, request.steps)  # [steps + 1, 1, G + S, 1]
        if path is None:
            path = method.predict(method.adapt(xs, ys, 0), xq)[None]  # [1, 1, G + S, 1]
            own_steps = None
        else:
            own_steps = int(getattr(method, "eval_steps", request.steps))
    out = path[:, 0, :, 0].double().cpu().nan_to_num(nan=0.0, posinf=1e30, neginf=-1e30).clamp(-1e30, 1e30)
    error = (out[:, GRID:] - y[:, 0].double()).square().mean(1)
    return Fits(
        model=served.name,
        x=[round(v, 6) for v in grid.tolist()],
        y=[[round(v, 5) for v in row] for row in out[:, :GRID].tolist()],
        errors=error.tolist(),
        own_steps=own_steps,
        milliseconds=0.0,
    )


def draw_curve(seed: int, shot: int) -> Curve:
    """The sine curve of a seed, and `shot` of its points: the test tasks of --data sinusoid."""
    curves = Sinusoid()
    tasks = make_source(curves, shot=shot, query=1, seed=seed, split="test")[0]
    amplitude, phase = curves.parameters(random.keys(seed, torch.tensor([0]), "test curve"))
    points = zip(tasks.xs[0, :, 0].tolist(), tasks.ys[0, :, 0].tolist())
    return Curve(
        amplitude=float(amplitude), phase=float(phase), points=[Point(x=round(x, 4), y=round(y, 4)) for x, y in points]
    )
