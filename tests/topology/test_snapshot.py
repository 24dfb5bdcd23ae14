"""Snapshots: nothing is lost on the way to the file and back, and a bad file is refused in one line."""

from __future__ import annotations

import math
from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from odp_trio.config import Settings
from odp_trio.config.options import ClusterSettings
from odp_trio.errors import ConfigError
from odp_trio.model import Address, TenantKey
from odp_trio.topology.cluster import ClusterResource, Server, ServerState, Zone
from odp_trio.topology.congestion import Listed, Refusals
from odp_trio.topology.location import Location, Replica, TableEntry, TableKey
from odp_trio.topology.location_table import Locations
from odp_trio.topology.objects import Extreme, Value
from odp_trio.topology.partitioning import KeyColumn, Level, Method, Partition, Partitioning
from odp_trio.topology.partitioning_record import restore_partitioning, write_partitioning
from odp_trio.topology.snapshot import FORMAT, OPTIONS, Restored, Snapshot, read_snapshot, restore, take_snapshot
from odp_trio.topology.tenant import EntryState, TenantRoute
from tests.admin.world import snapshot

names = st.text(st.characters(codec="utf-8"), min_size=1, max_size=8)
numbers = st.integers(0, 2**62)
addresses = st.builds(
    Address, st.one_of(st.ip_addresses(v=4).map(str), st.ip_addresses(v=6).map(str)), st.integers(1, 65535)
)
values: st.SearchStrategy[Value] = st.one_of(
    st.none(),
    st.integers(-(2**63), 2**64 - 1),
    st.floats(),
    st.binary(max_size=20),
    st.decimals(allow_nan=False, allow_infinity=False),
    st.sampled_from(Extreme),
    st.tuples(st.integers(-9999, 9999), st.integers(0, 12), st.integers(0, 31), st.integers(0, 86_399_999_999)),
)
bounds = st.none() | st.lists(st.lists(values, max_size=3).map(tuple), max_size=3).map(tuple)
leaves = st.builds(Partition, numbers, names, numbers, bounds)
columns = st.builds(KeyColumn, names, numbers, numbers, numbers, st.integers(1, 3), default=values, generated=names)
levels = st.builds(Level, st.sampled_from(Method), names, st.booleans(), st.booleans())


@st.composite
def partitionings(draw: st.DrawFn) -> Partitioning:
    two = draw(st.booleans())
    inner = st.lists(leaves, min_size=1, max_size=3).map(tuple) if two else st.just(())
    partition = st.builds(Partition, numbers, names, numbers, bounds, inner)
    return Partitioning(
        draw(numbers),
        tuple(draw(st.lists(levels, min_size=1 + two, max_size=1 + two))),
        tuple(draw(st.lists(columns, min_size=1, max_size=3))),
        tuple(draw(st.lists(partition, min_size=1, max_size=3))),
    )


replicas = st.lists(st.builds(Replica, addresses, st.booleans(), st.integers(0, 20), st.booleans()), max_size=3)
states = st.sampled_from(EntryState)


@st.composite
def entries(draw: st.DrawFn) -> TableEntry:
    entry = draw(
        st.builds(
            TableEntry,
            st.builds(TableKey, names, names, names, names),
            st.integers(-5, 5).map(float),
            table_id=numbers,
            schema_version=numbers,
            part_num=numbers,
            missing=st.booleans(),
            decoded=st.booleans(),
            state=states,
            not_computable=numbers,
            counts=st.dictionaries(names, st.lists(numbers, min_size=2, max_size=2), max_size=2),
            partitioning=st.none() | partitionings(),
        )
    )
    for tablet_id in draw(st.lists(numbers, unique=True, max_size=3)):
        found = Location(entry, tablet_id, tuple(draw(replicas)), 1.0, draw(states), routed=draw(numbers))
        if tablet_id:
            entry.tablets[tablet_id] = found
        else:
            entry.location = found
    return entry


@st.composite
def clusters(draw: st.DrawFn) -> ClusterResource:
    cluster = ClusterResource(draw(names), (), version=draw(names))
    cluster.primary_zones = draw(st.dictionaries(names, names, max_size=2))
    servers = st.builds(Server, addresses, names, st.sampled_from(ServerState))
    zones = st.builds(Zone, names, names, names, names, names, st.booleans())
    cluster.merge(draw(st.lists(servers, max_size=3)), draw(st.lists(zones, max_size=3)), 0.0)
    return cluster


