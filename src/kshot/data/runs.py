"""The original one-shot classification runs of Omniglot (Lake et al. 2015), as an evaluation source.

Layout: folders run01, run02, ... each with training/class01.png ..., test/item01.png ... and class_labels.txt, whose
lines name a test picture and the training picture of the same character:

    run01/test/item01.png run01/training/class05.png
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class OneShotRuns:
    """R fixed one-shot tasks.

    Attributes:
        support: uint8 [R, N, 1, H, W], the training picture of each class, sorted by file name; ink is 255.
        query: uint8 [R, Q, 1, H, W], the test pictures, sorted by file name.
        labels: int64 [R, Q], the row of `support` that shows the same character.
        names: the name of each run, "run01", ...
    """

    support: Tensor
    query: Tensor
    labels: Tensor
    names: tuple[str, ...]
