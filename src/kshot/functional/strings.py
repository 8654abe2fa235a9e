"""Labels that are strings of characters (Santoro et al. 2016), so that a task may have any number of classes."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ..errors import UserError
from . import random

LETTERS = CHARACTERS = 5  # five characters, each one of five


def string_labels(ys: Tensor, way: int) -> Tensor:
    """A different string of five characters for each class, one-hot: labels [T, S] -> [T, N, 25].

    All 5^5 strings are equally likely. They are drawn from the order of the labels in the support set, the only thing
    about a task that `adapt` gets and no picture has a part in.
    """
    most = LETTERS**CHARACTERS
    if way > most:
        raise UserError(f"there are {most} strings, too few for the labels of {way} classes")
    key = torch.zeros(len(ys), dtype=torch.int64)
    for place in ys.cpu().unbind(1):
        key = random.fold(key, place)
    number = random.distinct(key, way, most).to(ys.device)  # [T, N]
    digits = number[..., None] // LETTERS ** torch.arange(CHARACTERS, device=ys.device) % LETTERS  # [T, N, 5]
    return F.one_hot(digits, LETTERS).flatten(-2)
