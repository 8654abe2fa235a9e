"""What a task is: the Tasks batch, and the sources that draw it."""

from __future__ import annotations

import torch

from ..data.curves import Sinusoid
from ..data.images import Images
from ..data.mixture import Mixture
from ..data.runs import OneShotRuns
from ..data.scribbles import Scribbles
from ..data.sentences import Sentences
from ..errors import UserError
from .augment import AUGMENTS, Augment, augment_by_name
from .batch import Tasks
from .convert import fit_source
from .curves import CurveTasks
from .episodes import ImageTasks, ScribbleTasks
from .mixture import MixedTasks
from .runs import RunTasks
from .source import Count, TaskSource, TaskSpec

Data = Images | Sinusoid | Scribbles | OneShotRuns | Mixture | Sentences

__all__ = [
    "AUGMENTS",
    "Augment",
    "CurveTasks",
    "Data",
    "ImageTasks",
    "MixedTasks",
    "RunTasks",
    "ScribbleTasks",
    "TaskSource",
    "TaskSpec",
    "Tasks",
    "fit_source",
    "make_source",
]


def make_source(
    data: Data,
    *,
    way: Count = 5,
    shot: Count = 1,
    query: int = 15,
    seed: int = 0,
    within: bool = False,
    rotations: bool = False,
    augment: str | Augment | None = None,
    balanced: bool = True,
    block: int = 1,
    split: str = "train",
    device: torch.device | str | None = None,
) -> TaskSource:
    """The task source that fits the data.

    Args:
        data: labelled pictures, scribbles, sine curves, the one-shot runs (which fix every other argument), or several
            data sets of pictures, whose tasks take turns. Sentences have to become features first, by
            `Encoder.encode_data`.
        way: classes of a task, or a range (low, high); for curves it has no meaning and is ignored.
        shot: support examples of each class (points of a curve), or a range; 0 for zero-shot tasks.
        query: queries of each class (points of a curve).
        seed: tasks of different seeds are independent.
        within: all classes of a task come from one alphabet, script or style.
        rotations: every class also turned by 90, 180 and 270 degrees, as further classes (omniglot:random has them
            already).
        augment: name of a distortion of the pictures (see AUGMENTS), or an Augment.
        balanced: every class has `shot` support examples. Otherwise the class of each of the way * shot support
            examples is drawn by itself, as in the sequences of memory networks: a class has `shot` on average, and
            may have none; one with too few pictures shows them again.
        block: with ranges, the number of tasks in a batch.
        split: the split of endless data; pictures know theirs.
        device: where the pictures lie or are drawn, and with them the tasks; by default where the data is (the
            processor for endless data). Curves are a few numbers and are drawn by the processor.
    """
    if isinstance(data, Mixture):
        options = {"within": within, "rotations": rotations, "augment": augment, "balanced": balanced, "block": block}
        return MixedTasks(
            [
                make_source(part, way=way, shot=shot, query=query, seed=seed, split=split, device=device, **options)  # type: ignore[arg-type]
                for part in data.parts
            ]
        )
    distort = augment_by_name(augment)
    if isinstance(data, Sentences):
        raise UserError(
            f"{data.name} holds sentences, from which methods learn through an encoder: add --backbone "
            f"sentence-transformers:NAME to kshot evaluate, or call its encode_data first"
        )
    if rotations and not isinstance(data, Images):
        raise UserError("turned classes are made of pictures in memory: leave out --rotations")
    if isinstance(data, Sinusoid):
        if distort is not None or within or not balanced:
            raise UserError(
                "sine curves have neither classes nor pictures: leave out --within, --augment and --no-balanced"
            )
        return CurveTasks(data, shot=shot, query=query, seed=seed, block=block, split=split)
    if isinstance(data, OneShotRuns):
        if distort is not None or not balanced:
            raise UserError("the one-shot runs are fixed tasks: leave out --augment and --no-balanced")
        return RunTasks(data, device or data.support.device)
    if isinstance(data, Scribbles):
        return ScribbleTasks(
            data,
            split=split,
            device=device or "cpu",
            way=way,
            shot=shot,
            query=query,
            seed=seed,
            within=within,
            augment=distort,
            balanced=balanced,
            block=block,
        )
    images = data if device is None else data.to(device)
    images = images.rotated() if rotations else images
    return ImageTasks(
        images,
        way=way,
        shot=shot,
        query=query,
        seed=seed,
        within=within,
        augment=distort,
        balanced=balanced,
        block=block,
    )
