"""`kshot evaluate` and `kshot compare`."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import typer

from ..errors import UserError
from .card import keep_evaluation
from .console import emit, note, table
from .flags import Flag, argument, command, pairs
from .learners import Learner, chosen_encoder, evaluation_source, find_learner, same_tasks
from .sources import data_flags, encoder_flags, json_flag, machine_flags, task_flags, use_machine

RUN_HELP = (
    "a run folder (the --out of `kshot train`), a built-in model (`kshot list models`), or a method that needs no "
    "training: nearest, hausdorff"
)


def _flags(what: str) -> list[Flag | inspect.Parameter]:
    record = typer.Option("--record", help=f"also write a record of {what}: a JSON file", rich_help_panel="Output")
    return [
        *data_flags(),
        Flag("split", str, "test", "which classes: train, val, test or all", "Data"),
        *task_flags(own=False),
        Flag("episodes", int, 1000, "number of tasks", "Tasks"),
        Flag("seed", int, 0, "of the tasks: another seed draws other tasks", "Tasks"),
        Flag("transductive", bool, False, "let a method see all queries of a task together", "Tasks",
             flag="--transductive"),
        *encoder_flags(),
        *machine_flags(),
        json_flag(what),
        argument("record", Path | None, record, None),
    ]  # fmt: skip


def evaluate_command() -> Callable[..., None]:
    """The function behind `kshot evaluate`."""
    option = typer.Option(
        "--option", help="name=value: an argument of the method, such as eval_steps=10; repeat it for more"
    )
    return command(
        _evaluate,
        [
            argument("run", str, typer.Argument(help=RUN_HELP, metavar="RUN")),
            *_flags("the result"),
            argument("option", list[str] | None, option, None),
            Flag("keep", bool, True, "keep the result in the run folder, and show it on its model card", "Output"),
        ],
        "Measure a run on new tasks: mean and 95 % interval.\n\n"
        "Example: kshot evaluate runs/protonet --way 20 --shot 1 --episodes 1000\n\n"
        "Data, way and shot are those of the training unless given; the classes are those of the test split. Pictures "
        "of other data are brought to the size and colours of the training, and the report says so.",
    )


def _evaluate(values: dict[str, Any]) -> None:
    from ..evaluation import evaluate, write_record
    from ..models import is_builtin

    device = use_machine(values)
    options = pairs("--option", values["option"] or [])
    encoder = chosen_encoder(values, [values["run"]], device, options)
    learner = find_learner(values["run"], device, options, encoder)
    source = learner.tasks(evaluation_source(learner, values, device))
    report = evaluate(
        learner.method(source),
        source,
        episodes=values["episodes"],
        transductive=values["transductive"],
        device=device,
        calibration=learner.run.calibration if learner.run else None,
    )
    if values["record"] is not None:
        write_record(values["record"], report, **_training(learner, options))
        note(f"record written to {values['record']}")
    if values["keep"] and learner.run is not None and not is_builtin(learner.run.path):
        keep_evaluation(learner.run, report, options, _training(learner, options))
    if values["json"]:
        emit(report.as_dict())
    else:
        typer.echo(str(report))


def _training(learner: Learner, options: dict[str, Any]) -> dict[str, Any]:
    """How the learner was trained, for its record."""
    run = learner.run
    untrained = {"method": learner.name, "options": options}
    if learner.encoder is not None:
        untrained["encoder"] = learner.encoder.described()
    return {
        "config": run.config if run else untrained,
        "train_seconds": run.train_seconds if run else 0.0,
        "train_steps": run.train_steps if run else 0,
    }


def compare_command() -> Callable[..., None]:
    """The function behind `kshot compare`."""
    return command(
        _compare,
        [argument("runs", list[str], typer.Argument(help=RUN_HELP, metavar="RUN RUN...")), *_flags("the comparison")],
        "Compare two or more runs on the same tasks, pair by pair.\n\n"
        "Example: kshot compare runs/protonet runs/maml nearest --data glyphs --way 5 --shot 1\n\n"
        "The tasks are those of the first run unless --data says otherwise. A difference whose 95 % interval excludes "
        "zero is called better; the intervals are of the differences, which are narrower than those of the two means.",
    )


def _compare(values: dict[str, Any]) -> None:
    from ..evaluation import compare, write_comparison

    names, device = values["runs"], use_machine(values)
    if len(names) < 2:
        raise UserError(f"a comparison needs at least two runs; got {' '.join(names)}")
    encoder = chosen_encoder(values, names, device)
    learners = [find_learner(name, device, None, encoder) for name in names]
    first = next((one for one in learners if one.run is not None), learners[0])
    source = evaluation_source(first, values, device)
    sources = {
        one.name: one.tasks(source) if one.encoder is first.encoder else same_tasks(one, first, source, values, device)
        for one in learners
    }
    found = compare(
        {one.name: one.method(sources[one.name]) for one in learners},
        sources,
        episodes=values["episodes"],
        transductive=values["transductive"],
        device=device,
        calibrations={one.name: one.run.calibration for one in learners if one.run},
    )
    if values["record"] is not None:
        write_comparison(values["record"], found, trainings={one.name: _training(one, {}) for one in learners})
        note(f"record written to {values['record']}")
    if values["json"]:
        emit(found.as_dict())
        return
    measure = found.reports[0].measure
    digits = 2 if measure == "accuracy" else 4
    table(
        ["run", measure, "transductive"],
        [
            [r.method, f"{r.value:.{digits}f} ± {r.ci95:.{digits}f}", "yes" if r.transductive else "no"]
            for r in found.reports
        ],
        title=f"{found.reports[0].episodes} tasks: {source.description}",
        right=[measure],
    )
    table(
        ["difference", "mean", "p", "better"],
        [
            [f"{p.a} - {p.b}", f"{p.difference.mean:+.{digits}f} ± {p.difference.ci95:.{digits}f}",
             f"{p.difference.p:.2g}", p.better or "no difference shown"]
            for p in found.pairs
        ],
        right=["mean", "p"],
    )  # fmt: skip
