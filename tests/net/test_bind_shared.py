"""Several listening sockets on one port."""

from __future__ import annotations

import socket

import pytest

from odp_trio.net.listener import bind_shared


@pytest.mark.parametrize("ip", ["127.0.0.1", "::1"])
def test_clients_are_spread_over_them_and_one_that_is_kept_open_keeps_its_queue(ip: str) -> None:
    sockets = bind_shared(ip, 0, 128, 3)
    address = sockets[0].getsockname()[:2]
    assert {sock.getsockname()[:2] for sock in sockets} == {address}
    clients = [socket.create_connection(address, timeout=5) for _ in range(60)]

    counts = []
    for sock in sockets:
        counts.append(0)
        while True:
            try:
                sock.accept()[0].close()
            except BlockingIOError:
                break
            counts[-1] += 1

    assert sum(counts) == 60
    assert min(counts) > 0
    for each in (*clients, *sockets):
        each.close()


def test_a_port_that_is_taken_is_refused_and_nothing_stays_open() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(OSError, match=f"cannot listen on 127.0.0.1 port {port}: Address already in use"):
            bind_shared("127.0.0.1", port, 16, 2)
    sockets = bind_shared("127.0.0.1", port, 16, 2)
    with pytest.raises(OSError, match="Address already in use"):
        bind_shared("127.0.0.1", port, 16, 2)
    for each in sockets:
        each.close()
