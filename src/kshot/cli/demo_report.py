"""The page that `kshot run` writes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from ..data.images import Images
from ..evaluation import evaluating
from ..evaluation.figures import Curve
from ..evaluation.plots import Asked, Subject, adaptation, fits, learning
from ..evaluation.plots.task import picture
from ..evaluation.progress import bar
from ..evaluation.report import versions
from ..evaluation.report_page import Section, figure, page, table, task
from ..functional.intervals import mean_interval
from ..methods import METHODS
from ..training import Run, load_run
from ..training.folder import RunFolder
from .demo import (
    INNER_STEPS,
    MINUTES,
    QUERY,
    SINE_SHOT,
    SINE_STEPS,
    WAYS,
    letter_tasks,
    scaled,
    sine_tasks,
)

ADAPTATION_TASKS, SINE_TASKS = 100, 1000
SINE_SHOWN = 3  # the curve that is shown


def result_rows(records: Sequence[dict[str, Any]]) -> tuple[list[str], list[list[str]]]:
    """Columns and rows of the table of results, the same on the terminal and on the page."""
    columns = ["method", *[f"{way}-way 1-shot (%)" for way in WAYS], "queries seen", "training"]
    rows: dict[tuple[str, bool], list[str]] = {}
    for r in records:
        key = (r["method"], r["transductive"])
        seen = "together" if r["transductive"] else "one by one"
        trained = f"{r['train_seconds']:.0f} s" if r["train_seconds"] else "none"
        row = rows.setdefault(key, [METHODS[r["method"]].about.title, *["–"] * len(WAYS), seen, trained])
        row[1 + list(WAYS).index(r["way"])] = f"{r['accuracy']:.1f} ± {r['ci95']:.1f}"
    return columns, list(rows.values())


def write_page(out: Path, data: Images, records: Sequence[dict[str, Any]], minutes: float = MINUTES) -> Path:
    """report.html in the folder of the demonstration.

    Args:
        out: the folder.
        data: the test letters.
        records: of demo.measure.
        minutes: what it was planned for; shorter ones measure fewer tasks.
    """
    runs = {name: load_run(out / name) for name in ("protonet", "maml", "pretrained", "sine-maml", "sine-pretrained")}
    parts: list[Callable[[], Section]] = [
        lambda: results_section(records),
        lambda: task_section(runs["protonet"], data),
        lambda: learning_section(runs),
        lambda: adaptation_section(runs, data, min(ADAPTATION_TASKS, scaled(ADAPTATION_TASKS, minutes))),
        lambda: sine_section(runs, min(SINE_TASKS, scaled(SINE_TASKS, minutes))),
    ]
    sections = []
    with bar("drawing the figures", len(parts)) as update:
        for done, part in enumerate(parts, 1):
            sections.append(part())
            if update is not None:
                update(done)
    sections.append(
        Section(
            "Do it again",
            f"`kshot train protonet --data glyphs --way 60 --query 5 --tasks 1 --out runs/mine` trains a model of your "
            f"own, `kshot evaluate runs/mine --way 20` measures it, and `kshot predict {out}/protonet --support "
            f"EXAMPLES --query PICTURES` uses the one of this page on your pictures: EXAMPLES holds a folder of "
            f"pictures for each class. The folders in `{out}` are run folders: each `config.yaml` says everything "
            f"about its training.",
        )
    )
    v, threads = versions(), torch.get_num_threads()
    trained = sum(run.train_seconds or 0.0 for run in runs.values())
    foot = (
        f"Made by `kshot run`: {trained / 60:.1f} minutes of training on {threads} thread{'s' * (threads != 1)}, with "
        f"kshot {v['kshot']}, torch {v['torch']}, Python {v['python']}; seed 0. Test classes: {data.split_note}."
    )
    lead = (
        "A model that is trained on many small tasks learns a new one from a single example of each class. Here "
        "small models practised on letters of some scripts for about a minute each, and were then tested on scripts "
        "that they had never seen."
    )
    path = out / "report.html"
    path.write_text(page("Learning from one example", lead, sections, foot), encoding="utf-8")
    return path


def results_section(records: Sequence[dict[str, Any]]) -> Section:
    """The table of results."""
    columns, rows = result_rows(records)
    counts = {r["way"]: r["episodes"] for r in records}
    episodes = " and ".join(f"{n} {way}-way" for way, n in counts.items())
    return Section(
        "Results",
        "In an N-way one-shot task a method sees one drawing of each of N new letters and then has to say which of "
        "the N further drawings show. Guessing is right in 20 % of 5-way and 5 % of 20-way tasks.",
        table(
            columns,
            rows,
            f"Mean and 95 % interval over {episodes} test tasks with "
            f"{records[0]['query']} queries a class, the same tasks for every method. Queries seen together share "
            f"their batch statistics, which helps: compare such numbers only with each other.",
        ),
    )


def task_section(run: Run, data: Images) -> Section:
    """One test task as pictures: the first with a few mistakes."""
    index, shown = picture(Subject("protonet", lambda _: run.method, letter_tasks(data, 5), query=QUERY), Asked())
    return Section(
        "A task",
        f"Five letters that the prototypical network has never seen, one example of each, and the "
        f"{len(shown.yq)} drawings it had to name (mistakes first; {shown.mistakes} in all). Under each is the "
        f"probability that the network gave its answer. This is test task {index}, chosen because it has mistakes to "
        f"show.",
        task(replace(shown, names=[name.capitalize() for name in shown.names]), per_class=QUERY),
    )


def learning_section(runs: dict[str, Run]) -> Section:
    """Validation accuracy over the time of training."""
    curves = {}
    for name in ("protonet", "maml", "pretrained"):
        metrics = RunFolder(runs[name].path).metrics
        curves[METHODS[name].about.title] = learning.read_curve(metrics, "val_accuracy", x="seconds", scale=1 / 60)
    drawn = learning.draw(
        {
            "x": "minutes of training",
            "y": "accuracy on 5-way 1-shot validation tasks (%)",
            "curves": [learning.as_dict(name, c) for name, c in curves.items()],
        }
    )
    return Section(
        "Learning to learn",
        "During training each model was tested again and again on tasks from further scripts. Such a curve rises "
        "although no letter of these scripts is ever trained: what improves is the way of learning.",
        figure(
            drawn,
            "learning",
            "Learning curves: " + _last(curves),
            "Queries one by one; bands are 95 % intervals of a validation.",
        ),
    )


def _last(curves: dict[str, Curve]) -> str:
    return ", ".join(f"{name} ends at {curve.y[-1]:.1f} %" for name, curve in curves.items() if curve.y)


def adaptation_section(runs: dict[str, Run], data: Images, count: int) -> Section:
    """Accuracy after 0, 1, 2, ... gradient steps on the support set, over `count` tasks."""
    source, tasks = letter_tasks(data, 5, query=2), range(count)
    maml, pretrained, by_step = runs["maml"].method, runs["pretrained"].method, adaptation.by_step
    values = {
        "MAML, queries seen together": by_step(maml, source, INNER_STEPS, tasks, transductive=True),
        "MAML, one by one": by_step(maml, source, INNER_STEPS, tasks),
        "pre-training, new last layer": by_step(pretrained, source, INNER_STEPS, tasks),
    }
    ends = ", ".join(
        f"{n} goes from {float(v[0].mean()):.1f} to {float(v[-1].mean()):.1f} %" for n, v in values.items()
    )
    return Section(
        "Adaptation",
        "MAML learns a starting point from which few gradient steps on the examples are enough. Before the first step "
        "it can only guess: it does not know yet which letter has which label.",
        figure(
            adaptation.draw(
                {"y": "accuracy on 5-way 1-shot test tasks (%)", "curves": adaptation.with_intervals(values)}
            ),
            "adaptation",
            f"Accuracy by gradient step: {ends}",
            f"Mean and 95 % interval over {count} test tasks. Equal scores for all labels count as wrong: the new last "
            f"layer starts with them.",
        ),
    )


def sine_section(runs: dict[str, Run], count: int) -> Section:
    """Fits of one sine curve by step, and the mean squared error of `count` curves."""
    source, t = sine_tasks(), fits.sorted_queries(sine_tasks(query=300)[SINE_SHOWN])
    panels, rows = [], []
    for name, title in (("sine-maml", "MAML"), ("sine-pretrained", "pre-training")):
        method = runs[name].method
        with evaluating(method):
            lines = method.predict_steps(t.xs, t.ys, t.xq, 0, max(SINE_STEPS))  # [steps + 1, 1, P, 1]
        assert lines is not None
        drawn = {fits.named(k): Curve(t.xq[0, :, 0], lines[k, 0, :, 0]) for k in SINE_STEPS}
        panels.append(fits.panel(title, t, 0, drawn).as_dict())
        errors = adaptation.by_step(method, source, max(SINE_STEPS), range(count))
        rows.append([title, *["{:.2f} ± {:.2f}".format(*mean_interval(errors[k])) for k in SINE_STEPS]])
    return Section(
        "Sine curves by step",
        f"The same idea for regression: the task is to find a sine curve, of any amplitude and phase, from {SINE_SHOT} "
        f"points. A network that was trained on all curves at once has learned their mean, and a few steps do not "
        f"bring it to one of them. MAML's starting point is made for it.",
        figure(fits.draw({"panels": panels}), "sine", "Fits of one sine curve after 0, 1, 5 and 10 gradient steps")
        + table(
            ["mean squared error after", *[f"{k} step{'s' * (k != 1)}" for k in SINE_STEPS]],
            rows,
            f"Mean and 95 % interval over {count} curves with {SINE_SHOT} points each.",
        ),
    )
