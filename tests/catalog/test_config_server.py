"""The config server's client against a config server on a real socket: what it asks, and a reason for every fault."""

from __future__ import annotations

import logging
import socket
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.lowlevel
from trio.testing import MockClock

from odp_trio.catalog.config_server import DOCUMENT_BYTES, LIST_BYTES, ConfigServer
from odp_trio.errors import ConfigServerError, ConfigServerUnavailable, MalformedConfigAnswer, UnknownCluster
from odp_trio.model import Address
from odp_trio.testing.ocp import ConfigServerBed, open_config_server
from odp_trio.testing.ocp_answers import Question, ServedCluster
from tests.topology.config_json import DOCUMENT, wrapped

RSLIST = "127.0.0.1:2881;127.0.0.2:2881"
MAIN = "/services?Action=GetObProxyConfig&User_ID=odp&uid=s3cret"
DEMO = "/services?Action=ObRootServiceInfo&User_ID=odp&UID=s3cret&ObRegion=demo"
DEMO_IDCS = "/services?Action=ObIDCRegionInfo&User_ID=odp&UID=s3cret&ObRegion=demo"


@asynccontextmanager
async def open_pair(*, template: bool = False) -> AsyncIterator[tuple[ConfigServerBed, ConfigServer]]:
    async with open_config_server({"demo": RSLIST, "other": RSLIST}, template=template) as ocp:
        server = ConfigServer(ocp.url)
        try:
            yield ocp, server
        finally:
            await server.aclose()


async def failure(ask: Callable[[], Awaitable[object]]) -> ConfigServerError:
    with pytest.raises(ConfigServerError) as caught:
        await ask()
    return caught.value


def reason(error: ConfigServerError) -> str:
    """Return the text of an error without what was asked where."""
    asked, mark, said = str(error).partition(": ")
    assert mark
    assert asked.startswith("config server http")
    assert "?" not in asked
    return said


# ---- what is asked ------------------------------------------------------------


@pytest.mark.parametrize("template", [False, True])
async def test_it_asks_what_odp_asks_literally(template: bool) -> None:
    async with open_pair(template=template) as (ocp, server):
        await server.clusters()
        await server.rslist("demo")
        await server.rslist("demo", 1)
        await server.idcs("demo")
        await server.idcs("demo", 1)

        assert [request.target for request in ocp.requests] == [
            f"{MAIN}&VersionOnly=true",
            MAIN,
            f"{DEMO}&version=2",
            f"{DEMO}&version=2&ObRegionId=1",
            DEMO_IDCS,
            f"{DEMO_IDCS}&version=2&ObRegionId=1",
        ]
        assert {request.headers["accept-encoding"] for request in ocp.requests} == {"identity"}
        assert {request.headers["host"] for request in ocp.requests} == {f"127.0.0.1:{ocp.port}"}


async def test_the_document_is_asked_for_only_when_its_version_is_another_one() -> None:
    async with open_pair() as (ocp, server):
        first = await server.clusters()
        assert await server.clusters() is first
        assert ocp.asked(Question.DOCUMENT) == [MAIN]

        ocp.set_cluster("third", RSLIST)
        assert list((await server.clusters()).rslist_urls) == ["demo", "other", "third"]
        assert ocp.asked(Question.DOCUMENT) == [MAIN, MAIN]
        assert len(ocp.asked(Question.VERSION)) == 3

        await server.clusters(force=True)
        assert len(ocp.asked(Question.VERSION)) == 3
        assert len(ocp.asked(Question.DOCUMENT)) == 3


@pytest.mark.parametrize("verb", ["html", "garbage", "cut", "oversized", "redirect_loop", "unsuccessful"])
async def test_a_version_that_cannot_be_read_leaves_it_to_the_document(verb: str) -> None:
    async with open_pair() as (ocp, server):
        await server.clusters()
        getattr(ocp, verb)(only=Question.VERSION)

        assert (await server.clusters()).version == ocp.version
        assert len(ocp.asked(Question.DOCUMENT)) == 2


