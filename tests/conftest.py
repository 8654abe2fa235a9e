"""Fixtures that every test may use."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).resolve().parent.parent

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # no test downloads weights

if "PYTEST_XDIST_WORKER" in os.environ:
    torch.set_num_threads(1)  # one core for each process; tests of threads ask for theirs


@pytest.fixture(autouse=True, scope="session")
def _engines_cached_here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Tests remember nothing in the user's cache; downloads that lie there may be used."""
    patch = pytest.MonkeyPatch()
    if "KSHOT_CACHE" not in os.environ:
        patch.setenv("KSHOT_CACHE", str(tmp_path_factory.mktemp("cache")))
    yield
    patch.undo()


def find_data() -> Path | None:
    """The folder of real data: KSHOT_DATA, or ../shared/data beside the checkout when it exists."""
    named = os.environ.get("KSHOT_DATA")
    for folder in [Path(named)] if named else [ROOT.parent / "shared" / "data"]:
        if folder.is_dir():
            return folder
    return None


@pytest.fixture(scope="session")
def kshot_data() -> Path:
    """The folder of real data; the test is skipped without it (and fails where KSHOT_REQUIRE_DATA=1)."""
    folder = find_data()
    if folder is None:
        if os.environ.get("KSHOT_REQUIRE_DATA") == "1":
            pytest.fail("KSHOT_REQUIRE_DATA=1, but neither KSHOT_DATA nor ../shared/data is a folder")
        pytest.skip("needs real data: set KSHOT_DATA to a folder with omniglot/images_background.zip")
    return folder


@pytest.fixture(autouse=True)
def _global_generator_untouched() -> object:
    """No test, and so nothing in the library, may move torch's global generator."""
    before = torch.random.get_rng_state()
    yield
    after = torch.random.get_rng_state()
    torch.random.set_rng_state(before)
    assert torch.equal(before, after), "the global random generator was used or set"


@pytest.fixture(scope="session")
def visitor() -> Iterator[object]:
    """A Chromium at the page, which is served in this process; one for all tests of a process."""
    from browser_support import Visitor, chromium
    from serve_support import serving

    with chromium() as browser, serving(data_dir=find_data()) as address:
        yield Visitor(browser, address)
