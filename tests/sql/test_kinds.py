"""Kinds that words alone tell."""

from __future__ import annotations

import pytest

from odp_trio.sql.cache import Statements


@pytest.mark.parametrize(
    ("sql", "internal"),
    [
        ("select proxy_version()", True),
        ("/* a tool */ SELECT Proxy_Status ( ) as `state` ;", True),
        ("select proxy_version() 'v'", True),
        ("select proxy_version() from t", False),
        ("select proxy_version(), 1", False),
        ("select proxy_version(1)", False),
        ("select proxy_version", False),
        ("select v from proxy_version()", False),
        ("call proxy_version()", False),
    ],
)
def test_its_version_is_asked_of_the_proxy_by_itself_only(sql: str, internal: bool) -> None:
    facts = Statements().shape(sql.encode())[0].facts
    assert facts.internal is facts.for_task is internal
