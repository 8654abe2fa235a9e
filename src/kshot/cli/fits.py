"""`kshot fits`: what several runs make of the same curves, in one figure."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from ..errors import UserError
from .console import note
from .flags import Flag, argument, command
from .learners import Learner, evaluation_source, find_learner
from .sources import data_flags, machine_flags, use_machine

if TYPE_CHECKING:
    from torch import Tensor

POINTS = 200  # at which a fit is drawn
FORMATS = (".svg", ".png", ".pdf")


def fits_command() -> Callable[..., None]:
    """The function behind `kshot fits`."""
    out = typer.Option("--out", help=f"the figure to write ({', '.join(FORMATS)})", rich_help_panel="Output")
    return command(
        _fits,
        [
            argument("runs", list[str], typer.Argument(help="runs of curves; sine-maml is one", metavar="RUN...")),
            argument("out", Path, out, Path("fits.svg")),
            Flag("curves", int, 3, "number of curves, side by side", "Tasks"),
            Flag("shot", str, "5", "examples of a curve", "Tasks"),
            Flag("seed", int, 0, "of the curves: another seed draws others", "Tasks"),
            Flag("split", str, "test", "which curves: train, val or test", "Data"),
            *data_flags(),
            *machine_flags(),
        ],
        "Draw how runs fit the same curves from the same few points, in one figure.\n\n"
        "Example: kshot fits runs/cnp runs/maml --shot 5 --out fits.svg\n\n"
        "Methods that know how sure they are (cnp) get a band of two standard deviations.",
    )


def _fits(values: dict[str, Any]) -> None:
    import torch

    from ..evaluation.figures import CurveTask, fits_together, look
    from ..evaluation.files import write_whole

    out, count = values["out"], values["curves"]
    if out.suffix not in FORMATS:
        raise UserError(f"--out must end in {', '.join(FORMATS)}; got {out}")
    if not 1 <= count <= 6:
        raise UserError(f"--curves must be between 1 and 6, to be legible side by side; got {count}")
    device = use_machine(values)
    learners = [find_learner(name, device) for name in values["runs"]]
    source = evaluation_source(learners[0], {**values, "query": POINTS}, device)
    if not source.spec.regression:
        raise UserError(f"fits draws curves, and {learners[0].name} learns classes: use kshot compare")
    tasks = source.batch(range(count))
    order = tasks.xq[..., 0].argsort(1)[..., None]  # [T, P, 1]
    tasks = tasks.with_queries(tasks.xq.gather(1, order), tasks.yq.gather(1, order))
    lines = {one.name: _predict(one, source, tasks.to(device)) for one in learners}
    panels = [
        CurveTask(
            tasks.xq[t, :, 0],
            tasks.yq[t, :, 0],
            torch.stack([tasks.xs[t, :, 0], tasks.ys[t, :, 0]], -1),
            {name: (mu[t], None if sigma is None else 2 * sigma[t]) for name, (mu, sigma) in lines.items()},
        )
        for t in range(count)
    ]
    stream = io.BytesIO()
    with look():
        figure = fits_together(panels)
        undated = {"Date": None} if out.suffix == ".svg" else None
        figure.savefig(stream, format=out.suffix[1:], facecolor="white", metadata=undated)
    out.parent.mkdir(parents=True, exist_ok=True)
    write_whole(out, stream.getvalue())
    note(f"written to {out}")


def _predict(learner: Learner, source: Any, tasks: Any) -> tuple[Tensor, Tensor | None]:
    """Values [T, P] at the queries, and their standard deviations if the method has any."""
    from ..evaluation import evaluating

    method: Any = learner.method(source)
    with evaluating(method):
        state = method.adapt(tasks.xs, tasks.ys, tasks.way)
        if hasattr(method, "distribution"):
            mu, sigma = method.distribution(state, tasks.xq)
            return mu[..., 0].cpu(), sigma[..., 0].cpu()
        return method.predict(state, tasks.xq)[..., 0].cpu(), None
