"""What `kshot run` trains and measures: the systems of the field, small, on the built-in data."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..data import load
from ..data.curves import Sinusoid
from ..data.images import Images
from ..evaluation import evaluate, write_record
from ..methods import METHODS, build_method
from ..tasks import TaskSource, make_source
from ..training import RunConfig, load_run
from ..training.folder import RunFolder

MINUTES = 4.0  # what the numbers below take on two cores, with everything around them
WAYS = {5: 400, 20: 200}  # test tasks of each way
QUERY = 5
INNER_STEPS = 10
SINE_SHOT, SINE_STEPS = 5, (0, 1, 5, 10)


@dataclass(frozen=True)
class Part:
    """One training of the demonstration: the name of its folder, what it is in words, and its configuration."""

    name: str
    title: str
    config: RunConfig

    @property
    def steps(self) -> int:
        """Outer steps."""
        return int(self.config.training["steps"])

    def done(self, out: Path) -> bool:
        """Whether its run folder holds all steps."""
        return RunFolder(out / self.name).state.exists() and load_run(out / self.name).train_steps == self.steps


def scaled(count: int, minutes: float, least: int = 4) -> int:
    """A number of steps or tasks for another time than MINUTES."""
    return max(least, round(count * minutes / MINUTES))


def parts(minutes: float = MINUTES, seed: int = 0) -> list[Part]:
    """The trainings; the number of steps grows with the time."""

    def glyphs(method: str, source: dict[str, Any], *, count: int, tasks: int, lr: float, filters: int) -> RunConfig:
        steps = scaled(count, minutes)
        training = {"steps": steps, "tasks": tasks, "lr": lr, "schedule": "cosine"}
        training |= {"val_every": -(-steps // 10), "val_tasks": min(60, scaled(60, minutes))}
        return RunConfig(
            method,
            data={"spec": "glyphs"},
            training=training,
            backbone_options={"filters": filters},
            source=source,
            validation={"way": 5, "query": QUERY},
            seed=seed,
        )

    def sine(method: str, count: int, **options: Any) -> RunConfig:
        training = {"steps": scaled(count, minutes), "tasks": 25, "lr": 1e-3, "log_every": 100}
        source = {"shot": 10, "query": 10}
        return RunConfig(
            method,
            data={"spec": "sinusoid"},
            training=training,
            options=options,
            source=source,
            validation=None,
            seed=seed,
        )

    protonet = glyphs("protonet", {"way": 60, "query": 5}, count=450, tasks=1, lr=2e-3, filters=32)
    maml = glyphs("maml", {"way": 5, "query": 1}, count=1500, tasks=16, lr=5e-3, filters=16)
    pretrained = glyphs("pretrained", {"way": 32, "query": 7}, count=300, tasks=1, lr=5e-3, filters=32)
    return [
        Part("protonet", "prototypical network on letters", protonet),
        Part("maml", "MAML on letters", maml),
        Part("pretrained", "pre-training on letters", pretrained),
        Part("sine-maml", "MAML on sine curves", sine("maml", 3000, inner_lr=0.01, eval_steps=INNER_STEPS)),
        Part("sine-pretrained", "pre-training on sine curves", sine("pretrained", 1500)),
    ]


def test_letters() -> Images:
    """The letters of scripts that no training sees."""
    data = load("glyphs", "test")
    assert isinstance(data, Images)
    return data


def letter_tasks(data: Images, way: int, query: int = QUERY) -> TaskSource:
    """One-shot tasks of them."""
    return make_source(data, way=way, shot=1, query=query)


def measure(out: Path, data: Images, minutes: float = MINUTES) -> list[dict[str, Any]]:
    """The records of all methods on the same test tasks; those that lie in out/results are not measured again."""
    records = []
    for name in ("nearest", "pretrained", "protonet", "maml"):
        for way, episodes in WAYS.items():
            if METHODS[name].about.fixed_way and way != 5:
                continue
            for transductive in (False, True) if METHODS[name].about.transductive else (False,):
                path = out / "results" / f"{name}-{way}way{'-transductive' * transductive}.json"
                if not path.exists():
                    source = letter_tasks(data, way)
                    run = load_run(out / name) if METHODS[name].about.meta_trained else None
                    method = run.method if run else build_method(name, source.spec)
                    tasks = min(episodes, scaled(episodes, minutes))
                    warm = run.calibration if run else None
                    report = evaluate(method, source, episodes=tasks, transductive=transductive, calibration=warm)
                    write_record(
                        path,
                        report,
                        config=run.config if run else None,
                        train_seconds=run.train_seconds if run else 0.0,
                        train_steps=run.train_steps if run else 0,
                    )
                records.append(json.loads(path.read_text(encoding="utf-8")))
    return records


def sine_tasks(query: int = 50) -> TaskSource:
    """Test curves with few examples and many queries."""
    return make_source(Sinusoid(), shot=SINE_SHOT, query=query, seed=1, split="test")
