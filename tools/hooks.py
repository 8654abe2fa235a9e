"""What mkdocs needs to know of this repository: pages link to records and to the changelog, which lie outside docs/.

GitHub shows the same files, so links are written as paths in the repository. Here the files that are linked from a page
join the site, and links to them are turned accordingly; what the site cannot show (code) becomes plain text.
"""

from __future__ import annotations

import os
import re
from pathlib import Path, PurePosixPath
from typing import Any

from mkdocs.structure.files import File

ROOT = Path(__file__).resolve().parent.parent
LINK = re.compile(r"(?<!!)\[(?P<text>[^\]]*)\]\((?P<path>[^)#\s:]+)(?P<place>#[^)]*)?\)")
OUTSIDE = ("CHANGELOG.md", "results/*.md", "results/*.json", "results/compare/*.json", "results/bench/*.md",
           "results/bench/*.json")  # fmt: skip


def on_files(files: Any, config: Any) -> Any:
    """The records, their tables and the changelog as files of the site."""
    for pattern in OUTSIDE:
        for path in sorted(ROOT.glob(pattern)):
            name = path.relative_to(ROOT).as_posix()
            files.append(File.generated(config, name, abs_src_path=str(path)))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    """Links as the site has them."""
    inside = page.file.abs_src_path and Path(page.file.abs_src_path).is_relative_to(ROOT / "docs")
    place = PurePosixPath("docs" if inside else "") / page.file.src_uri  # the page's path in the repository

    def turned(found: re.Match[str]) -> str:
        target = os.path.normpath(place.parent / found["path"])  # of the link, in the repository
        target += "/README.md" if (ROOT / target).is_dir() else ""
        name = target.removeprefix("docs/")  # in the site
        if files.get_file_from_path(name) is None:
            if (ROOT / target).exists():
                return f"{found['text']} (`{target}`)"
            return found[0]  # mkdocs says what is missing
        relative = os.path.relpath(name, PurePosixPath(page.file.src_uri).parent)
        return f"[{found['text']}]({relative}{found['place'] or ''})"

    return LINK.sub(turned, markdown)