async def test_a_version_that_is_not_told_leaves_it_to_the_document() -> None:
    async with open_pair() as (ocp, server):
        await server.clusters()
        ocp.edit(lambda answer: answer | {"Data": {}}, only=Question.VERSION)

        await server.clusters()
        assert len(ocp.asked(Question.DOCUMENT)) == 2


async def test_a_server_that_does_not_answer_is_not_asked_for_the_document_too(autojump_clock: MockClock) -> None:
    autojump_clock.autojump_threshold = 0.05
    async with open_pair() as (ocp, server):
        kept = await server.clusters()
        ocp.hang()
        began = trio.current_time()
        await failure(server.clusters)

        assert trio.current_time() - began == 5
        assert len(ocp.asked(Question.DOCUMENT)) == 1
        assert server.document is kept


async def test_a_rslist_asks_for_the_main_document_first_if_there_is_none() -> None:
    async with open_pair() as (ocp, server):
        await server.rslist("demo")

        assert [request.question.name for request in ocp.requests] == ["VERSION", "DOCUMENT", "RSLIST"]


async def test_a_cluster_that_is_not_named_does_not_exist() -> None:
    async with open_pair() as (ocp, server):
        with pytest.raises(UnknownCluster) as caught:
            await server.rslist("nowhere")

        assert str(caught.value) == f"cluster 'nowhere' does not exist: config server {ocp.base} does not name it"


# ---- what is answered ---------------------------------------------------------


async def test_ids_standbys_aliases_and_idcs_arrive() -> None:
    async with open_pair() as (ocp, server):
        ocp.set_cluster(
            "pair",
            ServedCluster("10.0.0.1:2881;10.0.0.2:2881", 1, real_name="real", readonly="10.0.0.3:2881"),
            ServedCluster("10.0.1.1:3306", 2, "STANDBY", real_name="real", idcs={"SH1": "shanghai"}),
        )
        both = await server.rslist("pair")

        assert (both.cluster, both.real_name) == ("pair", "real")
        assert [one.cluster_id for one in both.clusters] == [1, 2]
        assert both.primary is both.clusters[0]
        assert both.clusters[0].servers == (Address("10.0.0.1", 2881), Address("10.0.0.2", 2881))
        assert both.clusters[0].readonly == (Address("10.0.0.3", 2881),)
        assert (await server.rslist("pair", 2)).clusters == both.clusters[1:]
        assert await server.idcs("pair", 2) == {"sh1": "shanghai"}
        assert await server.idcs("pair", 1) == {}


async def test_the_metadb_has_a_rslist_too() -> None:
    async with open_pair() as (ocp, server):
        ocp.set_metadb("10.0.0.9:2881")

        rslist = await server.rslist("MetaDataBase")

        assert (rslist.cluster, rslist.real_name) == ("MetaDataBase", "obdv1")


async def test_what_is_left_out_is_logged_once_as_long_as_it_stays(caplog: pytest.LogCaptureFixture) -> None:
    async with open_pair() as (ocp, server):

        def name_hosts(answer: dict[str, Any]) -> dict[str, Any]:
            bad = [{"address": f"ob{number}:2882", "role": "FOLLOWER", "sql_port": 2881} for number in range(5)]
            answer["Data"]["RsList"] += bad
            return answer

        ocp.edit(name_hosts, only=Question.RSLIST)
        for _ in range(3):
            assert len((await server.rslist("demo")).clusters[0].servers) == 2
        ocp.heal()
        await server.rslist("demo")
        ocp.edit(name_hosts, only=Question.RSLIST)
        await server.rslist("demo")

    lines = [record.getMessage() for record in caplog.records if record.name == "odp_trio.catalog"]
    assert len(lines) == 2
    assert lines[0] == lines[1]
    assert lines[0].startswith("config server, rslist of cluster 'demo': left out Data.RsList[2]: 'ob0:2882' is not")
    assert lines[0].endswith(", and 2 more")


# ---- faults -------------------------------------------------------------------

Arm = Callable[[ConfigServerBed], object]


def http(status: str, *headers: str, body: str = "") -> bytes:
    return "\r\n".join([f"HTTP/1.1 {status}", *headers, "", body]).encode()


