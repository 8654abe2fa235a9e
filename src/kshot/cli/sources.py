"""The flags that choose data and tasks, and what they become; shared by the commands."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import typer

from ..errors import UserError, unknown
from .flags import Flag, argument, count, given

SPLITS = ("train", "val", "test", "all")
DATA, TASKS, ENCODER, MACHINE = "Data", "Tasks", "Encoder", "Machine"


# The help of these flags is written here, and not read from docstrings, so that `kshot --help` need not load torch.


def data_flags(data: str | None = None) -> list[Flag]:
    """--data and what belongs to it; `data` is the default."""
    return [
        Flag(
            "data",
            str,
            data,
            "name, name:variant, name+name, a folder of class folders, an .npz file, or a table of sentences (.csv)",
            DATA,
        ),
        Flag("data_dir", Path, None, "folder that already holds the archives of named data sets", DATA),
        Flag("size", int, None, "side of the pictures in pixels; each kind of data has its own default", DATA),
        Flag(
            "attributes", Path, None, "table (.csv) that describes each class, by numbers or words; see --shot 0", DATA
        ),
        Flag("skip_bad", bool, None, "leave out unusable files of a folder and count them", DATA, shown="no"),
    ]


def task_flags(own: bool = True) -> list[Flag]:
    """--way, --shot, --query, --within, ...; `own` when leaving one out means make_source's default."""
    way, shot, query, within, balanced = ("5", "1", "15", "no", "yes") if own else ("",) * 5
    return [
        Flag("way", str, None, "classes of a task (5), or a range (5-20) that varies", TASKS, shown=way),
        Flag(
            "shot",
            str,
            None,
            "examples of each class, or a range; for curves, points; 0: classes are described",
            TASKS,
            shown=shot,
        ),
        Flag("query", int, None, "queries of each class; for curves, points", TASKS, shown=query),
        Flag("within", bool, None, "draw a task within one alphabet, script or style", TASKS, shown=within),
        Flag("balanced", bool, None, "as many examples of each class; or classes at random", TASKS, shown=balanced),
        Flag(
            "rotations", bool, None, "turn every class by 90, 180 and 270 degrees for three more", TASKS, shown=within
        ),
    ]


def augment_flag() -> Flag:
    """--augment."""
    from ..tasks import AUGMENTS

    return Flag("augment", str, None, "random distortion of training pictures", TASKS, tuple(AUGMENTS), shown="none")


def machine_flags() -> list[Flag]:
    """--device and --threads."""
    return [
        Flag("device", str, "cpu", "where to compute: cpu, cuda or cuda:1", MACHINE),
        Flag("threads", int, None, "processor threads (by default torch decides)", MACHINE),
    ]


def encoder_flags() -> list[Flag | inspect.Parameter]:
    """--backbone and --backbone-option, where a method is used without training."""
    backbone = (
        "a frozen encoder, from whose features the method learns without training: timm:NAME, torchvision:NAME, "
        "hf:NAME, sentence-transformers:NAME or FILE.pt2"
    )
    option = "name=value: an argument of the encoder, such as weights=FILE or size=224; repeat it for more"
    info = typer.Option("--backbone-option", help=option, rich_help_panel=ENCODER)
    return [
        Flag("backbone", str, None, backbone, ENCODER),
        argument("backbone_option", list[str] | None, info, None),
    ]


def json_flag(what: str) -> Flag:
    """--json."""
    return Flag("json", bool, False, f"print {what} as one JSON document", "Output", flag="--json")


def use_machine(values: Mapping[str, Any]) -> str:
    """Set the number of threads and check the device, whose name is returned."""
    import torch

    threads, device = values["threads"], values["device"]
    if threads is not None:
        if threads < 1:
            raise UserError(f"--threads must be at least 1; got {threads}")
        torch.set_num_threads(threads)
    try:
        kind = torch.device(device).type
    except RuntimeError:
        raise unknown("device", device, ["cpu", "cuda", "mps"]) from None
    if kind == "cuda" and not torch.cuda.is_available():
        raise UserError(f"--device {device}: this installation of torch sees no CUDA device; use --device cpu")
    return str(device)


def data_choice(values: Mapping[str, Any]) -> dict[str, Any]:
    """What the user said about the data, as RunConfig.data holds it."""
    chosen = given(values, ("size", "data_dir", "skip_bad", "attributes"))
    if "data_dir" in chosen:
        chosen["data_dir"] = str(chosen["data_dir"])
    if "attributes" in chosen:
        chosen["attributes"] = str(chosen["attributes"].expanduser().resolve())
    if values["data"] is not None:
        chosen["spec"] = whole_path(values["data"])
    return chosen


def whole_path(spec: str) -> str:
    """A data name as it is; a path in full, so that a run finds its data from any folder."""
    from ..data import DATASETS

    if spec.partition(":")[0] in DATASETS or not Path(spec).expanduser().exists():
        return spec
    return str(Path(spec).expanduser().resolve())


def task_choice(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """What the user said about the tasks, as arguments of make_source."""
    names = [n for n in ("way", "shot", "query", "within", "balanced", "rotations", "augment") if prefix + n in values]
    chosen = {n: values[prefix + n] for n in names if values[prefix + n] is not None}
    for name in ("way", "shot"):
        if name in chosen:
            chosen[name] = count("--" + (prefix + name).replace("_", "-"), chosen[name])
    return chosen
