"""Event files of TensorBoard, read back."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import numpy as np

Scalars = dict[tuple[str, int], float]


def in_events(run: Path, times: bool = False) -> tuple[Scalars, dict[str, str]]:
    """Every scalar of a run's event files by tag and step (or its wall time), and every text; none is there twice."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from tensorboard.backend.event_processing.event_file_loader import EventFileLoader
        from tensorboard.util.tensor_util import make_ndarray

        scalars: Scalars = {}
        texts: dict[str, str] = {}
        for file in (run / "tensorboard").iterdir():
            for event in EventFileLoader(str(file)).Load():
                for value in event.summary.value:
                    array = make_ndarray(value.tensor)
                    if value.metadata.plugin_data.plugin_name == "text":
                        texts[value.tag] = array.flat[0].decode()
                        continue
                    key = (value.tag, event.step)
                    assert key not in scalars, f"{key} is there twice"
                    scalars[key] = event.wall_time if times else float(array)
    return scalars, texts


def in_metrics(run: Path) -> Scalars:
    """What metrics.jsonl says, in TensorBoard's single precision."""
    found: Scalars = {}
    for line in (run / "metrics.jsonl").read_text().splitlines():
        values = json.loads(line)
        step = values.pop("step")
        del values["seconds"]
        for name, value in values.items():
            tag = name.replace("val_", "validation/") if name.startswith("val_") else f"train/{name}"
            if value is not None:
                found[tag, step] = float(np.float32(value))
    return found
