"""The layers of a process, as another one gets them."""

from __future__ import annotations

import msgspec
import pytest

from odp_trio.admin.configuration import Configuration
from odp_trio.config.changes import Change, Scope
from odp_trio.config.settings import Layer, from_optstr, from_toml
from odp_trio.config.sources import Sources, overlay_of

FILE = """
login_timeout = '9s'
[clusters.demo]
rslist = '127.0.0.1:1'
observer_sys_password = 'secret'
[clusters.demo.tenants.t1]
tenant_max_connections = 5
"""


async def test_another_process_is_as_this_one_with_all_that_was_changed_since() -> None:
    sources = Sources(
        weaker=(from_toml(FILE, "odp.toml"),),
        kept=overlay_of(Layer("kept", {"client_max_connections": 77})),
        stronger=(from_optstr("login_timeout=8s,listen_backlog=100"),),
    )
    one, other = Configuration(sources), Configuration(Sources())
    await one.alter([Change("login_timeout", "7s"), Change("listen_backlog", "200")])  # the second takes a restart
    await one.alter([Change("user_max_connections", "3", Scope("demo", "t1", "u"))])

    other.adopt(one.lineage())

    assert other.settings() == one.settings()
    assert (one.settings().login_timeout, one.settings().listen_backlog) == (7.0, 100)
    assert other.rows() == one.rows()
    assert other.rows(diff=True) == one.rows(diff=True)


def test_what_is_no_lineage_changes_nothing() -> None:
    configuration = Configuration(Sources(weaker=(from_toml(FILE, "odp.toml"),)))
    before = configuration.settings()

    with pytest.raises(msgspec.DecodeError):
        configuration.adopt(b"nonsense")

    assert configuration.settings() is before
