"""Memory-augmented neural network: Santoro, Bartunov, Botvinick, Wierstra & Lillicrap, ICML 2016.

Pictures come one after the other, each with the label of the one before, and each is to be named before its label is
seen. What the controller cannot keep in its own state it writes into a memory, which is read by content and written
where it was last read or least used (functional/lrua.py):

    h_t = controller(x_t, y_{t-1}, r_{t-1});  k_t, a_t, alpha_t, beta_t = linear(h_t)
    r_t = read(k_t, M_{t-1}, beta_t);         M_t = write(a_t, M_{t-1}, alpha_t)
    p(y_t | x_1, y_1 .. y_{t-1}, x_t) = softmax(linear([h_t, r_t]))
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..backbones import feature_size
from ..backbones.init import initialise
from ..errors import UserError
from ..functional import lrua
from ..functional.instances import mean_by_instance
from ..functional.ntm import Inputs, Sizes, State, control, first_state, heads_of, step
from ..functional.recurrent import Once
from ..functional.scan import Scan
from ..functional.strings import CHARACTERS, LETTERS, string_labels
from ..tasks import Tasks
from .base import About, Method, as_input, check_way, query_measures

INSTANCES = 10  # accuracy is told for the first so many examples of a class


@dataclass(frozen=True)
class Written:
    """What a support set has left behind.

    Attributes:
        state: after its last example.
        label: of the last example, which the controller has not seen yet: [T, C].
        codes: the label of each class as the network writes it: [T, N, C].
        sequence: log-probabilities [T, S, C] given before each label was seen.
    """

    state: State
    label: Tensor
    codes: Tensor
    sequence: Tensor


class Layers(nn.Module):
    """The linear maps, each with weights within 1/sqrt(fan-in) of its own, so that a label weighs as much as a picture.

    A layer of no weights (there may be no memory, or nothing that is fed back) gives zeros, or nothing.
    """

    def __init__(self, sizes: Sizes, pixels: int, code: int, seed: int) -> None:
        super().__init__()
        self.inputs = linear(pixels, sizes.gates, seed)
        self.labels = linear(code, sizes.gates, seed + 1, bias=False)
        self.recurrent = linear(sizes.fed, sizes.gates, seed + 2, bias=False)
        self.heads = linear(sizes.units, sizes.parameters, seed + 3)
        self.outputs = linear(sizes.output, code, seed + 4)
        with torch.no_grad():
            if sizes.controller == "lstm":
                self.inputs.bias[sizes.units : 2 * sizes.units] = 1  # forget gates start open
            if sizes.heads and sizes.learn_strength:
                self.heads.bias[-sizes.heads :] = math.log(math.expm1(sizes.strength))


def linear(inputs: int, outputs: int, seed: int, bias: bool = True) -> nn.Linear:
    """A linear map with weights from the seed; it may be from nothing, or to nothing."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Initializing zero-element tensors")
        layer = nn.Linear(inputs, outputs, bias=bias, device="meta")
        initialise(layer, seed)
    return layer


