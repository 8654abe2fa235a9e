"""`kshot list`: what there is."""

from __future__ import annotations

from collections.abc import Mapping
from json import loads
from typing import Annotated, Any

import typer

from ..errors import unknown
from .console import emit, table
from .docs import summary

KINDS = ("methods", "models", "data", "backbones", "recipes", "figures")


def list_command(
    what: Annotated[str, typer.Argument(help=f"{', '.join(KINDS[:-1])} or {KINDS[-1]}; by default all.")] = "",
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Show the methods, built-in models, data sets, backbones, recipes and figures that there are."""
    if what and what not in KINDS:
        raise unknown("list", what, KINDS)
    wanted = [what] if what else list(KINDS)
    found = {kind: ROWS[kind]() for kind in wanted}
    if json:
        emit(found[what] if what else found)
        return
    for kind, rows in found.items():
        if kind == "recipes":
            print("\n\n".join([kind, *(_recipe(row) for row in rows)]))
        else:
            columns = [c for c in rows[0] if c not in HIDDEN]
            table(columns, [[_word(row[c]) for c in columns] for row in rows], title=kind)


HIDDEN = ("source", "options", "folder", "recipe", "record")  # of interest to programs


def _word(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _methods() -> list[dict[str, object]]:
    from ..methods import METHODS, method_options

    return [
        {
            "name": name,
            "what it does": method.about.idea,
            "training": method.about.meta_trained,
            "any way": not method.about.fixed_way,
            "transductive mode": method.about.transductive,
            "learns": list(method.about.targets),
            "from": method.about.support,
            "on features": method.about.on_features,
            "source": method.about.source,
            "options": list(method_options(name)),
        }
        for name, method in METHODS.items()
    ]


def _models() -> list[dict[str, object]]:
    from ..models import BUILTIN, find_run
    from ..recipes import find

    rows: list[dict[str, object]] = []
    for name, what in BUILTIN.items():
        folder = find_run(name)
        record = loads((folder / "record.json").read_text(encoding="utf-8"))
        rows.append(
            {
                "name": name,
                "what it knows": what,
                "measured": _measured(record),
                "kB": str(round(sum(f.stat().st_size for f in folder.iterdir()) / 1000)),
                "folder": str(folder),
                "recipe": find(name).command,
                "record": record,
            }
        )
    return rows


def _measured(record: dict[str, object]) -> str:
    """A record in a few words."""
    tasks = f"{record['way']}-way {record['shot']}-shot" if record["way"] else f"{record['shot']} points"
    name = str(record["measure"])
    value = f"{record[name]:.1f} % right" if name == "accuracy" else f"{name} {record[name]:.2f}"
    return f"{value}, {tasks}, {record['data']} {record['split']}"


def _data() -> list[dict[str, object]]:
    from ..data import DATASETS

    rows: list[dict[str, object]] = [{"name": n, "what it is": summary(loader)} for n, loader in DATASETS.items()]
    rows.append({"name": "FOLDER", "what it is": "Your pictures: a folder of class folders, FOLDER/<class>/*.png."})
    rows.append({"name": "FILE.npz", "what it is": "Your arrays."})
    rows.append({"name": "FILE.csv", "what it is": "Your sentences, with columns text and label, for --backbone."})
    return rows


FROZEN = {
    "timm:NAME": "pictures, by a network of timm.",
    "torchvision:NAME": "pictures, by a classification network of torchvision.",
    "hf:NAME": "pictures, by a vision model of transformers.",
    "sentence-transformers:NAME": "sentences, by a model of sentence-transformers.",
    "FILE.pt2": "pictures, by a network that torch.export saved.",
}


def _backbones() -> list[dict[str, object]]:
    from ..backbones import BACKBONES
    from ..encoders import encoder_options
    from .train import backbone_flags

    rows: list[dict[str, object]] = [
        {"name": n, "what it is": summary(make), "options": [f.name for f in backbone_flags({n: make})]}
        for n, make in BACKBONES.items()
    ]
    own = "Your own: a function of yours that returns a torch.nn.Module from inputs to vectors."
    rows.append({"name": "package.module:function", "what it is": own, "options": []})
    return rows + [
        {
            "name": name,
            "what it is": f"Frozen, for evaluate and predict: {what}",
            "options": list(encoder_options(name)),
        }
        for name, what in FROZEN.items()
    ]


def _recipes() -> list[dict[str, object]]:
    from ..recipes import recipes

    return [
        {
            "name": r.name,
            "what it does": r.what,
            "method": r.method,
            "reproduces": r.reproduces,
            "differs": r.differs,
            "needs": r.needs,
            "takes": r.takes,
            "reached": list(r.reached),
            "records": list(r.records),
            "command": r.command,
        }
        for r in recipes()
    ]


def _recipe(row: Mapping[str, Any]) -> str:
    """A recipe as text: what there is to say of it, and how it is trained."""
    lines = [f"{row['name']}: {row['what it does']}"]
    for name in ("reproduces", "differs", "needs", "takes", "reached"):
        said = row[name] if isinstance(row[name], list) else [row[name]]
        lines += [f"    {name if n == 0 else '':<10}  {text}" for n, text in enumerate(said) if text]
    return "\n".join([*lines, f"    kshot train --recipe {row['name']}"])


def _figures() -> list[dict[str, object]]:
    from ..evaluation.plots import PLOTS

    runs = {(True, True): "one or several", (True, False): "one", (False, True): "several"}
    return [{"name": n, "what it shows": p.what, "runs": runs[p.alone, p.together]} for n, p in PLOTS.items()]


ROWS = {
    "methods": _methods,
    "models": _models,
    "data": _data,
    "backbones": _backbones,
    "recipes": _recipes,
    "figures": _figures,
}
