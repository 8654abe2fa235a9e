"""Write the pages that are made from the code: python tools/pages.py

docs/commands.md says of every command what the command says of itself; docs/api/*.md name what each part of the library
offers, for mkdocstrings to fill in. A test holds the pages to the code.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from pathlib import Path
from typing import Any

import typer

from kshot.cli.app import app

DOCS = Path(__file__).resolve().parent.parent / "docs"
HEAD = """# Command line

Made by `python tools/pages.py` from the commands themselves: this is what `--help` says. Exit codes: 0 done, 2 a
mistake in what was asked for, 1 a failure, 130 Ctrl-C. `--json` prints one JSON document on standard
output and nothing else.
"""
KINDS = {str: "TEXT", int: "NUMBER", float: "NUMBER", Path: "PATH"}
OWN = "Method"  # the group of options that differs from method to method


PARTS = {
    "kshot.data": "Where examples come from.",
    "kshot.tasks": "What a task is, and the sources that draw it.",
    "kshot.methods": "The contract of every method, and the methods.",
    "kshot.backbones": "Encoders: any module from inputs to vectors is one; these are built in.",
    "kshot.training": "The one training loop, and runs read back.",
    "kshot.evaluation": "Reports with intervals, paired comparisons, records.",
    "kshot.estimator": "The contract of scikit-learn.",
    "kshot.recipes": "Whole trainings by name.",
    "kshot.functional": "The mathematics, as pure functions.",
}


def pages() -> dict[Path, str]:
    """Every page as it should be."""
    made = {DOCS / "api" / f"{name.partition('.')[2]}.md": api(name, what) for name, what in PARTS.items()}
    return {DOCS / "commands.md": command_line(), **made}


def api(part: str, what: str) -> str:
    """A page that names what a part of the library offers."""
    head = f"# {part}\n\n{what}\n"
    return head + "".join(f"\n::: {name}\n" for name in offered(part))


def offered(part: str) -> list[str]:
    """The public names of a part; of the mathematics, its modules."""
    module = importlib.import_module(part)
    if part == "kshot.functional":
        return [f"{part}.{m.name}" for m in pkgutil.iter_modules(module.__path__)]
    names = [n for n in getattr(module, "__all__", None) or vars(module) if not n.startswith("_")]
    own = [n for n in names if inspect.isroutine(getattr(module, n)) or inspect.isclass(getattr(module, n))]
    first = [n for n in ("Method", "About", "build_method") if n in own]  # the contract stands before those who keep it
    own = [*first, *(n for n in own if n not in first)]
    return [f"{part}.{n}" for n in own if str(getattr(module, n).__module__).startswith(part)]


def command_line() -> str:
    """The page of every command with its help."""
    root: Any = typer.main.get_command(app)
    ctx = root.make_context("kshot", ["list"])
    return HEAD + "".join(sections(root, ctx, "kshot"))


def sections(group: Any, ctx: Any, path: str) -> list[str]:
    """Every command of a group; of the methods, the shared options are told once."""
    found = []
    for name in group.list_commands(ctx):
        command, whole = group.get_command(ctx, name), f"{path} {name}"
        inside = command.context_class(command, info_name=name, parent=ctx)
        if not hasattr(command, "list_commands"):
            found.append(section(command, inside, whole))
        elif name == "train":
            found.append(training(command, inside, whole))
        else:
            found += [section(command, inside, whole, "##"), *sections(command, inside, whole)]
    return found


def training(group: Any, ctx: Any, path: str) -> str:
    """`kshot train`: what all methods share, and then what each has of its own."""
    methods = {name: group.get_command(ctx, name) for name in group.list_commands(ctx)}
    shared = panels(next(iter(methods.values())))
    shared.pop(OWN, None)
    parts = [section(group, ctx, path), "\nEvery method takes these:\n", *(options(*item) for item in shared.items())]
    for name, command in methods.items():
        own = panels(command).get(OWN)
        parts.append(f"\n### {path} {name}\n\n{text(command.help)}\n")
        parts.append(options("", own) if own else "\nIt has no options of its own.\n")
    return "".join(parts)


def section(command: Any, ctx: Any, path: str, level: str = "##") -> str:
    """A command: how it is called, what it says of itself, its options."""
    usage = " ".join([path, *command.collect_usage_pieces(ctx)])
    tables = "".join(options(title, found) for title, found in panels(command).items())
    return f"\n{level} {path}\n\n```text\n{usage}\n```\n\n{text(command.help)}\n{tables}"


def panels(command: Any) -> dict[str, list[Any]]:
    """The parameters by the title under which help shows them."""
    found: dict[str, list[Any]] = {}
    for parameter in command.params:
        if parameter.name != "help":
            title = "Arguments" if parameter.param_type_name == "argument" else parameter.rich_help_panel or "Options"
            found.setdefault(title, []).append(parameter)
    return found


def options(title: str, parameters: list[Any]) -> str:
    """A table of options."""
    rows = "".join(f"| {spelling(p)} | {text(p.help).replace('|', chr(92) + '|')} |\n" for p in parameters)
    return f"\n| {title or 'option'} | |\n|---|---|\n{rows}"


def spelling(parameter: Any) -> str:
    """How an option is typed."""
    if parameter.param_type_name == "argument":
        return f"`{parameter.metavar or parameter.name.upper()}`"
    names = ", ".join(f"`{name}`" for name in (*parameter.opts, *parameter.secondary_opts))
    return names if parameter.is_flag else f"{names} {parameter.metavar or kind(parameter.type_descriptor.annotation)}"


def kind(annotation: Any) -> str:
    """The kind of value that an option takes."""
    inside = [a for a in getattr(annotation, "__args__", ()) if a is not type(None)]
    return kind(inside[0]) if inside else KINDS[annotation]


def text(help: str | None) -> str:
    """Help text as Markdown: brackets as they are meant, examples as code."""
    words = (help or "").replace("\\[", "[").strip()
    lines = [
        f"    {line.removeprefix('Example: ')}" if line.startswith("Example: ") else line for line in words.splitlines()
    ]
    return "\n".join(lines).replace("<", "&lt;")


if __name__ == "__main__":
    for path, made in pages().items():
        path.write_text(made, encoding="utf-8")