FAULTS: list[tuple[str, Arm, type[ConfigServerError], str]] = [
    ("html", lambda ocp: ocp.html(), MalformedConfigAnswer, "the answer is HTML, not JSON"),
    (
        "garbage",
        lambda ocp: ocp.garbage(),
        MalformedConfigAnswer,
        "the answer is not JSON but 1024 bytes that are no text",
    ),
    (
        "text",
        lambda ocp: ocp.body(b"out of order"),
        MalformedConfigAnswer,
        "the answer is not JSON; it begins with 'out of order'",
    ),
    ("no body", lambda ocp: ocp.body(b""), MalformedConfigAnswer, "the answer has no content (0 bytes)"),
    ("half a body", lambda ocp: ocp.body(b'{"Data'), MalformedConfigAnswer, "the JSON is cut off after 6 bytes"),
    ("wrong schema", lambda ocp: ocp.body(b'{"Data": {}}'), MalformedConfigAnswer, "Success is missing"),
    (
        "unsuccessful",
        lambda ocp: ocp.unsuccessful(),
        MalformedConfigAnswer,
        "the config server reports a failure: Success is false, Code is 400, Message is 'no such user'",
    ),
    ("empty list", lambda ocp: ocp.empty_list(), MalformedConfigAnswer, "the rslist of cluster 'demo' is empty"),
    (
        "wrong name",
        lambda ocp: ocp.wrong_name(),
        MalformedConfigAnswer,
        "the answer is about cluster 'another', not about 'demo'",
    ),
    ("wrong id", lambda ocp: ocp.wrong_id(), MalformedConfigAnswer, "the answer is about cluster id 99, not about 1"),
    ("oversized", lambda ocp: ocp.oversized(), MalformedConfigAnswer, "the answer has more than 16384 bytes"),
    (
        "compressed",
        lambda ocp: ocp.raw(http("200 OK", "Content-Encoding: gzip", "Content-Length: 3", body="abc")),
        MalformedConfigAnswer,
        "the answer is compressed (gzip), which was not asked for",
    ),
    ("status", lambda ocp: ocp.status(503), ConfigServerUnavailable, "the status of the answer is 503, not 200"),
    (
        "redirect to nowhere",
        lambda ocp: ocp.raw(http("302 Found", "Content-Length: 0")),
        ConfigServerUnavailable,
        "the status of the answer is 302, not 200",
    ),
    (
        "redirect to no URL",
        lambda ocp: ocp.raw(http("302 Found", "Location: http://ocp:x/", "Content-Length: 0")),
        ConfigServerUnavailable,
        "redirects to something that is no URL",
    ),
    (
        "redirect to a file",
        lambda ocp: ocp.raw(http("302 Found", "Location: file:///etc/passwd", "Content-Length: 0")),
        ConfigServerUnavailable,
        "cannot ask (no URL): it is no http or https URL",
    ),
    ("redirect loop", lambda ocp: ocp.redirect_loop(), ConfigServerUnavailable, "redirects in a circle, back to BASE"),
    (
        "a fourth redirect",
        lambda ocp: ocp.redirects(4),
        ConfigServerUnavailable,
        "more than 3 redirects, the last to BASE",
    ),
    (
        "cut",
        lambda ocp: ocp.cut(),
        ConfigServerUnavailable,
        "the connection ended in the middle of the answer",
    ),
    ("no answer", lambda ocp: ocp.raw(b""), ConfigServerUnavailable, "the connection ended before the answer"),
    (
        "no HTTP",
        lambda ocp: ocp.raw(b"SSH-2.0-OpenSSH_9.6\r\n\r\n"),
        ConfigServerUnavailable,
        "it does not speak HTTP: illegal status line: bytearray(b'SSH-2.0-OpenSSH_9.6')",
    ),
    ("hang", lambda ocp: ocp.hang(), ConfigServerUnavailable, "connected, but no answer within 5 s"),
    ("stall", lambda ocp: ocp.stall(), ConfigServerUnavailable, "only a part of the answer within 5 s"),
    ("slow", lambda ocp: ocp.slow(5.1), ConfigServerUnavailable, "connected, but no answer within 5 s"),
    ("down", lambda ocp: ocp.down(), ConfigServerUnavailable, "the connection is refused"),
]


