"""Collations: how strings compare, and how KEY partitioning hashes them.

A collation whose rules or weights are not known is refused, never guessed.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Final

import msgspec

from odp_trio.routing._weights import LATIN1_CI, general_ci, uca_400, uca_900
from odp_trio.routing.murmur import murmur
from odp_trio.routing.scalars import CannotCompute

SortKey = bytes | tuple[int, ...]
_MASK: Final = 0xFFFFFFFFFFFFFFFF
_FNV_BASE: Final = 14_695_981_039_346_656_037
_FNV_PRIME: Final = 1_099_511_628_211
_ASCII_UPPER: Final = bytes(byte - 32 if 97 <= byte <= 122 else byte for byte in range(256))


class Collation(msgspec.Struct, frozen=True):
    """How strings of one collation behave; strings are bytes in ``encoding``."""

    encoding: str
    """As Python names it; empty for binary strings."""
    sort_key: Callable[[bytes], SortKey]
    """Equal for strings that are equal, and in their order."""
    hash: Callable[[bytes, int], int]
    pads: bool
    """Trailing blanks do not count; then characters below the blank have no simple order."""


def _general_weights(text: bytes) -> list[int]:
    weights = general_ci()
    return [weights.get(code, code) if code < 0x10000 else 0xFFFD for code in map(ord, _decoded(text))]


def _decoded(text: bytes) -> str:
    try:
        return text.decode("utf-8")
    except UnicodeDecodeError as exc:
        raise CannotCompute("a string is not valid UTF-8") from exc


def _chunked(data: bytes, size: int, seed: int) -> int:
    for at in range(0, len(data), size):
        seed = murmur(data[at : at + size], seed)
    return seed


def _general_key(text: bytes) -> tuple[int, ...]:
    return tuple(_general_weights(text.rstrip(b" ")))


def _general_hash(text: bytes, seed: int) -> int:
    text = text.rstrip(b" ")
    if text.isascii():  # the weight of a letter is its capital, of two bytes like all weights
        packed = text.upper().decode("ascii").encode("utf-16-le")
    else:
        packed = b"".join([weight.to_bytes(2, "little") for weight in _general_weights(text)])
    return murmur(packed, seed) if 0 < len(packed) <= 128 else _chunked(packed, 128, seed)


def _bin_key(text: bytes) -> bytes:
    return text.rstrip(b" ")


def _bin_hash(text: bytes, seed: int) -> int:
    return murmur(text.rstrip(b" "), seed)


def _binary_key(text: bytes) -> bytes:
    return text


def _latin1_key(text: bytes) -> bytes:
    return text.rstrip(b" ").translate(LATIN1_CI)


def _latin1_hash(text: bytes, seed: int) -> int:
    return murmur(_short(_latin1_key(text)), seed)


def _gbk_key(text: bytes) -> bytes:
    """Only strings are known here that have no character beyond ASCII: trail bytes may look like letters."""
    if not text.isascii():
        raise CannotCompute("gbk_chinese_ci is known for ASCII only")
    return text.rstrip(b" ").translate(_ASCII_UPPER)


def _gbk_hash(text: bytes, seed: int) -> int:
    return murmur(_short(_gbk_key(text)), seed)


def _short(text: bytes) -> bytes:
    if len(text) > 128:
        raise CannotCompute("strings of more than 128 bytes are not known in this collation")
    return text


def _uca_weights(table: dict[int, tuple[int, ...]], text: bytes) -> tuple[int, ...]:
    weights: list[int] = []
    for character in _decoded(text):
        found = table.get(ord(character))
        if found is None:
            raise CannotCompute(f"the weight of U+{ord(character):04X} is not known")
        weights += found
    return tuple(weights)


def _unicode_key(text: bytes) -> tuple[int, ...]:
    weights = _uca_weights(uca_400(), text)
    end = len(weights)
    while end and weights[end - 1] == 0x0209:
        end -= 1
    return weights[:end]


def _unicode_hash(text: bytes, seed: int) -> int:
    packed = b"".join(weight.to_bytes(4, "little") for weight in _unicode_key(text))
    return _chunked(packed, 128, seed)


def _0900_key(text: bytes) -> tuple[int, ...]:
    return _uca_weights(uca_900(), text)


def _0900_hash(text: bytes, seed: int) -> int:
    h = seed ^ _FNV_BASE
    for weight in _0900_key(text):
        h = (h ^ weight) * _FNV_PRIME & _MASK
    return h


_COLLATIONS: Final = {
    63: Collation("", _binary_key, murmur, pads=False),
    8: Collation("cp1252", _latin1_key, _latin1_hash, pads=True),
    28: Collation("gbk", _gbk_key, _gbk_hash, pads=True),
    45: Collation("utf-8", _general_key, _general_hash, pads=True),
    46: Collation("utf-8", _bin_key, _bin_hash, pads=True),
    47: Collation("cp1252", _bin_key, _bin_hash, pads=True),
    87: Collation("gbk", _bin_key, _bin_hash, pads=True),
    224: Collation("utf-8", _unicode_key, _unicode_hash, pads=True),
    255: Collation("utf-8", _0900_key, _0900_hash, pads=False),
}


@cache
def collation(number: int) -> Collation:
    """Return the collation of an id; raise CannotCompute if it is not known."""
    found = _COLLATIONS.get(number)
    if found is None:
        raise CannotCompute(f"collation {number} is not known")
    return found
