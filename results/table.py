"""Write every table that is made from the records beside this file: python results/table.py

That is results/README.md (all records), docs/methods/README.md (the methods side by side), docs/models.md (the built-in
models), docs/encoders.md and docs/text.md (frozen encoders: the records in encoders/), in each method's page the
section "Measured" and paired comparisons (differences.py), what recipes take and reached (recipes.py), and
docs/choose.md (choose.py). Figures of the papers come from published.toml; they are never computed with.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import choose
import recipes
from differences import with_differences

from kshot.methods import METHODS
from kshot.models import BUILTIN, find_run

HERE = Path(__file__).resolve().parent
METHOD_PAGES = HERE.parent / "docs" / "methods"
ENCODED = HERE / "encoders"
ENCODERS = {  # by the first word of a record's name; the record itself has the path that it was read from
    "minilm": "all-MiniLM-L6-v2",
    "random": "ResNet-18, random weights",
}
BESIDE = {
    "nearest-caltech101": "none: pixels",
    "embedding-caltech101": "trained by kshot on 64 other classes",
}
MODEL_PAGE = HERE.parent / "docs" / "models.md"
PUBLISHED: dict[str, Any] = tomllib.loads((HERE / "published.toml").read_text(encoding="utf-8"))
Record = dict[str, Any]
HEAD = """# Results

Made by `python results/table.py` from the records in this folder, which `kshot evaluate --record` wrote; a record holds
the complete configuration of its training (`config`), the command that measured it, versions, seed and commit.
Intervals are 95 % over tasks, of one training. "queries" is for each class (for each curve); "all together" means
transductive: the queries of a task share their batch normalisation. Training times are wall times.

"""
COLUMNS = ("method", "trained on", "tested on", "task", "queries", "all together", "result")
COSTS = ("tasks", "steps", "minutes", "threads", "record")


def records() -> dict[str, Record]:
    """Every record by the name of its file; comparisons of two methods lie in a folder of their own."""
    return {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(HERE.glob("*.json"))}


def lines(head: tuple[str, ...], rows: list[list[str]]) -> str:
    """A table."""
    return "".join(f"| {' | '.join(cells)} |\n" for cells in (list(head), ["---"] * len(head), *rows))


def number(mean: float, ci95: float, name: str) -> str:
    """A measure with its interval; accuracies are in percent."""
    if "accuracy" in name:
        return f"{mean:.2f} ± {ci95:.2f} %"
    return f"{name} {mean:.3f} ± {ci95:.3f}"


def measured(record: Record) -> str:
    """The measure of a record."""
    name = record.get("measure") or ("accuracy" if "accuracy" in record else "mse")
    return number(record[name], record["ci95"], name)


def steps_of(record: Record) -> int | None:
    """Inner steps at the evaluation, where a method has them."""
    return ((record["config"] or {}).get("options") or {}).get("eval_steps")


def task_of(record: Record) -> str:
    """Way and shot."""
    way = f"{record['way']}-way " if record["way"] else ""
    return f"{way}{record['shot']}-shot"


def cells(stem: str, record: Record) -> list[str]:
    """What COLUMNS and COSTS name."""
    config = record["config"] or {}
    within = " within groups" if "within" in str(record.get("description", "")) else ""
    steps = steps_of(record)
    return [
        record["method"] + (f" ({steps} steps)" if steps else ""),
        config.get("data", {}).get("spec", "nothing"),
        f"{record['data']} {record['split']}{within}",
        task_of(record),
        str(record["query"]),
        "yes" if record["transductive"] else "no",
        measured(record),
        str(record["episodes"]),
        str(record["train_steps"] or 0),
        f"{(record['train_seconds'] or 0) / 60:.1f}",
        str(record["threads"]),
        f"[{stem}]({stem}.json)",
    ]


def all_records() -> str:
    """results/README.md."""
    return HEAD + lines(COLUMNS + COSTS, [cells(stem, record) for stem, record in records().items()])


def paper_figure(method: str, record: Record) -> str:
    """What the paper reports of the same data, task and mode; "-" if it does not, or it could not be checked."""
    for figure in PUBLISHED.get(method, {}).get("figures", ()):
        same = figure["data"] == record["data"] and figure.get("way", 0) == record["way"]
        same &= figure.get("shot") == record["shot"] and figure.get("transductive", False) == record["transductive"]
        if same and figure.get("steps") in (None, steps_of(record)):
            return str(figure["value"])
    return "-"


def instances(method: str, record: Record) -> Iterator[list[str]]:
    """What a record holds beside its measure, with the paper's figure by instance."""
    told = {f.get("instance"): f["value"] for f in PUBLISHED.get(method, {}).get("figures", ()) if "instance" in f}
    if ((record["config"] or {}).get("options") or {}).get("memory") is False:
        told = {}  # the baseline of mann: the paper's figures are those with a memory
    for name, more in (record.get("further") or {}).items():
        found = re.search(r"(\d+)", name)
        paper = told.get(int(found[1]), "-") if found and "instance" in name else "-"
        yield [name.replace("_", " "), number(more["mean"], more["ci95"], name), str(more["count"]), paper]


