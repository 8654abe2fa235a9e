"""The command behind a run: from config.yaml back to the flags of `kshot train`."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

from .flags import Flag
from .train import backbone_flags, method_flags, shared_flags

DATA = ("spec", "size", "data_dir", "skip_bad", "attributes")
TASKS = ("way", "shot", "query", "within", "balanced", "rotations", "augment")
OF_VALIDATION = ("way", "shot", "query")  # that have flags of their own


def train_command(config: Mapping[str, Any], out: str = "RUN", threads: int | None = None) -> str | None:
    """The shortest command that trains what config.yaml says; None where no command can say it.

    Args:
        config: of a run, as `read_config` gives it.
        out: what stands behind --out.
        threads: of torch, where they were not all.
    """
    from ..methods import default_backbone, method_options
    from ..training import RunConfig
    from ..training.run import spec_from_dict

    name = config["method"]
    run = RunConfig.from_dict(dict(config))
    shared = {flag.name: flag for flag in shared_flags()}
    words = ["kshot", "train", name]

    def say(flag: Flag, value: Any, default: Any) -> None:
        if value != default:
            words.extend(spelt(flag, value))

    say(shared["data"], run.data["spec"], None)
    for option in DATA[1:]:
        say(shared[option], run.data.get(option), None)
    whole = run.complete()
    plain = RunConfig(name, data=run.data, training={"steps": 1}, seed=run.seed).complete()
    for option in TASKS:
        say(shared[option], whole.source[option], plain.source[option])
    say(shared["seed"], run.seed, 0)
    for option, value in whole.training.items():
        say(shared[option], value, shared[option].default)
    own = method_flags(name)
    for option, parameter in method_options(name).items():
        say(own[option], whole.options.get(option), parameter.default)
    if run.backbone != default_backbone(name, spec_from_dict(config["spec"])):
        say(shared["backbone"], run.backbone, None)
    known = {flag.name: flag for flag in backbone_flags()}
    for option, value in run.backbone_options.items():
        words.extend(spelt(known[option], value) if option in known else ["--backbone-option", f"{option}={value}"])
    if whole.validation is None:
        words.append("--no-validation")
    else:
        usual = RunConfig(name, data=run.data, training={"steps": 1}, source=run.source, seed=run.seed).complete()
        expected = usual.validation or {}
        for option in OF_VALIDATION:
            say(shared[f"val_{option}"], whole.validation[option], expected[option])
        if any(whole.validation[k] != expected[k] for k in expected if k not in OF_VALIDATION):
            return None  # made in Python
    if whole.source["seed"] != run.seed:
        return None
    if threads is not None:
        words += ["--threads", str(threads)]
    return shlex.join([*words, "--out", out])


def spelt(flag: Flag, value: Any) -> list[str]:
    """A flag with its value, as it is typed: numbers, words, ranges (2-10), yes or no."""
    if isinstance(value, bool):
        if flag.flag:
            return [flag.flag] if value else []
        return [flag.spelling if value else f"--no-{flag.spelling[2:]}"]
    if isinstance(value, list | tuple):
        return [flag.spelling, "-".join(map(str, value))]
    return [flag.spelling, str(value)]
