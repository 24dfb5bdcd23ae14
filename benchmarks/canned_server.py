"""An OBServer of prebuilt bytes: ``python -m benchmarks.canned_server PORT``.

It accepts any login, answers at once and never knows what a statement means:
whatever is measured before it is the cost of the client and the proxy.  One
thread, one epoll.  Proxies that ask for OB 2.0 get it.  A request that was seen before costs a dictionary look-up.
"""

from __future__ import annotations

import argparse
import select
import socket
from collections.abc import Callable
from itertools import count

from benchmarks.canned_answers import Answers, big_size, greeting
from benchmarks.ob20_frames import Payload, asks_for_ob20, take_request

_READ_BYTES = 65536
_KNOWN_REQUESTS = 1024
_QUIT, _INIT_DB, _QUERY, _PREPARE, _EXECUTE, _LONG_DATA, _CLOSE = 0x01, 0x02, 0x03, 0x16, 0x17, 0x18, 0x19
_SILENT = (_LONG_DATA, _CLOSE)


class Left(Exception):
    """The peer is gone, or said goodbye."""


class Connection:
    """One client or proxy.  ``known`` maps whole requests to whole answers."""

    __slots__ = ("answers", "id", "known", "ob20", "pending", "sock", "unsent")

    def __init__(self, sock: socket.socket, number: int) -> None:
        self.sock = sock
        self.id = number
        self.ob20 = False
        """Logged in, and in OB 2.0 since."""
        self.answers: Answers | None = None
        self.known: dict[bytes, bytes] = {}
        self.pending = b""
        self.unsent: list[memoryview] = []
        """What the socket did not take yet, last piece first."""


