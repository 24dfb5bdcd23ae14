"""How a value of an option is written, and read: each reader takes text or a TOML value.

Durations follow ODP: a number with ``us``, ``ms``, ``s``, ``m``, ``h`` or ``d``;
without a unit it is seconds.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping
from typing import Final, final

from odp_trio.errors import ConfigError


@final
class Secret:
    """A password.  Shown as ``***`` wherever it is printed; ``value`` is the text itself."""

    __slots__ = ("value",)

    def __init__(self, value: str = "") -> None:
        self.value = value

    def __repr__(self) -> str:
        return "***" if self.value else "''"

    __str__ = __repr__

    def __bool__(self) -> bool:
        return bool(self.value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other.value == self.value

    def __hash__(self) -> int:
        return hash(self.value)


_UNITS: Final[Mapping[str, float]] = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "": 1.0}
_TRUE: Final = {"true", "on", "yes", "1", "t", "y"}
_FALSE: Final = {"false", "off", "no", "0", "f", "n"}


def read_duration(value: object) -> float:
    """Read a duration in seconds."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([a-z]*)\s*", value.lower()) if isinstance(value, str) else None
    if match is None or match[2] not in _UNITS:
        raise ConfigError('is no duration; write it like "15s", "10ms", "2h"')
    return float(match[1]) * _UNITS[match[2]]


def write_duration(seconds: float) -> str:
    """Write a duration, to the microsecond, with the largest unit that leaves no fraction."""
    micros = round(seconds * 1e6)
    if not micros:
        return "0s"
    for unit in ("d", "h", "m", "s", "ms"):
        size = round(_UNITS[unit] * 1e6)
        if micros >= size and micros % size == 0:
            return f"{micros // size}{unit}"
    return f"{micros}us"


def read_int(value: object) -> int:
    """Read a whole number."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and re.fullmatch(r"\s*-?\d+\s*", value):
        return int(value)
    raise ConfigError("is no whole number")


def read_fraction(value: object) -> float:
    """Read a number with a fraction."""
    try:
        if isinstance(value, bool):
            raise ValueError
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError) as exc:
        raise ConfigError("is no number") from exc


def read_bool(value: object) -> bool:
    """Read a truth value, written as ODP or TOML writes it."""
    if isinstance(value, bool):
        return value
    word = str(value).strip().lower()
    if word in _TRUE or word in _FALSE:
        return word in _TRUE
    raise ConfigError("is neither true nor false")


def read_text(value: object) -> str:
    """Read text; a control character is an error."""
    if not isinstance(value, str) or any(ord(char) < 32 for char in value):
        raise ConfigError("is no line of text")
    return value


def read_secret(value: object) -> Secret:
    """Read a password: clear, or the 40 hexadecimal digits of its SHA1 as ODP has it."""
    return Secret(read_text(value))


def read_ip(value: object) -> str:
    """Read an IPv4 or IPv6 address."""
    try:
        return str(ipaddress.ip_address(read_text(value)))
    except ValueError as exc:
        raise ConfigError("is no IP address") from exc


def read_rslist(value: object) -> str:
    """Read ``ip:port;ip:port`` or a list of ``ip:port``."""
    if isinstance(value, list):
        return ";".join(map(str, value))
    return read_text(value)


READERS: Final[Mapping[str, Callable[[object], object]]] = {
    "int": read_int,
    "fraction": read_fraction,
    "bool": read_bool,
    "duration": read_duration,
    "text": read_text,
    "secret": read_secret,
    "ip": read_ip,
    "rslist": read_rslist,
}
