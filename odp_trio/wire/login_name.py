"""``user@tenant#cluster`` and its other forms.

    user[@tenant][#cluster[:id]]         when the name holds ``@`` or ``#``
    cluster:tenant:user[:id]             when it holds neither and a separator at least twice
    user                                 otherwise

Source: ODP: username_separator; the order of checks is its own.
"""

from __future__ import annotations

from odp_trio.errors import AccessDenied
from odp_trio.model import LoginName

_MAX_ID_DIGITS = 19
"""What a 64-bit number has.  int() refuses thousands of digits, and a client can send them."""


def parse_login_name(name: str, separators: str = ":;-;.") -> LoginName:
    """Take a login name apart; raise AccessDenied if it names no user.

    ``separators`` is ODP's list, entries parted by ``;``: the first one that
    occurs at least twice is used.
    """
    if "@" in name or "#" in name:
        login = _standard(name)
    else:
        separator = next((mark for mark in separators.split(";") if mark and name.count(mark) >= 2), None)
        login = _cluster_first(name, separator) if separator else LoginName(name, None, None)
    if not login.user:
        raise AccessDenied(f"login name {name!r} names no user")
    return login


def _standard(name: str) -> LoginName:
    rest, _, cluster = name.partition("#")
    user, _, tenant = rest.partition("@")
    cluster, cluster_id = _split_id(cluster)
    return LoginName(user, tenant or None, cluster or None, cluster_id)


def _cluster_first(name: str, separator: str) -> LoginName:
    cluster, tenant, rest = name.split(separator, 2)
    user, mark, tail = rest.rpartition(separator)
    if mark and _is_id(tail):
        return LoginName(user, tenant or None, cluster or None, int(tail))
    user, cluster_id = _split_id(rest)
    return LoginName(user, tenant or None, cluster or None, cluster_id)


def _split_id(text: str) -> tuple[str, int | None]:
    head, colon, tail = text.rpartition(":")
    if colon and _is_id(tail):
        return head, int(tail)
    return text, None


def _is_id(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= _MAX_ID_DIGITS
