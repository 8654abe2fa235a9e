"""Classification tasks: which classes, which pictures, which order. Index operations only.

The numbers of classes and examples are drawn by the processor, whatever the device: they are few. The pictures are
gathered and distorted where they lie, and nothing is read back from there: drawing never waits for a GPU. (Scribbles
are made there too; only the number of their segments is read back.)
"""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor

from ..data.images import Images
from ..data.scribbles import Scribbles
from ..errors import UserError, unknown
from ..functional import random
from .augment import Augment
from .batch import Tasks
from .draw import draw_episode
from .source import Count, TaskSource, TaskSpec

SPLITS = ("train", "val", "test")


class EpisodeTasks(TaskSource):
    """Base of the N-way K-shot sources: classes within a group or across the data, then examples of each."""

    def __init__(
        self,
        *,
        way: Count,
        shot: Count,
        query: int,
        seed: int,
        block: int,
        augment: Augment | None,
        within: bool,
        balanced: bool,
    ) -> None:
        super().__init__(way, shot, query, seed, block)
        self.augment, self.within, self.balanced = augment, within, balanced
        kinds = {", tasks within one group": within, ", classes of examples at random": not balanced}
        self.kind = "".join(kind for kind, so in kinds.items() if so)
        self.fixed: Tensor | None = None  # the classes of every task, if they are always the same

    def among(self, classes: Tensor) -> TaskSource:
        """Tasks whose classes are always these, int64 [N], in an order drawn for each task."""
        twin = copy.copy(self)
        twin.fixed = classes.cpu().sort().values
        twin.way, twin._ways = len(classes), (len(classes), len(classes))
        return twin

    def same_counts(self, way: Count | None, shot: Count | None, query: int | None) -> dict[str, Any]:
        """Also the same distortions and ways of drawing."""
        kept = {"within": self.within, "augment": self.augment, "balanced": self.balanced}
        return {**super().same_counts(way, shot, query), **kept}

    def pick_classes(self, indices: Tensor, way: int) -> Tensor:
        """int64 [T, way], different classes in random order."""
        raise NotImplementedError

    def examples(self, classes: Tensor) -> Tensor:
        """How many examples each class has, int64 like classes."""
        raise NotImplementedError

    @property
    def bounds(self) -> tuple[int, int]:
        """The smallest and the largest number of examples that a class has."""
        raise NotImplementedError

    def pictures(self, classes: Tensor, examples: Tensor) -> Tensor:
        """uint8 [T, P, C, H, W] of the given examples [T, P] of classes [T, P]."""
        raise NotImplementedError

    def descriptions(self, classes: Tensor) -> Tensor:
        """float32 [T, N, A] of classes [T, N], where there are any."""
        raise NotImplementedError

    def draw(self, indices: Tensor, way: int, shot: int) -> Tasks:
        """The tasks of the given indices."""
        if self.fixed is None:
            classes = self.pick_classes(indices, way)
        else:
            classes = self.fixed[random.permutation(random.keys(self.seed, indices, "classes"), way)]
        key = random.keys(self.seed, indices, "examples")
        episode = draw_episode(key, classes, self.examples(classes), self.bounds, shot, self.query, self.balanced)
        ys, xq = episode.ys, self.pictures(classes.gather(1, episode.yq), episode.query)
        if shot:
            xs = self.pictures(classes.gather(1, ys), episode.support)
        else:
            xs, ys = self.descriptions(classes), torch.arange(way).expand(len(indices), way)
        if self.augment is not None:
            xs = self.augment(xs, random.keys(self.seed, indices, "augment support")) if shot else xs
            xq = self.augment(xq, random.keys(self.seed, indices, "augment query"))
        return Tasks(xs, ys, xq, episode.yq, classes, indices).to(xq.device)


