"""Networks that treat every coordinate of a gradient alike: the learned optimisers and the writers of fast weights.

Coordinates are the last axis, their features the axis before. A network of a few units sees the numbers of one
coordinate and none of its neighbours, so that its size does not grow with the learner's (Andrychowicz et al. 2016).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from .inner import Gradient, Params

OF_THE_RULE = "rule."  # names of the meta-learner's own parameters, and of its state


def preprocess(x: Tensor, p: float) -> Tensor:
    """Size and sign of numbers of very different sizes (Andrychowicz et al. 2016, appendix A): [..., P] -> [..., 2, P].

    (log|x| / p, sign x) where |x| >= e^-p, else (-1, e^p x); both are continuous.

    >>> preprocess(torch.tensor([1.0, -1.0, 0.0]), 10.0).tolist()
    [[0.0, 0.0, -1.0], [1.0, -1.0, 0.0]]
    """
    size = x.abs().clamp(min=math.exp(-p)).log() / p
    return torch.stack([size, (x * math.exp(p)).clamp(-1, 1)], -2)


def lstm_step(x: Tensor, h: Tensor, c: Tensor, weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
    """One step of an LSTM (Hochreiter & Schmidhuber 1997, with forget gates) at every coordinate: its output and cell.

    Args:
        x: [..., I, P].
        h: output of the step before, [..., H, P].
        c: cell of the step before, [..., H, P].
        weight: [4H, I + H], rows in the order input gate, forget gate, candidate, output gate (torch's).
        bias: [4H].
    """
    H = h.shape[-2]
    gates, g, o = (weight @ torch.cat([x, h], -2) + bias[:, None]).split([2 * H, H, H], -2)
    i, f = gates.sigmoid().chunk(2, -2)
    c = f * c + i * g.tanh()
    return o.sigmoid() * c.tanh(), c


def gate(weight: Tensor, bias: Tensor, h: Tensor, theta: Tensor, before: Tensor) -> Tensor:
    """sigma(W [h, theta_{t-1}, gate_{t-1}] + b) of every coordinate (Ravi & Larochelle 2017, section 3.1).

    Args:
        weight: [H + 2].
        bias: scalar.
        h: what the LSTM says of loss and gradient, [H, P].
        theta: [P].
        before: the gate of the step before, [P].
    """
    return torch.sigmoid(weight[:-2] @ h + theta * weight[-2] + before * weight[-1] + bias)


@dataclass(frozen=True)
class Gated:
    """k steps theta_t = f_t theta_{t-1} - i_t grad L_t with learned gates (Ravi & Larochelle 2017), an InnerLoop.

    The state holds the learner's parameters by name and, for each of their P coordinates, the LSTM's output and cell
    and both gates. Loss and gradient are constants of the meta-learner: nothing is differentiated twice.

    The meta-parameters hold theirs and those of the rule: rule.weight [4H, 4 + H] and rule.bias [4H] of the LSTM,
    rule.forget_weight and rule.input_weight [H + 2], rule.forget_bias and rule.input_bias (scalars).

    Attributes:
        support_loss: of all parameters (the rule's among them) and the support set: `support_loss(params, xs, ys)`.
        query_loss: the same of the queries, with outputs to report: `query_loss(params, xq, yq)`.
        adapted: names of the parameters that the steps change.
        steps: k.
        p: of the preprocessing.
    """

    support_loss: Callable[[Params, Tensor, Tensor], Tensor]
    query_loss: Callable[[Params, Tensor, Tensor], tuple[Tensor, Any]]
    adapted: Collection[str]
    steps: int
    p: float = 10.0
    alike: ClassVar[bool] = True

    def start(self, meta: Params, xs: Tensor, ys: Tensor) -> Params:
        """c_0, the learned initialisation; everything else is zero."""
        P, H = sum(meta[n].numel() for n in self.adapted), len(meta["rule.bias"]) // 4
        like = meta["rule.bias"]
        rule = {"h": like.new_zeros(H, P), "c": like.new_zeros(H, P), "f": like.new_zeros(P), "i": like.new_zeros(P)}
        return {n: meta[n] for n in self.adapted} | {OF_THE_RULE + n: s for n, s in rule.items()}

    def step(self, meta: Params, state: Params, i: int, gradient: Gradient, xs: Tensor, ys: Tensor) -> Params:
        """One step on the whole support set."""
        learner = {n: state[n] for n in self.adapted}
        fixed = {n: p.detach() for n, p in meta.items() if n not in learner}

        def loss_of(p: Params) -> tuple[Tensor, Tensor]:
            loss = self.support_loss(fixed | p, xs, ys)
            return loss, loss

        grads, loss = gradient(loss_of, learner, constant=True)
        theta, g = flat(learner), flat(grads)  # [P]
        x = torch.cat([preprocess(loss[None], self.p).expand(2, len(g)), preprocess(g, self.p)])  # [4, P]
        h, c = lstm_step(x, state["rule.h"], state["rule.c"], meta["rule.weight"], meta["rule.bias"])
        forget = gate(meta["rule.forget_weight"], meta["rule.forget_bias"], h, theta, state["rule.f"])
        enter = gate(meta["rule.input_weight"], meta["rule.input_bias"], h, theta, state["rule.i"])
        rule = {"rule.h": h, "rule.c": c, "rule.f": forget, "rule.i": enter}
        return unflat(forget * theta - enter * g, learner) | rule

    def loss(self, meta: Params, state: Params, xs: Tensor, ys: Tensor, xq: Tensor, yq: Tensor) -> tuple[Tensor, Any]:
        """The loss of the queries at theta_k."""
        return self.query_loss(meta | state, xq, yq)


def flat(params: Params) -> Tensor:
    """All coordinates in one vector [P]."""
    return torch.cat([p.reshape(-1) for p in params.values()])


def unflat(vector: Tensor, like: Params) -> Params:
    """A vector [P] in the shapes of some parameters."""
    parts = vector.split([p.numel() for p in like.values()])
    return {n: part.view(p.shape) for part, (n, p) in zip(parts, like.items())}