@pytest.mark.parametrize(("arm", "kind", "said"), [fault[1:] for fault in FAULTS], ids=[fault[0] for fault in FAULTS])
async def test_every_fault_has_its_own_reason_and_is_over_when_it_is_over(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture, arm: Arm, kind: type[ConfigServerError], said: str
) -> None:
    autojump_clock.autojump_threshold = 0.05
    caplog.set_level(logging.DEBUG)
    async with open_pair() as (ocp, server):
        await server.clusters()
        if (waiting := arm(ocp)) is not None:
            assert isinstance(waiting, Awaitable)
            await waiting
        error = await failure(lambda: server.rslist("demo", 1))

        assert isinstance(error, kind)
        assert reason(error) == said.replace("BASE", ocp.base)
        assert str(error).startswith(f"config server {ocp.base}, rslist of cluster 'demo', id 1: ")
        assert "s3cret" not in str(error)
        assert server.document is not None

        ocp.heal()
        ocp.up()
        assert (await server.rslist("demo", 1)).clusters
        await trio.testing.wait_all_tasks_blocked(0.01)
        assert ocp.open_connections == 0
    assert "s3cret" not in caplog.text
    assert "Traceback" not in caplog.text


def test_no_two_faults_have_the_same_reason() -> None:
    said = [fault[3] for fault in FAULTS]

    assert {text for text in said if said.count(text) > 1} == {"connected, but no answer within 5 s"}  # hang, slow


@pytest.mark.parametrize(
    ("arm", "said"),
    [
        (
            ConfigServerBed.duplicate,
            "Data.ObRootServiceInfoUrlList[2].ObRegion names cluster 'demo' for the second time",
        ),
        (ConfigServerBed.no_clusters, "Data.ObRootServiceInfoUrlList is empty: no cluster is named"),
        (partial(ConfigServerBed.oversized, announced=False), "the answer has more than 524288 bytes"),
        (ConfigServerBed.html, "the answer is HTML, not JSON"),
    ],
)
async def test_a_main_document_that_is_wrong_leaves_the_old_one(arm: Arm, said: str) -> None:
    async with open_pair() as (ocp, server):
        kept = await server.clusters()
        ocp.set_cluster("third", RSLIST)
        arm(ocp)
        error = await failure(server.clusters)

        assert str(error).startswith(f"config server {ocp.base}, main document: ")
        # Of two clusters and one more the first is the fourth one then.
        assert reason(error) == said.replace("[2]", "[3]")
        assert server.document is kept
        assert (await failure(partial(server.clusters, force=True))).args == error.args


async def test_idcs_have_one_second(autojump_clock: MockClock) -> None:
    autojump_clock.autojump_threshold = 0.05
    async with open_pair() as (ocp, server):
        await server.clusters()
        ocp.slow(0.9, only=Question.IDCS)
        assert await server.idcs("demo") == {}
        ocp.slow(1.1, only=Question.IDCS)
        error = await failure(lambda: server.idcs("demo"))

    assert str(error) == f"config server {ocp.base}, IDCs of cluster 'demo': connected, but no answer within 1 s"


@pytest.mark.parametrize("announced", [True, False])
async def test_a_body_may_be_as_long_as_the_limit_and_not_a_byte_longer(announced: bool) -> None:
    async with open_pair() as (ocp, server):
        ocp.oversized(DOCUMENT_BYTES, announced=announced)
        await server.clusters()
        ocp.oversized(LIST_BYTES, announced=announced)
        await server.rslist("demo")
        ocp.oversized(LIST_BYTES + 1, announced=announced)
        assert reason(await failure(lambda: server.rslist("demo"))) == "the answer has more than 16384 bytes"
        assert reason(await failure(lambda: server.idcs("demo"))) == "the answer has more than 16384 bytes"
        ocp.oversized(DOCUMENT_BYTES + 1, announced=announced)
        assert reason(await failure(server.clusters)) == "the answer has more than 524288 bytes"


