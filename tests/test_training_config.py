"""config.yaml is enough to train a run again, and a run folder to use it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import yaml

from kshot.errors import UserError
from kshot.evaluation import evaluate
from kshot.training import RunConfig, load_run, start
from training_support import small_training

SINES = {
    "method": "maml",
    "data": {"spec": "sinusoid"},
    "options": {"inner_lr": 0.01},
    "source": {"shot": 5, "query": 5},
    "training": {"steps": 6, "tasks": 4, "val_every": 3, "val_tasks": 8},
}


@pytest.fixture(scope="module")
def sines(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "sines"
    start(RunConfig.from_dict(SINES), out, progress=False)
    return out


def test_config_yaml_alone_gives_the_same_weights(sines: Path, tmp_path: Path) -> None:
    config = RunConfig.from_dict(yaml.safe_load((sines / "config.yaml").read_text()))
    start(config, tmp_path / "again", progress=False)
    assert (tmp_path / "again" / "weights.safetensors").read_bytes() == (sines / "weights.safetensors").read_bytes()
    assert (tmp_path / "again" / "config.yaml").read_text() == (sines / "config.yaml").read_text()


def test_config_yaml_writes_every_default_out(sines: Path) -> None:
    config = yaml.safe_load((sines / "config.yaml").read_text())
    assert config["backbone"] == "mlp"
    assert config["options"].keys() > {"inner_lr", "inner_steps", "eval_steps"}
    assert config["source"]["seed"] == 0
    assert config["validation"]["seed"] == 1
    assert config["training"]["lr"] == 1e-3


def test_a_run_is_read_back_ready_to_use(sines: Path) -> None:
    run = load_run(sines)
    assert (run.name, run.train_steps, run.method.training) == ("maml", 6, False)
    assert run.train_seconds is not None
    assert run.train_seconds > 0
    source = run.source("test", seed=9)
    assert (source.shot, source.query, source.seed, source.split) == (5, 5, 9, "test")
    assert run.source("test", shot=10).shot == 10
    report = evaluate(run.method, source, episodes=20)
    assert report.method == "maml"
    again = evaluate(load_run(sines).method, source, episodes=20)
    assert torch.equal(report.values, again.values)


def test_last_weights_can_be_read_too(sines: Path) -> None:
    assert load_run(sines, last=True).step == 6


def test_pictures_and_ranges_of_way_and_shot(tmp_path: Path) -> None:
    config = RunConfig(
        method="protonet",
        data={"spec": "scribbles", "size": 16},
        backbone_options={"filters": 4},
        source={"way": (2, 4), "shot": [1, 2], "query": 1},
        validation={"way": 3, "shot": 1, "query": 1},
        training={"steps": 2, "tasks": 2, "val_tasks": 2},
    )
    result = start(config, tmp_path, progress=False)
    assert result.best_value is not None
    run = load_run(tmp_path)
    assert evaluate(run.method, run.source("test", way=5, shot=1), episodes=2).way == 5
    assert [p.shape for p in run.method.parameters()] == [p.shape for p in result.method.parameters()]


def test_no_validation(tmp_path: Path) -> None:
    config = RunConfig.from_dict({**SINES, "validation": None, "training": {"steps": 2, "tasks": 2}})
    assert start(config, tmp_path, progress=False).best_value is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"method": "protnet"}, "unknown method 'protnet'; did you mean 'protonet'"),
        ({"options": {"iner_lr": 1}}, "unknown option of maml 'iner_lr'; did you mean 'inner_lr'"),
        ({"source": {"ways": 5}}, "unknown task option 'ways'; did you mean 'way'"),
        ({"validation": {"shots": 5}}, "unknown validation option 'shots'; did you mean 'shot'"),
        ({"data": {"name": "glyphs"}}, "unknown data option 'name'"),
        ({"data": {}}, "a run needs data"),
        ({"training": {"stepz": 5}}, "unknown training option 'stepz'; did you mean 'steps'"),
        ({"training": {}}, "needs its number of steps"),
        ({"sources": {}}, "unknown run option 'sources'; did you mean 'source'"),
        ({"source": {"augment": object()}}, "can be stored"),
    ],
)
def test_mistakes_are_explained(change: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        RunConfig.from_dict({**SINES, **change})


def test_a_folder_without_a_run_is_explained(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is not a run folder"):
        load_run(tmp_path)
    small_training(tmp_path / "python", 4)
    with pytest.raises(UserError, match="does not say how its method was built"):
        load_run(tmp_path / "python")
    (tmp_path / "python" / "config.yaml").write_text("- just\n- a list\n")
    with pytest.raises(UserError, match="must hold names and values"):
        load_run(tmp_path / "python")


def test_a_run_without_weights_is_explained(sines: Path, tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text((sines / "config.yaml").read_text())
    with pytest.raises(UserError, match="stopped before its first checkpoint"):
        load_run(tmp_path)


def test_a_config_that_runs_code_is_refused(tmp_path: Path) -> None:
    """Nothing of a run folder is unpickled or executed."""
    (tmp_path / "config.yaml").write_text(f"method: !!python/object/apply:os.mkdir ['{tmp_path / 'made'}']\n")
    with pytest.raises(UserError, match="cannot read"):
        load_run(tmp_path)
    assert not (tmp_path / "made").exists()
