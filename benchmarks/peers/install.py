"""Make an environment for each peer under .bench/ and write down which of them work (make bench-peers).

Every peer gets a virtual environment of its own with the pinned version of `<peer>.txt`; torch, which is large, is
installed once into .bench/base and seen by all of them. A peer that cannot be installed or imported is not a failure
of this program: the last lines of its error go to .bench/<peer>/failed.txt and results/bench/peers.json.
"""

from __future__ import annotations

import argparse
import datetime
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
BENCH = ROOT / ".bench"
RECORD = ROOT / "results" / "bench" / "peers.json"
IMPORTS = {
    "learn2learn": "learn2learn",
    "torchmeta": "torchmeta",
    "higher": "higher",
    "torchopt": "torchopt",
    "easyfsl": "works.easyfsl_parts",
    "iteryne": "iteryne",
    "parallel-metalearn": "metalearn.algorithms, metalearn.dataset",
}
CONSTRAINTS = ["-c", str(ROOT / "constraints.txt"), "-c", str(HERE / "base.txt")]


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a command beside the works and keep what it prints."""
    words = [str(c) for c in command]
    return subprocess.run(
        words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, cwd=HERE.parent
    )


def site_packages(venv: Path) -> Path:
    """Where the packages of an environment lie."""
    return next((venv / "lib").glob("python*")) / "site-packages"


def make_base(venv: Path) -> None:
    """torch and numpy, once for all peers."""
    if not (venv / "done").exists():
        run(sys.executable, "-m", "venv", venv)
        made = run(
            venv / "bin" / "pip",
            "install",
            "-q",
            "-c",
            ROOT / "constraints.txt",
            "-r",
            HERE / "base.txt",
        )
        if made.returncode:
            sys.exit(f"torch cannot be installed into {venv}:\n{made.stdout}")
        (venv / "done").touch()


def tail(text: str, lines: int = 5) -> str:
    """An error and what follows it, without notices, folders and addresses of the machine it happened on."""
    kept = [line.strip(" │") for line in text.splitlines()]
    noise = r"(WARNING|\[notice\]|note:|hint:|╰─>|×|\[end|exit code|To fix this|.*subprocess-exited-with-error)"
    kept = [line for line in kept if line and not re.match(noise, line)]
    first = next((i for i, line in enumerate(kept) if re.search(r"(error in|error:|Error:|ERROR)", line)), -lines)
    chosen = kept[first:][:lines]
    return "\n".join(re.sub(r"(https?://|file:/)\S+|(?<![\w.])/[\w./-]+/", "", line)[:240] for line in chosen)


def install(peer: str, again: bool) -> dict[str, object]:
    """Make the environment of one peer and try to import it: its record."""
    venv, needs = BENCH / peer, HERE / f"{peer}.txt"
    if again or (venv.exists() and not (venv / "done").exists()):
        shutil.rmtree(venv, ignore_errors=True)
    pinned = needs.read_text().split()[0]
    error = ""
    if not (venv / "done").exists():
        run(sys.executable, "-m", "venv", venv)
        (site_packages(venv) / "base.pth").write_text(f"{site_packages(BENCH / 'base')}\n")
        made = run(venv / "bin" / "python", "-m", "pip", "install", *CONSTRAINTS, "-r", needs)
        error = tail(made.stdout) if made.returncode else ""
    if not error:
        tried = run(venv / "bin" / "python", "-W", "ignore", "-c", f"import {IMPORTS[peer]}")
        error = tail(tried.stdout) if tried.returncode else ""
    if error:
        (venv / "failed.txt").write_text(error + "\n")
    else:
        (venv / "failed.txt").unlink(missing_ok=True)
        (venv / "done").touch()
    return {"peer": peer, "version": pinned.partition("==")[2], "works": not error, "error": error}


def main() -> None:
    """Install all peers, or those named."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("peers", nargs="*", help=f"of {', '.join(IMPORTS)} (default: all)")
    parser.add_argument("--again", action="store_true", help="make the environments anew")
    asked = parser.parse_args()
    unknown = sorted(set(asked.peers) - set(IMPORTS))
    if unknown:
        parser.error(f"no such peer: {', '.join(unknown)}; there are {', '.join(IMPORTS)}")
    make_base(BENCH / "base")
    known = {r["peer"]: r for r in json.loads(RECORD.read_text())["peers"]} if RECORD.exists() else {}
    for peer in asked.peers or IMPORTS:
        known[peer] = install(peer, asked.again)
        found = known[peer]
        print(f"{peer} {found['version']}: {'works' if found['works'] else 'does not work'}", flush=True)
        if not found["works"]:
            print("    " + str(found["error"]).replace("\n", "\n    "), flush=True)
    ask = "import sys, torch; print(sys.version.split()[0], torch.__version__)"
    versions = dict(zip(("python", "torch"), run(BENCH / "base" / "bin" / "python", "-c", ask).stdout.split()))
    record = {"date": datetime.date.today().isoformat(), **versions, "peers": [known[p] for p in IMPORTS if p in known]}
    RECORD.parent.mkdir(parents=True, exist_ok=True)
    RECORD.write_text(json.dumps(record, indent=2, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
