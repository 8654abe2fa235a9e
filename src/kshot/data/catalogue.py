"""The photograph data sets of the few-shot papers: what each holds, where it is published, how to lay it out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from . import caltech
from .cub import read_attributes
from .trees import Entry

Attributes = Callable[[Mapping[str, Entry], Sequence[str]], tuple[Tensor | None, tuple[str, ...]]]
Rule = Callable[[Sequence[str], str], dict[str, list[str]]]
LISTS = "the published lists train.csv, val.csv and test.csv (or .txt, .json)"
IMAGENET = "pictures: ImageNet, image-net.org, on request"


@dataclass(frozen=True)
class Published:
    """One data set.

    Attributes:
        what: one line for `kshot list data`.
        called: names of its folder or archive; case, hyphens and underscores do not matter.
        shared: names of folders or archives that hold its pictures together with those of another data set.
        classes: how many there are in each split.
        source: where it is published.
        layout: what the folder or archive holds.
        unpickled: what to do for somebody who has a pickle.
        size: side of its pictures by default.
        rule: from class names and variant to the splits, where no list says them.
        by: the rule in words, with the variant in its place.
        lists: whether lists come before the rule.
        left_out: folders that are no classes.
        whole_groups: whether a superclass must stay in one split.
        attributes: from the files of a copy and class names to what describes the classes, see `Images.attributes`.
    """

    what: str
    called: tuple[str, ...]
    classes: dict[str, int]
    source: str
    layout: str
    unpickled: str
    shared: tuple[str, ...] = ()
    size: int = 84
    rule: Rule | None = None
    by: str = ""
    lists: bool = True
    left_out: tuple[str, ...] = ()
    whole_groups: bool = False
    attributes: Attributes | None = None


def every_other(classes: Sequence[str], variant: str) -> dict[str, list[str]]:
    """Chen et al. 2019: of the classes by number from 1, the odd ones train; of the others, every second validates."""
    names = sorted(classes)
    return {"train": names[::2], "val": names[1::4], "test": names[3::4]}


def by_seed(classes: Sequence[str], variant: str) -> dict[str, list[str]]:
    """Caltech-101's split of the seed that the variant says."""
    return caltech.split_by_seed(classes, caltech.seed_of(variant))


CIFAR_LAYOUT = "class folders of PNG pictures, or CIFAR-100's binary version (cifar-100-binary.tar.gz), and "
CIFAR_UNPICKLED = "take CIFAR-100's binary version from the same page"

PUBLISHED: dict[str, Published] = {
    "mini-imagenet": Published(
        what="100 ImageNet classes, 600 pictures each, split 64 / 16 / 20 (Ravi & Larochelle 2017); your own copy.",
        called=("miniimagenet",),
        classes={"train": 64, "val": 16, "test": 20},
        source=f"{IMAGENET}; lists: github.com/twitter-research/meta-learning-lstm",
        layout=f"pictures (images/*.jpg, or a folder for each class) and {LISTS}; or train/, val/ and test/ with a "
        f"folder for each class",
        unpickled="make pictures of it once, with the lines in docs/data.md, if you trust the file",
    ),
    "tiered-imagenet": Published(
        what="608 ImageNet classes in 34 categories, split 351 / 97 / 160 (Ren et al. 2018); your own copy.",
        called=("tieredimagenet",),
        classes={"train": 351, "val": 97, "test": 160},
        source=f"{IMAGENET}; lists: github.com/renmengye/few-shot-ssl-public",
        layout=f"a folder for each class (n01440764/*.JPEG) and {LISTS}; or train/, val/ and test/ with a folder for "
        f"each class",
        unpickled="make pictures of it once, with the lines in docs/data.md, if you trust the file",
    ),
    "cifar-fs": Published(
        what="CIFAR-100's classes, 600 pictures each, split 64 / 16 / 20 (Bertinetto et al. 2019); your own copy.",
        called=("cifarfs",),
        shared=("cifar100", "cifar100binary", "cifar100python"),
        classes={"train": 64, "val": 16, "test": 20},
        source="CIFAR-100: cs.toronto.edu/~kriz/cifar.html; pictures and lists: github.com/bertinetto/r2d2",
        layout=f"{CIFAR_LAYOUT}the lists train.txt, val.txt and test.txt; or train/, val/ and test/ with class folders",
        unpickled=CIFAR_UNPICKLED,
        size=32,
    ),
    "fc100": Published(
        what="CIFAR-100's classes, split by superclass 60 / 20 / 20 (Oreshkin et al. 2018); your own copy.",
        called=("fc100",),
        shared=("cifar100", "cifar100binary", "cifar100python"),
        classes={"train": 60, "val": 20, "test": 20},
        source="CIFAR-100: cs.toronto.edu/~kriz/cifar.html; split: arXiv 1805.10123, github.com/ElementAI/TADAM",
        layout=f"{CIFAR_LAYOUT}lists train.txt, val.txt and test.txt of its classes or superclasses; or train/, val/ "
        f"and test/ with class folders",
        unpickled=CIFAR_UNPICKLED,
        size=32,
        whole_groups=True,
    ),
    "cub": Published(
        what="200 kinds of birds, split 100 / 50 / 50 (Wah et al. 2011); your own copy.",
        called=("cub", "cub200", "cub2002011"),
        classes={"train": 100, "val": 50, "test": 50},
        source="vision.caltech.edu/datasets/cub_200_2011",
        layout="CUB_200_2011.tgz, or the folder CUB_200_2011 that is in it (images/<class>/*.jpg, attributes/), and, "
        "for another split than every second class, lists train.txt, val.txt and test.txt of the classes",
        unpickled="take CUB_200_2011.tgz from the page",
        rule=every_other,
        attributes=read_attributes,
        by="the numbers of the classes (Chen et al. 2019)",
    ),
    "caltech101": Published(
        what="100 kinds of things, 31 to 800 pictures each, split 64 / 16 / 20 by a seed; your own copy.",
        called=("caltech101", "101objectcategories"),
        classes=caltech.CLASSES,
        source="data.caltech.edu/records/mzrjq-6wc02 (Caltech 101)",
        layout="caltech-101.zip or 101_ObjectCategories.tar.gz as published, or a folder or archive of class folders",
        unpickled="take caltech-101.zip from the page",
        rule=by_seed,
        by="seed {variant}, twins together",
        lists=False,
        left_out=caltech.LEFT_OUT,
    ),
}
