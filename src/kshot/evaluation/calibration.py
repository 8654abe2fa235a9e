"""The temperature of a trained method: fitted on validation tasks, kept beside its weights in calibration.json."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ..errors import UserError
from ..functional.calibration import BINS, confidence, fit_temperature, negative_log_likelihood, reliability
from ..methods.base import Method
from ..tasks import TaskSource
from .files import write_whole
from .measures import correct
from .score import chunks, evaluating, predictions

TASKS = 100  # enough for one number: thousands of queries


@dataclass(frozen=True)
class Calibration:
    """A temperature, and the tasks that it was fitted on.

    It is right for tasks like these: with more classes or examples the best temperature is another one. What it does to
    the tasks at hand is what an evaluation reports.

    Attributes:
        temperature: T; probabilities are softmax(logits / T).
        data, split, way, shot, query, seed, episodes: of the tasks.
        transductive: whether the queries of a task were seen together.
        nll_before, nll: negative log-likelihood of a query, with T = 1 and with T.
        ece_before, ece: expected calibration error in percent, with T = 1 and with T.
        bins_before, bins: of each of 15 bins of confidence: predictions, mean confidence, the part that is right.
        step: of the weights that it belongs to.
        options: arguments of the method that differed from those of the training.
    """

    temperature: float
    data: str
    split: str
    way: int | list[int]
    shot: int | list[int]
    query: int
    seed: int
    episodes: int
    transductive: bool
    nll_before: float
    nll: float
    ece_before: float
    ece: float
    bins_before: list[list[float]] = field(repr=False)
    bins: list[list[float]] = field(repr=False)
    step: int | None = None
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def tasks(self) -> str:
        """What it was fitted on, in words."""
        way, shot = ("-".join(map(str, n)) if isinstance(n, list) else str(n) for n in (self.way, self.shot))
        mode = "transductive" if self.transductive else "non-transductive"
        return f"{self.episodes} {way}-way {shot}-shot tasks of {self.data} {self.split}, {mode}"


def calibrate(
    method: Method,
    source: TaskSource,
    *,
    episodes: int = TASKS,
    transductive: bool = False,
    device: torch.device | str = "cpu",
    step: int | None = None,
    options: Mapping[str, Any] | None = None,
) -> Calibration:
    """Fit the temperature of a method on the first tasks of a source; its weights stay as they are.

    Args:
        source: of validation tasks: tasks that were trained on make a method look too sure of itself, and on test tasks
            the error that is reported would be too small.
        episodes: number of tasks.
        transductive: whether the queries of a task are seen together; only methods that say so can.
        device: where to compute.
        step, options: of the weights, to be kept with the temperature.

    Raises:
        UserError: the tasks have no classes; or the method's outputs are not numbers.
    """
    if source.spec.regression:
        raise UserError(f"{source.name} has no classes, and so no probabilities to calibrate")
    if transductive and not method.about.transductive:
        raise UserError(f"{method.about.title} has no transductive mode: leave out --transductive")
    if episodes < 1:
        raise UserError(f"episodes must be at least 1; got {episodes}")
    episodes = min(episodes, len(source))
    logits, labels = pooled(method.to(device), source, range(episodes), transductive=transductive, device=device)
    if not bool(logits.amax(-1).isfinite().all()) or bool(logits.isnan().any()):
        raise UserError(f"outputs of {method.about.title} are not numbers: there is no temperature for them")
    temperature = fit_temperature(logits, labels)
    right = correct(logits, labels)
    before, after = (reliability(confidence(logits, t), right) for t in (1.0, temperature))
    return Calibration(
        temperature=temperature,
        data=source.name,
        split=source.split,
        way=list(source.way) if isinstance(source.way, tuple) else source.way,
        shot=list(source.shot) if isinstance(source.shot, tuple) else source.shot,
        query=source.query,
        seed=source.seed,
        episodes=episodes,
        transductive=transductive,
        nll_before=negative_log_likelihood(logits, labels),
        nll=negative_log_likelihood(logits, labels, temperature),
        ece_before=before.ece,
        ece=after.ece,
        bins_before=[list(row) for row in before.rows()],
        bins=[list(row) for row in after.rows()],
        step=step,
        options=dict(options or {}),
    )


def pooled(
    method: Method, source: TaskSource, indices: range, *, transductive: bool, device: torch.device | str
) -> tuple[Tensor, Tensor]:
    """Logits [M, N] and labels [M] of all queries of the tasks; -inf where a task has fewer than N classes."""
    found: list[Tensor] = []
    labels: list[Tensor] = []
    with evaluating(method):
        for piece in chunks(source, indices, None, device):
            tasks = source.batch(piece).to(device)
            found.append(predictions(method, tasks, transductive)[..., : tasks.way].flatten(0, 1).cpu())
            labels.append(tasks.yq.flatten().cpu())
    most = max(z.shape[1] for z in found)
    return torch.cat([F.pad(z, (0, most - z.shape[1]), value=-torch.inf) for z in found]), torch.cat(labels)


def write_calibration(path: Path, found: Calibration) -> None:
    """calibration.json, whole or not at all; a line for each entry."""
    lines = [f"  {json.dumps(k)}: {json.dumps(v, allow_nan=False)}" for k, v in asdict(found).items()]
    write_whole(path, ("{\n" + ",\n".join(lines) + "\n}\n").encode())


def read_calibration(path: Path) -> Calibration:
    """What write_calibration wrote."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        found = Calibration(**{f.name: values[f.name] for f in fields(Calibration)})
        if not found.temperature > 0 or len(found.bins) != BINS:
            raise ValueError(f"a temperature of {found.temperature}")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path} holds no temperature ({error}): delete it, and run kshot calibrate") from error
    return found
