"""Clients for live tests: PyMySQL in worker threads, and raw bytes."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from functools import partial
from typing import Any

import pymysql
import trio

from odp_trio.app import Proxy

Connection = pymysql.connections.Connection


def connect(
    address: tuple[str, int], user: str = "app@sys#demo", password: str = "app_pw", **options: Any
) -> Connection:
    """Open a PyMySQL connection; blocks."""
    options = {"connect_timeout": 20, "read_timeout": 30, "autocommit": True, **options}
    return pymysql.connect(host=address[0], port=address[1], user=user, password=password, **options)


def ask(address: tuple[str, int], sql: str, user: str = "app@sys#demo", password: str = "app_pw") -> Any:
    """Log in, run one statement, return its rows; blocks."""
    with closing(connect(address, user, password)) as connection, connection.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchall()


async def through(proxy: Proxy, sql: str, user: str = "app@sys#demo", password: str = "app_pw") -> Any:
    """Run one statement on a session of its own."""
    return await trio.to_thread.run_sync(partial(ask, proxy.addresses[0], sql, user, password))


async def login_error(proxy: Proxy, user: str, password: str = "app_pw") -> tuple[int, str]:
    """Return errno and message of a login that must fail."""
    try:
        await through(proxy, "select 1", user, password)
    except pymysql.err.MySQLError as exc:
        return exc.args[0], exc.args[1]
    raise AssertionError(f"{user} could log in")


async def in_thread(function: Callable[..., Any], *args: Any) -> Any:
    """Run something blocking."""
    return await trio.to_thread.run_sync(partial(function, *args))


async def until(condition: Callable[[], bool], what: str, seconds: float = 20) -> None:
    """Wait for a condition; fail with ``what`` when it does not come."""
    with trio.move_on_after(seconds):
        while not condition():  # noqa: ASYNC110  # the condition is of many kinds
            await trio.sleep(0.01)
        return
    raise AssertionError(f"did not happen within {seconds:g} s: {what}")
