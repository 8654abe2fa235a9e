"""Training one model with several processes (torchrun): tasks are shared out, gradients and measures averaged.

Without torch.distributed initialised, there is one process and every function here does nothing.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

import torch
import torch.distributed as dist
from torch import Tensor, nn


@contextmanager
def from_environment(device: torch.device | str) -> Iterator[None]:
    """Join the processes that torchrun started, if it did: gloo between CPUs, nccl between GPUs."""
    if int(os.environ.get("WORLD_SIZE", "1")) < 2 or dist.is_initialized():
        yield
        return
    cuda = torch.device(device).type == "cuda"
    if cuda:
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    dist.init_process_group("nccl" if cuda else "gloo")
    try:
        yield
    finally:
        dist.destroy_process_group()


def active() -> bool:
    """Whether torch.distributed is initialised with more than one process."""
    return dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1


def rank() -> int:
    """Number of this process."""
    return dist.get_rank() if active() else 0


def world() -> int:
    """W, number of processes."""
    return dist.get_world_size() if active() else 1


def barrier() -> None:
    """Wait for the other processes."""
    if active():
        dist.barrier()


def share(indices: Sequence[int]) -> Sequence[int]:
    """This process's part of the indices: r, r + W, ..."""
    return indices[rank() :: world()]


def mean(tensor: Tensor) -> Tensor:
    """Mean over the processes."""
    if not active():
        return tensor
    total = tensor.clone()
    dist.all_reduce(total)
    return total / world()


def any_of(flag: bool) -> bool:
    """Whether the flag is set in any process."""
    if not active():
        return flag
    total = torch.tensor(float(flag), device=_device())
    dist.all_reduce(total)
    return bool(total > 0)


def first(text: str) -> str:
    """The text of process 0, in every process."""
    if not active():
        return text
    box = [text]
    dist.broadcast_object_list(box, src=0, device=_device())
    return box[0]


def gather(values: Tensor) -> Tensor:
    """Values [n] of all processes in the order of the indices they were shared out from: [sum of n]."""
    if not active():
        return values
    counts = [torch.zeros((), dtype=torch.int64, device=_device()) for _ in range(world())]
    dist.all_gather(counts, torch.tensor(len(values), device=_device()))
    sizes = [int(c) for c in counts]
    padded = torch.zeros(max(sizes), dtype=values.dtype, device=_device())
    padded[: len(values)] = values.to(_device())
    parts = [torch.empty_like(padded) for _ in range(world())]
    dist.all_gather(parts, padded)
    whole = torch.empty(sum(sizes), dtype=values.dtype)
    for r, (part, size) in enumerate(zip(parts, sizes)):
        whole[r :: world()] = part[:size].cpu()
    return whole


def broadcast(module: nn.Module) -> None:
    """Give every process the weights and buffers of process 0."""
    if active():
        for tensor in module.state_dict().values():
            dist.broadcast(tensor.data, src=0)


def average_step(parameters: Iterable[nn.Parameter], buffers: Iterable[Tensor]) -> None:
    """Average gradients and floating-point buffers (running statistics) over the processes, in one message.

    A parameter that no process has a gradient for keeps None; where only some have one, the others count as zero.
    """
    if not active():
        return
    wanted = [p for p in parameters if p.requires_grad]
    running = [b for b in buffers if b.is_floating_point()]
    if not wanted:
        return
    flags = wanted[0].new_tensor([float(p.grad is not None) for p in wanted])
    grads = [torch.zeros_like(p) if p.grad is None else p.grad for p in wanted]
    parts = [flags, *(t.detach().to(flags.dtype).flatten() for t in (*grads, *running))]
    flat = mean(torch.cat(parts))
    present = (flat[: len(wanted)] > 0).tolist()
    pieces = flat[len(wanted) :].split([t.numel() for t in (*grads, *running)])
    for parameter, has, piece in zip(wanted, present, pieces):
        if has:
            value = piece.view(parameter.shape).to(parameter.dtype)
            if parameter.grad is None:
                parameter.grad = torch.empty_like(parameter)
            parameter.grad.copy_(value)
    for buffer, piece in zip(running, pieces[len(wanted) :]):
        buffer.copy_(piece.view(buffer.shape))


def _device() -> torch.device:
    return torch.device("cuda") if dist.get_backend() == "nccl" else torch.device("cpu")
