"""What systemd is told, seen at the other end of its socket."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from odp_trio.process.sd_notify import Notifier


@pytest.fixture(params=["path", "abstract"])
def systemd(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[socket.socket, dict[str, str]]]:
    path = str(tmp_path / "notify") if request.param == "path" else f"\0odp-trio-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(path)
        sock.setblocking(False)
        yield sock, {"NOTIFY_SOCKET": path.replace("\0", "@"), "WATCHDOG_USEC": "3000000"}


def test_states_are_told_and_children_cannot_speak_for_us(systemd: tuple[socket.socket, dict[str, str]]) -> None:
    sock, environment = systemd
    notifier = Notifier(environment)

    notifier.ready("serving")
    notifier.reloading()
    notifier.stopping("draining")

    assert sock.recv(999) == b"READY=1\nSTATUS=serving"
    assert sock.recv(999).startswith(b"RELOADING=1\nMONOTONIC_USEC=")
    assert sock.recv(999) == b"STOPPING=1\nSTATUS=draining"
    assert environment == {}
    assert set(notifier.environment()) == {"NOTIFY_SOCKET", "WATCHDOG_USEC"}
    assert Notifier(notifier.environment()).watchdog == 3.0


async def test_the_watchdog_is_fed_only_while_healthy(
    systemd: tuple[socket.socket, dict[str, str]], autojump_clock: MockClock
) -> None:
    sock, environment = systemd
    health = iter([True, False, True])

    with trio.move_on_after(2.5):
        await Notifier(environment).keep_watchdog(lambda: next(health))

    assert [sock.recv(99), sock.recv(99)] == [b"WATCHDOG=1"] * 2
    with pytest.raises(BlockingIOError):
        sock.recv(99)


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"WATCHDOG_USEC": "1000000"},
        {"NOTIFY_SOCKET": "/nowhere", "WATCHDOG_USEC": "0"},
        {"NOTIFY_SOCKET": "/nowhere", "WATCHDOG_USEC": "1000000", "WATCHDOG_PID": "1"},
    ],
)
async def test_without_systemd_nothing_happens(environment: dict[str, str]) -> None:
    notifier = Notifier(environment)

    notifier.ready()
    await notifier.keep_watchdog(lambda: True)

    assert notifier.watchdog is None