class MANN(Method):
    """Memory-augmented neural network.

    Trained on sequences: the support set in its order, and each query as its next element. `adapt` writes the support
    set; `predict` writes nothing that another query, or a later one, could find.

    Args:
        labels: onehot (one output for each of N labels), or strings of five characters, each one of five, drawn anew
            for every task: 5^5 labels, so that a task may have any number of classes.
        memory: without, the controller alone has to remember: the paper's LSTM baseline.
        controller: lstm, or feedforward (one layer of tanh units without a state of its own).
        units: size of the controller.
        heads: reads of a step, and writes.
        rows: of the memory.
        width: of the memory's rows.
        decay: gamma, what is left of the usage of a row after a step.
        learn_strength: whether every head chooses how sharply it reads, beta > 0.
        strength: beta at the start of training, and for ever if it is not learned. The paper has 1, with which no row
            of 128 gets more than 0.055 of the attention.
        separate: whether what is written has a linear map of its own. In the paper it is the key that is read with.
        read_first: whether a step reads before it writes, so that it cannot find what it writes itself.
        seed: of the weights.
    """

    about: ClassVar[About] = About(
        title="memory-augmented neural network",
        source="Santoro et al., ICML 2016, sections 2 and 3",
        idea="a recurrent network writes each example into a memory once it knows the label, and reads it by content",
        fixed_way=True,
        support_order=True,
        label_symmetric=False,
    )

    def __init__(
        self,
        backbone: nn.Module | None = None,
        *,
        input_shape: tuple[int, ...],
        way: int,
        labels: Literal["onehot", "strings"] = "onehot",
        memory: bool = True,
        controller: Literal["lstm", "feedforward"] = "lstm",
        units: int = 200,
        heads: int = 4,
        rows: int = 128,
        width: int = 40,
        decay: float = 0.95,
        learn_strength: bool = True,
        strength: float = 8.0,
        separate: bool = True,
        read_first: bool = False,
        seed: int = 0,
    ) -> None:
        super().__init__()
        check_sizes(units=units, heads=heads, rows=rows, width=width, strength=strength, decay=decay)
        self.backbone, self.way, self.labels = backbone, way, labels
        kept = (rows, width, controller, separate, learn_strength, strength, decay, read_first)
        self.sizes = Sizes(units, heads if memory else 0, *kept)
        pixels = math.prod(input_shape) if backbone is None else feature_size(backbone, input_shape)
        code = way if labels == "onehot" else LETTERS * CHARACTERS
        self.net = Layers(self.sizes, pixels, code, seed)

    def features(self, x: Tensor) -> Tensor:
        """[T, P, ...] -> [T, P, D]: those of the backbone, or pictures divided by their largest pixel."""
        x = as_input(x, self.dtype)
        if self.backbone is not None:
            out: Tensor = self.backbone(x.flatten(0, 1)).unflatten(0, x.shape[:2])
            return out
        flat = x.flatten(2)
        return flat / flat.amax(-1, keepdim=True).clamp_min(1 / 255) if x.ndim == 5 else flat

    @property
    def dtype(self) -> torch.dtype:
        """Of the weights."""
        return next(self.net.parameters()).dtype

    def codes(self, ys: Tensor, way: int) -> Tensor:
        """The labels as the network sees them: [T, N, C], each of one or five one-hot parts."""
        if self.labels == "onehot":
            check_way(self, self.way, way)
            return torch.eye(way, dtype=self.dtype, device=ys.device).expand(len(ys), way, way)
        return string_labels(ys, way).to(self.dtype)

    def labels_of(self, codes: Tensor, ys: Tensor) -> Tensor:
        """The code of each label: codes [T, N, C], ys [T, S] -> [T, S, C]."""
        return codes.gather(1, ys[..., None].expand(-1, -1, codes.shape[-1]))

    def parts(self, codes: Tensor) -> Tensor:
        """One-hot parts apart: [..., C] -> [..., 1, N] or [..., 5, 5]."""
        return codes.unflatten(-1, (1, -1) if self.labels == "onehot" else (CHARACTERS, LETTERS))

    def log_probs(self, output: Tensor) -> Tensor:
        """log p of every one-hot part's entries, from h and r beside each other: [..., D] -> [..., C]."""
        return self.parts(self.net.outputs(output)).log_softmax(-1).flatten(-2)

    def gates(self, features: Tensor, labels: Tensor) -> Tensor:
        """What pictures [..., D] and the labels before them [..., C] give to the controller's gates."""
        gates: Tensor = self.net.inputs(features) + self.net.labels(labels)
        return gates

    def scan(self) -> Scan:
        """The loop over time; compiled, or one graph on a GPU, once the trainer wants that."""
        if not (self.compiled and torch.is_grad_enabled()):
            return Scan(partial(step, sizes=self.sizes))
        programs = self.__dict__.setdefault("_programs", {})
        if "scan" not in programs:
            way: Any = "graphed" if next(self.parameters()).is_cuda else "compiled"
            programs["scan"] = Scan(partial(step, sizes=self.sizes), way=way)
        found: Scan = programs["scan"]
        return found

    def play(self, scan: Scan, xs: Tensor, labels: Tensor) -> tuple[State, Any]:
        """The steps over pictures xs [T, S, ...] whose labels [T, S, C] come one step later: the last state, and ys."""
        before = F.pad(labels, (0, 0, 1, 0))[:, :-1]  # [T, S, C]
        gates = self.gates(self.features(xs), before).transpose(0, 1)  # [S, T, G]
        start = first_state(self.sizes, gates[0])
        recurrent, heads = self.net.recurrent.weight.T, self.net.heads.weight.T
        raw = self.net.heads.bias.expand(*gates.shape[:2], -1)  # [S, T, P]
        before_step, after_step = Once(), Once()
        x = Inputs(before_step(gates, recurrent), after_step(raw, heads))
        state, ys = scan(start, x, recurrent.detach(), heads.detach())
        outputs = ys if isinstance(ys, Tensor) else ys[0]  # [S, T, D]
        before_step.inputs = self.sizes.fed_back(torch.cat([start.output[None], outputs[:-1]]))
        after_step.inputs = outputs[..., : self.sizes.units]
        return state, ys

    def adapt(self, xs: Tensor, ys: Tensor, way: int) -> Written:
        """Play the support set, in its order."""
        codes = self.codes(ys, way)
        labels = self.labels_of(codes, ys)  # [T, S, C]
        state, outputs = self.play(self.scan(), xs, labels)
        return Written(state, labels[:, -1], codes, self.log_probs(outputs.transpose(0, 1)))

    def next_outputs(self, state: Written, xq: Tensor) -> Tensor:
        """[h, r] of each query as the next element of its sequence, without writing: [T, Q, D]."""
        s, sizes = state.state, self.sizes
        x = self.features(xq)
        gates = self.gates(x, state.label[:, None].expand(-1, x.shape[1], -1))  # [T, Q, G]
        gates = gates + self.net.recurrent(sizes.fed_back(s.output))[:, None]
        h, _ = control(gates, s.cell[:, None], sizes)
        if not sizes.heads:
            return h
        memory = lrua.Memory(*(part[:, None] for part in s.memory))  # one for all queries: it stays as it is
        _, r, _ = lrua.access(memory, heads_of(self.net.heads(h), sizes), sizes.decay, sizes.read_first)
        return torch.cat([h, r.flatten(2)], -1)

    def predict(self, state: Written, xq: Tensor, *, transductive: bool = False) -> Tensor:
        """log P(label) of the queries, [T, Q, N]."""
        return self.log_probs(self.next_outputs(state, xq)) @ state.codes.mT

    def meta_loss(self, tasks: Tasks) -> tuple[Tensor, dict[str, Tensor]]:
        """Cross-entropy of every element of the sequence before its label is seen, and of the queries after it."""
        state = self.adapt(tasks.xs, tasks.ys, tasks.way)
        logits = self.predict(state, tasks.xq)
        played = (state.sequence @ state.codes.mT).gather(-1, tasks.ys[..., None])  # [T, S, 1]
        asked = logits.gather(-1, tasks.yq[..., None])  # [T, Q, 1]
        loss = -torch.cat([played, asked], 1).mean()
        return loss, query_measures(loss, logits, tasks.yq)

    def meta_step(self, tasks: Tasks) -> dict[str, Tensor]:
        """The same as of any method, but that it is the step through time that is compiled (see `scan`)."""
        loss, measures = self.meta_loss(tasks)
        loss.backward()
        return measures

    def further(self, tasks: Tasks) -> dict[str, Tensor]:
        """Percent right on the first, second, ... tenth example of a class, each named before its label was seen.

        A string is right if all its characters are. Without a leak, the first is at most H_N / N (one-hot labels).
        """
        state = self.adapt(tasks.xs, tasks.ys, tasks.way)
        labels = self.labels_of(state.codes, tasks.ys)  # [T, S, C]
        said, true = (self.parts(t).argmax(-1) for t in (state.sequence, labels))  # [T, S, parts]
        right = mean_by_instance((said == true).all(-1).double(), tasks.ys, INSTANCES)  # [T, 10]
        by_instance = ((f"accuracy_instance_{i + 1}", 100 * v) for i, v in enumerate(right.unbind(1)))
        return {name: values for name, values in by_instance if not torch.isnan(values).all()}

    def represent(self, state: Written, x: Tensor) -> Tensor:
        """What the controller is given of the inputs."""
        return self.features(x)

    def trace(self, xs: Tensor, ys: Tensor, way: int) -> dict[str, Tensor]:
        """Where the heads read and wrote at every example, and the usage of the rows after it."""
        if not self.sizes.heads:
            return {}
        with torch.no_grad():
            traced = Scan(partial(step, sizes=self.sizes, traced=True))
            _, ys_ = self.play(traced, xs, self.labels_of(self.codes(ys, way), ys))
        return {name: w.transpose(0, 1) for name, w in zip(("read", "written", "usage"), ys_[1:])}


def check_sizes(*, strength: float, decay: float, **counts: int) -> None:
    """Refuse what no memory can be made of."""
    for name, count in counts.items():
        if count < 1:
            raise UserError(f"{name} must be at least 1; got {count}")
    if counts["heads"] > counts["rows"]:
        raise UserError(f"{counts['heads']} heads write to as many rows; got only {counts['rows']}")
    if not 0 <= decay < 1:
        raise UserError(f"decay must be from 0 to less than 1; got {decay}")
    if not strength > 0:
        raise UserError(f"strength must be greater than 0; got {strength}")
