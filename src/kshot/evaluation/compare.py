"""Which of two methods is better: on the same tasks, pair by pair, with the interval of the difference."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import torch

from ..errors import UserError
from ..functional.intervals import Difference, paired_difference
from ..methods.base import Method
from ..tasks import TaskSource
from .calibration import Calibration
from .evaluate import evaluate
from .measures import measure_by_name
from .report import Json, Report, finite

SAME = ("measure", "data", "split", "way", "shot", "query", "seed", "episodes", "tasks_digest")


@dataclass(frozen=True)
class Pair:
    """a - b on the same tasks; `better` is the one whose advantage the 95 % interval confirms, or None."""

    a: str
    b: str
    difference: Difference
    better: str | None


@dataclass(frozen=True)
class Comparison:
    """Reports of several methods on the same tasks, and their paired differences."""

    reports: tuple[Report, ...]
    pairs: tuple[Pair, ...]

    def as_dict(self) -> dict[str, Json]:
        """What `--json` prints."""
        return {
            "reports": [report.as_dict() for report in self.reports],
            "differences": [
                {
                    "a": pair.a,
                    "b": pair.b,
                    "difference": pair.difference.mean,
                    "ci95": finite(pair.difference.ci95),
                    "p": finite(pair.difference.p),
                    "episodes": pair.difference.n,
                    "better": pair.better,
                }
                for pair in self.pairs
            ],
        }

    def to_json(self) -> str:
        """The comparison as one JSON document."""
        return json.dumps(self.as_dict(), indent=2, allow_nan=False)

    def __str__(self) -> str:
        digits = 2 if self.reports[0].measure == "accuracy" else 4
        lines = [str(report) for report in self.reports]
        for pair in self.pairs:
            d = pair.difference
            verdict = f"{pair.better} is better" if pair.better else "no difference shown"
            lines.append(
                f"{pair.a} - {pair.b}: {d.mean:+.{digits}f} +- {d.ci95:.{digits}f} (paired over {d.n} tasks, "
                f"p = {d.p:.2g}): {verdict}"
            )
        return "\n".join(lines)


def compare(
    methods: Mapping[str, Method],
    source: TaskSource | Mapping[str, TaskSource],
    *,
    episodes: int = 1000,
    transductive: bool = False,
    batch: int | None = None,
    progress: bool | None = None,
    device: torch.device | str = "cpu",
    calibrations: Mapping[str, Calibration | None] | None = None,
) -> Comparison:
    """Evaluate methods on the same tasks and compare every two of them.

    Args:
        methods: by the names they have in the result.
        source: of the tasks; or one for each method, which draw the same tasks and show them in its own way.
        transductive: for the methods that can; the others see one query at a time.
        episodes, batch, progress, device: as in evaluate.
        calibrations: the temperatures of those that have one.
    """
    reports = [
        evaluate(
            method,
            source if isinstance(source, TaskSource) else source[name],
            episodes=episodes,
            transductive=transductive and method.about.transductive,
            batch=batch,
            progress=progress,
            device=device,
            name=name,
            calibration=(calibrations or {}).get(name),
        )
        for name, method in methods.items()
    ]
    return compare_reports(reports)


def compare_reports(reports: Sequence[Report]) -> Comparison:
    """Compare reports of evaluations that were made on the same tasks; others are refused."""
    if len(reports) < 2:
        raise UserError(f"a comparison needs at least two methods; got {len(reports)}")
    names = [report.method for report in reports]
    if len(set(names)) < len(names):
        raise UserError(f"the methods of a comparison need different names; got {', '.join(names)}")
    first = reports[0]
    for other in reports[1:]:
        differing = [k for k in SAME if getattr(first, k) != getattr(other, k)]
        if differing:
            lines = "; ".join(f"{k}: {getattr(first, k)!r} and {getattr(other, k)!r}" for k in differing)
            raise UserError(
                f"{first.method} and {other.method} were not evaluated on the same tasks ({lines}); evaluate both with "
                f"the same data, split, way, shot, query, seed and number of episodes"
            )
    more = measure_by_name(first.measure).more_is_better
    pairs = []
    for a, b in combinations(reports, 2):
        difference = paired_difference(a.values, b.values)
        shown = abs(difference.mean) > difference.ci95
        better = (a if (difference.mean > 0) == more else b).method if shown else None
        pairs.append(Pair(a.method, b.method, difference, better))
    return Comparison(tuple(reports), tuple(pairs))
