"""EXPLAIN ROUTE says where a statement will run: held against where the OBServers saw it, for the whole corpus."""

from __future__ import annotations

import re
from collections import Counter
from functools import partial

import pytest
import trio

from odp_trio.model import Address
from odp_trio.sql.lexer import MYSQL
from odp_trio.testing.bed import Testbed
from odp_trio.wire.resultset import parse_err
from tests.live.clients import in_thread
from tests.live.corpus import ASKED, DATABASE, UPLOADS, again_files, fresh_database, statements
from tests.live.test_routing import proxied
from tests.raw_client import Answer, RawClient
from tests.sql.corpus import read_corpus

WAYS = ("text", "prepared")


def rows(answer: Answer) -> dict[str, str]:
    """Read the two columns of EXPLAIN ROUTE; of items that come several times the last one counts."""
    assert not answer.errno, parse_err(answer.payloads[-1]).message
    found: dict[str, str] = {}
    for payload in answer.payloads[4:-1]:
        item, rest = _text(payload)
        found[item or ""] = _text(rest)[0] or ""
    return found


def _text(payload: bytes) -> tuple[str | None, bytes]:
    if payload[0] == 0xFB:
        return None, payload[1:]
    size, at = (payload[0], 1) if payload[0] < 0xFB else (int.from_bytes(payload[1:3], "little"), 3)
    return payload[at : at + size].decode(), payload[at + size :]


class Compared:
    """What was compared of one run."""

    def __init__(self) -> None:
        self.rules: Counter[str] = Counter()
        self.wrong: list[str] = []


NOT_RUN = re.compile(
    rb"(?is)\s*(kill|shutdown|explain\s+route|set\s+(global|persist)|set\s+@@global|alter\s+system|flush|create\s+user|grant|"
    rb"revoke|purge|stop|retry|drop\s+user|.*\bsleep\b)"
)
"""What would change the server for others, end the session, or is for the proxy itself."""
HELD = re.compile(rb"(?is)(\s|/\*[^!+].*?\*/)*(begin|start\s+transaction)\b")
"""What goes to the server of the statement behind it, with that."""
TABLES = ("t1", "t2", "t3", "t4", "t5")


def facts_corpus() -> list[bytes]:
    """The statements of which the facts are known, in the default dialect."""
    return [
        case.sql for case in read_corpus() if case.dialect == MYSQL and case.sql.strip() and not NOT_RUN.match(case.sql)
    ]


def run_file(bed: Testbed, address: Address, texts: list[bytes], way: str, compared: Compared) -> None:
    """Explain each statement, run it, and look where it was seen; blocks."""
    with RawClient(address, "app@sys#demo", "app_pw", database=DATABASE) as client:
        for sql in texts:
            if NOT_RUN.match(sql):
                continue
            said = rows(client.query(b"explain route " + sql))
            bed.forget_statements()
            if way == "text":
                client.query(sql, lambda name: UPLOADS.get(name, b""))
                commands = ["QUERY"]
            else:
                prepared = client.prepare(sql)
                commands = ["STMT_PREPARE"]
                if prepared.id and not prepared.parameters:
                    client.execute(prepared.id)
                    commands.append("STMT_EXECUTE")
                if prepared.id:
                    client.close_statement(prepared.id)
            seen = [item for item in bed.statements(".", by_proxy=True) if item.command in commands[:1]]
            shown = sql[:100].decode("utf-8", "replace")
            if not seen and way == "text" and HELD.match(sql):
                continue
            if not seen:
                compared.wrong.append(f"{shown}: explained for {said['server']}, seen nowhere")
                continue
            # Before a statement its session may be brought up to date; after it, it may be prepared elsewhere too.
            where = bed.observers[seen[-1 if way == "text" else 0].observer].address
            compared.rules[said["rule"]] += 1
            if where != said["server"]:
                compared.wrong.append(f"{shown}: explained {said['rule']} {said['server']}, seen on {where}")


@pytest.mark.parametrize("way", WAYS)
async def test_explain_agrees_with_where_statements_run(bed: Testbed, way: str) -> None:
    compared = Compared()
    async with proxied(bed) as proxy:
        host, port = proxy.addresses[0]
        for name in again_files() if way == "text" or ASKED == "all" else again_files()[::2]:
            await in_thread(fresh_database, Address("127.0.0.1", bed.kernel.port))
            with trio.fail_after(60):
                await in_thread(partial(run_file, bed, Address(host, port), statements(name), way, compared))

    total = compared.rules.total()
    print(f"{way}: {total} statements compared; by rule: {dict(compared.rules)}")  # noqa: T201
    assert not compared.wrong, "\n".join(compared.wrong[:40])
    assert total > (550 if way == "text" else 250)


@pytest.mark.parametrize("way", WAYS)
async def test_explain_agrees_for_the_corpus_of_facts(bed: Testbed, way: str) -> None:
    compared = Compared()
    await in_thread(fresh_database, Address("127.0.0.1", bed.kernel.port))
    columns = "a int, b int, c int, d int, primary key (a)"
    for name in TABLES:
        await bed.query(f"create table {DATABASE}.{name}({columns}) partition by hash(a) partitions 5")
    async with proxied(bed) as proxy:
        host, port = proxy.addresses[0]
        await in_thread(partial(run_file, bed, Address(host, port), facts_corpus(), way, compared))

    total = compared.rules.total()
    print(f"{way}: {total} statements compared; by rule: {dict(compared.rules)}")  # noqa: T201
    assert not compared.wrong, "\n".join(compared.wrong[:40])
    assert total > 500
