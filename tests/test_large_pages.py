"""Importing kshot makes torch use large pages, unless the user has decided otherwise."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SETTING = Path("/sys/kernel/mm/transparent_hugepage/enabled")
CODE = """
import resource, torch, kshot
faults = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_minflt
before = faults()
kept = [torch.ones(10_000_000) for _ in range(5)]
print(faults() - before)
"""


def page_faults(setting: str | None) -> int:
    """How many pages the system hands out for 200 MB."""
    environment = {k: v for k, v in os.environ.items() if k != "THP_MEM_ALLOC_ENABLE"}
    if setting is not None:
        environment["THP_MEM_ALLOC_ENABLE"] = setting
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True, env=environment)
    return int(done.stdout)


@pytest.mark.skipif(
    not SETTING.exists() or "[madvise]" not in SETTING.read_text(), reason="the system does not offer large pages"
)
def test_large_pages_are_used_and_can_be_refused() -> None:
    refused = page_faults("0")
    assert refused > 40_000  # of 4 KB
    assert page_faults(None) < refused / 4
