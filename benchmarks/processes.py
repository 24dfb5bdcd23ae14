"""The processes of a run: started in a nursery, ended with it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

import msgspec
import trio

from benchmarks.load import BigLoad, PointLoad
from benchmarks.session import Account, WrongAnswer, ask_once

ROOT = Path(__file__).resolve().parents[1]
_PAUSE = 0.002
_GRACE = 3.0
Outcome = TypeVar("Outcome", PointLoad, BigLoad)


class Failed(Exception):
    """A process of the run could not do its work; the message has its last words."""


def free_port() -> int:
    """Return a port of 127.0.0.1 that nobody listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


def python(module: str, *arguments: str) -> list[str]:
    """Return the command that runs a module of this checkout."""
    return [sys.executable, "-m", module, *arguments]


@asynccontextmanager
async def running(command: Sequence[str], log: Path) -> AsyncIterator[trio.Process]:
    """Run a server for as long as the block; its output goes to ``log``.

    Python keeps what it compiles, as it does where a package is installed.
    """
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    with log.open("ab") as output:
        process = await trio.lowlevel.open_process(
            list(command), stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd=ROOT, env=environment
        )
    try:
        yield process
    finally:
        await _end(process)


async def _end(process: trio.Process) -> None:
    with trio.CancelScope(shield=True):
        with trio.move_on_after(_GRACE):
            process.terminate()
            await process.wait()
        if process.returncode is None:
            process.kill()
            await process.wait()


async def first_answer(account: Account, process: trio.Process, log: Path, timeout: float = 30.0) -> float:
    """Log in and ``select 1`` again and again until it is answered; return Trio's time of that."""
    with trio.move_on_after(timeout):
        while process.poll() is None:
            try:
                values = await trio.to_thread.run_sync(ask_once, account, "select 1", abandon_on_cancel=True)
            except (OSError, WrongAnswer):  # not there yet, or "server is initializing"
                await trio.sleep(_PAUSE)
                continue
            if values != ("1",):
                raise WrongAnswer(f"select 1 was answered with {values!r}")
            return trio.current_time()
    how = f"no answer within {timeout:g} s" if process.returncode is None else f"ended with status {process.returncode}"
    raise Failed(f"{log.stem}: {how}: {_last_words(log)}")


async def load(kind: type[Outcome], account: Account, *arguments: str) -> Outcome:
    """Run the load client in ``point`` or ``big`` mode and return what it measured."""
    mode = "point" if kind is PointLoad else "big"
    out = await output_of(python("benchmarks.load", mode, *account.arguments(), *arguments))
    return msgspec.json.decode(out, type=kind)


@asynccontextmanager
async def idle_sessions(account: Account, *arguments: str) -> AsyncIterator[None]:
    """Hold logged-in sessions for as long as the block."""
    command = python("benchmarks.load", "idle", *account.arguments(), *arguments)
    process = await trio.lowlevel.open_process(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT)
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        with trio.fail_after(60):
            if not (await process.stdout.receive_some()).startswith(b"ready"):
                raise Failed("the sessions could not be opened; see above")
        yield
        await process.stdin.aclose()
        if await process.wait():
            raise Failed("the sessions did not last; see above")
    finally:
        await _end(process)


async def output_of(command: Sequence[str], timeout: float = 120.0) -> str:
    """Run a command to its end and return what it wrote; raise Failed with its complaints if it failed."""
    with trio.fail_after(timeout):
        done = await trio.run_process(list(command), capture_stdout=True, capture_stderr=True, check=False, cwd=ROOT)
    out, err = done.stdout.decode(), done.stderr.decode()
    if done.returncode:
        raise Failed(f"{' '.join(command[:4])} … failed: {(err or out).strip()[-2000:]}")
    return out


def _last_words(log: Path) -> str:
    return log.read_text(errors="replace").strip()[-2000:] or "it said nothing"
