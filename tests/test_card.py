"""Model cards: what the files of a run say, and nothing else."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from cli_support import TINY, document, fine, kshot, mistake, trained, understand
from kshot import training
from kshot.training import RunConfig
from training_support import small_training

TASKS = ["--episodes", "4", "--way", "4"]


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained(tmp_path_factory.mktemp("runs") / "run")


@pytest.fixture
def run(fresh: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(fresh, tmp_path / "run"))


def card(run: Path) -> str:
    return (run / "README.md").read_text(encoding="utf-8")


def rows(run: Path) -> list[str]:
    """The lines of the table of results."""
    return [line for line in card(run).splitlines() if line.startswith("| scribbles")]


def test_a_training_ends_with_a_card_of_its_facts(run: Path) -> None:
    text = card(run)
    config = yaml.safe_load((run / "config.yaml").read_text())
    state = training.load_run(run)
    assert "# protonet on scribbles" in text
    assert "Prototypical network (Snell, Swersky & Zemel, NIPS 2017, eq. 1 and 2)" in text
    assert "grey pictures of 16 x 16 pixels" in text
    assert "3-way 1-shot tasks of scribbles" in text
    assert f"best in validation: accuracy {state_value(run):.4g} %" in text
    assert f"The weights are those of step {state.step}," in text
    assert "4 steps of 2 tasks" in text
    assert "Any number of classes" in text
    assert "Not measured yet" in text
    assert f"kshot {config['versions']['kshot']}, torch {config['versions']['torch']}" in text
    shown = text.split("```yaml\n")[1].split("```")[0]
    assert yaml.safe_load(shown) == {k: v for k, v in config.items() if k != "versions"}


def state_value(run: Path) -> float:
    """The best validation, as metrics.jsonl has it."""
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return max(line["val_accuracy"] for line in lines if "val_accuracy" in line)


def test_every_command_on_it_is_understood(run: Path) -> None:
    commands = [line.strip() for line in card(run).splitlines() if line.startswith("    kshot ")]
    assert [c.split()[1] for c in commands] == ["predict", "export", "evaluate", "train"]
    for command in commands:
        understand(command)


def test_what_is_measured_is_added_with_its_interval(run: Path) -> None:
    report = document("evaluate", run, *TASKS)
    (row,) = rows(run)
    assert f"| accuracy {report['accuracy']:.2f} ± {report['ci95']:.2f} % |" in row
    assert "| test | 4-way 1-shot | 2 | no |" in row
    assert "Not measured yet" not in card(run)
    document("evaluate", run, *TASKS)  # again: the same tasks
    assert len(rows(run)) == 1
    document("evaluate", run, *TASKS, "--seed", "1")
    document("evaluate", run, *TASKS, "--seed", "2", "--no-keep")
    assert len(rows(run)) == 2


def test_a_result_that_cannot_be_kept_is_still_told(run: Path) -> None:
    (run / "evaluations").write_text("")  # no folder
    done = fine("evaluate", run, *TASKS)
    assert "was not kept in the run folder" in done.stderr
    assert "accuracy" in done.stdout


def test_its_figures_come_from_the_records(run: Path) -> None:
    fine("evaluate", run, *TASKS)
    (record,) = (run / "evaluations").iterdir()
    record.write_text(json.dumps(json.loads(record.read_text()) | {"accuracy": 12.346, "ci95": None}))
    fine("card", run)
    assert "| accuracy 12.35 ± ? % |" in rows(run)[0]


def test_options_and_modes_are_said(tmp_path: Path) -> None:
    run = trained(tmp_path / "maml", "--engine", "vmap", method="maml")
    fine("evaluate", run, "--episodes", "3", "--transductive", "--option", "eval_steps=0")
    fine("evaluate", run, "--episodes", "3")
    assert "| together | result | calibration error | tasks | seed | options |" in card(run)
    assert sorted(row.split(" | ")[4] for row in rows(run)) == ["no", "yes"]
    assert [row.split(" | ")[-1] for row in rows(run)] == ["- |", "eval_steps=0 |"]
    assert "Its head fixes the number of classes: 3 at most." in card(run)


def test_results_of_earlier_weights_are_not_shown(tmp_path: Path) -> None:
    told = [*TINY, "--no-validation", "--checkpoint-every", "1", "--out", tmp_path / "run"]
    fine("train", "protonet", *told, "--max-minutes", "1e-9")
    run = tmp_path / "run"
    assert "**The training is not finished**: 1 steps so far." in card(run)
    fine("evaluate", run, *TASKS)
    assert len(rows(run)) == 1
    fine("train", "protonet", *told, "--resume")
    assert rows(run) == []
    assert "not shown: 1 of the records" in card(run)
    assert "not finished" not in card(run)
    fine("train", "protonet", *TINY, "--overwrite", "--out", run)
    assert not list((run / "evaluations").iterdir())


COMMANDS = {
    "plain": ["protonet", *TINY],
    "many flags": [
        *["protonet", *TINY, "--shot", "1-2", "--within", "--augment", "affine", "--distance", "cosine"],
        *["--learn-scale", "--seed", "3", "--val-way", "4", "--lr", "0.01", "--optimizer", "sgd", "--momentum", "0.9"],
        *["--backbone", "conv4-strided", "--no-mean", "--clip-norm", "1"],
    ],
    "curves": [
        *["maml", "--data", "sinusoid", "--steps", "2", "--tasks", "2", "--hidden", "8", "--no-validation"],
        *["--engine", "loop"],
    ],
    "descriptions": [
        *["protonet-zero", "--data", "glyphs:names", "--way", "9", "--query", "1", "--steps", "2", "--tasks", "1"],
        *["--size", "16", "--filters", "4", "--val-tasks", "2"],
    ],
    "own backbone": ["matching", *TINY[:-2], "--backbone", "kshot.backbones:MLP", "--backbone-option", "hidden=7"],
}


@pytest.mark.parametrize("name", COMMANDS)
def test_the_command_on_it_trains_the_same(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[RunConfig] = []

    def listen(config: RunConfig, *rest: Any, **more: Any) -> None:
        heard.append(config.complete())
        raise KeyboardInterrupt

    fine("train", *COMMANDS[name], "--out", tmp_path / "run")
    written = yaml.safe_load((tmp_path / "run" / "config.yaml").read_text())
    (command,) = [line for line in card(tmp_path / "run").splitlines() if line.startswith("    kshot train")]
    monkeypatch.setattr(training, "start", listen)
    kshot(*command.split()[1:])
    (again,) = heard
    config = RunConfig.from_dict(written)
    assert again.backbone in (config.backbone, None)
    differing = {k: v for k, v in vars(again).items() if _plain(v) != _plain(vars(config)[k]) and k != "backbone"}
    assert differing == {}


def _plain(value: object) -> object:
    return yaml.safe_load(yaml.safe_dump(json.loads(json.dumps(value))))


def test_a_training_that_no_command_can_say(tmp_path: Path) -> None:
    told: dict[str, Any] = {"source": {"way": 3, "query": 2, "seed": 5}, "validation": None}
    config = RunConfig("protonet", {"spec": "scribbles", "size": 16}, {"steps": 1, "tasks": 1}, **told)
    training.start(config, tmp_path / "run", progress=False)
    fine("card", tmp_path / "run")
    assert "Trained from Python" in card(tmp_path / "run")


def test_it_can_be_made_again_and_keeps_what_was_written_below(run: Path) -> None:
    before = card(run)
    time = (run / "README.md").stat().st_mtime_ns
    fine("card", run)
    assert card(run) == before
    assert (run / "README.md").stat().st_mtime_ns == time
    (run / "README.md").write_text(before + "\nFor the herbarium.\n")
    fine("evaluate", run, *TASKS)
    assert card(run).endswith("\nFor the herbarium.\n")
    assert len(rows(run)) == 1


def test_a_readme_of_somebody_elses_is_left_alone(run: Path) -> None:
    (run / "README.md").write_text("mine")
    assert "was not made by kshot and is left as it is" in mistake("card", run)
    assert "was not made by kshot" in fine("evaluate", run, *TASKS).stderr
    assert card(run) == "mine"


def test_what_is_no_run_has_no_card(tmp_path: Path) -> None:
    assert "is not a run folder" in mistake("card", tmp_path)
    small_training(tmp_path / "python", 2)
    assert "does not say how its method was built" in mistake("card", tmp_path / "python")
