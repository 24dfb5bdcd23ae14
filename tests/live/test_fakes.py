"""Fake OBServers against the real kernel: the same statements, packet by packet."""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path
from typing import Final

import pytest
import trio

from odp_trio.model import Address
from odp_trio.testing.fakes.serving import open_fake_cluster
from odp_trio.testing.live import KernelProcess
from tests.raw_client import PLAIN, TRACKING, RawClient

STATEMENTS: Final = Path(__file__).parents[1] / "data" / "fakes" / "statements.sql"
DATABASE: Final = "fakes"
_MAY_DIFFER: Final = (
    (re.compile(rb"\x16ob_last_schema_version\x10\d{16}"), b"VERSION"),
    (re.compile(rb"ob_statement_trace_id!.{33}", re.DOTALL), b"TRACE"),
)


def lines() -> list[str]:
    return [line for line in STATEMENTS.read_text().splitlines() if line and not line.startswith("##")]


def answers(address: Address, capabilities: int, as_proxy: bool) -> list[list[bytes]]:
    with RawClient(address, capabilities=capabilities, as_proxy=as_proxy) as client:
        for setup in (f"drop database if exists {DATABASE}", f"create database {DATABASE}", f"use {DATABASE}"):
            client.command(b"\x03" + setup.encode())
        found = [client.command(b"\x03" + line.encode()).packets for line in lines()]
        client.command(f"\x03drop database if exists {DATABASE}".encode())
    return found


def alike(packet: bytes) -> bytes:
    for pattern, replacement in _MAY_DIFFER:
        packet = pattern.sub(replacement, packet)
    return packet


@pytest.mark.parametrize(
    ("capabilities", "as_proxy"), [(PLAIN, False), (TRACKING, False), (PLAIN, True)], ids=["plain", "tracking", "proxy"]
)
async def test_a_fake_answers_as_the_kernel_does(kernel: KernelProcess, capabilities: int, as_proxy: bool) -> None:
    async with open_fake_cluster() as cluster:
        fake = partial(answers, cluster.servers[0].address, capabilities, as_proxy)
        real = partial(answers, Address("127.0.0.1", kernel.port), capabilities, as_proxy)
        with trio.fail_after(180):
            told = await trio.to_thread.run_sync(fake)
            wanted = await trio.to_thread.run_sync(real)

    differences = [
        f"{line}\n  kernel {one}\n  fake   {other}"
        for line, left, right in zip(lines(), wanted, told, strict=True)
        if (one := [alike(each) for each in left]) != (other := [alike(each) for each in right])
    ]
    assert not differences, f"{len(differences)} of {len(told)}:\n" + "\n".join(differences[:20])
