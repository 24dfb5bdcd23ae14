"""Sockets that were handed down: which are taken, and what is said of those that cannot be."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from odp_trio.config import Settings
from odp_trio.errors import ConfigError
from odp_trio.net.listener import bind, bind_unix
from odp_trio.process.inherited import HTTP_FD, MYSQL_FD, MYSQL_IPV6_FD, Inherited, bind_all, mismatch, take_inherited


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with bind("127.0.0.1", 0, 8) as sock:
        yield sock


def test_a_listening_socket_is_taken_and_leaves_no_trace(listener: socket.socket) -> None:
    environment = {MYSQL_FD: str(os.dup(listener.fileno())), "HOME": "/"}

    taken = take_inherited(environment)

    assert taken.mysql is not None
    assert taken.mysql.getsockname() == listener.getsockname()
    assert not taken.mysql.get_inheritable()
    assert environment == {"HOME": "/"}
    taken.close()


def test_nothing_in_the_environment_is_nothing_taken() -> None:
    assert take_inherited({}) == Inherited()


@pytest.mark.parametrize(
    ("value", "said"),
    [("x", "OBPROXY_INHERITED_FD = 'x' is no descriptor"), ("-1", "no descriptor"), ("99999", "no socket is open")],
)
def test_what_is_no_socket_is_refused_by_name(value: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        take_inherited({MYSQL_FD: value})


def test_a_file_is_no_socket(tmp_path: os.PathLike[str]) -> None:
    descriptor = os.open(tmp_path, os.O_RDONLY)
    try:
        with pytest.raises(ConfigError, match="no socket is open under this number"):
            take_inherited({HTTP_FD: str(descriptor)})
    finally:
        os.close(descriptor)


def test_a_socket_that_does_not_listen_is_refused() -> None:
    sock = socket.socket()
    number = sock.detach()

    with pytest.raises(ConfigError, match="this socket does not listen"):
        take_inherited({MYSQL_FD: str(number)})


def test_all_sockets_for_clients_are_handed_on_under_their_names(tmp_path: Path) -> None:
    path = tmp_path / "odp.sock"
    settings = Settings(
        listen_port=0,
        local_bound_ip="127.0.0.1",
        ip_listen_mode=3,
        local_bound_ipv6_ip="::1",
        enable_http=False,
        unix_socket=str(path),
        unix_socket_mode="0600",
    )
    ours = bind_all(settings)
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(ours.clients()) == ["listener", "listener_ipv6", "listener_unix"]
    ports = [sock.getsockname()[1] for sock in (ours.mysql, ours.mysql_ipv6) if sock]
    assert ports[0] == ports[1]

    taken = take_inherited({name: str(os.dup(sock.fileno())) for name, sock in ours.sockets()})
    handed = bind_all(settings, taken)
    assert [sock.getsockname() for sock in handed.clients().values()] == [
        sock.getsockname() for sock in ours.clients().values()
    ]
    handed.close()
    assert path.exists(), "it is the parent's"
    ours.close()
    assert not path.exists()


def test_one_mysql_socket_may_be_of_either_version() -> None:
    settings = Settings(listen_port=0, ip_listen_mode=2, local_bound_ipv6_ip="::1", enable_http=False)
    ours = bind_all(settings)
    ((name, sock),) = ours.sockets()
    assert (name, sock.family) == (MYSQL_IPV6_FD, socket.AF_INET6)
    taken = take_inherited({name: str(os.dup(sock.fileno()))})
    assert taken.mysql is not None
    assert mismatch(settings, taken) == ""
    taken.close()
    ours.close()


def test_a_unix_socket_that_somebody_left_is_removed_and_one_in_use_is_not(tmp_path: Path) -> None:
    path = str(tmp_path / "odp.sock")
    left = bind_unix(path, "0777", 8)
    with pytest.raises(OSError, match=r"odp.sock: Address already in use"):
        bind_unix(path, "0777", 8)
    left.close()
    bind_unix(path, "0777", 8).close()

    file = tmp_path / "file"
    file.write_text("not to be lost")
    with pytest.raises(OSError, match="cannot listen on the unix socket"):
        bind_unix(str(file), "0777", 8)
    assert file.read_text() == "not to be lost"


def test_what_was_not_handed_down_is_opened(listener: socket.socket) -> None:
    settings = Settings(prometheus_listen_port=0)

    both = bind_all(settings, Inherited(listener))

    assert both.mysql is listener
    assert both.http is not None
    both.http.close()


def test_a_port_that_cannot_be_changed_without_a_restart_is_said(listener: socket.socket) -> None:
    port = listener.getsockname()[1]
    same = Settings(local_bound_ip="127.0.0.1", listen_port=port)
    other = Settings(local_bound_ip="127.0.0.1", listen_port=1)

    assert mismatch(same, Inherited(listener)) == ""
    assert mismatch(other, Inherited()) == ""
    assert f"listens on 127.0.0.1 port {port}, the settings say 127.0.0.1 port 1" in mismatch(
        other, Inherited(listener)
    )