class ImageTasks(EpisodeTasks):
    """Tasks from labelled pictures that lie in memory: the draw is an index operation on their device.

    Args:
        images: the pictures.
        within: all classes of a task come from one group (one alphabet, one script), drawn in proportion to its size.
        augment: random distortions of every picture; the pictures are then float32 in 0..1.
        balanced: a class has `shot` support examples; otherwise their classes are drawn one by one.
        shot: 0 for zero-shot tasks, whose support set holds the descriptions of the classes.
    """

    def __init__(
        self,
        images: Images,
        *,
        way: Count = 5,
        shot: Count = 1,
        query: int = 15,
        seed: int = 0,
        within: bool = False,
        augment: Augment | None = None,
        balanced: bool = True,
        block: int = 1,
    ) -> None:
        self.described = images.attributes is not None
        if shot == 0 and not self.described:
            raise UserError(
                f"{images.name} does not describe its classes, and without examples (shot 0) nothing is known of them: "
                f"use glyphs:names, add --attributes FILE, or give examples (--shot 1)"
            )
        super().__init__(
            way=way, shot=shot, query=query, seed=seed, block=block, augment=augment, within=within, balanced=balanced
        )
        if augment is not None and images.pixels.ndim != 4:
            raise UserError(f"the examples of {images.name} are vectors and cannot be distorted: leave out --augment")
        self.images, self.name, self.split = images, images.name, images.split
        self.description = images.split_note + self.kind
        self._counts, self._offsets = images.counts.cpu(), images.offsets.cpu()
        self._bounds = int(self._counts.min()), int(self._counts.max())
        self._pixels = images.pixels.flatten(1)  # [M, C*H*W]
        most, needed = self._ways[1], self._shots[1] + query
        few = int((self._counts < needed).sum())
        if few:
            worst = int(self._counts.argmin())
            raise UserError(
                f"{few} of {len(images.names)} classes of {images.name} have fewer than shot + query = {needed} "
                f"pictures ({images.names[worst]!r} has {int(self._counts[worst])}); lower --shot or --query, or add "
                f"pictures"
            )
        if len(images.names) < most:
            raise UserError(
                f"{images.name} ({images.split}) has {len(images.names)} classes, too few for {most}-way tasks; "
                f"lower --way to {len(images.names)} or less"
            )
        if within:
            names = sorted(set(images.groups))
            group = torch.tensor([names.index(g) for g in images.groups])
            members = group.argsort(stable=True)  # classes sorted by group
            sizes = torch.bincount(group, minlength=len(names))
            starts = sizes.cumsum(0) - sizes
            keep = sizes >= most
            if not bool(keep.any()):
                raise UserError(
                    f"no group of {images.name} has {most} classes (the largest, {names[int(sizes.argmax())]!r}, has "
                    f"{int(sizes.max())}); lower --way or draw tasks across groups"
                )
            self._members, self._sizes, self._starts = members, sizes[keep], starts[keep]

    @property
    def spec(self) -> TaskSpec:
        """Shapes and counts of these pictures."""
        shape = tuple(self.images.pixels.shape[1:])
        attributes = () if self._shots[1] else self.images.attribute_names
        return TaskSpec(shape, self._ways[1], len(self.images.names), attributes=attributes)

    def class_name(self, number: int) -> str:
        """As the data name it."""
        return self.images.names[number]

    def recounted(self, *, way: Count | None = None, shot: Count | None = None, query: int | None = None) -> TaskSource:
        """Tasks of the same pictures with other counts."""
        return alike(ImageTasks(self.images, **self.same_counts(way, shot, query)), self)

    def pick_classes(self, indices: Tensor, way: int) -> Tensor:
        """Different classes of the data, or of one group."""
        key = random.keys(self.seed, indices, "classes")
        if not self.within:
            return random.distinct(key, way, len(self.images.names))
        ends = self._sizes.cumsum(0)
        ticket = random.integers(random.keys(self.seed, indices, "group"), high=int(ends[-1]))  # [T]
        group = torch.searchsorted(ends, ticket, right=True)
        return self._members[self._starts[group][:, None] + random.distinct(key, way, self._sizes[group])]

    def examples(self, classes: Tensor) -> Tensor:
        """The number of pictures of each class."""
        return self._counts[classes]

    @property
    def bounds(self) -> tuple[int, int]:
        """Those of the smallest and the largest class."""
        return self._bounds

    def pictures(self, classes: Tensor, examples: Tensor) -> Tensor:
        """Rows of the pixel table."""
        rows = (self._offsets[classes] + examples).to(self._pixels.device, non_blocking=True)  # [T, P]
        flat = self._pixels.index_select(0, rows.flatten())  # [T*P, C*H*W]
        return flat.view(*rows.shape, *self.images.pixels.shape[1:])  # [T, P, C, H, W]

    def descriptions(self, classes: Tensor) -> Tensor:
        """Rows of the table of attributes."""
        assert self.images.attributes is not None  # checked when the source was made
        return self.images.attributes[classes.to(self._pixels.device, non_blocking=True)]  # [T, N, A]


