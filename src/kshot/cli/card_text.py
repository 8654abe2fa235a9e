"""The words of a model card."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from ..data import DATASETS
from ..data.catalogue import PUBLISHED
from ..evaluation.report import in_words
from ..methods import METHODS, About
from .again import train_command
from .docs import summary

OWN = {  # data that kshot makes itself
    "glyphs": "drawn from the typefaces that come with matplotlib; nothing was downloaded",
    "scribbles": "made by kshot from a seed: no picture of anybody's is in them",
    "sinusoid": "made by kshot from a seed",
}
PUBLISHERS = {"omniglot": "github.com/brendenlake/omniglot"} | {name: what.source for name, what in PUBLISHED.items()}


@dataclass(frozen=True)
class Facts:
    """What the files of a run say.

    Attributes:
        config: config.yaml.
        step: of the weights.
        state: the numbers of the checkpoint, or the last line of metrics.jsonl.
        size: of the weights in bytes.
        records: of the evaluations of these weights.
        stale: how many evaluations are of earlier weights.
        calibration: calibration.json.
        figures: their paths in the folder.
    """

    config: dict[str, Any]
    step: Any
    state: dict[str, Any]
    size: int
    records: Sequence[Mapping[str, Any]]
    stale: int
    calibration: Mapping[str, Any] | None
    figures: Sequence[Path]

    @property
    def about(self) -> About:
        """What the method says of itself."""
        return METHODS[self.config["method"]].about

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Of one input."""
        return tuple(self.config["spec"]["input_shape"])

    @property
    def curves(self) -> bool:
        """Whether it learns curves."""
        return bool(self.config["spec"].get("output_dim"))


def card_text(facts: Facts) -> str:
    """The card in Markdown."""
    sections = {
        "Use": _use(facts),
        "Results": _results(facts),
        "Calibration": _calibration(facts),
        "Limits and intended use": _limits(facts),
        "Data": _data(facts),
        "Training": _training(facts),
        "Configuration": _configuration(facts),
        "Versions": _versions(facts),
    }
    parts = [f"# {facts.config['method']} on {facts.config['data']['spec']}", _opening(facts)]
    parts += [f"## {title}\n\n{text}" for title, text in sections.items() if text]
    return "\n\n".join(parts) + "\n"


def _opening(facts: Facts) -> str:
    about = facts.about
    parts = [
        f"{about.title[0].upper()}{about.title[1:]} ({about.source}): {about.idea}.",
        f"It was meta-trained by kshot on {_tasks(facts.config['source'], facts)} of {facts.config['data']['spec']}; "
        f"its inputs are {_inputs(facts)}. The weights take {facts.size / 1000:.0f} kB.",
    ]
    if facts.state.get("finished") is False:
        parts.append(f"**The training is not finished**: {facts.state['step']} steps so far.")
    return "\n\n".join(parts)


def _inputs(facts: Facts) -> str:
    shape = facts.input_shape
    if len(shape) != 3:
        return f"rows of {shape[0]} numbers" if len(shape) == 1 and shape[0] > 1 else "numbers"
    colour = {1: "grey", 3: "colour"}.get(shape[0], f"{shape[0]}-channel")
    return f"{colour} pictures of {shape[1]} x {shape[2]} pixels"


def _tasks(source: Mapping[str, Any], facts: Facts) -> str:
    """5-way 1-shot tasks; curves from 10 points."""
    shot = _count(source["shot"])
    if facts.curves:
        return f"curves from {shot} points"
    what = "tasks of described classes" if source["shot"] == 0 else f"{shot}-shot tasks"
    return f"{_count(source['way'])}-way {what}"


