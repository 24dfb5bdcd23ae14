"""How a value of an option is written, and read: each reader takes text or a TOML value.

The forms are ODP's.  Durations: a number with ``us``, ``ms``, ``s``, ``m``,
``h`` or ``d``; without a unit it is seconds.  Capacities: ``B``, ``KB`` to
``PB`` in powers of 1024; without a unit it is megabytes.  Whole numbers:
decimal, ``0x`` or, with a leading 0, octal.  Truth: true, on, yes, t, 1.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping
from functools import cache
from typing import Final, final
from urllib.parse import urlsplit

from odp_trio.config.ssl_attributes import read_ssl_attributes
from odp_trio.errors import ConfigError
from odp_trio.model import Address


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
_UNIT_BYTES: Final[Mapping[str, int]] = {unit: 1 << 10 * power for power, unit in enumerate("bkmgtp")}
_TRUE: Final = {"true", "on", "yes", "1", "t", "y"}
_FALSE: Final = {"false", "off", "no", "0", "f", "n"}
_ODP_LEVELS: Final = {"TRACE": "DEBUG", "WDIAG": "WARN", "EDIAG": "ERROR", "USER_ERR": "ERROR"}
_SEPARATORS_LENGTH: Final = 64
_URL_LENGTH: Final = 512
_UNPRINTABLE: Final = re.compile("[\x00-\x1f\x7f\ud800-\udfff]")


def read_duration(value: object) -> float:
    """Read a duration in seconds."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return _to_float(value)
    match = re.fullmatch(r"([0-9]{1,18}(?:\.[0-9]{1,18})?)\s*([a-z]*)", _word(value))
    if match is None or match[2] not in _UNITS:
        raise ConfigError('is no duration; write it like "15s", "10ms", "2h"')
    number, unit = _to_float(match[1]), _UNITS[match[2]]
    return number * unit if unit >= 1 else number / round(1 / unit)  # 100000us are 100ms, to the last bit


def is_bare(value: object) -> bool:
    """Whether a number comes without a unit, where 0 needs none."""
    try:
        return not isinstance(value, bool) and _to_float(value) != 0
    except ConfigError:
        return False


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


def read_capacity(value: object) -> int:
    """Read a size in bytes."""
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value * _UNIT_BYTES["m"]
    match = re.fullmatch(r"([0-9]{1,19})(byte|[kmgtp]?b|[kmgtp]|)", _word(value).replace(" ", ""))
    if match is None:
        raise ConfigError('is no size; write it like "512KB", "8MB", "2GB"')
    return int(match[1]) * _UNIT_BYTES[match[2][:1] or "m"]


def write_capacity(size: int) -> str:
    """Write a size with the largest unit that leaves no fraction."""
    for unit, unit_bytes in reversed(tuple(_UNIT_BYTES.items())):
        if size and size % unit_bytes == 0:
            return f"{size // unit_bytes}{unit.upper().removesuffix('B')}B"
    return "0B"


def read_int(value: object) -> int:
    """Read a whole number."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    match = re.fullmatch(r"(-?)(0x[0-9a-f]{1,32}|0[0-7]{1,32}|0|[1-9][0-9]{0,31})", _word(value))
    if match is None:
        raise ConfigError("is no whole number")
    digits = match[2]
    number = int(digits, 16 if digits.startswith("0x") else 8 if digits.startswith("0") else 10)
    return -number if match[1] else number


def read_fraction(value: object) -> float:
    """Read a number with a fraction."""
    if isinstance(value, bool):
        raise ConfigError("is no number")
    return _to_float(value)


def _word(value: object) -> str:
    """Return text in small letters; nothing for what is no text: str() of some TOML values raises."""
    return value.strip().lower() if isinstance(value, str) else ""


def _to_float(value: object) -> float:
    try:
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError) as exc:
        raise ConfigError("is no number") from exc


def read_bool(value: object) -> bool:
    """Read a truth value, written as ODP or TOML writes it."""
    if isinstance(value, bool):
        return value
    word = "01"[value] if isinstance(value, int) and value in (0, 1) else _word(value)
    if word in _TRUE or word in _FALSE:
        return word in _TRUE
    raise ConfigError("is neither true nor false")


def read_text(value: object) -> str:
    """Read text; a control character, or what was no UTF-8, is an error."""
    if not isinstance(value, str) or _UNPRINTABLE.search(value):
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


def read_mode(value: object) -> str:
    """Read permissions of a file: three or four octal digits."""
    text = read_text(value).strip()
    if not re.fullmatch("0?[0-7]{3}", text):
        raise ConfigError('is no mode of a file; write it like "0770"')
    return text


def read_rslist(value: object) -> str:
    """Read ``ip:port;ip:port`` or a list of ``ip:port``."""
    return ";".join(map(read_text, value)) if isinstance(value, list) else read_text(value)


def read_version(value: object) -> str:
    """Read a version: digits and dots."""
    text = read_text(value)
    if not re.fullmatch(r"[0-9]+(\.[0-9]+)*", text):
        raise ConfigError("is not made of digits and dots")
    return text


def read_separators(value: object) -> str:
    """Read separators of one character each, parted by semicolons."""
    text = read_text(value)
    if len(text) > _SEPARATORS_LENGTH or any(len(mark) > 1 or mark in "@#" for mark in text.split(";") if mark):
        raise ConfigError(
            f'is no list of separators; write at most {_SEPARATORS_LENGTH} characters like ":;-;.", without @ and #'
        )
    return text


def read_log_level(value: object) -> str:
    """Read the name of a level; ODP's further ones become the nearest of ours."""
    word = _word(value).upper()
    return _ODP_LEVELS.get(word, word)


