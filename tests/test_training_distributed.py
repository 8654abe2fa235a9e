"""Two processes train the same weights as one: tasks are shared out, gradients and running statistics averaged."""

from __future__ import annotations

import time
from pathlib import Path

import torch
import torch.distributed as dist
from safetensors.torch import load_file
from torch import Tensor, nn

from kshot.errors import UserError
from kshot.methods import ProtoNet
from kshot.tasks import Tasks
from kshot.training import TensorBoard, train
from tensorboard_support import in_events, in_metrics
from training_support import Blobs, fast_processes, metrics, small_method, small_training


class Tracking(ProtoNet):
    """Keeps a running statistic in a buffer, and a parameter that never has a gradient."""

    def __init__(self) -> None:
        super().__init__(small_method().backbone)
        self.register_buffer("mean", torch.zeros(()))
        self.unused = nn.Parameter(torch.ones(2))

    def meta_step(self, tasks: Tasks) -> dict[str, Tensor]:
        self.mean.lerp_(tasks.xs.mean(), 0.1)
        return super().meta_step(tasks)


def work(rank: int, world: int, folder: Path) -> None:
    """What process `rank` of `world` does."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=world)
    try:
        time.sleep(0.5 * rank)  # whoever comes late must not take the folder of process 0 for another's run
        heard = [TensorBoard(folder / "two")]
        small_training(folder / "two", 14, patience=None, max_minutes=1e-6, method=Tracking(), callbacks=heard)
        small_training(folder / "two", 14, patience=None, resume=True, method=Tracking(), callbacks=heard)
        try:
            train(Tracking(), Blobs(), steps=1, tasks=3)
        except UserError as error:
            (folder / f"refused{rank}").write_text(str(error))
    finally:
        dist.destroy_process_group()


def test_two_processes_train_the_same_weights_as_one(tmp_path: Path) -> None:
    context = fast_processes()
    processes = [context.Process(target=work, args=(rank, 2, tmp_path)) for rank in range(2)]
    for process in processes:
        process.start()
    small_training(tmp_path / "one", 14, patience=None, method=Tracking())
    for process in processes:
        process.join(120)
        assert process.exitcode == 0
    two, one = (load_file(tmp_path / name / "last.safetensors") for name in ("two", "one"))
    assert two.keys() == one.keys()
    for name in one:
        torch.testing.assert_close(two[name], one[name], rtol=1e-4, atol=1e-5)
    for a, b in zip(metrics(tmp_path / "two"), metrics(tmp_path / "one")):
        assert a.keys() == b.keys()
        assert all(abs(a[k] - b[k]) < 1e-3 for k in a)
    assert in_events(tmp_path / "two")[0] == in_metrics(tmp_path / "two")  # process 0 alone writes them
    for rank in range(2):
        assert "tasks must be a multiple of the 2 processes; got 3" in (tmp_path / f"refused{rank}").read_text()