class CannedServer:
    """Serves until its process is ended."""

    def __init__(self, port: int, cluster: str) -> None:
        self._listener = socket.create_server(("127.0.0.1", port), backlog=4096)
        self._listener.setblocking(False)
        self.port: int = self._listener.getsockname()[1]
        self._client = Answers(cluster, "127.0.0.1", self.port, proxy=False)
        self._proxy = Answers(cluster, "127.0.0.1", self.port, proxy=True)
        self._known: dict[Answers, dict[bytes, bytes]] = {self._client: {}, self._proxy: {}}
        self._payloads: dict[bytes, Payload] = {}
        self._epoll = select.epoll()
        self._epoll.register(self._listener.fileno(), select.EPOLLIN)
        self._connections: dict[int, Connection] = {}
        self._ids = count(1)

    def serve(self) -> None:
        """Answer for ever."""
        poll, connections, listener = self._epoll.poll, self._connections, self._listener.fileno()
        while True:
            for fd, events in poll():
                if fd == listener:
                    self._accept()
                    continue
                connection = connections[fd]
                try:
                    if events & select.EPOLLOUT:
                        self._flush(connection)
                    else:
                        self._read(connection)
                except (Left, OSError):
                    self._forget(connection)

    def _accept(self) -> None:
        try:
            while True:
                sock, _ = self._listener.accept()
                sock.setblocking(False)
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                number = next(self._ids)
                self._connections[sock.fileno()] = Connection(sock, number)
                self._epoll.register(sock.fileno(), select.EPOLLIN)
                sock.send(greeting(number))
        except BlockingIOError:
            return

    def _forget(self, connection: Connection) -> None:
        del self._connections[connection.sock.fileno()]
        connection.sock.close()

    def _read(self, connection: Connection) -> None:
        data = connection.sock.recv(_READ_BYTES)
        if connection.ob20:
            self._read_framed(connection, data)
            return
        answer = connection.known.get(data)
        if answer is not None and not connection.pending:
            if connection.sock.send(answer) != len(answer):
                raise Left("a client that does not read")
            return
        if not data:
            raise Left
        self._read_slowly(connection, connection.pending + data)

    def _read_slowly(self, connection: Connection, data: bytes) -> None:
        while len(data) >= 4 and len(data) >= (end := 4 + int.from_bytes(data[:3], "little")):
            request, data = data[:end], data[end:]
            if connection.answers is None:
                self._log_in(connection, request)
            else:
                self._answer(connection, connection.answers, request)
        connection.pending = data

    def _read_framed(self, connection: Connection, data: bytes) -> None:
        if not data:
            raise Left
        data = connection.pending + data
        while (found := take_request(data)) is not None:
            request, request_id, data = found
            payload = self._payloads.get(request)
            if payload is None:
                self._answer_framed(connection, request, request_id)
                continue
            answer = payload.frame(connection.id, request_id)
            if connection.sock.send(answer) != len(answer):
                raise Left("a client that does not read")
        connection.pending = data

    def _answer_framed(self, connection: Connection, request: bytes, request_id: int) -> None:
        pieces = self._answer_to(self._proxy, request)
        if len(pieces) == 1:
            payload = Payload(bytes(pieces[0]))
            if len(self._payloads) < _KNOWN_REQUESTS:
                self._payloads[request] = payload
            self._send(connection, [memoryview(payload.frame(connection.id, request_id))])
        elif pieces:
            framed: list[memoryview] = []
            coded = {id(piece.obj): Payload(bytes(piece)) for piece in pieces}
            for seq, piece in enumerate(reversed(pieces), 1):
                payload = coded[id(piece.obj)]
                head = payload.head(connection.id, request_id, seq, last=seq == len(pieces))
                framed += [memoryview(head), memoryview(payload.mysql), memoryview(payload.tail)]
            self._send(connection, framed[::-1])

    def _log_in(self, connection: Connection, request: bytes) -> None:
        connection.answers = self._proxy if b"__ob_proxy" in request else self._client
        connection.known = self._known[connection.answers]
        connection.ob20 = connection.answers is self._proxy and asks_for_ob20(request)
        login_ok = connection.answers.login_ok_ob20 if connection.ob20 else connection.answers.login_ok
        self._send(connection, [memoryview(login_ok)])

    def _answer(self, connection: Connection, answers: Answers, request: bytes) -> None:
        pieces = self._answer_to(answers, request)
        if len(pieces) == 1 and len(connection.known) < _KNOWN_REQUESTS:
            connection.known[request] = bytes(pieces[0])
        if pieces:
            self._send(connection, pieces)

    def _answer_to(self, answers: Answers, request: bytes) -> list[memoryview]:
        """Return the pieces of an answer, last one first; none to a command without an answer."""
        command, text = request[4], request[5:]
        if command == _QUIT:
            raise Left
        if command in _SILENT:
            return []
        if command == _QUERY and (mebibytes := big_size(text)):
            big = answers.big
            block = memoryview(big.block)
            pieces = [memoryview(big.head), *[block] * big.blocks(mebibytes), memoryview(big.tail)]
            return pieces[::-1]
        return [memoryview(_DISPATCH.get(command, _plain_ok)(answers, text))]

    def _send(self, connection: Connection, pieces: list[memoryview]) -> None:
        connection.unsent = pieces + connection.unsent
        self._flush(connection)

    def _flush(self, connection: Connection) -> None:
        unsent, send = connection.unsent, connection.sock.send
        try:
            while unsent:
                piece = unsent[-1]
                sent = send(piece)
                if sent == len(piece):
                    unsent.pop()
                else:
                    unsent[-1] = piece[sent:]
        except BlockingIOError:
            self._epoll.modify(connection.sock.fileno(), select.EPOLLOUT)
        else:
            self._epoll.modify(connection.sock.fileno(), select.EPOLLIN)


def _plain_ok(answers: Answers, _text: bytes) -> bytes:
    return answers.ok


_DISPATCH: dict[int, Callable[[Answers, bytes], bytes]] = {
    _QUERY: Answers.to_query,
    _PREPARE: Answers.to_prepare,
    _EXECUTE: lambda answers, _text: answers.executed,
}


def main() -> None:
    """Serve at the port of the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.canned_server", description=__doc__)
    parser.add_argument("port", type=int, help="0: a free one; printed")
    parser.add_argument("--cluster", default="canned")
    arguments = parser.parse_args()
    server = CannedServer(arguments.port, arguments.cluster)
    print(server.port, flush=True)
    try:
        server.serve()
    except KeyboardInterrupt:
        return


if __name__ == "__main__":
    main()
