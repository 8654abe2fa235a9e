"""Small tasks and methods that several tests share."""

from __future__ import annotations

import shutil
import weakref
from dataclasses import replace

import pytest
import torch

from kshot.functional import random
from kshot.methods import METHODS, Method, build_method
from kshot.methods.gradient import GradientMethod
from kshot.tasks import Tasks, TaskSpec

compiler = pytest.mark.skipif(not any(map(shutil.which, ("g++", "clang++"))), reason="needs a C++ compiler")
# torch's compiler uses what torch has deprecated
its_own_warning = pytest.mark.filterwarnings("ignore:`torch.jit.script_method` is deprecated:DeprecationWarning")
SHAPE = (1, 16, 16)
WAY = 3
ATTRIBUTES = ("a", "b", "c", "d")
SMALL = {
    "pretrained": {"eval_steps": 3},
    "maml": {"inner_steps": 2, "eval_steps": 2, "engine": "vmap"},
    "fomaml": {"inner_steps": 2, "eval_steps": 2, "engine": "vmap"},
    "distilled": {"teacher": "runs/teacher"},
    "anil": {"inner_steps": 2, "eval_steps": 2, "engine": "vmap"},
    "boil": {"inner_steps": 2, "eval_steps": 2, "engine": "vmap"},
    "metasgd": {"inner_steps": 2, "eval_steps": 2, "engine": "vmap"},
    "mamlpp": {"inner_steps": 3, "eval_steps": 2, "engine": "vmap"},
    "imaml": {"inner_steps": 3, "eval_steps": 2, "cg_steps": 2, "engine": "vmap"},
    "cavia": {"inner_steps": 2, "eval_steps": 2, "context": 4, "engine": "vmap"},
    "protomaml": {"inner_steps": 2, "eval_steps": 2, "engine": "vmap"},
    "reptile": {"inner_steps": 2, "eval_steps": 3, "inner_batch": 4, "inner_lr": 1e-2, "engine": "vmap"},
    "mann": {"units": 20, "heads": 2, "rows": 8, "width": 6},
    "metanet": {"units": 5, "meta_units": 3},
    "lstm-meta-learner": {"inner_steps": 2, "eval_steps": 2, "meta_units": 3, "engine": "vmap"},
}


def noise(seed: int, *shape: int, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    """Standard normal numbers from a seed."""
    return random.normal(random.keys(seed, torch.tensor(0), "test"), *shape).to(dtype)


def image_tasks(
    seed: int = 0, *, T: int = 2, shot: int = 2, query: int = 2, way: int = WAY, classes: int = 20
) -> Tasks:
    """Tasks of noisy pictures [T, S, 1, 16, 16] in 0..1, float64, whose classes differ; labels in shuffled order."""
    base = noise(seed, T, way, *SHAPE)
    parts = []
    for i, count in enumerate((shot, query)):
        label = random.permutation(random.keys(seed, torch.arange(T), f"order{i}"), way * count) % way  # [T, way*count]
        at = label[..., None, None, None].expand(-1, -1, *SHAPE)
        x = torch.sigmoid(base.gather(1, at) + 0.7 * noise(seed + 100 + i, T, way * count, *SHAPE))
        parts += [x, label]
    chosen = random.distinct(random.keys(seed, torch.arange(T), "classes"), way, classes)
    return Tasks(*parts, chosen, torch.arange(T))


def tasks_for(name: str, seed: int = 0, **counts: int) -> Tasks:
    """Those that a method can learn: image_tasks, with a description of each class where it learns from these."""
    tasks = image_tasks(seed, **counts)
    if METHODS[name].about.support == "examples":
        return tasks
    T, N = tasks.classes.shape
    described = torch.sigmoid(noise(seed + 200, T, N, len(ATTRIBUTES)))
    return replace(tasks, xs=described, ys=torch.arange(N).expand(T, N))


def spec_for(name: str, way: int = WAY) -> TaskSpec:
    """What tasks_for(name) are like."""
    return TaskSpec(SHAPE, way, 20, attributes=ATTRIBUTES if METHODS[name].about.support == "descriptions" else ())


def small_method(name: str, way: int = WAY, **options: object) -> Method:
    """A method of the registry on 16-pixel pictures, in double precision and evaluation mode."""
    backbone = {"backbone_options": {"filters": 4}} if "backbone" in METHODS[name].__init__.__annotations__ else {}
    return equipped(
        build_method(name, spec_for(name, way), **backbone, **{**SMALL.get(name, {}), **options}).double().eval()
    )


def equipped(method: Method) -> Method:
    """The method with all that its training needs: any run that it asks for is a small embedding."""
    method.equip(lambda run: small_method("embedding"))
    return method


def outputs(method: Method, tasks: Tasks, **mode: bool) -> torch.Tensor:
    """Predictions for the queries of some tasks."""
    with torch.no_grad():
        return method.predict(method.adapt(tasks.xs, tasks.ys, tasks.way), tasks.xq, **mode)


class Plain(torch.nn.Module):
    """A small smooth network without normalisation."""

    out_features = 5

    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.utils.skip_init(torch.nn.Linear, 256, 5)
        with torch.no_grad():
            self.layer.weight.copy_(noise(0, 5, 256) / 16)
            self.layer.bias.copy_(noise(1, 5))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.tanh(self.layer(x.flatten(1)))


class Noisy(Plain):
    """A network that is different every time."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.dropout(super().forward(x), 0.5)


def plain_method(make: type[GradientMethod], **options: object) -> GradientMethod:
    """A gradient method on Plain, in double precision and training mode."""
    return make(Plain(), input_shape=(1, 16, 16), way=3, **{"engine": "vmap", **options}).double().train()


def gradient_of(method: GradientMethod, tasks: Tasks) -> list[torch.Tensor]:
    """What a meta-step leaves in `.grad` of every parameter."""
    method.zero_grad()
    method.meta_step(tasks)
    return [p.grad.clone() for p in method.net.parameters()]


class Kept:
    """A tensor that a graph keeps; gone with the graph."""

    def __init__(self, x: torch.Tensor) -> None:
        self.x = x


def graph_size(method: GradientMethod, tasks: Tasks) -> int:
    """The most numbers that autograd keeps at a time during a meta-step."""
    alive: weakref.WeakSet[Kept] = weakref.WeakSet()
    most = 0

    def pack(x: torch.Tensor) -> Kept:
        nonlocal most
        box = Kept(x)
        alive.add(box)
        most = max(most, sum(k.x.numel() for k in alive))
        return box

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda box: box.x):
        method.meta_step(tasks)
    return most
