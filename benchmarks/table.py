"""Write results/bench/README.md from the records beside it: python benchmarks/table.py"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

RECORDS = Path(__file__).resolve().parent.parent / "results" / "bench"
HEAD = """# Speed beside the peers

Made by `python benchmarks/table.py` from the records in this folder, which `make bench` wrote. Every library works in
a process and an environment of its own, on the same data from the same first weights with the same number of threads;
they take turns, and a ratio is the peer's time over kshot's within one round: the median, and in brackets the extremes
over the rounds. Where a peer has several forms (tasks one after the other, or vectorised in chunks), the fastest that
computes the right gradient stands here. Memory is the peak of the process by the operating system, and in brackets what
the steps added to it. Each has the settings that it makes itself: what importing kshot sets in the environment (large
pages, short waits of threads), a peer does not get. The best peer of each comparison is in bold; a hand-written loop is
shown but is not a peer.
"""
COLUMNS = """
| kshot | time | peer | time | ratio | memory of kshot | memory of the peer |
|---|---|---|---|---|---|---|
"""


def records(path: Path) -> list[dict[str, Any]]:
    """The records of one work."""
    return list(json.loads(path.read_text()))


def duration(found: dict[str, Any], seconds: float) -> str:
    """A time, or how many tasks a second that makes."""
    if found["rate"]:
        return f"{found['rate'] / seconds:,.0f} tasks/s"
    return f"{seconds:.1f} s" if seconds >= 10 else f"{seconds:.2f} s" if seconds >= 1 else f"{1000 * seconds:.1f} ms"


def memory(found: dict[str, Any], whose: str) -> str:
    """Peak of the process, and of the steps."""
    if not found[f"{whose}_peak_mb"]:
        return ""
    return f"{found[f'{whose}_peak_mb']:,} MB ({found[f'{whose}_step_mb']:,})"


def best_peer(found: list[dict[str, Any]]) -> dict[str, Any] | None:
    """The fastest true peer among records of one form of kshot; anything else beside it if there is none."""
    beside = [r for r in found if r["peer"]]
    peers = [r for r in beside if r["peer_counts"] and not r["peer_differs"]]
    return min(peers or beside, key=lambda r: r["ratio"], default=None)


def verdict(found: list[dict[str, Any]]) -> str:
    """Whether the bar is met, part by part."""
    first, best = found[0], best_peer(found)
    bar = first["bar"]
    parts = []
    if bar["ratio"] is not None and best:
        parts.append((f"{best['ratio']:.2f} times", best["ratio"] >= bar["ratio"]))
    if bar["memory"] is not None and best:
        for which, whose in (("peak", "the process"), ("step", "the steps alone")):
            part = best[f"ours_{which}_mb"] / max(best[f"peer_{which}_mb"], 1)
            parts.append((f"memory of {whose} {part:.2f} times", part <= bar["memory"]))
    if bar["seconds"] is not None:
        parts.append((duration(first, first["ours_s"]), first["ours_s"] <= bar["seconds"]))
    said = "; ".join(f"{text}: {'met' if met else 'missed'}" for text, met in parts)
    wrong = f". Its first step differs from the others': {first['ours_differs']}" if first["ours_differs"] else ""
    return f"Bar of {first['ours']}: {bar['text']}. {said}{wrong}.\n"


def line(found: dict[str, Any], bold: bool) -> str:
    """One comparison."""
    name = f"{found['ours']} ({found['ours_variant']})" if found["ours_variant"] else found["ours"]
    cells = [name, duration(found, found["ours_s"])]
    if found["peer"]:
        low, high = found["spread"]
        variant = f" ({found['peer_variant']})" if found["peer_variant"] else ""
        wrong = f", differs: {found['peer_differs']}" if found["peer_differs"] else ""
        ratio = f"{found['ratio']:.2f} ({low:.2f} to {high:.2f})"
        cells += [f"{found['peer']}{variant}{wrong}", duration(found, found["peer_s"])]
        cells += [f"**{ratio}**" if bold else ratio, memory(found, "ours"), memory(found, "peer")]
    else:
        cells += ["", "", "", memory(found, "ours"), ""]
    return "| " + " | ".join(cells) + " |\n"


def section(path: Path) -> str:
    """One work."""
    found = records(path)
    first = found[0]
    where = f"{first['device']}, {first['threads']} thread{'s' * (first['threads'] > 1)}, {first['rounds']} rounds"
    unit = "" if first["unit"] == "step" else f" Times are for {first['unit']}."
    when = f"{first['date']}, torch {first['versions']['torch']}"
    text = f"\n## {first['title']}\n\n`{path.stem}`; {where}, {when}.{unit}\n\n"
    forms = list(dict.fromkeys(r["ours"] for r in found))
    aimed = [[r for r in found if r["ours"] == form] for form in forms]
    aimed = [a for a in aimed if any(a[0]["bar"][part] is not None for part in ("ratio", "memory", "seconds"))]
    text += "".join(f"- {verdict(a)}" for a in aimed) + COLUMNS
    for form in forms:
        beside = [r for r in found if r["ours"] == form]
        best = best_peer(beside)
        text += "".join(line(r, r is best) for r in beside)
    return text


def peers() -> str:
    """Which peers could be measured at all."""
    path = RECORDS / "peers.json"
    if not path.exists():
        return ""
    record = json.loads(path.read_text())
    text = "\n## The peers\n\n"
    text += f"Installed on {record['date']} with Python {record['python']} and torch {record['torch']}.\n\n"
    text += "| peer | version | state |\n|---|---|---|\n"
    for peer in record["peers"]:
        error = " ".join(peer["error"].split()).replace("|", "\\|")
        text += f"| {peer['peer']} | {peer['version']} | {'works' if peer['works'] else f'does not work: {error}'} |\n"
    return text


def page() -> str:
    """results/bench/README.md as it should be."""
    works = [p for p in sorted(RECORDS.glob("*.json")) if isinstance(json.loads(p.read_text()), list)]
    return HEAD + "".join(section(p) for p in works) + peers()


if __name__ == "__main__":
    (RECORDS / "README.md").write_text(page())
