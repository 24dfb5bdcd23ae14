"""What clients and drivers say unasked in a session of the proxy itself, so that they can be used there.

Settings are answered with OK and mean nothing; variables are a fixed list, ODP's with what drivers ask for besides.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

import odp_trio
from odp_trio.admin.commands.command import Column
from odp_trio.config.like import is_like
from odp_trio.errors import NotSupported
from odp_trio.session.services import Session

if TYPE_CHECKING:
    from odp_trio.admin.commands.syntax import Text
    from odp_trio.app import Proxy

Result = tuple[Sequence[Column], Sequence[Sequence[object]]]

_SETTINGS: Final = frozenset({"SET", "USE", "BEGIN", "START", "COMMIT", "ROLLBACK"})
VARIABLES: Final[Mapping[str, str]] = {
    "auto_increment_increment": "1",
    "autocommit": "ON",
    "character_set_client": "utf8mb4",
    "character_set_connection": "utf8mb4",
    "character_set_database": "utf8mb4",
    "character_set_results": "utf8mb4",
    "character_set_server": "utf8mb4",
    "collation_connection": "utf8mb4_general_ci",
    "collation_database": "utf8mb4_general_ci",
    "collation_server": "utf8mb4_general_ci",
    "init_connect": "",
    "interactive_timeout": "28800",
    "license": "Apache License 2.0",
    "lower_case_table_names": "2",
    "max_allowed_packet": "4194304",
    "net_buffer_length": "16384",
    "net_write_timeout": "60",
    "performance_schema": "0",
    "query_cache_size": "1048576",
    "query_cache_type": "OFF",
    "sql_mode": "STRICT_ALL_TABLES",
    "system_time_zone": "+08:00",
    "time_zone": "+08:00",
    "transaction_isolation": "READ-COMMITTED",
    "transaction_read_only": "0",
    "tx_isolation": "READ-COMMITTED",
    "tx_read_only": "0",
    "wait_timeout": "28800",
}
_SHOW_VARIABLES: Final = re.compile(
    r"show\s+(?:(?:session|global|local)\s+)?variables(?:\s+like\s+(['\"])(?P<like>.*)\1|\s+where\s.*)?",
    re.IGNORECASE | re.DOTALL,
)
_EMPTY: Final[Mapping[str, tuple[str, ...]]] = {
    "WARNINGS": ("Level", "Code", "Message"),
    "ERRORS": ("Level", "Code", "Message"),
    "DATABASES": ("Database",),
    "SCHEMAS": ("Database",),
    "TABLES": ("Tables",),
}
_ITEM: Final = re.compile(
    r"(?P<what>@@(?:(?:session|global|local)\.)?`?(?P<variable>\w+)`?|(?P<function>\w+)\s*\(\s*\)|(?P<number>\d{1,18})"
    r"|'(?P<text>[^']*)')(?:\s+(?:as\s+)?[`'\"]?(?P<alias>\w+)[`'\"]?)?",
    re.IGNORECASE,
)
_LIMIT: Final = re.compile(r"\s+limit\s+\d+\s*$", re.IGNORECASE)


def is_setting(text: Text) -> bool:
    """Whether a statement only sets what means nothing here."""
    return bool(text.tokens) and text.tokens[0].key in _SETTINGS


def aside(text: Text, proxy: Proxy, session: Session) -> Result | None:
    """Return the answer to a SELECT of values, or a SHOW of MySQL's; None for anything else.

    Raises NotSupported for a SELECT that cannot be answered.
    """
    words = [token.key for token in text.tokens[:3]]
    first, second = (*words, "", "")[:2]
    if first == "SELECT":
        return select(text, proxy, session)
    if first != "SHOW":
        return None
    if (found := _SHOW_VARIABLES.fullmatch(_sql(text))) is not None:
        like = found["like"]
        rows = [(name, value) for name, value in VARIABLES.items() if is_like(name, like)]
        return (Column("Variable_name"), Column("Value")), rows
    names = _EMPTY.get(second)
    return None if names is None or len(text.tokens) > 4 else (tuple(map(Column, names)), ())


def _sql(text: Text) -> str:
    return text.sql[text.tokens[0].start :] if text.tokens else ""


def select(text: Text, proxy: Proxy, session: Session) -> Result:
    """Return the answer to a SELECT of values; raise NotSupported for one that cannot be answered."""
    columns: list[Column] = []
    row: list[object] = []
    for part in _LIMIT.sub("", _sql(text)[len("select") :]).split(","):
        found = _ITEM.fullmatch(part.strip())
        if found is None:
            raise NotSupported(f"{part.strip()[:60]!r} cannot be selected here: try SHOW PROXYHELP")
        value = _value(found, proxy, session)
        columns.append(Column(found["alias"] or found["what"], isinstance(value, int)))
        row.append(value)
    return columns, [row]


def _value(found: re.Match[str], proxy: Proxy, session: Session) -> object:
    if (number := found["number"]) is not None:
        return int(number)
    if (text := found["text"]) is not None:
        return text
    destination = session.destination
    user = f"{destination.user}@{destination.tenant}" if destination else ""
    version = f"odp-trio {odp_trio.__version__}"
    values: dict[str, object] = {
        "version": proxy.settings().mysql_version,
        "version_comment": version,
        "proxy_version": version,
        "proxy_status": "INACTIVE" if proxy.draining else "ACTIVE",
        "connection_id": session.id,
        "database": None,
        "schema": None,
        "user": user,
        "current_user": user,
    }
    name = (found["function"] or found["variable"]).lower()
    if name in values:
        return values[name]
    if found["variable"] is None or name not in VARIABLES:
        raise NotSupported(f"{found['what']} is not known here")
    return VARIABLES[name]