async def test_a_body_that_is_announced_as_too_long_is_not_read() -> None:
    async with open_pair() as (ocp, server):
        await server.clusters()
        ocp.raw(http("200 OK", "Content-Length: 16385", body="{"))

        assert reason(await failure(lambda: server.rslist("demo"))) == "the answer has more than 16384 bytes"


async def test_redirects_give_their_connections_back(autojump_clock: MockClock) -> None:
    """Of which there are fewer than are asked for here."""
    autojump_clock.autojump_threshold = 0.05
    async with open_pair() as (ocp, server):
        await server.clusters()
        ocp.redirects(1)
        for _ in range(20):
            await server.rslist("demo")
        ocp.raw(http("302 Found", "Location: http://ocp:x/", "Content-Length: 0"))
        for _ in range(20):
            assert "no URL" in reason(await failure(lambda: server.rslist("demo")))


async def test_three_redirects_are_followed() -> None:
    async with open_pair() as (ocp, server):
        await server.clusters()
        ocp.redirects(3)
        await server.rslist("demo")

        assert ocp.asked(Question.RSLIST) == [
            f"{DEMO}&version=2",
            *(f"{DEMO}&version=2&hop={hop}" for hop in (1, 2, 3)),
        ]


@pytest.mark.parametrize("version", ["1.0", "1.1"])
async def test_an_answer_without_a_length_ends_with_the_connection(version: str) -> None:
    async with open_pair() as (ocp, server):
        ocp.raw(f"HTTP/{version} 200 OK\r\n\r\n".encode() + wrapped(DOCUMENT))

        assert list((await server.clusters()).rslist_urls) == ["c1", "c2"]


async def test_it_may_go_and_come_back_between_two_questions() -> None:
    async with open_pair() as (ocp, server):
        for _ in range(5):
            await server.clusters()
            await ocp.down()
            ocp.up()


# ---- network ------------------------------------------------------------------


async def test_the_proxies_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    async with open_pair() as (_, server):
        assert await server.clusters()


async def test_a_user_in_the_url_is_sent_and_not_shown() -> None:
    async with open_pair() as (ocp, _):
        server = ConfigServer(ocp.url.replace("//", "//odp:p%40ss@"))
        await server.clusters()
        assert {request.headers["authorization"] for request in ocp.requests} == {"Basic b2RwOnBAc3M="}

        await ocp.down()
        error = await failure(server.clusters)
        assert str(error) == f"config server {ocp.base}, version: the connection is refused"
        await server.aclose()


async def test_a_name_that_is_not_resolved_is_named() -> None:
    class Resolver(trio.abc.HostnameResolver):
        async def getaddrinfo(self, host: bytes | None, *_: Any, **__: Any) -> Any:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

        async def getnameinfo(self, *_: Any) -> Any:
            raise NotImplementedError

    trio.socket.set_custom_hostname_resolver(Resolver())
    server = ConfigServer("http://ocp.example:8080/services?uid=s3cret")
    error = await failure(server.clusters)
    await server.aclose()

    assert reason(error) == "the host name 'ocp.example' cannot be resolved: Name or service not known"


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("http://a..b/x?s3cret", "cannot ask http://a..b/x: "),
        ("http:///x?s3cret", "cannot ask (no URL): it is no http or https URL"),
        ("s3cret", "cannot ask (no URL): it is no http or https URL"),
        ("http://ocp:x/?s3cret", "cannot ask http://ocp:x/: Invalid port: 'x'"),
    ],
)
async def test_what_cannot_be_asked_is_said(url: str, said: str) -> None:
    server = ConfigServer(url)
    with pytest.raises(ConfigServerUnavailable) as caught:
        await server.clusters()
    await server.aclose()

    assert said in str(caught.value)
    assert "s3cret" not in str(caught.value)


async def test_a_host_that_does_not_answer_at_all(autojump_clock: MockClock) -> None:
    """A full listen queue: the kernel drops what would begin a connection."""
    autojump_clock.autojump_threshold = 0.05
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full, socket.socket() as first, socket.socket() as second:
        for waiting in (first, second):
            waiting.setblocking(False)
            waiting.connect_ex(full.getsockname())
        server = ConfigServer(f"http://127.0.0.1:{full.getsockname()[1]}/services")
        error = await failure(server.clusters)
        await server.aclose()

    assert reason(error) == "no connection within 5 s"


