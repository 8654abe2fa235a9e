"""Pictures of any source for a method that was trained on others: another size, grey to colour and back."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from ..data.resize import area_resize
from ..errors import UserError
from .batch import Tasks
from .source import Count, TaskSource, TaskSpec

COLOURS = {1: "grey", 3: "colour"}
LUMA = (19595, 38470, 7471)  # of 65,536: ITU-R 601, rounded as Pillow does


class ConvertedTasks(TaskSource):
    """The tasks of another source with their pictures brought to another shape; the description says so.

    Args:
        source: the other source.
        shape: (C, H, W) that the pictures shall have, C of 1 or 3.
    """

    def __init__(self, source: TaskSource, shape: tuple[int, ...]) -> None:
        self.described = source.described
        super().__init__(source.way, source.shot, source.query, source.seed, source.block)
        self.source, self.shape = source, tuple(shape)
        self.name, self.split, self.measure = source.name, source.split, source.measure
        self.description = f"{source.description}; {told(source.spec.input_shape)} brought to {told(shape)}"

    @property
    def spec(self) -> TaskSpec:
        """That of the source, with the new shape."""
        return replace(self.source.spec, input_shape=self.shape)

    def class_name(self, number: int) -> str:
        """That of the source."""
        return self.source.class_name(number)

    def recounted(self, *, way: Count | None = None, shot: Count | None = None, query: int | None = None) -> TaskSource:
        """The source with other counts, converted in the same way."""
        return ConvertedTasks(self.source.recounted(way=way, shot=shot, query=query), self.shape)

    def among(self, classes: Tensor) -> TaskSource:
        """The source with these classes alone, converted in the same way."""
        return ConvertedTasks(self.source.among(classes), self.shape)

    def __len__(self) -> int:
        return len(self.source)

    def draw(self, indices: Tensor, way: int, shot: int) -> Tasks:
        """The tasks of the source; what is no picture of its shape stays as it is."""
        was = self.source.spec.input_shape
        return self.source.draw(indices, way, shot).map(
            lambda x: convert(x, self.shape) if tuple(x.shape[2:]) == was else x
        )


def fit_source(source: TaskSource, shape: tuple[int, ...] | None) -> TaskSource:
    """The source itself where its inputs have that shape (or any will do), else with its pictures converted to it."""
    if isinstance(source, ConvertedTasks) and shape is not None:
        source = source.source
    was = source.spec.input_shape
    if shape is None or was == tuple(shape) or len(was) != 3 or len(shape) != 3:
        return source
    return ConvertedTasks(source, shape)


def convert(x: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Pictures [..., C, H, W] (uint8, or float 0..1) in another shape (C, H, W), by area averages.

    Colour becomes grey by its brightness, grey becomes colour by repeating it: in a file that Pillow turns to grey the
    same bytes result.
    """
    channels, height, width = shape
    C, H, W = x.shape[-3:]
    if {C, channels} - set(COLOURS):
        raise UserError(f"pictures of {C} channels cannot become pictures of {channels}; only 1 and 3 are known")
    if channels < C:
        x = grey(x)
    if (height, width) != (H, W):
        x = area_resize(x.flatten(0, -4), height, width).unflatten(0, x.shape[:-3])
    return x.expand(*x.shape[:-3], channels, height, width)


def as_bytes(x: Tensor) -> Tensor:
    """Pictures uint8, or float 0..1, as uint8."""
    return x if x.dtype == torch.uint8 else (255 * x.clamp(0, 1)).round().to(torch.uint8)


def grey(x: Tensor) -> Tensor:
    """The brightness of colour pictures [..., 3, H, W]: [..., 1, H, W]."""
    wide = x if x.is_floating_point() else x.int()
    parts = [w * wide.narrow(-3, i, 1) for i, w in enumerate(LUMA)]
    total = parts[0] + parts[1] + parts[2]
    return total / 65536 if x.is_floating_point() else (total + 32768).div(65536, rounding_mode="floor").to(x.dtype)


def told(shape: tuple[int, ...]) -> str:
    """ "28 x 28 grey pictures"."""
    return f"{shape[2]} x {shape[1]} {COLOURS.get(shape[0], f'{shape[0]}-channel')} pictures"
