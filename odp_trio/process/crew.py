"""One of several workers: takes what came with the order to serve."""

from __future__ import annotations

import os
import socket

import msgspec

from odp_trio.process.inherited import Inherited
from odp_trio.process.link import Serve
from odp_trio.workers.member import Member
from odp_trio.workers.tally import Tally


def join(inherited: Inherited, order: Serve) -> tuple[Inherited, Member | None]:
    """Return the listening sockets that a worker has, and its end of the channel to the others.

    What came under a name that nobody here knows is closed.
    """
    if inherited.link is None or not order.descriptors:
        return inherited, None
    named = dict(zip(order.descriptors, inherited.link.received, strict=False))
    sockets = {name: socket.socket(fileno=named.pop(name)) for name in ("mysql", "mysql_ipv6") if name in named}
    channel, counts = named.pop("channel", None), named.pop("tally", None)
    tally = None if counts is None else Tally(counts, order.rows, order.row)
    for descriptor in (*named.values(), *(() if counts is None else (counts,))):
        os.close(descriptor)
    for sock in sockets.values():
        sock.setblocking(False)
    joined = msgspec.structs.replace(inherited, **sockets)
    if channel is None:
        return joined, None
    return joined, Member(socket.socket(fileno=channel), order.worker, order.workers, order.proxy_id, tally)