def measured_section(method: str) -> str:
    """The tables of a method's page."""
    own = {stem: record for stem, record in records().items() if record["method"] == method}
    if not own:
        return "No record yet.\n"
    head = ("trained on", *COLUMNS[2:], "paper", *COSTS)
    rows = []
    for stem, record in own.items():
        row = cells(stem, record)
        rows.append([row[1], *row[2:7], paper_figure(method, record), *row[7:11], f"`results/{stem}.json`"])
    text = lines(head, rows)
    for stem, record in own.items():
        if more := list(instances(method, record)):
            text += f"\nBeside it, in `{stem}`:\n\n" + lines(("measure", "result", "tasks", "paper"), more)
    if method in PUBLISHED:
        text += f"\nPaper: {PUBLISHED[method]['paper']}.\n"
    return text


def headline(method: str, found: dict[str, Record], transductive: bool) -> Record | None:
    """A method's record of Omniglot, 5-way 1-shot, 15 queries; of several, the one that is named plainly."""
    plain = f"{method}-omniglot-random-5w1s" + "-transductive" * transductive
    wanted = ("omniglot:random", "test", 5, 1, 15, transductive)
    keys = ("data", "split", "way", "shot", "query", "transductive")
    same = [r for r in found.values() if r["method"] == method and tuple(r[k] for k in keys) == wanted]
    return found.get(plain) or next(iter(same), None)


def side_by_side() -> str:
    """All methods that have a page, on the one task that most of them were published on."""
    found, rows = records(), []
    for name, method in METHODS.items():
        if not (METHOD_PAGES / f"{name}.md").exists():
            continue
        alone, together = (headline(name, found, transductive) for transductive in (False, True))
        known = alone or together
        if known is None:
            rows.append([f"[{name}]({name}.md)", method.about.title, "-", "-", "-", "see its page", ""])
            continue
        figures = [paper_figure(name, known | {"transductive": mode}) for mode in (False, True)]
        rows.append(
            [
                f"[{name}]({name}.md)",
                method.about.title,
                measured(alone) if alone else "-",
                measured(together) if together else "-",
                " / ".join("-" if f == "-" else f for f in figures) if any(f != "-" for f in figures) else "-",
                f"{(known['train_seconds'] or 0) / 60:.1f}",
                str(known["threads"]),
            ]
        )
    head = ("name", "method", "ours", "ours, all together", "paper (alone / all together)", "minutes", "threads")
    return lines(head, rows)


def shortfalls() -> list[list[str]]:
    """Where the interval of ours lies below the paper's: method, task, ours, the paper's, tasks trained on, and why."""
    rows = []
    for record in records().values():
        method, figure = record["method"], paper_figure(record["method"], record)
        if figure == "-" or record.get("measure") == "mse":
            continue
        value, _, half = figure.partition(" ± ")
        if record["accuracy"] + record["ci95"] >= float(value) - float(half or 0):
            continue
        task = task_of(record) + ", all together" * record["transductive"]
        seen = record["train_steps"] * record["config"]["training"]["tasks"]
        why = PUBLISHED[method].get("lower", "")
        rows.append([f"[{method}]({method}.md)", task, measured(record), figure, f"{seen:,}", why])
    return rows


