"""Claims about the counter-based generator."""

from __future__ import annotations

import pytest
import torch

from kshot.functional import random


def key(n: int = 1, seed: int = 0, stream: str = "test") -> torch.Tensor:
    return random.keys(seed, torch.arange(n), stream)


def test_is_splitmix64() -> None:
    """The published first outputs for the seed 1234567."""
    words = random.bits(torch.tensor(1234567), 3).tolist()
    assert [w % 2**64 for w in words] == [6457827717110365317, 3203168211198807973, 9817491932198370423]


def test_all_ways_to_mix_agree() -> None:
    """Integers of Python, arrays of numpy (tensors on a processor) and tensors (elsewhere, and when compiling)."""
    words = torch.tensor([[0, 1, -1], [2**62, -(2**63), 2**63 - 1]])
    mixed = random.mix(words)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.compiler, "is_compiling", lambda: True)
        assert torch.equal(random.mix(words), mixed)
        assert torch.equal(random.mix(words.T), mixed.T)
    assert torch.equal(random.mix(words.T), mixed.T)
    assert torch.equal(random.mix(words[0, 1]), mixed[0, 1])
    assert [random._mix_int(w) for w in words.flatten().tolist()] == mixed.flatten().tolist()
    assert torch.equal(random.keys(-3, words, "s"), random.keys(2**64 - 3, words, "s"))


def test_numbers_depend_on_nothing_but_their_place() -> None:
    whole = random.uniform(key(8), 5)
    assert torch.equal(whole[3:4], random.uniform(key(8)[3:4], 5))
    assert torch.equal(whole[:, :2], random.uniform(key(8), 2))
    assert torch.equal(random.normal(key(8), 6)[:, :2], random.normal(key(8), 2))


def test_seed_index_and_stream_all_matter() -> None:
    words = torch.cat([random.bits(key(4), 4), random.bits(key(4, seed=1), 4), random.bits(key(4, stream="b"), 4)])
    assert words.unique().numel() == words.numel()
    folded = [random.bits(random.fold(key(), torch.tensor(i)), 4) for i in range(-3, 4)]
    assert torch.cat(folded).unique().numel() == 28


def test_uniform_numbers_are_uniform() -> None:
    u = random.uniform(key(200), 500, low=2.0, high=4.0)
    assert 2.0 <= float(u.min()) < float(u.max()) < 4.0
    counts = torch.histc(u, 20, 2.0, 4.0) / u.numel()
    assert (counts - 1 / 20).abs().max() < 4 * (0.05 * 0.95 / u.numel()) ** 0.5
    pairs = torch.corrcoef(torch.stack([u[:, :-1].flatten(), u[:, 1:].flatten()]))[0, 1]
    assert pairs.abs() < 4 / u.numel() ** 0.5


def test_normal_numbers_are_normal() -> None:
    z = random.normal(key(200), 500).double()
    n = z.numel()
    assert z.mean().abs() < 4 / n**0.5
    assert (z.square().mean() - 1).abs() < 4 * (2 / n) ** 0.5
    assert (z.pow(4).mean() - 3).abs() < 4 * (96 / n) ** 0.5


def test_integers_cover_their_range_evenly() -> None:
    counts = torch.bincount(random.integers(key(100), 700, high=7).flatten(), minlength=7) / 70_000
    assert len(counts) == 7
    assert (counts - 1 / 7).abs().max() < 4 * (6 / 49 / 70_000) ** 0.5


@pytest.mark.parametrize(("k", "high"), [(5, 5), (3, 4), (20, 1000)])
def test_distinct_numbers_are_distinct_and_even(k: int, high: int) -> None:
    drawn = random.distinct(key(20_000), k, high)
    assert drawn.shape == (20_000, k)
    assert int(drawn.min()) >= 0
    assert int(drawn.max()) < high
    assert (drawn.sort(-1).values.diff() > 0).all()
    for position in (0, k - 1):  # every place is uniform
        counts = torch.bincount(drawn[:, position], minlength=high) / 20_000
        assert (counts - 1 / high).abs().max() < 5 * (1 / high / 20_000) ** 0.5


def test_distinct_numbers_have_their_own_limits() -> None:
    high = torch.tensor([3, 50])
    drawn = random.distinct(key(2), 3, high)
    assert sorted(drawn[0].tolist()) == [0, 1, 2]
    assert int(drawn[1].max()) < 50
    with pytest.raises(ValueError, match="cannot draw 4 distinct numbers below 3"):
        random.distinct(key(2), 4, high)


def test_permutations_are_uniform() -> None:
    orders = random.permutation(key(24_000), 4)
    code = (orders * torch.tensor([64, 16, 4, 1])).sum(-1)
    counts = torch.unique(code, return_counts=True)[1] / 24_000
    assert len(counts) == 24
    assert (counts - 1 / 24).abs().max() < 4.5 * (1 / 24 / 24_000) ** 0.5
