"""A method and what it has learned from a support set, as one program of tensor operations.

    pixels [M, C, H, W]  ->  logits [M, N], probabilities [M, N]

Whatever depends on the support set alone (prototypes, a solved ridge, what was read into a memory) is computed once and
stored in the program; what the predictions do not read (the initialisation that was adapted, the head of the training)
is left out of it.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import fields, is_dataclass, replace
from typing import Any

import torch
from torch import Tensor, fx, nn

from ..errors import UserError
from ..methods.base import Method
from .encoded import Network
from .fitted import Fitted

TRACED = 3  # pictures in the batch that is traced: neither 0 nor 1, which programs may treat apart
BATCH = "batch"
ORIGINS = ("stack_trace", "nn_module_stack", "source_fn_stack", "from_node", "torch_fn")


class Program(nn.Module):
    """What is exported: pixels (or rows of numbers) in, logits and probabilities out.

    Args:
        fitted: the method and its state.
        pixels: "uint8" (0..255) or "float" (0..1); rows of numbers are taken as they are.
    """

    def __init__(self, fitted: Fitted, pixels: str) -> None:
        super().__init__()
        self.method: Method = copy.deepcopy(fitted.method).cpu().float().eval()
        if self.method.engine:
            self.method.engine = "loop"  # there is one task
        tensors, self.rebuild = taken_apart(fitted.state)
        for i, tensor in enumerate(tensors):
            self.register_buffer(f"state_{i}", as_stored(tensor))
        self.count, self.temperature = len(fitted.classes), fitted.temperature
        self.regression = not fitted.classes
        self.top = {"uint8": 255.0, "float": 1.0}[pixels] if fitted.pictures else None
        self.inverted = fitted.inverted
        self.network = None if fitted.network is None else frozen(fitted.network)

    def forward(self, pixels: Tensor) -> tuple[Tensor, ...]:
        """Logits and probabilities, both float32 [M, N]; the values alone for curves."""
        x = pixels.float()
        if self.top is not None:
            x = (self.top - x if self.inverted else x) / self.top
        if self.network is not None:
            x = self.network(x)
        state = self.rebuild(buffer for name, buffer in self.named_buffers() if name.startswith("state_"))
        output = self.method.predict(state, x[None])[0].float()
        if self.regression:
            return (output,)
        logits = output[:, : self.count]  # a head of fixed way may have outputs to spare
        return logits, (logits / self.temperature).softmax(-1)


class Features(nn.Module):
    """A frozen encoder: pixels in 0..1 (or prepared pictures) to features."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network
        self.module = network.module

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] -> [B, D]."""
        return self.network.features(x)


def frozen(network: Network) -> Features:
    """A copy of an encoder on the CPU, in single precision."""
    return Features(replace(network, module=copy.deepcopy(network.module).cpu().float().eval()))


def as_stored(tensor: Tensor) -> Tensor:
    """A copy of its own on the CPU, in single precision."""
    tensor = tensor.detach().cpu()
    return tensor.to(torch.float32 if tensor.is_floating_point() else tensor.dtype, copy=True).contiguous()


def taken_apart(value: Any) -> tuple[list[Tensor], Callable[[Iterator[Tensor]], Any]]:
    """The tensors in a state (dataclasses, dicts, tuples and lists of them), and what puts others in their places."""
    if isinstance(value, Tensor):
        return [value], next
    if is_dataclass(value) and not isinstance(value, type):
        names = [f.name for f in fields(value)]
        return _together([getattr(value, n) for n in names], lambda parts: type(value)(**dict(zip(names, parts))))
    if isinstance(value, dict):
        return _together(list(value.values()), lambda parts: dict(zip(value, parts)))
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return _together(list(value), lambda parts: type(value)(*parts))
    if isinstance(value, tuple | list):
        return _together(list(value), type(value))
    return [], lambda tensors: value


def _together(values: list[Any], make: Callable[[list[Any]], Any]) -> tuple[list[Tensor], Callable[..., Any]]:
    parts = [taken_apart(value) for value in values]
    return [t for tensors, _ in parts for t in tensors], lambda tensors: make([put(tensors) for _, put in parts])


def program_of(fitted: Fitted, pixels: str) -> torch.export.ExportedProgram:
    """The program for any number of pictures.

    Raises:
        UserError: its predictions are no fixed graph of tensor operations.
    """
    about = fitted.method.about
    if about.no_graph:
        raise UserError(f"{about.title} cannot be exported: {about.no_graph}. Use `kshot predict`, or another method")
    dtype = torch.uint8 if fitted.pictures and pixels == "uint8" else torch.float32
    example = torch.zeros(TRACED, *fitted.input_shape, dtype=dtype)
    with torch.no_grad(), quiet():
        try:
            traced = exported(Program(fitted, pixels), example).run_decompositions({})
            return exported(folded(traced), example)
        except Exception as error:  # whatever the exporter stumbles over: a method or an encoder of the user's
            first = str(error).strip().partition("\n")[0] or type(error).__name__
            raise UserError(
                f"{about.title} with this encoder cannot be exported: torch.export says {first!r}. A prediction must "
                f"consist of tensor operations that do not depend on the values in a picture, nor on how many there "
                f"are; KSHOT_DEBUG=1 shows where it does"
            ) from error


def exported(module: nn.Module, example: Tensor) -> torch.export.ExportedProgram:
    """The module through torch.export, for any number of inputs."""
    shapes = ({0: torch.export.Dim(BATCH)},)
    program = torch.export.export(module, (example,), dynamic_shapes=shapes, strict=False)
    for node in program.graph.nodes:  # where each operation was written: paths of this machine, in every file
        for name in ORIGINS:
            node.meta.pop(name, None)
    return program


def folded(program: torch.export.ExportedProgram) -> fx.GraphModule:
    """The program with every operation that does not depend on its input replaced by its result."""
    module = program.module()
    graph, attributes = fx.Graph(), dict[str, Any]()
    known: dict[fx.Node, Any] = {}  # what does not depend on the input
    copies: dict[fx.Node, fx.Node] = {}

    def new(node: fx.Node) -> fx.Node:
        if node not in copies:
            name = f"constant_{len(attributes)}"
            attributes[name] = known[node].clone(memory_format=torch.contiguous_format)
            copies[node] = graph.get_attr(name)
        return copies[node]

    for node in module.graph.nodes:
        if node.op == "get_attr" and isinstance(value := attribute(module, node.target), Tensor):
            known[node] = value.detach()
        elif node.op == "call_function" and all(n in known for n in node.all_input_nodes):
            args, kwargs = fx.map_arg((node.args, node.kwargs), known.__getitem__)
            known[node] = node.target(*args, **kwargs)
        elif node.op == "call_module":
            continue  # guards on the input
        elif node.op == "output":
            graph.output(tuple(fx.map_arg(node.args[0], new)))
        else:
            copies[node] = graph.node_copy(node, new)
    graph.eliminate_dead_code()
    return fx.GraphModule(attributes, graph)


def attribute(module: nn.Module, path: str) -> Any:
    """What lies at "a.b.c" of a module."""
    found: Any = module
    for name in path.split("."):
        found = getattr(found, name)
    return found


@contextmanager
def quiet() -> Iterator[None]:
    """Without the exporters' own warnings, which tell a user of kshot nothing."""
    import logging

    noisy = [logging.getLogger(name) for name in ("torch.onnx", "torch.export", "onnxscript")]
    levels = [log.level for log in noisy]
    for log in noisy:
        log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for log, level in zip(noisy, levels):
            log.setLevel(level)
