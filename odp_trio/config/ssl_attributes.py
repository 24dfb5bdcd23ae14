"""``ssl_attributes``: ODP's JSON object of what holds for TLS as a whole."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Final

import msgspec

from odp_trio.errors import ConfigError

_FORCE: Final = {"ENABLE_FORCE": True, "DISABLE_FORCE": False}
_VERSIONS: Final = ("NONE", "TLSV1", "TLSV1.1", "TLSV1.2", "TLSV1.3")
_KEYS: Final[Mapping[str, tuple[str, ...]]] = {"using_ssl": tuple(_FORCE), "min_tls_version": _VERSIONS}


class SslAttributes(msgspec.Struct, frozen=True):
    """What the attributes say."""

    force: bool = False
    """A client that logs in without TLS is refused."""
    min_version: str = "NONE"
    """ODP's word for the least version of TLS."""


def read_ssl_attributes(value: object) -> str:
    """Read the JSON object, or a TOML table of the same keys; return it as JSON, ``""`` for an empty one."""
    try:
        found = msgspec.json.decode(value) if isinstance(value, str) and value.strip() else value or {}
    except msgspec.DecodeError as exc:
        raise ConfigError(f"is no JSON: {exc}") from exc
    if not isinstance(found, dict):
        raise ConfigError('is no object; write {"using_ssl": "ENABLE_FORCE", "min_tls_version": "TLSV1.2"}')
    attributes = {}
    for key, word in found.items():
        allowed = _KEYS.get(str(key))
        if allowed is None:
            raise ConfigError(f"has a key {key!r}, which is none of {', '.join(_KEYS)}")
        if not isinstance(word, str) or word.upper() not in allowed:
            raise ConfigError(f"{key} = {word!r} is none of {', '.join(allowed)}")
        attributes[key] = word.upper()
    return msgspec.json.encode(attributes).decode() if attributes else ""


@cache
def ssl_attributes(text: str) -> SslAttributes:
    """Take the text of a setting apart."""
    found = msgspec.json.decode(text) if text else {}
    return SslAttributes(_FORCE[found.get("using_ssl", "DISABLE_FORCE")], found.get("min_tls_version", "NONE"))
