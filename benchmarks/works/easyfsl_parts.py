"""easyfsl as far as the measurements use it, made to work with a current torch."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

import torch

if not torch.version.cuda:
    # torchvision's wheel expects a torch with CUDA; without it, registering its detection operators fails on import.
    # easyfsl needs none of them.
    sys.modules["torchvision._meta_registrations"] = ModuleType("torchvision._meta_registrations")

from easyfsl.datasets import FewShotDataset
from easyfsl.methods import PrototypicalNetworks
from easyfsl.methods.utils import compute_prototypes
from easyfsl.samplers import TaskSampler
from easyfsl.utils import evaluate
from torch import Tensor
from torch.utils.data import DataLoader, Sampler

__all__ = ["InMemory", "PrototypicalNetworks", "Tasks", "compute_prototypes", "evaluate", "loader"]


class Tasks(TaskSampler):
    """easyfsl's sampler without its first line, which a current torch refuses."""

    def __init__(self, dataset: FewShotDataset, n_way: int, n_shot: int, n_query: int, n_tasks: int) -> None:
        known = Sampler.__init__
        Sampler.__init__ = lambda self, data_source=None: known(self)  # type: ignore[method-assign]
        try:
            super().__init__(dataset, n_way, n_shot, n_query, n_tasks)
        finally:
            Sampler.__init__ = known  # type: ignore[method-assign]


class InMemory(FewShotDataset):
    """Pictures [classes, each, C, H, W] in memory, the quickest data set that easyfsl can have."""

    def __init__(self, pictures: Tensor) -> None:
        self.pixels = pictures.flatten(0, 1)
        self.labels = torch.arange(len(pictures)).repeat_interleave(pictures.shape[1]).tolist()

    def __getitem__(self, item: int) -> tuple[Tensor, int]:
        return self.pixels[item], self.labels[item]

    def __len__(self) -> int:
        return len(self.labels)

    def get_labels(self) -> list[int]:
        """The class of each picture."""
        return self.labels


def loader(dataset: FewShotDataset, way: int, shot: int, query: int, tasks: int) -> DataLoader[Any]:
    """Its data loader of tasks, in this process."""
    sampler = Tasks(dataset, way, shot, query, tasks)
    return DataLoader(dataset, batch_sampler=sampler, num_workers=0, collate_fn=sampler.episodic_collate_fn)
