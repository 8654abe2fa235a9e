"""CIFAR-100 (Krizhevsky 2009) in its binary version: train.bin, test.bin and the names of classes and superclasses."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePosixPath

import numpy as np

from ..errors import UserError
from .assign import Collection
from .trees import Entry

SIDE = 32
RECORD = 2 + 3 * SIDE * SIDE  # superclass, class, and the red, green and blue planes
FILES = ("train.bin", "test.bin", "fine_label_names.txt", "coarse_label_names.txt")


def read_binary(files: Mapping[str, Entry]) -> tuple[np.ndarray, Collection[int]] | None:
    """All pictures uint8 [M, 3, 32, 32], training and test set together, and their numbers by class; None without them.

    The few-shot splits divide classes, so that the division into training and test pictures does not matter.
    """
    found = {PurePosixPath(name).name: entry for name, entry in files.items() if PurePosixPath(name).name in FILES}
    if not {"train.bin", "test.bin"} & set(found):
        return None
    missing = [name for name in FILES if name not in found]
    if missing:
        here = next(iter(found.values())).where
        raise UserError(f"{', '.join(missing)} of CIFAR-100's binary version is not beside {here}: get it again")
    fine, coarse = (found[name].read().decode("utf-8", "replace").split() for name in FILES[2:])
    records = np.concatenate([_records(found[name]) for name in FILES[:2]])  # [M, RECORD]
    superclass, label = records[:, 0].astype(int), records[:, 1].astype(int)
    if superclass.max() >= len(coarse) or label.max() >= len(fine):
        raise UserError(
            f"{found['train.bin'].where} has classes up to {label.max()} of superclasses up to {superclass.max()}, but "
            f"there are names for {len(fine)} and {len(coarse)}: get CIFAR-100's binary version again"
        )
    numbers = {f"{fine[c]}/{i}": i for i, c in enumerate(label)}
    groups = {fine[c]: coarse[s] for c, s in set(zip(label.tolist(), superclass.tolist()))}
    return records[:, 2:].reshape(-1, 3, SIDE, SIDE), Collection(numbers, groups)


def _records(entry: Entry) -> np.ndarray:
    data = np.frombuffer(entry.read(), np.uint8)
    if not len(data) or len(data) % RECORD:
        raise UserError(
            f"{entry.where} has {len(data):,} bytes, no multiple of the {RECORD} of a record: get CIFAR-100's binary "
            f"version again"
        )
    return data.reshape(-1, RECORD)
