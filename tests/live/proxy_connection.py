"""A connection to an OBServer as a proxy makes it, in blocking code: plain MySQL or OB 2.0."""

from __future__ import annotations

import socket
from collections.abc import Mapping

from odp_trio.errors import ServerProtocolError
from odp_trio.model import Address
from odp_trio.wire.auth import native_token, xor
from odp_trio.wire.fields import OBCapability
from odp_trio.wire.handshake import LoginPacket, parse_greeting
from odp_trio.wire.ob20 import Flag, Frame, FrameReader
from odp_trio.wire.packets import PacketReader, packet
from odp_trio.wire.response import ResponseTracker

OWN_SCRAMBLE = b"abcdefghijklmnopqrst"


class ProxyConnection:
    """Logs in with a token made for the proxy's own scramble; closed by ``close()``.

    ``capabilities`` are added to those of an OB 2.0 or plain session.
    """

    def __init__(
        self,
        where: Address,
        *,
        ob20: bool,
        user: str = "app@mytenant",
        password: str = "app_pw",
        capabilities: int = OBCapability.NEW_EXTRA_INFO,
    ) -> None:
        self.sock = socket.create_connection((where.ip, where.port), timeout=15)
        self.frames: list[Frame] = []
        """Those of the last answer."""
        self.packets = PacketReader(ServerProtocolError)
        greeting = parse_greeting(self.next_packet()[1])
        asked = OBCapability.PARTITION_TABLE | (OBCapability.OB_PROTOCOL_V2 | capabilities if ob20 else 0)
        login = LoginPacket(
            capabilities=0x0018A201 | 1 << 23,
            max_packet=1 << 24,
            charset=45,
            user=user.encode(),
            auth=native_token(password, OWN_SCRAMBLE),
            plugin=b"mysql_native_password",
            attributes={
                b"__mysql_client_type": b"__ob_proxy",
                b"__proxy_connection_id": b"7",
                b"__global_vars_version": b"0",
                b"__proxy_capability_flag": str(int(asked)).encode(),
                b"__proxy_scramble": xor(OWN_SCRAMBLE, greeting.scramble),
            },
        )
        self.sock.sendall(packet(1, login.to_bytes()))
        assert self.next_packet()[1][:1] == b"\0"
        self.id = greeting.connection_id
        self.reader = FrameReader(ServerProtocolError, self.id) if ob20 else None
        self.requests = 0

    def close(self) -> None:
        self.sock.close()

    def next_packet(self) -> tuple[int, bytes]:
        while (found := self.packets.next_packet()) is None:
            self.packets.feed(self._received())
        return found

    def _received(self) -> bytes:
        data = self.sock.recv(65536)
        if not data:
            raise EOFError("the OBServer closed the connection")
        return data

    def send(self, payload: bytes, *, extra: Mapping[int, bytes] | None = None, split: int = 0) -> None:
        """Send a command, in OB 2.0 with extra info (perhaps empty) if given, and in frames of ``split`` bytes if that is not 0."""
        request = packet(0, payload)
        if self.reader is None:
            self.sock.sendall(request)
            return
        self.requests += 1
        pieces = [request[at : at + split] for at in range(0, len(request), split)] if split else [request]
        for seq, piece in enumerate(pieces):
            flags = int(Flag.LAST) if seq == len(pieces) - 1 else 0
            if extra is not None and seq == 0:
                flags |= Flag.EXTRA_INFO | Flag.NEW_EXTRA_INFO
            frame = Frame(self.id, self.requests, seq, flags, piece, extra or {} if seq == 0 else {})
            self.sock.sendall(frame.to_bytes())

    def answer(self, command: int = 3) -> list[bytes]:
        """Return the payloads of one answer, its extra OK included."""
        self.frames.clear()
        tracker = ResponseTracker()
        tracker.begin(command)
        payloads = []
        while not tracker.ended:
            if self.reader is not None and not self.packets.buffer:
                self._read_frames(self.reader)
            seq, payload = self.next_packet()
            raw = packet(seq, payload)
            tracker.feed(raw, 0, len(raw))
            payloads.append(payload)
        return payloads

    def ask(self, sql: bytes) -> list[bytes]:
        """Run a statement; return the payloads of its answer."""
        self.send(b"\x03" + sql)
        return self.answer()

    def _read_frames(self, reader: FrameReader) -> None:
        while not self.frames or not self.frames[-1].is_last:
            if (frame := reader.next_frame()) is not None:
                assert frame.request_id == self.requests
                self.frames.append(frame)
                self.packets.feed(frame.mysql)
            else:
                reader.feed(self._received())
