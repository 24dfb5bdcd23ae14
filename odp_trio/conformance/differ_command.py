"""``odp-trio conformance --differ HOST:PORT HOST:PORT``: exit status 0 nothing differs, 1 something does."""

from __future__ import annotations

import argparse
from functools import partial

import msgspec
import trio
from rich.console import Console

from odp_trio.conformance.differ import GROUPS, Comparison, differ, lines
from odp_trio.conformance.needs import Needs
from odp_trio.conformance.options import target_of
from odp_trio.conformance.registry import chosen
from odp_trio.conformance.target import Target
from odp_trio.errors import BadAddress, ConfigError
from odp_trio.model import Address
from odp_trio.testing.demo import say

DIRECT = "direct"
"""Stands for the first server itself."""


def run(options: argparse.Namespace) -> int:
    """Compare the two; print where they differ."""
    one, other = (None if name == DIRECT else _address(name) for name in options.differ)
    proxy = one or other
    if proxy is None:
        raise ConfigError("--differ: at least one of both is to be a proxy")
    options.proxy = str(proxy)
    checks = chosen(options.group, options.check) if options.group or options.check else chosen(GROUPS)
    console = Console(highlight=False)

    async def work() -> Comparison:
        async with target_of(lambda name: getattr(options, name), partial(say, console)) as target:
            says = (lambda _: None) if options.quiet else partial(say, console)
            return await differ(_side(target, one), _side(target, other), checks, says=says)

    found = trio.run(work)
    for line in lines(found):
        console.print(line, markup=False, soft_wrap=True)
    if options.json is not None:
        options.json.write_bytes(msgspec.json.format(msgspec.json.encode(found), indent=2))
    return 0 if found.equal else 1


def _address(name: str) -> Address:
    try:
        return Address.parse(name)
    except BadAddress as exc:
        raise ConfigError(f"--differ: {exc}") from exc


def _side(target: Target, proxy: Address | None) -> Target:
    """Return the target with another front: a proxy, or the first server."""
    parts = target.parts
    if proxy is not None:
        return Target(msgspec.structs.replace(parts, front=proxy, name=str(proxy)))
    if not parts.servers:
        raise ConfigError("--differ direct: no server is known; give --rslist")
    server = parts.servers[0]
    has = parts.has & ~(Needs.PROXY | Needs.ADMIN | Needs.OWN_PROXY)
    return Target(msgspec.structs.replace(parts, front=server, name=f"{server}, direct", cluster="", has=has))
