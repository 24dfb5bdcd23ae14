"""A config server (OCP) for tests: HTTP on 127.0.0.1, the clusters it is told, and faults on demand.

async with open_config_server({"demo": bed.rslist}) as ocp:
    ...                                  # give a proxy obproxy_config_server_url=ocp.url
    ocp.html()
"""

from __future__ import annotations

import hashlib
import re
import socket
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import aclosing, asynccontextmanager, suppress
from typing import Any, Final, final
from urllib.parse import parse_qs, unquote, urlsplit

import msgspec
import trio

from odp_trio.testing.ocp_answers import (
    HTML,
    METADB_REGION,
    Question,
    Reply,
    Request,
    ServedCluster,
    told_document,
    told_idcs,
    told_rslist,
    with_each,
    with_lists,
    wrapped,
)

_LONGEST_REQUEST: Final = 16 << 10
_GARBAGE: Final = bytes(range(256)) * 4


Fault = Callable[[Request, Reply], None]
Edit = Callable[[Any], Any]


@final
class ConfigServerBed:
    """The running server.  One fault at a time: a verb replaces the one before; ``heal`` ends it.

    ``only`` of a verb says which question it is about; None: all of them.
    """

    __test__ = False

    def __init__(self, nursery: trio.Nursery, *, template: bool, secret: str) -> None:
        self.requests: list[Request] = []
        self.port = 0
        self.template = template
        """The main document names clusters with one URL for all, instead of one URL each."""
        self._secret = secret
        self._nursery = nursery
        self._clusters: dict[str, tuple[ServedCluster, ...]] = {}
        self._metadb: dict[str, tuple[ServedCluster, ...]] = {}
        self._fault: Fault | None = None
        self._healed = trio.Event()
        self._listener: trio.SocketListener | None = None
        self._connections: dict[trio.SocketStream, trio.CancelScope] = {}

    @property
    def base(self) -> str:
        """``http://127.0.0.1:port/services``."""
        return f"http://127.0.0.1:{self.port}/services"

    @property
    def url(self) -> str:
        """What obproxy_config_server_url is to be."""
        return f"{self.base}?Action=GetObProxyConfig&User_ID=odp&uid={self._secret}"

    @property
    def version(self) -> str:
        """The version of the main document: it changes when the document does."""
        return hashlib.md5(msgspec.json.encode(self._document())).hexdigest()

    @property
    def open_connections(self) -> int:
        """How many clients are connected."""
        return len(self._connections)

    def asked(self, question: Question) -> list[str]:
        """Return path and query of every request that asked for one thing."""
        return [request.target for request in self.requests if request.question is question]

    # ---- clusters ---------------------------------------------------------------

    def set_cluster(self, name: str, *served: ServedCluster | str) -> None:
        """Name a cluster, by one rslist or by several cluster ids."""
        self._clusters[name] = tuple(ServedCluster(one) if isinstance(one, str) else one for one in served)

    def remove_cluster(self, name: str) -> None:
        """Name a cluster no longer."""
        del self._clusters[name]

    def set_metadb(self, rslist: str) -> None:
        """Have a cluster behind MetaDataBase."""
        self._metadb = {METADB_REGION: (ServedCluster(rslist),)}

    # ---- faults -----------------------------------------------------------------

    def heal(self) -> None:
        """End the fault in force; requests that hang because of it are answered."""
        self._arm(None)

    async def down(self) -> None:
        """Close the port and every connection."""
        if self._listener is not None:
            await self._listener.aclose()
            self._listener = None
        for scope in self._connections.values():
            scope.cancel()

    def up(self) -> None:
        """Open the port, the same one as before."""
        if self._listener is None:
            sock = socket.create_server(("127.0.0.1", self.port), backlog=128)
            self.port = sock.getsockname()[1]
            self._listener = trio.SocketListener(trio.socket.from_stdlib_socket(sock))
            self._nursery.start_soon(self._accept, self._listener)

    def html(self, only: Question | None = None) -> None:
        """Answer with a page for people."""
        self.body(HTML, only)

    def garbage(self, only: Question | None = None) -> None:
        """Answer with bytes that are no text."""
        self.body(_GARBAGE, only)

    def body(self, body: bytes, only: Question | None = None) -> None:
        """Answer with these bytes, status 200."""
        self._change(only, lambda reply: setattr(reply, "body", body))

    def raw(self, answer: bytes, only: Question | None = None) -> None:
        """Answer with these bytes, which need be no HTTP, and close."""
        self._change(only, lambda reply: setattr(reply, "raw", answer))

    def slow(self, seconds: float, only: Question | None = None) -> None:
        """Answer after so long."""
        self._change(only, lambda reply: setattr(reply, "delay", seconds))

    def hang(self, only: Question | None = None) -> None:
        """Take requests, answer none of them."""
        self._change(only, lambda reply: setattr(reply, "never", True))

    def status(self, code: int, only: Question | None = None) -> None:
        """Answer with this status and a page for people."""

        def change(reply: Reply) -> None:
            reply.status, reply.body = code, HTML

        self._change(only, change)

    def cut(self, after: int = 40, only: Question | None = None) -> None:
        """Close the connection after so many bytes of the body; all are announced."""
        self._change(only, lambda reply: setattr(reply, "cut_after", after))

    def stall(self, after: int = 40, only: Question | None = None) -> None:
        """Send so many bytes of the body and no more; the connection stays."""

        def change(reply: Reply) -> None:
            reply.cut_after, reply.stalls = after, True

        self._change(only, change)

    def oversized(self, size: int = 1 << 20, only: Question | None = None, *, announced: bool = True) -> None:
        """Answer with JSON of so many bytes, announced by Content-Length or not."""

        def change(reply: Reply) -> None:
            reply.body = reply.body.ljust(size)
            reply.headers = () if announced else (("Transfer-Encoding", "chunked"),)

        self._change(only, change)

    def redirect_loop(self, only: Question | None = None) -> None:
        """Redirect every request to its own URL."""
        self._arm(lambda request, reply: _redirect(reply, request.target) if only in (None, request.question) else None)

    def redirects(self, times: int, only: Question | None = None) -> None:
        """Redirect so many times, to another URL each, then answer."""

        def fault(request: Request, reply: Reply) -> None:
            hop = int(parse_qs(request.query).get("hop", ["0"])[0])
            if only in (None, request.question) and hop < times:
                _redirect(reply, f"{re.sub('&hop=[0-9]+$', '', request.target)}&hop={hop + 1}")

        self._arm(fault)

    def edit(self, change: Edit, only: Question | None = None) -> None:
        """Answer with the JSON that ``change`` makes of the right one; it gets and returns the decoded answer."""

        def changed(reply: Reply) -> None:
            reply.body = msgspec.json.encode(change(msgspec.json.decode(reply.body)))

        self._change(only, changed)

    def unsuccessful(self, message: str = "no such user", code: int = 400, only: Question | None = None) -> None:
        """Answer that it failed."""
        self.edit(lambda answer: answer | {"Success": False, "Message": message, "Code": code}, only)

    def empty_list(self) -> None:
        """Answer with rslists without servers."""
        self.edit(lambda answer: with_each(answer, {"RsList": [], "ReadonlyRsList": []}), Question.RSLIST)

    def wrong_name(self, name: str = "another") -> None:
        """Answer with rslists of a cluster of another name."""
        self.edit(lambda answer: with_each(answer, {"ObRegion": name, "ObCluster": name}), Question.RSLIST)

    def wrong_id(self, cluster_id: int = 99) -> None:
        """Answer with rslists of another cluster id."""
        self.edit(
            lambda answer: with_each(answer, {"ObRegionId": cluster_id, "ObClusterId": cluster_id}), Question.RSLIST
        )

    def no_clusters(self) -> None:
        """Answer with a main document that names none."""
        self.edit(lambda answer: with_lists(answer, lambda names: []), Question.DOCUMENT)

    def duplicate(self) -> None:
        """Answer with a main document that names every cluster twice."""
        self.edit(lambda answer: with_lists(answer, lambda names: names * 2), Question.DOCUMENT)

    def _change(self, only: Question | None, change: Callable[[Reply], None]) -> None:
        self._arm(lambda request, reply: change(reply) if only in (None, request.question) else None)

    def _arm(self, fault: Fault | None) -> None:
        self._fault = fault
        self._healed.set()
        self._healed = trio.Event()

    # ---- content ----------------------------------------------------------------

    def _document(self) -> dict[str, Any]:
        return told_document(self.base, self._secret, tuple(self._clusters), template=self.template)

    def _answer(self, request: Request) -> Reply:
        query = parse_qs(request.query)
        name = (query.get("ObRegion") or [""])[0]
        if request.question is Question.VERSION:
            return wrapped({"Version": self.version})
        if request.question is Question.DOCUMENT:
            return wrapped({"Version": self.version, **self._document()})
        served = (self._clusters | self._metadb).get(name, ())
        if "ObRegionId" in query:
            served = tuple(one for one in served if str(one.cluster_id) in query["ObRegionId"])
        if not served or request.question is Question.OTHER:
            return Reply(b"no such thing", 404)
        tell = told_rslist if request.question is Question.RSLIST else told_idcs
        told = [tell(name, one) for one in served]
        return wrapped(told if len(told) > 1 else told[0])

    # ---- HTTP -------------------------------------------------------------------

    async def _accept(self, listener: trio.SocketListener) -> None:
        while True:
            try:
                stream = await listener.accept()
            except (trio.ClosedResourceError, OSError):
                return
            scope = self._connections[stream] = trio.CancelScope()
            self._nursery.start_soon(self._serve, stream, scope)

    async def _serve(self, stream: trio.SocketStream, scope: trio.CancelScope) -> None:
        try:
            with scope, suppress(trio.BrokenResourceError, trio.ClosedResourceError):
                async with aclosing(stream):
                    head = await _read_head(stream)
                    if head:
                        await self._reply(stream, _request(head))
        finally:
            del self._connections[stream]

    async def _reply(self, stream: trio.SocketStream, request: Request) -> None:
        self.requests.append(request)
        reply = self._answer(request)
        if self._fault is not None:
            self._fault(request, reply)
        if reply.delay or reply.never:
            with trio.move_on_after(float("inf") if reply.never else reply.delay):
                await self._healed.wait()
        if reply.raw is not None:
            await stream.send_all(reply.raw)
            return
        chunked = any(name == "Transfer-Encoding" for name, _ in reply.headers)
        length = () if chunked else (("Content-Length", str(len(reply.body))),)
        headers = (("Content-Type", "application/json"), ("Connection", "close"), *length, *reply.headers)
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers)
        body = _chunks(reply.body) if chunked else reply.body[: reply.cut_after]
        await stream.send_all(f"HTTP/1.1 {reply.status} -\r\n{lines}\r\n".encode() + body)
        if reply.stalls:
            await self._healed.wait()