async def test_more_questions_than_connections_have_a_reason_too(autojump_clock: MockClock) -> None:
    autojump_clock.autojump_threshold = 0.05
    said = []
    async with open_pair() as (ocp, server):
        await server.clusters()
        ocp.hang()

        async def ask() -> None:
            said.append(reason(await failure(lambda: server.rslist("demo"))))

        async with trio.open_nursery() as nursery:
            for _ in range(17):
                nursery.start_soon(ask)

    assert sorted(set(said)) == ["connected, but no answer within 5 s", "no free connection within 5 s"]
    assert said.count("no free connection within 5 s") == 1


async def test_a_question_that_is_cancelled_leaves_no_connection() -> None:
    async with open_pair() as (ocp, server):
        await server.clusters()
        ocp.hang()
        with trio.move_on_after(0.05) as scope:
            await server.rslist("demo")
        ocp.heal()
        await trio.testing.wait_all_tasks_blocked(0.01)

        assert scope.cancelled_caught
        assert ocp.open_connections == 0
        assert await server.rslist("demo")


async def test_a_server_that_is_closed_fails_what_is_under_way() -> None:
    async with open_pair() as (ocp, server):
        await server.clusters()
        ocp.hang()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(failure, lambda: server.rslist("demo"))
            with trio.fail_after(2):
                while not ocp.asked(Question.RSLIST):  # what another task does is told only so
                    await trio.lowlevel.checkpoint()
            await server.aclose()


@pytest.mark.parametrize(
    ("answer", "said"),
    [(b"HTTP/1.1 400 -\r\n\r\n", "the TLS handshake failed: "), (b"", "no end of the TLS handshake within 5 s")],
)
async def test_https_where_there_is_none(autojump_clock: MockClock, answer: bytes, said: str) -> None:
    autojump_clock.autojump_threshold = 0.05

    async def serve(stream: trio.SocketStream) -> None:
        await stream.receive_some()
        if answer:
            await stream.send_all(answer)
        await stream.receive_some()

    async with trio.open_nursery() as nursery:
        [listener] = await nursery.start(partial(trio.serve_tcp, serve, 0, host="127.0.0.1"))
        server = ConfigServer(f"https://127.0.0.1:{listener.socket.getsockname()[1]}/services")
        error = await failure(server.clusters)
        await server.aclose()
        nursery.cancel_scope.cancel()

    assert reason(error).startswith(said)


async def test_a_certificate_that_is_not_trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")

    async def answer(stream: trio.SSLStream[trio.SocketStream]) -> None:
        try:
            await stream.receive_some()
            await stream.send_all(http("404 Not Found", "Content-Length: 0"))
        except trio.BrokenResourceError:
            pass

    async with trio.open_nursery() as nursery:
        [listener] = await nursery.start(partial(trio.serve_ssl_over_tcp, answer, 0, context, host="127.0.0.1"))
        url = f"https://127.0.0.1:{listener.transport_listener.socket.getsockname()[1]}/services"
        server = ConfigServer(url)
        untrusted = reason(await failure(server.clusters))
        await server.aclose()

        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "cert.pem"))
        server = ConfigServer(url)
        trusted = reason(await failure(server.clusters))
        await server.aclose()
        nursery.cancel_scope.cancel()

    assert untrusted == "its certificate is not trusted: self-signed certificate"
    assert trusted == "the status of the answer is 404, not 200"


def make_certificate(directory: Path) -> None:
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=ocp"
    extra = ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", "key.pem", "-out", "cert.pem"]
    try:
        subprocess.run([*command.split(), *extra], cwd=directory, check=True, capture_output=True)
    except FileNotFoundError:
        pytest.skip("there is no openssl")


def test_httpx_is_not_imported_before_a_question_is_asked() -> None:
    code = "import sys, odp_trio.app, odp_trio.catalog.config_server as c; c.ConfigServer('http://x/'); print('httpx' in sys.modules)"

    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)

    assert done.stdout.strip() == "False"