def _count(value: Any) -> str:
    return " to ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _use(facts: Facts) -> str:
    """Commands, with RUN for this folder."""
    support = "examples" if facts.about.support == "examples" else "classes.csv"
    lines = ["RUN is this folder."]
    if facts.curves:
        lines += ["    kshot plot RUN --only fits", "    kshot evaluate RUN --split test"]
        return "\n\n".join([lines[0], "\n".join(lines[1:])])
    commands = []
    if len(facts.input_shape) == 3:
        commands.append(f"    kshot predict RUN --support {support} --query unsorted")
        if not facts.about.no_graph:
            invert = "" if facts.about.support == "examples" else " --invert no"
            commands.append(f"    kshot export RUN --support {support}{invert} --out classifier")
    commands.append("    kshot evaluate RUN --split test")
    lines.append("\n".join(commands))
    if len(facts.input_shape) == 3 and support == "examples":
        lines.append(
            "`examples/` has a folder of pictures for each class, `unsorted/` holds pictures to be named. The classes "
            "need not be those of the training: naming new ones from a few examples is what it is for."
        )
    if support == "examples":
        lines.append(
            '```python\nfrom kshot.estimator import FewShotClassifier\n\nsorter = FewShotClassifier("RUN").fit(X, y)\n'
            "sorter.predict(others)\n```"
        )
    return "\n\n".join(lines)


def _results(facts: Facts) -> str:
    parts = []
    if facts.records:
        parts.append(_table(facts.records))
        parts.append(
            "Mean over tasks and half-width of its 95 % interval. Together: whether the queries of a task were seen "
            "together (transductive). `evaluations/` holds each with its command, machine and versions."
        )
    else:
        parts.append(
            "Not measured yet: `kshot evaluate RUN --split test` does, on classes that it has never seen, and adds the "
            "result here."
        )
    if facts.stale:
        parts.append(f"Of earlier weights, and so not shown: {facts.stale} of the records in `evaluations/`.")
    if facts.state.get("best_value") is not None and facts.config.get("validation"):
        val, training = facts.config["validation"], facts.config["training"]
        measure = "mse" if facts.curves else "accuracy"
        unit = "" if facts.curves else " %"
        parts.append(
            f"The weights are those of step {facts.state['best_step']}, the best in validation: {measure} "
            f"{facts.state['best_value']:.4g}{unit} on {training['val_tasks']} {_tasks(val, facts)} of validation "
            f"classes. These tasks chose the weights; the figure is no result."
        )
    return "\n\n".join(parts)


def _table(records: Sequence[Mapping[str, Any]]) -> str:
    columns = [
        "data",
        "split",
        "task",
        "queries",
        "together",
        "result",
        "calibration error",
        "tasks",
        "seed",
        "options",
    ]
    rows = []
    for r in sorted(records, key=lambda r: (r["data"], r["split"], str(r["way"]), str(r["shot"]), r["transductive"])):
        task = f"{_count(r['way'])}-way {_count(r['shot'])}-shot" if r["way"] else f"{_count(r['shot'])} points"
        value, half = (float("nan") if r[k] is None else r[k] for k in (r["measure"], "ci95"))
        options = ", ".join(f"{k}={v}" for k, v in r["options"].items()) or "-"
        together = "yes" if r["transductive"] else "no"
        result = in_words(r["measure"], value, half).replace("+-", "±")
        error = f"{r['calibration']['ece']:.2f} %" if r.get("calibration") else "-"
        row = [r["data"], r["split"], task, r["query"], together, result, error, r["episodes"], r["seed"], options]
        rows.append(row)
    told = [i for i in range(len(columns)) if any(row[i] != "-" for row in rows)]  # without empty columns
    lines = [[line[i] for i in told] for line in (columns, ["---"] * len(columns), *rows)]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


def _calibration(facts: Facts) -> str:
    c = facts.calibration
    if c is None:
        return "" if facts.curves else "None: its probabilities are the softmax of its outputs as they are."
    if c.get("step") != facts.step:
        return "`calibration.json` belongs to earlier weights and is not used: `kshot calibrate RUN` fits it again."
    mode = "together" if c["transductive"] else "each query on its own"
    return (
        f"Probabilities are the softmax of the outputs divided by {c['temperature']:.4g}, which was fitted on "
        f"{c['episodes']} {_count(c['way'])}-way {_count(c['shot'])}-shot tasks of {c['data']} {c['split']} ({mode}). "
        f"On these, the expected calibration error is {c['ece']:.2f} %, and {c['ece_before']:.2f} % without it. With "
        f"other numbers of classes or examples, another temperature may be better."
    )