routes = st.builds(TenantRoute, st.builds(TenantKey, names, names), st.lists(addresses).map(tuple), st.just(0.0))


def same(one: object, other: object) -> bool:
    """Equal, NaN included."""
    if isinstance(one, float) and isinstance(other, float) and math.isnan(one):
        return math.isnan(other)
    if isinstance(one, tuple) and isinstance(other, tuple):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, msgspec.Struct) and type(one) is type(other):
        return all(same(getattr(one, name), getattr(other, name)) for name in one.__struct_fields__)
    if isinstance(one, Decimal) and isinstance(other, Decimal):
        return str(one) == str(other)
    return type(one) is type(other) and one == other


def again(found: Restored, source: Snapshot) -> Snapshot:
    """Take a snapshot of what another was restored to."""
    return take_snapshot(
        found.settings,
        found.clusters.values(),
        [TenantRoute(key, servers, 0.0) for key, servers in found.tenants.items()],
        found.locations.entries(),
        0.0,
        made_by=source.made_by,
        taken_at=source.taken_at,
    )


@given(partitionings())
def test_every_kind_of_bound_survives_json(partitioning: Partitioning) -> None:
    record = write_partitioning(partitioning)
    read = msgspec.json.decode(msgspec.json.encode(record), type=type(record))

    assert same(restore_partitioning(read), partitioning)


@given(
    st.lists(clusters(), max_size=2, unique_by=lambda cluster: cluster.name),
    st.lists(routes, max_size=2, unique_by=lambda route: route.key),
    st.lists(entries(), max_size=3, unique_by=lambda entry: entry.key),
)
def test_a_snapshot_that_is_restored_and_taken_again_is_the_same(
    found: list[ClusterResource], tenants: list[TenantRoute], tables: list[TableEntry]
) -> None:
    configured = {cluster.name: ClusterSettings(rslist=()) for cluster in found}
    taken = take_snapshot(Settings(clusters=configured), found, tenants, tables, 7.0, made_by="x", taken_at="y")

    data = msgspec.json.encode(taken)
    read = read_snapshot(data, "a file")

    assert read == taken
    assert msgspec.json.encode(again(restore(read), taken)) == data


def test_settings_of_routing_come_back_with_their_scopes() -> None:
    taken = snapshot(proxy_idc_name="hz1", target_db_server="10.0.0.1:2881", obproxy_read_consistency=1)

    found = restore(read_snapshot(msgspec.json.encode(taken), "a file")).settings

    assert (found.proxy_idc_name, found.target_db_server, found.obproxy_read_consistency) == (
        "hz1",
        "10.0.0.1:2881",
        1,
    )
    assert found.default_cluster == "demo"
    assert found.scoped("demo", "shop", "reports").proxy_route_policy == "FOLLOWER_FIRST"
    assert found.scoped("demo", "shop", "app").proxy_route_policy == ""


def test_no_secret_is_in_a_snapshot() -> None:
    assert not [name for name in OPTIONS if "password" in name]
    assert b"rslist" not in msgspec.json.encode(snapshot())


