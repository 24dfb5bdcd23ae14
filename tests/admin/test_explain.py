"""Explaining offline: what is answered, what-ifs, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from odp_trio.admin.explain import ExplainRequest, explain_offline, explanation_object
from odp_trio.admin.what_if import parse_what_if
from odp_trio.errors import ConfigError
from odp_trio.topology.snapshot import Restored
from tests.admin.world import SERVERS, restored

S1, S2, S3 = map(str, SERVERS)
ORDER = "select * from orders where id = 1"


def ask(sql: str, *what_if: str, world: Restored | None = None, **fields: Any) -> dict[str, Any]:
    """Explain a statement of tenant shop, in database sales."""
    fields = {"cluster": "demo", "tenant": "shop", "database": "sales", **fields}
    return explanation_object(explain_offline(world or restored(), ExplainRequest(sql=sql, what_if=what_if, **fields)))


# ---- the answer -------------------------------------------------------------------------


def test_a_strong_read_goes_to_the_leader_of_its_partition() -> None:
    answer = ask(ORDER)

    assert answer["server"] == S2
    assert answer["partition"] == {"name": "p1", "tablet_id": 200002}
    assert (answer["rule"], answer["leader"], answer["reason"]) == ("leader", S2, "")
    assert (answer["kind"], answer["tables"], answer["key"]) == ("select", ["orders"], ["1"])
    assert [found["server"] for found in answer["candidates"]] == [S2, S1, S3]
    assert answer["steps"][-1] == {
        "rule": "leader",
        "says": "Writes and strong reads go to the leader.",
        "answered": True,
    }


def test_without_a_partition_the_reason_stands_beside_it() -> None:
    answer = ask("select * from orders where note = 'x'")

    assert answer["partition"] is None
    assert "no condition on partition column id" in answer["reason"]


@pytest.mark.parametrize(
    ("sql", "reason"),
    [
        ("select * from items", "the table is not partitioned"),
        ("select 1", "no table in the text"),
        ("select * from unseen", "the table is not in the snapshot"),
        ("select * from nothing", "the table does not exist"),
        ("select * from orders where id in (0, 1)", "several partitions: p0, p1; the first decides"),
    ],
)
def test_every_missing_partition_has_its_reason(sql: str, reason: str) -> None:
    answer = ask(sql)

    assert (answer["partition"], answer["reason"]) == (None, reason)
    assert answer["server"] in (S1, S2, S3)


def test_a_partition_without_a_known_location_is_said_to_be_so() -> None:
    world = restored()
    entry = world.locations.entries()[0]
    del entry.tablets[200002]

    answer = ask(ORDER, world=world)

    assert answer["partition"] == {"name": "p1", "tablet_id": 200002}
    assert answer["reason"] == "the location of its partition is not in the snapshot"


def test_placeholders_take_their_values_from_the_request() -> None:
    assert ask("select * from orders where id = ?", parameters=(2,))["partition"]["name"] == "p2"
    assert ask("select * from orders where id = ?")["partition"] is None


def test_a_weak_session_reads_from_a_replica() -> None:
    answer = ask(ORDER, read_consistency="weak", user="reports", idc="sh3")

    assert (answer["consistency"], answer["rule"], answer["policy"]) == ("weak", "replica", "FOLLOWER_FIRST")
    assert (answer["server"], answer["tier"]) == (S3, "ANPF")


def test_a_session_that_is_weak_by_configuration_may_be_asked_as_a_strong_one() -> None:
    world = restored(obproxy_read_consistency=1)

    assert ask(ORDER, world=world)["consistency"] == "weak"
    assert ask(ORDER, world=world, read_consistency="strong")["consistency"] == "strong"


def test_an_open_transaction_stays_where_it_is_and_the_location_is_shown_all_the_same() -> None:
    answer = ask(ORDER, in_transaction_on=S3)

    assert (answer["server"], answer["rule"]) == (S3, "open_transaction")
    assert answer["partition"] == {"name": "p1", "tablet_id": 200002}


def test_a_statement_without_a_table_goes_where_the_session_was_last() -> None:
    assert ask("select 1", last_server=S3)["server"] == S3
    assert ask("select 1")["server"] == S1


def test_the_sys_tenant_is_on_every_server() -> None:
    answer = ask("select 1", tenant="", database="")

    assert answer["tenant"] == "sys"
    assert {found["server"] for found in answer["candidates"]} == {S1, S2, S3}


# ---- what if ----------------------------------------------------------------------------


def test_when_its_zone_is_down_a_statement_leaves_the_leader() -> None:
    answer = ask(ORDER, "zone=z2 down")

    assert answer["server"] in (S1, S3)
    assert answer["what_if"] == ["zone=z2 down"]
    refused = {found["server"]: found["refused"] for found in answer["candidates"]}
    assert refused == {S1: "", S2: "its state is INACTIVE", S3: ""}


def test_when_every_zone_is_down_a_server_is_tried_all_the_same() -> None:
    answer = ask(ORDER, "zone=z1 down", "zone=z2 down", "zone=z3 down")

    assert (answer["server"], answer["rule"]) == (S2, "forced_use")


@pytest.mark.parametrize(
    ("changes", "server"),
    [
        ([f"server={S2} down", f"server={S3} down"], S1),
        (["zone=Z2 down", f"server={S2} up"], S2),
        ([f"leader={S3}"], S3),
        ([f"leader={S3}", f"server={S3} down", f"server={S1} down"], S2),
    ],
)
def test_changes_add_up(changes: list[str], server: str) -> None:
    assert ask(ORDER, *changes)["server"] == server


def test_a_merging_zone_comes_behind_the_others() -> None:
    answer = ask("/*+read_consistency(weak)*/ select 1", "zone=z1 merging")

    letters = {found["server"]: found["letters"] for found in answer["candidates"]}
    assert (letters[S1], letters[S2]) == ("AMWT", "ANWT")


def test_a_readonly_zone_changes_the_policy() -> None:
    answer = ask(ORDER, "zone=z3 readonly", read_consistency="weak")

    assert (answer["server"], answer["policy"]) == (S3, "READONLY_ZONE_FIRST")
    assert ask(ORDER, "zone=z3 readonly", "zone=z3 readwrite")["server"] == S2


def test_the_idc_decides_about_nearness() -> None:
    answer = ask("select * from items", "idc=sh3", "policy=follower_first", read_consistency="weak", idc="hz1")

    assert (answer["server"], answer["tier"]) == (S3, "ANPF")


def test_nothing_that_was_imagined_stays() -> None:
    world = restored()
    before = ask(ORDER, world=world)

    ask(ORDER, "zone=z1 down", f"leader={S3}", "idc=sh3", "policy=FOLLOWER_ONLY", "zone=z2 merging", world=world)

    assert ask(ORDER, world=world) == before


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("zone=z9 down", "there is no zone 'z9'; known: z1, z2, z3"),
        ("server=10.0.0.4:2881 down", "there is no server '10.0.0.4:2881'; did you mean '10.0.0.3:2881'?"),
        ("leader=10.9.9.9:1", "there is no server '10.9.9.9:1'"),
        ("idc=hz7", "there is no IDC 'hz7'; did you mean 'hz"),
        ("policy=FOLLOWER_FRIST", "did you mean 'FOLLOWER_FIRST'?"),
        ("zone=z1 dwon", "'dwon' is none of down, up, merging, readonly, readwrite; did you mean 'down'?"),
        ("zone=z1", "write zone=NAME down|up|merging|readonly|readwrite"),
        ("leader=x", "'x' is not an address of the form ip:port"),
        (f"leader={S1} down", "write leader=NAME"),
        ("zoen=z1 down", "did you mean 'zone'?"),
        ("", "write zone=, server=, leader=, idc= or policy="),
    ],
)
def test_what_cannot_be_imagined_is_said_clearly(text: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        ask(ORDER, text)

    assert said in str(caught.value)


def test_a_leader_needs_a_location() -> None:
    with pytest.raises(ConfigError, match="the statement has no location.*not in the snapshot"):
        ask("select * from unseen", f"leader={S1}")


def test_what_ifs_are_written_as_they_are_read() -> None:
    for text in ("zone=z1 down", "leader=10.0.0.1:2881", "idc=hz1", "policy=FOLLOWER_ONLY", "idc="):
        assert str(parse_what_if(text)) == text


# ---- what is refused ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"cluster": "dmeo"}, "cluster 'dmeo' is not known; did you mean 'demo'?"),
        ({"tenant": "shpo"}, "tenant 'shpo' of cluster 'demo' is not in the snapshot; did you mean 'shop'?"),
        ({"last_server": "nowhere"}, "last_server: 'nowhere' is not an address"),
        ({"in_transaction_on": "1.2.3.4"}, "in_transaction_on: '1.2.3.4' is not an address"),
        ({"parameters": (1, 2)}, "the statement has 0 placeholders; 2 values given for them"),
        ({"sql": "  "}, "there is no statement to explain"),
    ],
)
def test_a_request_that_cannot_be_used_names_the_mistake(fields: dict[str, Any], said: str) -> None:
    fields = {"sql": ORDER, **fields}

    with pytest.raises(ConfigError) as caught:
        ask(**fields)

    assert said in str(caught.value)


def test_a_server_that_is_congested_is_avoided_and_said_to_be() -> None:
    plain = ask("select * from items", database="sales", tenant="shop")
    answer = ask("select * from items", f"server={plain['server']} congested", database="sales", tenant="shop")
    assert answer["server"] != plain["server"]
    refused = {found["server"]: found["refused"] for found in answer["candidates"]}
    assert refused[plain["server"]] == "congested, as imagined"
    up = (f"server={plain['server']} congested", f"server={plain['server']} up")
    assert ask("select * from items", *up, database="sales", tenant="shop")["server"] == plain["server"]
    all_of_them = [f"server={server} congested" for server in (S1, S2, S3)]
    forced = ask("select * from items", *all_of_them, database="sales", tenant="shop")
    assert (forced["server"], forced["rule"]) == (plain["server"], "forced_use")
