"""SET: what a variable may become, and what a session does with it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from odp_trio.testing.fakes.answers import SQLError, Value
from odp_trio.testing.fakes.nodes import Assignment
from odp_trio.testing.fakes.values import number, written
from odp_trio.testing.fakes.variables import ALIASES, DEFAULTS, GLOBAL_ONLY, NUMBERS, READ_ONLY, SWITCHES

if TYPE_CHECKING:
    from odp_trio.testing.fakes.session import Session

LEVELS: Final = ("READ-UNCOMMITTED", "READ-COMMITTED", "REPEATABLE-READ", "SERIALIZABLE")
_ON: Final = ("on", "1", "true")
_OFF: Final = ("off", "0", "false")
_WORDS: Final = {
    "ob_read_consistency": ("", "FROZEN", "WEAK", "STRONG"),
    "ob_route_policy": (
        "MERGE_IDC_ORDER",
        "READONLY_ZONE_FIRST",
        "ONLY_READONLY_ZONE",
        "UNMERGE_ZONE_FIRST",
        "UNMERGE_FOLLOWER_FIRST",
    ),
    "tx_isolation": LEVELS,
    "transaction_isolation": LEVELS,
}
CHARSETS: Final = {
    "utf8mb4": "utf8mb4_general_ci", "utf8": "utf8_general_ci", "gbk": "gbk_chinese_ci", "binary": "binary",
    "latin1": "latin1_swedish_ci", "gb18030": "gb18030_chinese_ci", "utf16": "utf16_general_ci",
}  # fmt: skip


def assign(session: Session, assignment: Assignment, value: Value) -> None:
    """Carry one assignment out; raise SQLError."""
    name = assignment.name
    if assignment.scope == "user":
        session.set_user_variable(name, value)
        return
    if name not in DEFAULTS:
        raise SQLError(1193, "HY000", f"Unknown system variable '{name}'")
    if name in READ_ONLY:
        raise SQLError(1238, "HY000", f"Variable '{name}' is a read only variable")
    known = session.cluster.global_variables
    if assignment.value is None:
        told = DEFAULTS[name] if assignment.scope == "global" else known[name]
    else:
        told = value_of(name, value)
    if assignment.scope == "global":
        for each in ALIASES.get(name, (name,)):
            known[each] = told
        session.tell("ob_last_schema_version", str(session.store.new_version()))
        return
    if name in GLOBAL_ONLY:
        raise SQLError(1229, "HY000", f"Variable '{name}' is a GLOBAL variable and should be set with SET GLOBAL")
    if name == "autocommit" and told == "ON":
        session.commit()
    if name in ("last_insert_id", "identity"):
        session.insert_id = int(told)
    session.set_system(name, told)


def value_of(name: str, value: Value) -> str:
    """Return how a variable's new value is kept; raise SQLError 1231 or 1232."""
    if name in SWITCHES:
        lowered = written(value).lower()
        if lowered not in _ON + _OFF:
            raise _wrong(name, value)
        return "ON" if lowered in _ON else "OFF"
    if name in NUMBERS:
        if isinstance(value, str) and not value.lstrip("-").isdigit():
            raise SQLError(1232, "42000", f"Incorrect argument type to variable '{name}'")
        return str(int(number(value)))
    if name in _WORDS:
        words = _WORDS[name]
        found = written(value).upper().replace(" ", "-")
        if isinstance(value, int) and 0 <= value < len(words):
            return words[value]
        if found not in words:
            raise _wrong(name, value)
        return found
    if name.startswith("character_set") and written(value).lower() not in CHARSETS:
        raise SQLError(1115, "42000", f"Unknown character set: '{written(value)}'")
    if name == "time_zone" and not (written(value)[:1] in ("+", "-") or written(value).upper() == "SYSTEM"):
        raise SQLError(1298, "HY000", f"Unknown or incorrect time zone: '{written(value)}'")
    return "" if value is None else written(value)


def _wrong(name: str, value: Value) -> SQLError:
    shown = "NULL" if value is None else written(value)
    return SQLError(1231, "42000", f"Variable '{name}' can't be set to the value of '{shown}'")


def names(session: Session, charset: str, collation: str) -> None:
    """Carry SET NAMES out; raise SQLError 1115."""
    if charset == "default":
        charset = "utf8mb4"
    if charset not in CHARSETS:
        raise SQLError(1115, "42000", f"Unknown character set: '{charset}'")
    for name in ("character_set_client", "character_set_results", "character_set_connection"):
        session.set_system(name, charset)
    chosen = collation or CHARSETS[charset]
    if chosen != session.variables["collation_connection"]:
        session.set_system("collation_connection", chosen)