def _limits(facts: Facts) -> str:
    about, source = facts.about, facts.config["source"]
    lines = []
    if facts.curves:
        lines.append("It predicts curves like those that it was trained on, from a few of their points.")
    elif about.fixed_way:
        lines.append(f"Its head fixes the number of classes: {facts.config['spec']['way']} at most.")
    else:
        lines.append("Any number of classes, and any number of examples of each; trained were " + _tasks(source, facts))
    if not facts.curves:
        lines.append(
            "It names one of the classes that it is shown, also where a picture is of none of them: it does not say "
            '"unknown".'
        )
    if about.support_order:
        lines.append("The order of the examples can change its answers.")
    if about.transductive:
        lines.append(
            "It can see all queries of a task together (transductive), and then an answer depends on the other "
            "queries; predictions and exports do not, and figures say which they are."
        )
    lines.append(
        "The figures above hold for tasks drawn as the table says. For other data, measure it there: `kshot evaluate "
        "RUN --data FOLDER`."
    )
    return "\n".join(f"- {line if line.endswith('.') else line + '.'}" for line in lines)


def _data(facts: Facts) -> str:
    data = facts.config["data"]
    names = list(dict.fromkeys(part.partition(":")[0] for part in data["spec"].split("+")))
    if not all(name in DATASETS for name in names):
        names = []  # a folder or a file
    chosen = ", ".join(f"{k}: {v}" for k, v in data.items() if k != "spec" and v is not None)
    parts = [f"`{data['spec']}`{f' ({chosen})' if chosen else ''}"]
    parts += [f"`{name}`: {summary(DATASETS[name])}" for name in names]
    split = "Trained on the classes of its split train"
    split += ", weights chosen on those of val." if facts.config.get("validation") else "."
    parts.append(split if not facts.curves else "Training and test draw curves from different seeds.")
    for name in names:
        if name in OWN:
            parts.append(f"Licence of `{name}`: {OWN[name]}.")
        else:
            parts.append(
                f"Licence of `{name}`: these data have terms of their own, which are not kshot's; see where they are "
                f"published ({PUBLISHERS[name]}) before you pass on what was learned from them."
            )
    if not names:
        parts.append("Licence: the run does not say under which terms these data stand; whoever trained it knows.")
    return "\n\n".join(parts)


def _training(facts: Facts) -> str:
    state, training = facts.state, facts.config["training"]
    command = train_command(facts.config, threads=state.get("threads"))
    parts = [
        f"    {command}"
        if command
        else "Trained from Python; `RunConfig.from_dict` of config.yaml and `kshot.training.start` train it again."
    ]
    steps = state.get("step", facts.step)
    said = f"{steps} steps of {training['tasks']} tasks"
    if "seconds" in state:
        minutes = state["seconds"] / 60
        said += f" in {minutes:.1f} minutes" if minutes >= 2 else f" in {state['seconds']:.0f} seconds"
    said += f" on {training['device']}"
    if "threads" in state:
        said += f", processes: {state['world']}, threads of each: {state['threads']}"
    parts.append(f"{said}. It ended: {state['reason']}." if state.get("reason") else f"{said}.")
    if facts.figures:
        parts.append("\n".join(f"![{p.stem}]({p.as_posix()})" for p in facts.figures if p.stem == "learning"))
    return "\n\n".join(part for part in parts if part)


def _configuration(facts: Facts) -> str:
    shown = {k: v for k, v in facts.config.items() if k != "versions"}
    return f"```yaml\n{yaml.safe_dump(shown, sort_keys=False, allow_unicode=True)}```"


def _versions(facts: Facts) -> str:
    found = facts.config.get("versions", {})
    return ", ".join(f"{name} {number}" for name, number in found.items()) + "." if found else ""
