"""HTTP: explain, snapshot, routes, metrics; asked of the application itself, without a socket."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from odp_trio.admin.http import make_app
from odp_trio.errors import MetadataUnavailable, OdpError, UnknownCluster
from odp_trio.session.ledger import EndRecord
from odp_trio.topology.location import TableEntry, TableKey
from odp_trio.topology.snapshot import read_snapshot
from tests.admin.source import FakeSource
from tests.admin.world import SERVERS

ORDER = "select * from orders where id = 1"
SESSION = {"cluster": "demo", "tenant": "shop", "database": "sales"}


@pytest.fixture
def source() -> FakeSource:
    return FakeSource()


async def ask(source: FakeSource, method: str, path: str, **options: Any) -> httpx.Response:
    transport = httpx.ASGITransport(make_app(source, source))
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
        return await client.request(method, path, **options)


# ---- explain --------------------------------------------------------------------------


async def test_get_and_post_answer_the_same(source: FakeSource) -> None:
    got = await ask(source, "GET", "/api/explain", params={"sql": ORDER, **SESSION})
    posted = await ask(source, "POST", "/api/explain", json={"sql": ORDER, **SESSION})

    assert (got.status_code, posted.status_code) == (200, 200)
    assert got.json() == posted.json()
    assert got.json()["partition"] == {"name": "p1", "tablet_id": 200002}


async def test_what_ifs_and_parameters_may_come_several_times(source: FakeSource) -> None:
    words = [*SESSION.items(), ("sql", "select * from orders where id = ? and note = ?")]
    words += [("param", "2"), ("param", "a text"), ("what_if", "zone=z3 down"), ("what_if", "zone=z1 down")]

    answer = (await ask(source, "GET", "/api/explain", params=words)).json()

    assert answer["partition"]["name"] == "p2"
    assert answer["server"] == str(SERVERS[1])
    assert answer["what_if"] == ["zone=z3 down", "zone=z1 down"]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "cannot be understood"),
        (b"{}", "missing required field `sql`"),
        (b'{"sql": 1}', "Expected `str`, got `int` - at `$.sql`"),
        (b'{"sql": "select 1", "sqll": 1}', "unknown field `sqll`"),
        (b'{"sql": "select 1", "read_consistency": "lazy"}', "Invalid enum value 'lazy'"),
        (b'{"sql": "select 1", "cluster": "elsewhere"}', "cluster 'elsewhere' is not known"),
        (b'{"sql": "select 1", "what_if": ["zone=z9 down"]}', "there is no zone 'z9'"),
        (b'{"sql": "select ?", "parameters": [[1]]}', "got `array` - at `$.parameters[0]`"),
        (b"[" * 100_000, "cannot be understood"),
        (b'"' + b"x" * (17 << 20), "is longer than 16777216 bytes"),
    ],
)
async def test_bad_input_is_status_400_with_the_mistake(source: FakeSource, body: bytes, said: str) -> None:
    response = await ask(source, "POST", "/api/explain", content=body)

    assert response.status_code == 400
    assert said in response.json()["error"]


async def test_a_parameter_that_is_not_known_is_refused(source: FakeSource) -> None:
    response = await ask(source, "GET", "/api/explain", params={"sql": ORDER, "tennant": "shop"})

    assert response.status_code == 400
    assert response.json()["error"].startswith("'tennant' is no parameter; known: sql, cluster, tenant")


@pytest.mark.parametrize(
    ("error", "status"), [(UnknownCluster("no such cluster"), 400), (MetadataUnavailable("nobody answers"), 503)]
)
async def test_what_a_login_would_get_is_told(source: FakeSource, error: OdpError, status: int) -> None:
    source.error = error

    response = await ask(source, "GET", "/api/explain", params={"sql": "select 1"})

    assert (response.status_code, response.json()) == (status, {"error": str(error)})


# ---- the others ------------------------------------------------------------------------


async def test_the_snapshot_is_one_that_can_be_read(source: FakeSource) -> None:
    response = await ask(source, "GET", "/api/snapshot")

    assert read_snapshot(response.content, "the answer") == source.taken


async def test_routes_come_busiest_first_and_bounded(source: FakeSource) -> None:
    for number, table in enumerate(("items", "orders")):
        entry = source.locations.find(TableKey("demo", "shop", "sales", table))
        assert entry is not None
        entry.tally("leader")[:] = [number + 1, 1]

    answer = (await ask(source, "GET", "/api/routes", params={"limit": 1})).json()

    assert answer["total"] == 3
    assert answer["routes"] == [
        {
            "cluster": "demo",
            "tenant": "shop",
            "database": "sales",
            "table": "orders",
            "routed": 2,
            "missed": 1,
            "not_computable": 0,
            "policies": {"leader": {"routed": 2, "missed": 1}},
            "partitions": 3,
            "state": "available",
        }
    ]


async def test_routes_are_filtered_by_an_sql_pattern_and_tenant(source: FakeSource) -> None:
    liked = (await ask(source, "GET", "/api/routes", params={"like": "sales.%tem_"})).json()
    other = (await ask(source, "GET", "/api/routes", params={"tenant": "other"})).json()

    assert [route["table"] for route in liked["routes"]] == ["items"]
    assert other == {"total": 0, "routes": []}


@pytest.mark.parametrize("words", [{"limit": "0"}, {"limit": "x"}, {"limit": "1001"}, {"limt": "1"}])
async def test_bad_words_for_routes_are_status_400(source: FakeSource, words: dict[str, str]) -> None:
    response = await ask(source, "GET", "/api/routes", params=words)

    assert response.status_code == 400
    assert "limit" in response.json()["error"]


async def test_metrics_count_routes_by_tenant_and_by_table(source: FakeSource) -> None:
    entry = source.locations.find(TableKey("demo", "shop", "sales", "items"))
    assert entry is not None
    entry.tally("leader")[:] = [5, 2]
    entry.not_computable = 3

    text = (await ask(source, "GET", "/metrics")).text

    where = 'cluster="demo"'
    tenant = 'tenant="shop"'
    assert f'odp_route_statements_total{{{where},outcome="routed",policy="leader",{tenant}}} 5.0' in text
    assert f'odp_route_statements_total{{{where},outcome="missed",policy="leader",{tenant}}} 2.0' in text
    assert f"odp_route_not_computable_total{{{where},{tenant}}} 3.0" in text
    table = f'{where},database="sales",outcome="routed",policy="leader",table="items",{tenant}'
    assert f"odp_table_statements_total{{{table}}} 5.0" in text
    assert "odp_route_waits_total 7.0" in text


async def test_metrics_of_a_tenant_never_go_back_when_tables_are_forgotten(source: FakeSource) -> None:
    key = TableKey("demo", "shop", "sales", "items")
    entry = source.locations.find(key)
    assert entry is not None
    entry.tally("leader")[0] = 5
    before = (await ask(source, "GET", "/metrics")).text

    source.locations.drop(key)
    source.locations.store(TableEntry(key, 0.0))

    line = 'odp_route_statements_total{cluster="demo",outcome="routed",policy="leader",tenant="shop"} 5.0'
    after = (await ask(source, "GET", "/metrics")).text
    assert line in before
    assert line in after


async def test_only_the_busiest_tables_have_metrics_of_their_own(source: FakeSource) -> None:
    for number in range(1, 1200):
        entry = TableEntry(TableKey("demo", "shop", "many", f"t{number}"), 0.0)
        entry.tally("leader")[0] = number
        source.locations.limit = 10_000
        source.locations.store(entry)

    text = (await ask(source, "GET", "/metrics")).text

    tables = [line for line in text.splitlines() if line.startswith("odp_table_statements_total{")]
    assert len(tables) == 2 * 50
    assert any('table="t1199"' in line for line in tables)
    assert not any('table="t1149"' in line for line in tables)
    assert f'tenant="shop"}} {float(sum(range(1, 1200)))}' in text


async def test_the_last_ends_come_newest_first_and_no_more_than_are_kept(source: FakeSource) -> None:
    for number in range(3):
        end = EndRecord(
            number, "10.0.0.9:1", "app", "shop", "demo", "", 0, 0.0, 1.5, 7, 10, 20, "killed", "by session 9"
        )
        source.ends.clients.append(end)

    found = (await ask(source, "GET", "/api/ends")).json()

    assert [end["id"] for end in found["clients"]] == [2, 1]
    assert (found["clients"][0]["reason"], found["servers"]) == ("killed", [])


async def test_status_is_read_off_the_source(source: FakeSource) -> None:
    answer = (await ask(source, "GET", "/api/status")).json()

    assert answer["route_waits"] == 7
    assert answer["clusters"] == []


async def test_the_lists_of_servers(source: FakeSource) -> None:
    answer = await ask(source, "GET", "/api/congestion")
    assert answer.json() == {"clusters": [], "recent": []}
