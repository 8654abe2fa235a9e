"""Counter-based random numbers: every number is a pure function of (seed, index, stream, position).

No generator has state, so a task is the same on every machine, with any number of workers, after any crash, and a
batch of tasks is drawn in a few tensor operations on the device. The generator is SplitMix64 (Steele, Lea & Flood,
"Fast splittable pseudorandom number generators", OOPSLA 2014), whose j-th output is mix(key + (j + 1) * gamma) and so
needs no state; keys are made by passing seed, index and stream through the same mixer.

All integers are int64 tensors whose arithmetic wraps, used as unsigned 64-bit words.
"""

from __future__ import annotations

import math
import zlib

import numpy as np
import torch
from torch import Tensor


def _signed(word: int) -> int:
    return word - (1 << 64) if word >= 1 << 63 else word


_WORD = 2**64 - 1
_GAMMA, _FACTORS = 0x9E3779B97F4A7C15, (0xBF58476D1CE4E5B9, 0x94D049BB133111EB)
GAMMA = _signed(_GAMMA)
_M1, _M2 = map(_signed, _FACTORS)
_U1, _U2 = map(np.uint64, _FACTORS)
_S27, _S30, _S31 = map(np.uint64, (27, 30, 31))


def _shift(x: Tensor, k: int) -> Tensor:
    """Logical right shift of a 64-bit word by k bits (torch's own shift is arithmetic)."""
    return (x >> k) & ((1 << (64 - k)) - 1)


def mix(x: Tensor) -> Tensor:
    """SplitMix64's finaliser: a bijection on 64-bit words in which every input bit flips about half of the output."""
    if x.device.type == "cpu" and not torch.compiler.is_compiling():
        return torch.from_numpy(_mix_array(x.numpy().view(np.uint64)).view(np.int64))
    x = (x ^ _shift(x, 30)) * _M1
    x = (x ^ _shift(x, 27)) * _M2
    return x ^ _shift(x, 31)


def _mix_array(x: np.ndarray) -> np.ndarray:
    """The same on an array of uint64: on a processor, numpy needs a third of torch's time for a few hundred words."""
    y = np.empty(x.shape, np.uint64)
    np.right_shift(x, _S30, out=y)
    np.bitwise_xor(x, y, out=y)
    np.multiply(y, _U1, out=y)
    z = np.empty(x.shape, np.uint64)
    for shift, factor in ((_S27, _U2), (_S31, None)):
        np.right_shift(y, shift, out=z)
        np.bitwise_xor(y, z, out=y)
        if factor is not None:
            np.multiply(y, factor, out=y)
    return y


def _mix_int(x: int) -> int:
    """The same on a Python integer, as a signed word."""
    x &= _WORD
    x = (x ^ x >> 30) * _FACTORS[0] & _WORD
    x = (x ^ x >> 27) * _FACTORS[1] & _WORD
    return _signed(x ^ x >> 31)


def keys(seed: int, index: Tensor, stream: str) -> Tensor:
    """One 64-bit key for each entry of index, for the named stream of the given seed.

    Args:
        seed: any Python integer; taken modulo 2^64.
        index: int64, any shape.
        stream: what the numbers are for ("classes", "rotation", ...); streams are independent.
    """
    key = mix((index ^ _mix_int(seed + _GAMMA)) + GAMMA)
    return mix((key ^ zlib.crc32(stream.encode())) + GAMMA)


def bits(key: Tensor, *shape: int) -> Tensor:
    """64 random bits for each position: int64 of shape [*key.shape, *shape]."""
    counter = torch.arange(1, math.prod(shape) + 1, device=key.device) * GAMMA
    return mix(key[..., None] + counter).view(*key.shape, *shape)


def uniform(key: Tensor, *shape: int, low: float = 0.0, high: float = 1.0) -> Tensor:
    """float32 uniform numbers in [low, high) of shape [*key.shape, *shape] (24 bits of each word are used)."""
    unit = (_shift(bits(key, *shape), 40)).to(torch.float32) * (1.0 / (1 << 24))
    return unit if (low, high) == (0.0, 1.0) else unit * (high - low) + low


def normal(key: Tensor, *shape: int) -> Tensor:
    """float32 standard normal numbers (Box & Muller 1958) of shape [*key.shape, *shape].

    One 64-bit word gives the radius (32 bits) and the angle (32 bits) of one number, so that position j does not
    depend on how many numbers are drawn.
    """
    word = bits(key, *shape)
    radius = (_shift(word, 32).to(torch.float64) + 0.5) * 2.0**-32
    angle = (word & 0xFFFFFFFF).to(torch.float64) * (2.0 * math.pi * 2.0**-32)
    return (torch.sqrt(-2.0 * torch.log(radius)) * torch.cos(angle)).to(torch.float32)


def integers(key: Tensor, *shape: int, high: int | Tensor) -> Tensor:
    """Uniform int64 numbers in [0, high) of shape [*key.shape, *shape]; high < 2^31 broadcasts against it."""
    return (_shift(bits(key, *shape), 32) * high) >> 32


def permutation(key: Tensor, n: int) -> Tensor:
    """A uniform permutation of 0..n-1 for each key: int64 [*key.shape, n]."""
    return order(bits(key, n))


def order(words: Tensor) -> Tensor:
    """The positions that sort the last axis, of words that differ; numpy's sort is the faster one on a processor."""
    on_cpu = words.device.type == "cpu"
    return torch.from_numpy(words.numpy().argsort(-1)) if on_cpu else words.argsort(-1)


def distinct(key: Tensor, k: int, high: int | Tensor) -> Tensor:
    """k distinct uniform numbers in [0, high) for each key, in random order: int64 [*key.shape, k].

    The j-th number is drawn among the high - j values not yet taken: with the taken values sorted, c_0 < c_1 < ...,
    the r-th free value is r + #{i : c_i - i <= r}. Costs k small operations whatever high is; a processor does them.
    """
    most = np.asarray(high if isinstance(high, int) else high.cpu())
    if most.min() < k:
        raise ValueError(f"cannot draw {k} distinct numbers below {most.min()}")
    order = np.arange(k)
    free = integers(key.cpu(), k, high=torch.from_numpy(most[..., None] - order)).numpy()  # [..., k]
    drawn = free.copy()
    taken = free.copy()  # the first j of them, sorted
    for j in range(1, k):
        below = taken[..., :j] - order[:j] <= free[..., j : j + 1]
        taken[..., j] = drawn[..., j] = free[..., j] + np.add.reduce(below, -1)
        taken[..., : j + 1].sort(-1)
    return torch.from_numpy(drawn).to(key.device)


def fold(key: Tensor, number: Tensor) -> Tensor:
    """A new key from a key and an integer (they broadcast): independent streams within one stream."""
    return mix(mix(key + GAMMA) ^ (number * GAMMA))
