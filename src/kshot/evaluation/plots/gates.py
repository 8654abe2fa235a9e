"""Gates of a learned update rule: how much of each parameter is kept, and how far it follows its gradient."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ..figures import Curve, draw_curves, explain, look, panels
from ..score import evaluating
from .document import Document, LeftOut
from .subject import Asked, Subject

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TASKS = 10  # over which gates are gathered, at most
QUANTILES = (0.05, 0.5, 0.95)
LAYERS = 6  # that have a line of their own
GATES = {"forget": "forget gate (what is kept of a parameter)", "input": "input gate (learning rate)"}


def gather(subjects: Sequence[Subject], asked: Asked) -> Document:
    """Quantiles over the coordinates of each layer's weights, and of all, at every step."""
    [subject] = subjects
    count = min(TASKS, asked.episodes)
    tasks = subject.source.batch(range(count)).to(asked.device)
    with evaluating(subject.method):
        found = subject.method.trace(tasks.xs, tasks.ys, tasks.way)
    gates = {}
    for gate in GATES:
        by_name = {n.removeprefix(f"{gate} "): t.cpu() for n, t in found.items() if n.startswith(f"{gate} ")}
        if not by_name:
            raise LeftOut(f"{subject.title} learns no gates of its steps")
        layers = [{"name": name, "quantiles": quantiles(t)} for name, t in by_name.items() if is_weight(name)]
        everything = torch.cat(list(by_name.values()), -1)
        gates[gate] = {"layers": layers[:LAYERS], "all": quantiles(everything)}
    return {
        "title": f"{subject.name} ({subject.title}): gates of the learned update",
        "note": subject.note(subject.source, asked, f"{count} tasks", modes=()),
        "levels": list(QUANTILES),
        **gates,
    }


def is_weight(name: str) -> bool:
    """Whether the parameter holds the weights of a layer that is no normalisation."""
    return name.endswith("weight") and "norm" not in name


def quantiles(values: Tensor) -> list[list[float]]:
    """Those of the coordinates [T, steps, P] at each step: [len(QUANTILES)][steps]."""
    flat = values.transpose(0, 1).flatten(1).double()  # [steps, T * P]
    return [[float(f"{q:.6g}") for q in flat.quantile(level, -1).tolist()] for level in QUANTILES]


def draw(document: Document) -> Figure:
    """Medians of the layers' weights, and the band that holds nine tenths of all coordinates."""
    with look():
        figure, axes = panels(len(GATES), 10.6, 3.7)
        for ax, (gate, words) in zip(axes, GATES.items()):
            found = document[gate]
            low, _, high = found["all"]
            steps = range(1, len(low) + 1)
            band = ax.fill_between(steps, low, high, color="#000000", alpha=0.12, linewidth=0)
            band.set_label("90 % of all parameters")
            curves = {layer["name"]: Curve(steps, layer["quantiles"][1]) for layer in found["layers"]}
            draw_curves(ax, curves, markers=True, legend=False)
            ax.set_title(words)
            ax.set_xlabel("step on the support set")
            ax.set_xticks(steps)
            ax.grid(axis="y", alpha=0.25)
        axes[0].set_ylabel("gate, median of a layer's weights")
        handles, labels = axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside right center", fontsize=8)
        explain(figure, document["title"], document["note"])
        return figure