def read_upper(value: object) -> str:
    """Read a name that is written without regard to case."""
    return read_text(value).strip().upper()


def read_networks(value: object) -> str:
    """Read networks such as ``10.0.0.0/8``, parted by commas or blanks."""
    text = " ".join(map(read_text, value)) if isinstance(value, list) else read_text(value)
    try:
        return ",".join(map(str, _networks(text)))
    except ValueError as exc:
        raise ConfigError(f"is no list of networks such as 10.0.0.0/8,fd00::/8: {exc}") from exc


@cache
def _networks(text: str) -> tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]:
    return tuple(ipaddress.ip_network(word) for word in text.replace(",", " ").split())


def is_within(ip: str, networks: str) -> bool:
    """Whether an address is in one of the networks of an option; an IPv4 address in IPv6's clothes counts as itself."""
    address = ipaddress.ip_address(ip.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return any(address in network for network in _networks(networks))


def read_url(value: object) -> str:
    """Read an http or https URL, or nothing."""
    text = read_text(value).strip()
    try:
        parts = urlsplit(text)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # brackets that hold no IPv6 address, a port that is none
        usable = False
    if text and not (usable and len(text) <= _URL_LENGTH):
        raise ConfigError(f"is no URL; write http://host:port/path?query, at most {_URL_LENGTH} characters")
    return text


def masked_url(text: str) -> str:
    """Return a URL as it may be shown: without a password and its query, which may hold one."""
    head, mark, _ = re.sub("//[^/?#]*@", "//***@", text).partition("?")
    return f"{head}{mark}***" if mark else head


def hidden(kind: str, value: object) -> str:
    """Return a text as it may be shown."""
    if isinstance(value, Secret):
        return str(value).strip("'")
    return masked_url(str(value)) if kind == "url" else str(value)


def read_targets(value: object) -> str:
    """Read ``ip:port,ip:port;ip:port``."""
    text = read_text(value)
    parse_targets(text)
    return text


def parse_targets(text: str) -> tuple[tuple[Address, ...], ...]:
    """Take a list of targets apart: groups by priority; raise ConfigError naming what is no address."""
    groups = (
        tuple(Address.parse(address) for address in group.split(",") if address.strip()) for group in text.split(";")
    )
    return tuple(group for group in groups if group)


def read_compression(value: object) -> str:
    """Read ``zlib:N``, or nothing."""
    text = read_text(value)
    if text and not re.fullmatch("zlib:[0-9]", text):
        raise ConfigError("is no algorithm; write zlib:0 to zlib:9, or nothing")
    return text


def compression_level(text: str) -> int:
    """Return the level of ``zlib:N``; 0 for nothing."""
    return int(text[-1]) if text else 0


READERS: Final[Mapping[str, Callable[[object], object]]] = {
    "int": read_int,
    "fraction": read_fraction,
    "bool": read_bool,
    "duration": read_duration,
    "text": read_text,
    "secret": read_secret,
    "ip": read_ip,
    "rslist": read_rslist,
    "capacity": read_capacity,
    "version": read_version,
    "separators": read_separators,
    "log_level": read_log_level,
    "upper": read_upper,
    "targets": read_targets,
    "url": read_url,
    "networks": read_networks,
    "compression": read_compression,
    "mode": read_mode,
    "ssl_attributes": read_ssl_attributes,
}