class ScribbleTasks(EpisodeTasks):
    """Tasks of characters that no one ever wrote: endless classes, drawn on the device.

    Args:
        scribbles: the generator of the characters.
        within: the characters of a task share a style, as those of one alphabet do.
        drawings: how many drawings of a character exist.
    """

    drawings = 1 << 20

    def __init__(
        self,
        scribbles: Scribbles,
        *,
        way: Count = 5,
        shot: Count = 1,
        query: int = 15,
        seed: int = 0,
        within: bool = False,
        augment: Augment | None = None,
        balanced: bool = True,
        block: int = 1,
        split: str = "train",
        device: torch.device | str = "cpu",
    ) -> None:
        super().__init__(
            way=way, shot=shot, query=query, seed=seed, block=block, augment=augment, within=within, balanced=balanced
        )
        if split not in SPLITS:
            raise unknown("split", split, SPLITS)
        self.scribbles, self.device = scribbles, torch.device(device)
        self.name, self.split = "scribbles", split
        self.description = "characters made of random strokes" + self.kind.replace("group", "style")

    @property
    def spec(self) -> TaskSpec:
        """Endless classes."""
        size = self.scribbles.size
        return TaskSpec(input_shape=(1, size, size), way=self._ways[1], num_classes=None)

    def recounted(self, *, way: Count | None = None, shot: Count | None = None, query: int | None = None) -> TaskSource:
        """Tasks of the same characters with other counts."""
        counts = self.same_counts(way, shot, query)
        return alike(ScribbleTasks(self.scribbles, split=self.split, device=self.device, **counts), self)

    def pick_classes(self, indices: Tensor, way: int) -> Tensor:
        """Different characters of the split, which owns 2^30 of them, or of one style group of it."""
        first = SPLITS.index(self.split) << 30
        key = random.keys(self.seed, indices, "classes")
        if not self.within:
            return first + random.distinct(key, way, 1 << 30)
        size = self.scribbles.group_size
        group = random.integers(random.keys(self.seed, indices, "group"), high=(1 << 30) // size)  # [T]
        return first + group[:, None] * size + random.distinct(key, way, size)

    def examples(self, classes: Tensor) -> Tensor:
        """As many as there are drawings."""
        return torch.full_like(classes, self.drawings)

    @property
    def bounds(self) -> tuple[int, int]:
        """All classes have as many."""
        return self.drawings, self.drawings

    def pictures(self, classes: Tensor, examples: Tensor) -> Tensor:
        """Drawings made on the device."""
        here = [t.to(self.device, non_blocking=True) for t in (classes, examples)]
        return self.scribbles.draw(here[0], here[1][..., None])[:, :, 0]


def alike(source: EpisodeTasks, other: EpisodeTasks) -> TaskSource:
    """The source with what was said of another one's data and, for tasks of as many classes, its choice of them."""
    source.description = other.description
    return source if other.fixed is None or source.way != other.way else source.among(other.fixed)
