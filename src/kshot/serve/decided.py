"""Which example decided: the one of the chosen class without which that class would lose most.

Every example of the chosen class is left out in turn, the model learns the others anew, and is asked again. That means
the same for every method.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ..estimator import FewShotClassifier
from ..evaluation.prediction import head_way
from ..evaluation.score import evaluating
from ..methods import Method, Nearest
from ..methods.metric import Embedded, MetricMethod
from . import limits
from .gate import Memory
from .schemas import Decided

if TYPE_CHECKING:
    from .classify import Question
    from .library import Served

AGAIN = 400  # examples that are learned anew, at most: it would take seconds


class Decider:
    """Finds out which example decided; what was learned without an example is remembered, as the query changes."""

    def __init__(self) -> None:
        self._kept: Memory[Any] = Memory(limits.WITHOUT_KEPT)

    def decide(
        self, served: Served, fitted: FewShotClassifier, question: Question, best: Tensor
    ) -> list[Decided | None]:
        """For every query, which example decided for its class best [Q] (numbers of `fitted.classes_`)."""
        found: list[Decided | None] = [None] * len(best)
        for n in best.unique().tolist():
            label = str(fitted.classes_[n])
            members = [s for s, name in enumerate(question.names) if name == label]
            queries = (best == n).nonzero()[:, 0].tolist()
            if len(members) == 1:
                only = Decided(label=label, example=question.examples[members[0]], without=None)
                found = [only if q in queries else f for q, f in enumerate(found)]
                continue
            logits = self._without(served, fitted, question, members, queries)
            if logits is None:
                continue
            logits = logits[..., : len(fitted.classes_)].double() / fitted.temperature_
            p = logits.softmax(-1)[..., n]  # [K, q]
            others = [k for k in range(len(fitted.classes_)) if k != n]
            odds = logits[..., n] - logits[..., others].logsumexp(-1)  # tells apart what is all but certain
            for column, q in enumerate(queries):
                i = int(odds[:, column].argmin())
                example = question.examples[members[i]]
                found[q] = Decided(label=label, example=example, without=float(p[i, column]))
        return found

    def _without(
        self, served: Served, fitted: FewShotClassifier, question: Question, members: list[int], queries: list[int]
    ) -> Tensor | None:
        """Logits [K, q, N] of q queries without each of K members; None where that would take too long."""
        method, state, S, K = fitted.method_, fitted.state_, len(fitted.support_), len(members)
        kept = torch.tensor([[s for s in range(S) if s != m] for m in members], device=served.device)  # [K, S - 1]
        xq = question.seen(question.xq[queries]).to(served.device)
        with evaluating(method):
            if _apart(method, state):
                fewer = replace(state, features=state.features[0][kept], ys=state.ys[0][kept])  # [K, S - 1, D]
                if isinstance(method, MetricMethod):
                    return method.score(fewer, method.embed(xq[None]).expand(K, -1, -1)).cpu()
                return method.predict(fewer, xq.expand(K, *xq.shape)).cpu()
            if K * (S - 1) > AGAIN:
                return None
            names = list(map(str, fitted.classes_))
            ys = torch.tensor([names.index(str(t)) for t in fitted.targets_], device=served.device)

            def again() -> Any:
                return method.adapt(fitted.support_[kept], ys[kept], head_way(method, len(names)))

            learned = self._kept.get((served.name, question.digest, members[0]), again)
            return method.predict(learned, xq.expand(K, *xq.shape)).cpu()


def _apart(method: Method, state: Any) -> bool:
    """Whether the state is the examples' features, in which no example has a part in another's: leaving out is easy."""
    if type(state) is not Embedded:
        return False
    whole = type(method).adapt is MetricMethod.adapt and type(method).predict is MetricMethod.predict
    return whole or isinstance(method, Nearest)