async def _read_head(stream: trio.SocketStream) -> bytes:
    head = b""
    while b"\r\n\r\n" not in head and len(head) < _LONGEST_REQUEST:
        chunk = await stream.receive_some()
        if not chunk:
            return b""
        head += chunk
    return head


def _request(head: bytes) -> Request:
    first, *lines = head.decode("latin-1").partition("\r\n\r\n")[0].split("\r\n")
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    target = first.split(" ", 2)[1]
    parts = urlsplit(target)
    words = parts.query.lower()
    if "versiononly=true" in words:
        question = Question.VERSION
    elif "action=getobproxyconfig" in words or "action=getobrootserviceinfourltemplate" in words:
        question = Question.DOCUMENT
    elif "action=obrootserviceinfo" in words:
        question = Question.RSLIST
    elif "action=obidcregioninfo" in words:
        question = Question.IDCS
    else:
        question = Question.OTHER
    return Request(question, unquote(parts.path), parts.query, headers)


def _redirect(reply: Reply, target: str) -> None:
    reply.status, reply.body, reply.headers = 302, b"", (("Location", target),)


def _chunks(body: bytes, size: int = 8192) -> bytes:
    parts = [body[at : at + size] for at in range(0, len(body), size)]
    return b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"


@asynccontextmanager
async def open_config_server(
    clusters: Mapping[str, str] | None = None, *, port: int = 0, template: bool = False, secret: str = "s3cret"
) -> AsyncIterator[ConfigServerBed]:
    """Run a config server for the length of the block; ``clusters`` are rslists by name."""
    async with trio.open_nursery() as nursery:
        server = ConfigServerBed(nursery, template=template, secret=secret)
        server.port = port
        for name, rslist in (clusters or {}).items():
            server.set_cluster(name, rslist)
        server.up()
        try:
            yield server
        finally:
            await server.down()
            nursery.cancel_scope.cancel()
