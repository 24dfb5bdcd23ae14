"""``odp-trio top``: records as text, had from a served proxy."""

from __future__ import annotations

import io
import os
import sys

import msgspec
import pytest
import trio
from rich.console import Console

from odp_trio.admin.live import Feed, LiveFrame
from odp_trio.admin.top import plain, rates, screen, short, span
from odp_trio.admin.top_command import TOKEN_VARIABLE, connected
from odp_trio.errors import ConfigError
from tests.admin.served import served
from tests.admin.source import FakeSource
from tests.admin.test_live import statement

TOKEN = "top"


@pytest.fixture
def source() -> FakeSource:
    found = FakeSource().with_token(TOKEN)
    found.with_cluster = True
    return found


def printed(before: LiveFrame | None, now: LiveFrame, note: str = "", width: int = 120) -> str:
    out = io.StringIO()
    Console(file=out, width=width, highlight=False).print(screen(before, now, note))
    return out.getvalue()


async def test_servers_tasks_and_slow_statements_are_there(source: FakeSource) -> None:
    source.logs.slow.append(statement(1, b"select\n sleep(2.5)"))
    text = printed(None, await Feed(source).frame())

    assert "not ready" in text
    assert "10.0.0.2:2881  ok" in text
    assert "cluster:demo" in text
    assert "OSError: gone" in text
    assert "select sleep(2.5)" in text


async def test_rates_are_those_between_two_records(source: FakeSource) -> None:
    frame = await Feed(source).frame()
    later = msgspec.structs.replace(frame, at=frame.at + 2, statements=frame.statements + 500)
    again = msgspec.structs.replace(later, uptime=-1.0)

    assert rates(frame, later).statements == 250
    assert rates(None, later).statements == 0
    assert rates(frame, again).statements == 0
    assert "250 statements/s" in printed(frame, later)
    assert "trying again" in printed(None, later, "trying again")


async def test_a_narrow_terminal_gets_it_too(source: FakeSource) -> None:
    text = printed(None, await Feed(source).frame(), width=60)

    assert max(map(len, text.splitlines())) <= 60


def test_no_text_of_a_client_changes_the_terminal() -> None:
    assert plain("a\x1b[2Jb[red]c\u202e").plain == "a\ufffd[2Jb[red]c\ufffd"


@pytest.mark.parametrize(("number", "text"), [(0, "0"), (9999, "9999"), (12345, "12.3k"), (2.5e6, "2.5M")])
def test_numbers(number: float, text: str) -> None:
    assert short(number) == text


@pytest.mark.parametrize(("seconds", "text"), [(0.0012, "1.2ms"), (3.26, "3.3s"), (119, "119.0s"), (7200, "2h")])
def test_times(seconds: float, text: str) -> None:
    assert span(seconds) == text


async def top(*words: str, token: str = "") -> tuple[int, str, str]:
    command = [sys.executable, "-m", "odp_trio", "top", *words]
    with trio.fail_after(30):
        done = await trio.run_process(
            command, capture_stdout=True, capture_stderr=True, check=False, env={**os.environ, TOKEN_VARIABLE: token}
        )
    return done.returncode, done.stdout.decode(), done.stderr.decode()


async def test_the_verb_prints_it_once(source: FakeSource) -> None:
    async with served(source) as port:
        code, out, err = await top("--once", "--url", f"http://127.0.0.1:{port}")

    assert (code, err) == (0, "")
    assert "10.0.0.3:2881" in out


async def test_a_wrong_token_and_nobody_there_are_said_in_one_line(source: FakeSource) -> None:
    async with served(source) as port:
        refused = await top("--once", "--url", f"http://127.0.0.1:{port}", token="wrong")
        nobody = await top("--once", "--url", "http://127.0.0.1:1")

    assert refused[0] == 1
    assert refused[2].startswith("odp-trio: the proxy refuses")
    assert nobody[0] == 1
    assert len(nobody[2].splitlines()) == 1


@pytest.mark.parametrize("url", ["ftp://x", "http://", "http://[::1", "http://h:99999"])
async def test_what_is_no_url(url: str) -> None:
    with pytest.raises(ConfigError, match="is no URL"):
        async with connected(url, ""):
            pass


async def test_a_token_opens_it(source: FakeSource) -> None:
    async with served(source) as port:
        async with connected(f"http://127.0.0.1:{port}/", TOKEN) as connection:
            with trio.fail_after(10):
                assert msgspec.json.decode(await connection.get_message(), type=LiveFrame).version == "0"
