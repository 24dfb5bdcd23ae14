"""TLS around a non-blocking socket, for both legs of a session.

The TLS engine works in memory (``ssl.MemoryBIO``), so that the lane's callbacks
read and write it as they do a socket.  What the engine holds is bounded: no
more ciphertext is read than the caller has room for plaintext, and what is
decrypted beyond that is told by ``pending``; of what is written, one chunk at
most waits for the socket.
"""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import Callable
from typing import Final, final

from odp_trio.net.stream import Stream
from odp_trio.net.waiting import wait_readable, wait_writable

CHUNK_BYTES: Final = 65536
"""Plaintext that is encrypted at a time."""
_RAW_BYTES: Final = 16384
_UNASKED_LIMIT: Final = 65536
"""Answers to a peer's key updates that it may leave unread."""
_FIRST_BYTE: Final = 0x16
"""Of the record that a handshake begins with (RFC 8446, section 5.1)."""


class TlsFailed(OSError):
    """The handshake failed; ``strerror`` says why, in OpenSSL's words where they are."""

    def __init__(self, reason: str) -> None:
        super().__init__(None, reason)

    def __str__(self) -> str:
        return str(self.strerror)


@final
class TlsStream:
    """A coded stream: plaintext here, TLS records on the socket.

    ``early`` is what was read from the socket already: it goes to the engine as
    ciphertext and is never taken for anything else.  ``handshake()`` comes first.
    Whatever breaks TLS raises ``ssl.SSLError``, an OSError; a connection that ends without a close_notify
    ends like any other, as MySQL's packets say themselves where they end.
    After ``shutdown`` what the peer still sends is thrown away.
    """

    __slots__ = (
        "_broken",
        "_ended",
        "_incoming",
        "_object",
        "_outgoing",
        "_promised",
        "_shut",
        "_socket",
        "_unsent",
        "fileno",
        "pending",
    )

    def __init__(
        self,
        sock: Stream,
        context: ssl.SSLContext,
        *,
        server_side: bool = False,
        server_hostname: str | None = None,
        early: bytes = b"",
    ) -> None:
        self._socket = sock
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._object = context.wrap_bio(
            self._incoming, self._outgoing, server_side=server_side, server_hostname=server_hostname
        )
        self.fileno = sock.fileno
        self.pending = False
        """Whether ``recv`` would give bytes although the descriptor may never become readable again."""
        self._unsent = b""
        self._promised = 0
        """Plaintext bytes of the chunk that ``_unsent`` is the rest of: not counted as taken yet."""
        self._ended = self._shut = False
        self._broken: ssl.SSLError | None = None
        if early:
            if early[0] != _FIRST_BYTE:
                raise TlsFailed("plaintext where a TLS handshake should begin")
            self._incoming.write(early)

    @property
    def version(self) -> str:
        """The protocol in use: ``TLSv1.3``."""
        return self._object.version() or ""

    @property
    def cipher(self) -> str:
        """The cipher suite in use."""
        found = self._object.cipher()
        return found[0] if found else ""

    # ---- handshake ----------------------------------------------------------------

    async def handshake(self) -> None:
        """Shake hands; raise TlsFailed.  The caller sets the time limit."""
        try:
            while not self._shake():
                await self._send_all()
                data = await self._receive()
                if not data:
                    raise TlsFailed("the peer closed the connection during the TLS handshake")
                self._incoming.write(data)
            if not self._flush() and not (self._object.server_side and self.version == "TLSv1.3"):
                await self._send_all()  # else it is tickets, which need not be read before the next answer
        except ssl.SSLError as exc:
            with contextlib.suppress(OSError):  # the alert
                self._flush()
            raise TlsFailed(describe(exc)) from exc
        except TlsFailed:
            raise
        except OSError as exc:
            raise TlsFailed(f"the connection was lost during the TLS handshake: {exc.strerror}") from exc
        self.pending = bool(self._incoming.pending)

    def _shake(self) -> bool:
        try:
            self._object.do_handshake()
        except ssl.SSLWantReadError:
            return False
        return True

    async def _send_all(self) -> None:
        while not self._flush():
            await wait_writable(self._socket)

    async def _receive(self) -> bytes:
        while True:
            try:
                return self._socket.recv(_RAW_BYTES)
            except BlockingIOError:
                await wait_readable(self._socket)

    # ---- reading ------------------------------------------------------------------

    def recv(self, size: int, /) -> bytes:
        """Return up to ``size`` bytes."""
        buffer = bytearray(size)
        return bytes(memoryview(buffer)[: self.recv_into(buffer)])

    def recv_into(self, buffer: bytearray | memoryview, /) -> int:
        """Fill a buffer as far as there is plaintext; return how far."""
        if self._shut:
            return self._discard(buffer)
        if self._broken is not None:
            raise self._broken
        if not self.pending:
            if self._ended:
                return 0
            self._read_socket(buffer)
        filled = self._decrypt(buffer)
        if self._outgoing.pending:
            self._answer()
        if not filled:
            if self._broken is not None:
                raise self._broken
            if not self._ended:
                raise BlockingIOError
        return filled

    def _decrypt(self, buffer: bytearray | memoryview) -> int:
        """Read what the engine has; it may be many records."""
        read: Callable[[int, bytearray | memoryview], int] = self._object.read  # type: ignore[assignment]
        incoming, inside = self._incoming, self._object.pending
        filled, size = 0, len(buffer)
        self.pending = False
        try:
            while filled < size:
                count = read(size - filled, memoryview(buffer)[filled:] if filled else buffer)
                if not count:  # close_notify
                    self._ended = True
                    return filled
                filled += count
                if not incoming.pending and not inside():
                    return filled
        except ssl.SSLWantReadError:
            return filled
        except ssl.SSLEOFError:  # behind the last whole record
            self._ended = True
            return filled
        except ssl.SSLError as exc:
            self._broken = exc
            self.pending = bool(filled)  # the next call raises it
            return filled
        self.pending = True
        return filled

    def _read_socket(self, buffer: bytearray | memoryview) -> None:
        """Get ciphertext by way of the caller's buffer: it is free until there is plaintext."""
        count = self._socket.recv_into(buffer)
        if count:
            self._incoming.write(memoryview(buffer)[:count])
        else:
            self._incoming.write_eof()

    def _answer(self) -> None:
        """Send what the engine answers by itself (key updates, alerts), as far as the socket takes it now."""
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self._flush()
        if len(self._unsent) > CHUNK_BYTES + _UNASKED_LIMIT:
            raise TlsFailed("the peer does not read the answers to its key updates")

    def _discard(self, buffer: bytearray | memoryview) -> int:
        if self._socket.recv_into(buffer):
            raise BlockingIOError
        return 0

    # ---- writing ------------------------------------------------------------------

    def send(self, data: bytes | bytearray | memoryview, /) -> int:
        """Encrypt and send; return how many bytes have gone.  What has been encrypted and has not gone counts not."""
        taken = 0
        size = len(data)
        if self._unsent or self._promised:
            if not self._flush():
                raise BlockingIOError
            taken, self._promised = min(self._promised, size), 0
        while taken < size:
            whole = not taken and size <= CHUNK_BYTES
            count = self._object.write(data if whole else memoryview(data)[taken : taken + CHUNK_BYTES])
            if not self._flush():
                self._promised = count
                if not taken:
                    raise BlockingIOError
                return taken
            taken += count
        return taken

    def _flush(self) -> bool:
        """Send ciphertext; answer whether all has gone."""
        data = self._outgoing.read()
        if self._unsent:
            data = self._unsent + data
        if not data:
            return True
        try:
            sent = self._socket.send(data)
        except BlockingIOError:
            sent = 0
        self._unsent = data[sent:]
        return not self._unsent

    # ---- the end ------------------------------------------------------------------

    def shutdown(self, how: int, /) -> None:
        """Say close_notify, then shut the socket down."""
        self._say_goodbye()
        self._socket.shutdown(how)

    def close(self) -> None:
        """Say close_notify if the socket takes it, and close."""
        self._say_goodbye()
        self._socket.close()

    def _say_goodbye(self) -> None:
        if self._shut or self._socket.fileno() == -1:
            return
        self._shut, self.pending = True, False
        with contextlib.suppress(OSError):  # unwrap() always misses the peer's answer; nobody waits for it
            self._object.unwrap()
        with contextlib.suppress(OSError):
            self._flush()


def describe(error: ssl.SSLError) -> str:
    """Say in a few words what was wrong: OpenSSL's reason, or why a certificate is not believed."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"certificate verify failed: {error.verify_message}"
    return (error.reason or str(error)).replace("_", " ").lower()
