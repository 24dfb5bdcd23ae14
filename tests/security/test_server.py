"""A hostile OBServer: what it learns, what it makes us hold."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any

import pytest

from fuzz.figures import CORPUS
from fuzz.harnesses import harness
from odp_trio.catalog import metadata_connection
from odp_trio.catalog.metadata import Credentials, MetadataClient
from odp_trio.errors import MetadataUnavailable
from odp_trio.model import Address
from odp_trio.routing.located import Located, NotComputable
from odp_trio.routing.partition import plan_partition
from odp_trio.routing.values import Values
from odp_trio.sql.cache import Statements
from odp_trio.topology.partitioning import KeyColumn, Level, Method, Partition, Partitioning
from odp_trio.wire.auth import stage_one
from odp_trio.wire.handshake import Greeting
from odp_trio.wire.packets import packet
from odp_trio.wire.resultset import ok_payload

PASSWORD = "the password of proxyro"
HASH = stage_one(PASSWORD).hex()
Talk = Callable[[socket.socket, bytearray], None]


@contextmanager
def server(talk: Talk, plugin: bytes = b"mysql_native_password") -> Iterator[tuple[Address, bytearray]]:
    """Serve one connection: greet, and do what ``talk`` does; yield the address, and what was heard."""
    heard = bytearray()

    def serve() -> None:
        sock, _ = listener.accept()
        with closing(sock):
            sock.settimeout(5)
            greeting = Greeting(b"5.7.25", 7, bytes(range(1, 21)), plugin=plugin).to_bytes()
            try:
                sock.sendall(packet(0, greeting))
                heard.extend(sock.recv(65536))
                talk(sock, heard)
                while data := sock.recv(65536):
                    heard.extend(data)
            except OSError:
                pass

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield Address(*listener.getsockname()[:2]), heard
        thread.join(5)
        assert not thread.is_alive()


async def ask(address: Address, password: str) -> str:
    """Ask a metadata query; return why it failed."""
    client = MetadataClient(Credentials("proxyro", (password,)), timeout=lambda: 3.0, connect_timeout=lambda: 3.0)
    try:
        with pytest.raises(MetadataUnavailable) as caught:
            await client.query("select 1", [address])
    finally:
        client.close()
    return str(caught.value)


def switch_to(plugin: bytes) -> Talk:
    return lambda sock, heard: sock.sendall(packet(2, b"\xfe" + plugin + b"\0" + bytes(range(1, 21)) + b"\0"))


def ask_for_more(sock: socket.socket, heard: bytearray) -> None:
    """The way of caching_sha2_password: "full authentication", and a key of ours if it asks for one."""
    sock.sendall(packet(2, b"\x01\x04"))


HOSTILE: dict[str, tuple[Talk, bytes]] = {
    "mysql_clear_password": (switch_to(b"mysql_clear_password"), b"mysql_native_password"),
    "dialog": (switch_to(b"dialog"), b"mysql_native_password"),
    "sha256_password": (switch_to(b"sha256_password"), b"sha256_password"),
    "caching_sha2_password": (switch_to(b"caching_sha2_password"), b"caching_sha2_password"),
    "mysql_old_password": (switch_to(b"mysql_old_password"), b"mysql_native_password"),
    "client_ed25519": (switch_to(b"client_ed25519"), b"mysql_native_password"),
    "full authentication": (ask_for_more, b"caching_sha2_password"),
}


@pytest.mark.parametrize("way", HOSTILE)
@pytest.mark.parametrize("password", [PASSWORD, HASH], ids=["clear", "hash"])
async def test_server_1_no_plugin_gets_the_password_or_its_hash(way: str, password: str) -> None:
    talk, plugin = HOSTILE[way]
    with server(talk, plugin) as (address, heard):
        reason = await ask(address, password)

    assert "asks for more than native password" in reason
    for secret in (PASSWORD.encode(), HASH.encode(), bytes.fromhex(HASH)):
        assert secret not in heard
    assert PASSWORD not in reason
    assert heard.count(b"\x03\0\0\3") == 0, "a question goes on"


def welcome(then: bytes) -> Talk:
    """Let it in, answer its statements with OK until the query, and that with ``then``."""

    def talk(sock: socket.socket, heard: bytearray) -> None:
        sock.sendall(packet(2, ok_payload()))
        while data := sock.recv(65536):
            heard.extend(data)
            sock.sendall(then if b"select 1" in data else packet(1, ok_payload()))

    return talk


async def test_server_2_it_reads_no_file_of_ours(tmp_path: Any) -> None:
    precious = tmp_path / "precious"
    precious.write_text("the content of a file")
    with server(welcome(packet(1, b"\xfb" + str(precious).encode()))) as (address, heard):
        assert await ask(address, PASSWORD)

    assert b"content of a file" not in heard


async def test_server_4_an_answer_without_an_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metadata_connection, "MOST_BYTES", 100_000)
    column = b"\3def\0\0\0\1a\1a\x0c\x2d\0\0\4\0\0\xfd\0\0\0\0\0"
    head = packet(1, b"\1") + packet(2, column) + packet(3, b"\xfe\0\0\2\0")
    rows = b"".join(packet(4 + at & 0xFF, b"\xfc\xe8\3" + b"x" * 1000) for at in range(300))
    with server(welcome(head + rows)) as (address, _):
        assert "more than 100000 bytes" in await ask(address, PASSWORD)


@pytest.mark.parametrize("name", ["greeting", "answers", "ob20"])
def test_server_5_what_was_found_to_be_odd_is_an_answer_or_an_error(name: str) -> None:
    for path in sorted((CORPUS / name).iterdir()):
        harness(name).one_input(path.read_bytes())


@pytest.mark.parametrize("bound", [((1, 2),), ((b"x",),), ((1.5,), (b"x",)), ((),), (((2024, 1, 1, 0),),)])
@pytest.mark.parametrize("method", [Method.LIST, Method.RANGE])
def test_server_7_bounds_that_do_not_go_with_the_columns_are_no_crash(method: Method, bound: Any) -> None:
    column = KeyColumn("a", 4, 63, 0, 1)
    parts = (Partition(1, "p0", 1, bound), Partition(2, "p1", 2, ((5,),)))
    partitioning = Partitioning(1, (Level(method, "a", True, False),), (column,), parts)
    shape, literals = Statements().shape(b"select * from t where a = 5")

    plan = plan_partition(partitioning, shape.facts)

    found = plan if isinstance(plan, NotComputable) else plan.locate(Values(literals))
    assert isinstance(found, NotComputable | Located)


@pytest.mark.parametrize("code", [50, 39, 31])
@pytest.mark.parametrize(("precision", "scale"), [(10**12, 0), (10**7, -5), (5, 10**9), (-(10**9), 0)])
def test_server_7_a_decimal_of_absurd_size_is_no_crash(code: int, precision: int, scale: int) -> None:
    column = KeyColumn("a", code, 63, 0, 1, precision=precision, scale=scale)
    parts = (Partition(1, "p0", 1, ((1,),)), Partition(2, "p1", 2, ((5,),)))
    partitioning = Partitioning(1, (Level(Method.RANGE, "a", True, False),), (column,), parts)
    shape, literals = Statements().shape(b"select * from t where a = 5")

    plan = plan_partition(partitioning, shape.facts)

    assert isinstance(
        plan if isinstance(plan, NotComputable) else plan.locate(Values(literals)), NotComputable | Located
    )
