"""A client of one fake connection, without a socket."""

from __future__ import annotations

from typing import Any

from odp_trio.errors import ServerProtocolError
from odp_trio.model import Address
from odp_trio.testing.fakes.cluster import FakeCluster
from odp_trio.testing.fakes.connection import FakeConnection
from odp_trio.testing.fakes.session import Pause
from odp_trio.wire.auth import native_token, xor
from odp_trio.wire.command import Com
from odp_trio.wire.fields import Capability
from odp_trio.wire.handshake import LoginPacket, parse_greeting
from odp_trio.wire.packets import PacketReader, packet
from odp_trio.wire.resultset import ServerError, parse_err, parse_row
from odp_trio.wire.state import OKPacket, parse_ok

CAPABILITIES = (
    Capability.PROTOCOL_41
    | Capability.SECURE_CONNECTION
    | Capability.CONNECT_WITH_DB
    | Capability.PLUGIN_AUTH
    | Capability.CONNECT_ATTRS
)
CLIENT_SCRAMBLE = b"abcdefghijklmnopqrst"


class Client:
    """One client of one fake connection; time is ``now``."""

    def __init__(
        self, cluster: FakeCluster, number: int = 0, *, as_proxy: bool = False, user: str = "app@mytenant"
    ) -> None:
        connection = cluster.connect(Address(f"127.0.0.{number + 1}", 2881))
        assert connection is not None
        self.connection: FakeConnection = connection
        self.now = 0.0
        greeting = self.step()
        scramble = parse_greeting(greeting[4:]).scramble
        attributes = {}
        if as_proxy:
            attributes = {
                b"__mysql_client_type": b"__ob_proxy",
                b"__proxy_scramble": xor(scramble, CLIENT_SCRAMBLE),
                b"__proxy_capability_flag": b"1706583",
            }
        token = native_token("app_pw", CLIENT_SCRAMBLE if as_proxy else scramble)
        login = LoginPacket(CAPABILITIES, 1 << 24, 45, user.encode(), token, b"test", attributes=attributes)
        connection.feed(packet(1, login.to_bytes()))
        self.answer = self.step()

    def step(self) -> bytes:
        step = self.connection.step(self.now)
        assert isinstance(step, bytes), step
        return step

    def ask(self, sql: str, command: int = Com.QUERY) -> bytes | Pause | None:
        self.connection.feed(packet(0, bytes((command,)) + sql.encode()))
        return self.connection.step(self.now)

    def run(self, *statements: str) -> list[Any]:
        """Run statements; return the values of the only row of the last one, as text; [] for an OK."""
        found: list[Any] = []
        for sql in statements:
            answer = self.ask(sql)
            assert isinstance(answer, bytes), answer
            assert answer[4] != 0xFF, parse_err(payloads(answer)[0])
            found = [] if answer[4] == 0 else [value and value.decode() for value in parse_row(answer)[1]]
        return found

    def error(self, sql: str) -> ServerError:
        answer = self.ask(sql)
        assert isinstance(answer, bytes)
        return parse_err(payloads(answer)[0])


def payloads(answer: bytes) -> list[bytes]:
    reader = PacketReader(ServerProtocolError)
    reader.feed(answer)
    return [found[1] for found in iter(reader.next_packet, None)]


def last_ok(answer: bytes | Pause | None) -> OKPacket:
    assert isinstance(answer, bytes)
    return parse_ok(payloads(answer)[-1])