def methods_page() -> str:
    """The tables of docs/methods/README.md."""
    head = ("method", "task", "ours", "paper", "tasks trained on", "why, as far as it is known")
    return (
        side_by_side()
        + "\nWhere ours is below the paper's, by more than the intervals:\n\n"
        + lines(head, shortfalls())
    )


def models() -> str:
    """What the built-in models reach: the record beside each, and further records of theirs here (model-*.json)."""
    rows = []
    for name in BUILTIN:
        beside = json.loads((find_run(name) / "record.json").read_text(encoding="utf-8"))
        more = {stem: r for stem, r in records().items() if r["command"].startswith(f"kshot evaluate {name} ")}
        for stem, record in {"": beside, **more}.items():
            row, sure = cells(stem, record), record.get("calibration") or {}
            errors = f"{sure['ece']:.1f} % ({sure['ece_before']:.1f} %)" if sure else ""
            rows.append(
                [f"`{name}`", *row[2:5], row[6], errors, row[9], f"`results/{stem}.json`" if stem else "beside it"]
            )
    return lines(("model", *COLUMNS[2:5], "result", "calibration error (without)", "minutes", "record"), rows)


def encoders(sentences: bool) -> str:
    """What methods reach on the features of frozen encoders: of sentences; or of pictures, beside those without one."""
    found = {f"encoders/{path.stem}": json.loads(path.read_text(encoding="utf-8")) for path in ENCODED.glob("*.json")}
    found = {stem: r for stem, r in sorted(found.items()) if r["data"].endswith(".csv") == sentences}
    beside = {} if sentences else {stem: r for stem, r in records().items() if stem.rpartition("-")[0] in BESIDE}
    rows = []
    for stem, record in (beside | found).items():
        options = ", ".join(f"{k}={v}" for k, v in record["config"]["options"].items() if stem in found)
        rows.append(
            [
                record["method"] + (f" ({options})" if options else ""),
                BESIDE.get(stem.rpartition("-")[0]) or ENCODERS[Path(stem).name.partition("-")[0]],
                f"{record['data']} {record['split']}",
                task_of(record),
                measured(record),
                str(record["episodes"]),
                f"`results/{stem}.json`",
            ]
        )
    return lines(("method", "encoder", "tested on", "task", "result", "tasks", "record"), rows)


def fill(text: str, marker: str, table: str, end: str = "results") -> str:
    """text with the table between `<!-- marker -->` and `<!-- /end -->`."""
    pattern = rf"(<!-- {re.escape(marker)} -->\n).*?(<!-- /{end} -->)"
    return re.sub(pattern, lambda m: f"{m[1]}\n{table}\n{m[2]}", text, count=1, flags=re.DOTALL)


def pages() -> dict[Path, str]:
    """Every page with a table of records, as it should be."""
    made = {HERE / "README.md": all_records(), **recipes.files(records())}
    made[MODEL_PAGE] = fill(MODEL_PAGE.read_text(encoding="utf-8"), "results:models", models())
    for page, sentences in ((HERE.parent / "docs" / "encoders.md", False), (HERE.parent / "docs" / "text.md", True)):
        made[page] = fill(page.read_text(encoding="utf-8"), "results:encoders", encoders(sentences))
    for page in sorted(METHOD_PAGES.glob("*.md")):
        text = with_differences(page.read_text(encoding="utf-8"))
        marker = "results" if page.stem == "README" else f"results:{page.stem}"
        made[page] = fill(text, marker, methods_page() if page.stem == "README" else measured_section(page.stem))
    found = records()
    tables = {
        "choose": lines(choose.COLUMNS, choose.rows(lambda name: headline(name, found, False), measured)),
        "recipes": lines(recipes.COLUMNS, recipes.rows(found)),
    }
    for name, table in tables.items():
        page = METHOD_PAGES.parent / f"{name}.md"
        made[page] = fill(page.read_text(encoding="utf-8"), name, table, name)
    return made


if __name__ == "__main__":
    for path, text in pages().items():
        path.write_text(text, encoding="utf-8")
