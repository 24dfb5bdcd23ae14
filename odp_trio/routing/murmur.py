"""MurmurHash64A as KEY partitioning uses it: the hash of one column is the seed of the next."""

from __future__ import annotations

from struct import Struct
from typing import Final

_M: Final = 0xC6A4A7935BD1E995
_MASK: Final = 0xFFFFFFFFFFFFFFFF
_START_OF_EIGHT: Final = 8 * _M & _MASK
_WORDS: Final = [Struct(f"<{count}Q").unpack_from for count in range(17)]
"""What reads so many words: most strings are hashed in pieces of at most 128 bytes."""


def murmur(data: bytes, seed: int) -> int:
    """Hash bytes to 64 bits, unsigned."""
    length = len(data)
    h = seed ^ (length * _M & _MASK)
    whole = length & ~7
    for k in _WORDS[whole >> 3](data) if whole <= 128 else Struct(f"<{whole >> 3}Q").unpack_from(data):
        k = k * _M & _MASK
        k ^= k >> 47
        h = (h ^ (k * _M & _MASK)) * _M & _MASK
    if whole < length:
        h = (h ^ int.from_bytes(data[whole:], "little")) * _M & _MASK
    h ^= h >> 47
    h = h * _M & _MASK
    return h ^ h >> 47


def murmur_int(number: int, seed: int) -> int:
    """Hash a number as its eight bytes, sign-extended."""
    k = number * _M & _MASK
    k ^= k >> 47
    h = (seed ^ _START_OF_EIGHT ^ (k * _M & _MASK)) * _M & _MASK
    h ^= h >> 47
    h = h * _M & _MASK
    return h ^ h >> 47


def bucket(h: int, count: int) -> int:
    """Return which of ``count`` partitions a hash means: it is read as signed, and its size counts."""
    if h >> 63:
        h = (1 << 64) - h
        if h >> 63:  # the smallest number has no positive counterpart
            h -= 1
    return h % count
