"""Labelled pictures that lie in memory once, as uint8, sorted by class; or vectors (features) in their place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..errors import UserError
from .resize import area_resize, check_size


@dataclass(frozen=True, eq=False)
class Images:
    """Labelled pictures.

    Attributes:
        pixels: uint8 [M, C, H, W]; ink or light is high (drawings are inverted when loaded: ink is 255). Or features
            that somebody's network made of pictures: float32 [M, D].
        offsets: int64 [n_classes + 1]; the pictures of class c are the rows offsets[c] to offsets[c + 1] - 1.
        names: the name of each class, for example "Greek/character01".
        groups: the alphabet or script of each class; "" where there is none.
        name: what was loaded, for example "omniglot:random".
        split: "train", "val", "test" or "all".
        split_note: one line that a report prints: which classes these are.
        skipped: what was left out because it could not be used: one message a file or folder.
        attributes: float32 [n_classes, A], a description of each class (row c of class c), for zero-shot tasks; None
            where there is none. Best around 0..1: they are given to the network as they are.
        attribute_names: the A names of its columns: words of a vocabulary, or "has_bill_shape::hooked". Splits of one
            data set have the same columns in the same order.
    """

    pixels: Tensor
    offsets: Tensor
    names: tuple[str, ...]
    groups: tuple[str, ...]
    name: str
    split: str
    split_note: str = ""
    skipped: tuple[str, ...] = ()
    attributes: Tensor | None = None
    attribute_names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        p, o, a = self.pixels, self.offsets, self.attributes
        if (p.dtype, p.ndim) not in ((torch.uint8, 4), (torch.float32, 2)):
            raise UserError(
                f"pixels must be uint8 [M, C, H, W], or features float32 [M, D]; got {p.dtype} {tuple(p.shape)}"
            )
        if len(self.names) != len(self.groups) or len(o) != len(self.names) + 1:
            raise UserError(
                f"{len(self.names)} class names need as many groups and one offset more; got {len(self.groups)} groups "
                f"and {len(o)} offsets"
            )
        if int(o[0]) != 0 or int(o[-1]) != len(p) or bool((o.diff() < 1).any()):
            raise UserError(f"offsets must rise from 0 to the number of pictures, {len(p)}; got {o.tolist()[:20]}")
        if a is not None and (a.dtype != torch.float32 or a.shape != (len(self.names), len(self.attribute_names))):
            raise UserError(
                f"attributes must be float32 [{len(self.names)}, {len(self.attribute_names)}], a row for each class "
                f"and a column for each name; got {a.dtype} {tuple(a.shape)}"
            )

    def __len__(self) -> int:
        return len(self.pixels)

    @property
    def counts(self) -> Tensor:
        """How many pictures each class has: int64 [n_classes]."""
        return self.offsets.diff()

    @property
    def labels(self) -> Tensor:
        """The class of each picture: int64 [M]."""
        return torch.arange(len(self.names), device=self.offsets.device).repeat_interleave(self.counts)

    def to(self, device: torch.device | str) -> Images:
        """The same pictures on another device."""
        attributes = None if self.attributes is None else self.attributes.to(device)
        return replace(self, pixels=self.pixels.to(device), offsets=self.offsets.to(device), attributes=attributes)

    def resized(self, size: int) -> Images:
        """The same pictures with sides of `size` pixels, by area averages."""
        check_size(size)
        self._check_pictures("have no size to change: leave out --size")
        return replace(self, pixels=area_resize(self.pixels, size, size))

    def select(self, classes: Sequence[int] | Tensor) -> Images:
        """Only the given classes, in the given order."""
        picked = [int(c) for c in classes]
        if not picked or min(picked) < 0 or max(picked) >= len(self.names):
            raise UserError(f"classes must be numbers from 0 to {len(self.names) - 1}, at least one; got {picked[:20]}")
        bounds = self.offsets.tolist()
        rows = torch.cat([torch.arange(bounds[c], bounds[c + 1]) for c in picked])
        counts = self.counts.cpu()[picked]
        return replace(
            self,
            pixels=self.pixels[rows.to(self.pixels.device)],
            offsets=offsets_of(counts).to(self.offsets.device),
            names=tuple(self.names[c] for c in picked),
            groups=tuple(self.groups[c] for c in picked),
            attributes=None if self.attributes is None else self.attributes[picked],
        )

    def rotated(self) -> Images:
        """Four times the classes: each turned by 0, 90, 180 and 270 degrees (Santoro et al. 2016).

        The turned classes follow the upright ones; "Greek/character01" turned by 90 degrees counter-clockwise is
        "Greek/character01 rot090" of the group "Greek rot090", so that all of a group are turned alike. What was said
        of a class does not tell how it is turned, so that there are no descriptions.
        """
        self._check_pictures("cannot be turned: leave out --rotations")
        marks = ("", " rot090", " rot180", " rot270")
        return replace(
            self,
            pixels=torch.cat([torch.rot90(self.pixels, k, (-2, -1)) for k in range(4)]),  # [4*M, C, H, W]
            offsets=offsets_of(self.counts.repeat(4)),
            names=tuple(n + mark for mark in marks for n in self.names),
            groups=tuple(g + mark if g else g for mark in marks for g in self.groups),
            attributes=None,
            attribute_names=(),
        )

    def _check_pictures(self, what: str) -> None:
        if self.pixels.ndim != 4:
            raise UserError(f"the examples of {self.name} are vectors of {self.pixels.shape[1]} numbers and {what}")


def offsets_of(counts: Tensor) -> Tensor:
    """Offsets int64 [n + 1] of classes with the given counts [n]."""
    return torch.cat([counts.new_zeros(1), counts.cumsum(0)])