# ---- bad files ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "not a snapshot: "),
        (b"\xff\xfe", "not a snapshot: "),
        (b"[]", "not a snapshot: Expected `object`, got `array`"),
        (b"{}", "not a snapshot: Object missing required field `format`"),
        (b'{"format": "1"}', "not a snapshot: Expected `int`, got `str` - at `$.format`"),
        (b'{"format": 99}', f"format 99 of snapshots is not known; this version reads {FORMAT}"),
        (b'{"format": 1}', "missing required field"),
        (b"[" * 100_000, "not a snapshot: "),
    ],
)
def test_what_is_no_snapshot_is_refused(data: bytes, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_snapshot(data, "shop.json")

    assert str(caught.value).startswith("shop.json: ")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (b'"10.0.0.1:2881"', b'"10.0.0.1"', "clusters: demo: '10.0.0.1' is not an address of the form ip:port"),
        (b'"proxy_idc_name"', b'"proxy_cdi_name"', "options: 'proxy_cdi_name' is no option of routing"),
        (b'"FOLLOWER_FIRST"', b'"NEAREST"', "scopes: cluster 'demo', tenant 'shop', user 'reports': "),
        (b'"server_routing_mode":"oceanbase"', b'"server_routing_mode":"x"', "is none of oceanbase, random"),
        (b'"ACTIVE"', b'"TIRED"', "not a snapshot: Invalid enum value 'TIRED' - at `$.clusters[0].servers[0].state`"),
        (b'"columns":[{', b'"columns":[],"x":[{', "tables: sales.orders of shop#demo: a partitioned table has"),
    ],
)
def test_a_mistake_in_a_snapshot_is_told_with_its_place(old: bytes, new: bytes, said: str) -> None:
    data = msgspec.json.encode(snapshot())
    assert old in data

    with pytest.raises(ConfigError) as caught:
        restore(read_snapshot(data.replace(old, new), "shop.json"), "shop.json")

    assert str(caught.value).startswith("shop.json: ")
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("kind", "text"), [("decimal", "x"), ("bytes", "?"), ("moment", "1 2 3"), ("extreme", "HUGE"), ("colour", "red")]
)
def test_a_bound_that_cannot_be_read_is_refused(kind: str, text: str) -> None:
    entries = Locations()
    entry = TableEntry(TableKey("demo", "shop", "d", "t"), 0.0)
    entry.partitioning = Partitioning(
        1, (Level(Method.RANGE, "a", False),), (KeyColumn("a", 5, 63, 0, 1),), (Partition(0, "p0", 1, ((b"v",),)),)
    )
    entries.store(entry)
    data = msgspec.json.encode(snapshot(entries))
    written = b'{"kind":"bytes","text":"dg=="}'
    assert written in data
    bad = msgspec.json.encode({"kind": kind, "text": text})

    with pytest.raises(ConfigError, match=r"a file: tables: d\.t of shop#demo: .*(is no|is not known)"):
        restore(read_snapshot(data.replace(written, bad), "a file"), "a file")


# ---- counts that outlive their entries --------------------------------------------------


def entry_of(table: str, policy: str = "leader", routed: int = 3) -> TableEntry:
    entry = TableEntry(TableKey("demo", "shop", "d", table), 0.0, not_computable=1)
    entry.tally(policy)[0] = routed
    return entry


def test_an_entry_that_replaces_another_counts_on() -> None:
    found = Locations()
    found.store(entry_of("t"))
    found.store(TableEntry(TableKey("demo", "shop", "d", "t"), 1.0))

    (entry,) = found.entries()
    assert (entry.tallies, entry.not_computable) == ({"leader": [3, 0]}, 1)
    assert found.forgotten == {}


def test_counts_of_entries_that_are_gone_stay_with_their_tenant() -> None:
    found = Locations(limit=2)
    for table in "abc":
        found.store(entry_of(table))
    found.drop(TableKey("demo", "shop", "d", "c"))

    gone = found.forgotten[TenantKey("demo", "shop")]
    kept = sum(entry.tallies["leader"][0] for entry in found.entries())
    assert gone.by_policy["leader"][0] + kept == 9
    assert gone.not_computable + len(found.entries()) == 3


def test_the_lists_of_servers_are_in_it_with_their_reasons() -> None:
    one, two = Address("10.0.0.1", 2881), Address("10.0.0.2", 2881)
    refusals = Refusals(
        {one: Listed.ALIVE, two: Listed.DEAD}, lambda address: f"{address} failed", replaying={two: 4.0}
    )
    cluster = ClusterResource("demo", (one,))
    cluster.merge([Server(one, "z", ServerState.ACTIVE), Server(two, "z", ServerState.REPLAY)], [], 0.0)

    taken = take_snapshot(
        Settings(clusters={"demo": ClusterSettings(rslist=(one,))}),
        [cluster],
        (),
        (),
        10.0,
        lambda name: refusals if name == "demo" else Refusals(),
        made_by="test",
        taken_at="2025-11-21T09:00:00+00:00",
    )
    restored = restore(read_snapshot(msgspec.json.encode(taken), "test"), now=100.0)

    found = restored.refusals["demo"]
    assert found.lists == refusals.lists
    assert [found.why(address) for address in (one, two)] == [f"{one} failed", f"{two} failed"]
    assert found.replaying == {two: 94.0}
