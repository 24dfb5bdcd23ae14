"""What a client's login is told, and the log, while the config server does something wrong.  No cluster is needed."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from odp_trio.app import Proxy, open_proxy
from odp_trio.config import Layer, build
from odp_trio.model import Address
from odp_trio.testing.client import Client, StatementFailed
from odp_trio.testing.ocp import ConfigServerBed, open_config_server
from tests.catalog.test_config_server import FAULTS, Arm

# These are seen only by who asks for a cluster id, or after 5 seconds.
LOGINS = [fault for fault in FAULTS if fault[0] not in ("wrong id", "hang", "slow", "stall")]


def hang(ocp: ConfigServerBed) -> None:
    ocp.hang()


@asynccontextmanager
async def open_both(etc: Path, arm: Arm = lambda _: None) -> AsyncIterator[tuple[ConfigServerBed, Proxy]]:
    """Run a config server with a fault, and a proxy."""
    async with open_config_server({"demo": "127.0.0.1:1"}) as ocp:
        if (waiting := arm(ocp)) is not None:
            assert isinstance(waiting, Awaitable)
            await waiting
        values = {
            "obproxy_config_server_url": ocp.url,
            "listen_port": 0,
            "local_bound_ip": "127.0.0.1",
            "enable_http": False,
            "etc_dir": str(etc),
            "short_async_task_timeout": 1.0 if arm is hang else 5.0,
        }
        async with open_proxy(build(Layer("test", values)).settings) as proxy:
            yield ocp, proxy


async def refusal(proxy: Proxy, user: str) -> StatementFailed:
    with pytest.raises(StatementFailed) as caught:
        await Client.connect(Address(*proxy.addresses[0]), user, "x")
    return caught.value


@pytest.mark.parametrize(
    ("arm", "said"), [(fault[1], fault[3]) for fault in LOGINS], ids=[fault[0] for fault in LOGINS]
)
async def test_a_login_is_told_what_is_wrong_and_so_is_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, arm: Arm, said: str
) -> None:
    caplog.set_level(logging.DEBUG)
    async with open_both(tmp_path, arm) as (ocp, proxy):
        error = await refusal(proxy, "root@sys#demo")

        # Main document and rslist have different limits.
        reason = said.replace("BASE", ocp.base).replace("16384", "524288")
        assert error.errno == 4669
        assert error.message.startswith(f"cluster 'demo' is not available: config server {ocp.base}, ")
        assert error.message.endswith(f": {reason}")
        warnings = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
        assert len([line for line in warnings if reason in line]) == 2  # the fetch, the login
    assert not any(record.exc_info for record in caplog.records)
    assert "s3cret" not in caplog.text


async def test_a_cluster_that_is_not_named_is_told_apart_from_a_failure(tmp_path: Path) -> None:
    async with open_both(tmp_path) as (_, proxy):
        error = await refusal(proxy, "root@sys#nowhere")

    assert (error.errno, error.message) == (4669, "cluster 'nowhere' does not exist: the config server names 'demo'")


async def test_a_login_that_waits_too_long_is_told_for_whom(tmp_path: Path) -> None:
    async with open_both(tmp_path, hang) as (ocp, proxy):
        error = await refusal(proxy, "root@sys#demo")

        told = f"cluster 'demo' is not available: config server {ocp.base} has not answered within 1 s"
        assert (error.errno, error.message) == (4669, told)
