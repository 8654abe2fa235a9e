"""Features are computed once: what decides about a feature, and the files that keep them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from encoder_support import Means, colour_encoder, coloured, small_fit
from kshot.encoders import module_encoder
from kshot.encoders.store import MANY, FeatureStore
from kshot.errors import UserError


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("KSHOT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "features"


def test_a_picture_is_computed_once_whatever_its_file_is_called(tmp_path: Path) -> None:
    first = coloured(tmp_path / "a" / "red.png", "red")
    copied = tmp_path / "b.png"
    copied.write_bytes(first.read_bytes())
    encoder, network = colour_encoder()
    before = encoder.encode([first, copied, first])
    assert network.seen == [1]
    again, fresh = colour_encoder()  # as a later process would open it
    torch.testing.assert_close(again.encode([copied, first, first]), before)
    assert fresh.seen == []
    coloured(first, "blue")  # other content under the same name
    assert not torch.allclose(again.encode([first]), before[:1])
    assert fresh.seen == [1]


def test_all_that_decides_about_a_feature_is_in_the_key() -> None:
    plain = colour_encoder()[0].key
    assert colour_encoder()[0].key == plain
    assert colour_encoder(1.5)[0].key != plain  # other weights
    assert colour_encoder(identity={"size": 9})[0].key != plain  # other preprocessing

    class Other(Means):
        pass

    assert module_encoder(Other(), small_fit, name="colours", size=8).key != plain  # another network


def test_pictures_are_computed_in_batches() -> None:
    encoder, network = colour_encoder(batch=4)
    X = np.arange(10, dtype=np.uint8)[:, None, None, None] * np.ones((1, 8, 8, 3), np.uint8)
    encoder.encode(X)
    assert network.seen == [4, 4, 2]
    order = encoder.encode(X[::-1])
    assert network.seen == [4, 4, 2]
    torch.testing.assert_close(order[0, 0] > 0, torch.tensor(True))
    torch.testing.assert_close(order.flip(0), encoder.encode(X))


def test_what_was_computed_before_a_bad_file_is_kept(tmp_path: Path) -> None:
    good = [coloured(tmp_path / f"{i}.png", "red", i) for i in range(3)]
    (tmp_path / "bad.png").write_bytes(b"no picture")
    encoder, network = colour_encoder(batch=2)
    with pytest.raises(UserError, match=r"bad\.png is not a picture"):
        encoder.encode([*good, tmp_path / "bad.png"])
    encoder.encode(good)
    assert network.seen == [2, 1]


def test_damaged_files_are_computed_again(cache: Path) -> None:
    X = np.zeros((2, 8, 8), np.uint8) + np.array([3, 4], np.uint8)[:, None, None]
    encoder, network = colour_encoder()
    before = encoder.encode(X)
    (path,) = cache.glob("*/*.npz")
    for content in (path.read_bytes()[:-30], b"", b"PK\3\4 nothing"):
        for path in cache.glob("*/*.npz"):
            path.write_bytes(content)
        torch.testing.assert_close(encoder.encode(X), before)
    assert len(network.seen) == 4


def test_nothing_is_kept_where_the_user_says_so(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KSHOT_FEATURES_MB", "0")
    encoder, network = colour_encoder()
    X = np.zeros((1, 8, 8), np.uint8)
    encoder.encode(X)
    encoder.encode(X)
    assert network.seen == [1, 1]
    assert not cache.exists()
    for wrong in ("much", "-1", "nan", "inf"):
        monkeypatch.setenv("KSHOT_FEATURES_MB", wrong)
        with pytest.raises(UserError, match=f"KSHOT_FEATURES_MB must be a number of megabytes .* got '{wrong}'"):
            encoder.encode(X)


def test_a_cache_that_cannot_be_written_only_warns(cache: Path) -> None:
    cache.parent.mkdir(parents=True)
    cache.write_text("a file in the place of the folder")
    with pytest.warns(UserWarning, match="could not keep features in .*KSHOT_CACHE"):
        assert colour_encoder()[0].encode(np.ones((1, 8, 8), np.uint8)).shape == (1, 3)


def fill(key: str, start: int, count: int, size: int = 50) -> None:
    store = FeatureStore(key)
    for i in range(start, start + count):
        store.add(i.to_bytes(32, "big"), np.full(size, i, np.float32))
    store.flush()


def test_the_least_used_features_go_first(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KSHOT_FEATURES_MB", "0.07")
    for day, key in enumerate(["one", "two", "three"]):
        fill(key, 0, 80)  # 19 kB each
        for path in (cache / key).iterdir():
            os.utime(path, (day, day))
    assert FeatureStore("one").get((5).to_bytes(32, "big")) is not None  # used now, and so the last to go
    fill("four", 0, 80)
    left = {path.parent.name for path in cache.glob("*/*.npz")}
    assert left == {"one", "three", "four"}
    assert sum(path.stat().st_size for path in cache.glob("*/*.npz")) <= 70_000


def test_many_small_files_become_one(cache: Path) -> None:
    for i in range(MANY + 2):
        fill("k", 10 * i, 10)
    assert len(list((cache / "k").glob("*.npz"))) < 5
    store = FeatureStore("k")
    for i in range(10 * (MANY + 2)):
        np.testing.assert_array_equal(store[i.to_bytes(32, "big")], np.full(50, i, np.float32))


WRITER = """
import sys, types
import kshot
encoders = sys.modules["kshot.encoders"] = types.ModuleType("kshot.encoders")  # the store alone: torch takes seconds
encoders.__path__ = [kshot.__path__[0] + "/encoders"]
import numpy as np
from kshot.encoders.store import FeatureStore
for i in range(30):
    store = FeatureStore("shared")
    for j in range(5):
        number = 1000 * int(sys.argv[1]) + 5 * i + j
        store.add(number.to_bytes(32, "big"), np.full(50, number, np.float32))
    store.flush()
assert "torch" not in sys.modules
"""


def test_processes_write_side_by_side(cache: Path) -> None:
    """Both merge files while the other writes; nothing is lost and nothing half-written remains."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, str(n)], env=environment) for n in (1, 2)]
    assert [writer.wait(60) for writer in writers] == [0, 0]
    store = FeatureStore("shared")
    for n in (1, 2):
        for i in range(150):
            number = 1000 * n + i
            np.testing.assert_array_equal(store[number.to_bytes(32, "big")], np.full(50, number, np.float32))
    assert {path.suffix for path in (cache / "shared").iterdir()} == {".npz"}
