"""The file of rslists: what is written is read back; everything else is refused, with its reason."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from odp_trio.errors import BadCacheFile
from odp_trio.model import Address
from odp_trio.topology.rslist import ClusterRole, Rslist, SubCluster
from odp_trio.topology.rslist_file import (
    LONGEST_NAME,
    MOST_BYTES,
    MOST_CLUSTERS,
    CachedRslist,
    read_rslist_file,
    write_rslist_file,
)
from tests.paths import ROOT

NOW = 1_800_000_000.0
WRITTEN = NOW - 60.0
A, B, C = (Address(f"10.0.0.{number}", 2881) for number in (1, 2, 3))

names = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Zs", "Zl", "Zp"]), min_size=1, max_size=20)
addresses = st.builds(
    Address, st.ip_addresses(v=4).map(str) | st.ip_addresses(v=6).map(str), st.integers(min_value=1, max_value=65535)
)
servers = st.lists(addresses, min_size=1, max_size=4, unique=True).map(tuple)
cluster_ids = st.integers(min_value=0, max_value=2**63 - 1)
sub_clusters = st.builds(
    SubCluster,
    cluster_ids,
    st.sampled_from(ClusterRole),
    servers,
    st.lists(addresses, max_size=2, unique=True).map(tuple),
)
rslists = st.builds(
    Rslist,
    names,
    names,
    st.lists(sub_clusters, min_size=1, max_size=3, unique_by=lambda cluster: cluster.cluster_id).map(tuple),
)


@st.composite
def entry(draw: st.DrawFn) -> CachedRslist:
    rslist = draw(rslists)
    ids = st.sampled_from([cluster.cluster_id for cluster in rslist.clusters])
    idcs = draw(st.dictionaries(ids, st.dictionaries(names, names, min_size=1, max_size=3), max_size=2))
    times = st.integers(min_value=0, max_value=int(NOW)).map(float)
    return CachedRslist(rslist, draw(times), draw(times), idcs)


entries = st.lists(entry(), max_size=4, unique_by=lambda cached: cached.rslist.cluster)


def cached(name: str = "c1", *clusters: SubCluster, fetched_at: float = WRITTEN) -> CachedRslist:
    subs = clusters or (SubCluster(1, ClusterRole.PRIMARY, (A, B)),)
    return CachedRslist(Rslist(name, name, subs), fetched_at)


def written(*given: CachedRslist) -> bytes:
    encoded = write_rslist_file(given, made_by="odp-trio 0", written_at=WRITTEN)
    assert encoded.left_out == ()
    return encoded.data


def forged(change: dict[str, Any], *, cluster: dict[str, Any] | None = None) -> bytes:
    """Return a file that was changed, with the checksum that fits."""
    data = json.loads(written(cached()))
    data |= change
    for key, value in (cluster or {}).items():
        data["clusters"][0][key] = value
    data["sha256"] = ""
    compact = json.dumps(data, separators=(",", ":"), ensure_ascii=False).encode()
    data["sha256"] = hashlib.sha256(compact).hexdigest()
    return json.dumps(data).encode()


def refusal(data: bytes, now: float = NOW) -> str:
    with pytest.raises(BadCacheFile) as caught:
        read_rslist_file(data, now)
    return str(caught.value)


# ---- what is written is read back -------------------------------------------------------


@given(entries)
def test_what_is_written_is_read_back(given: list[CachedRslist]) -> None:
    contents = read_rslist_file(written(*given), NOW)

    assert sorted(contents.entries, key=lambda one: one.rslist.cluster) == sorted(
        given, key=lambda one: one.rslist.cluster
    )
    assert (contents.made_by, contents.written_at, contents.ahead) == ("odp-trio 0", WRITTEN, 0.0)


@given(entries)
def test_equal_entries_make_equal_files(given: list[CachedRslist]) -> None:
    assert written(*given) == written(*read_rslist_file(written(*given), NOW).entries)


def test_it_has_odps_keys_and_a_person_can_read_it() -> None:
    standby = SubCluster(2, ClusterRole.STANDBY, (C,), (Address("::1", 2882),))
    rslist = Rslist("alias", "c1", (SubCluster(1, ClusterRole.PRIMARY, (A, B)), standby))

    data = written(CachedRslist(rslist, WRITTEN + 0.9, 0.0, {2: {"x1": "hangzhou"}}))

    assert data.count(b"\n") > 30
    assert json.loads(data)["clusters"] == [
        {
            "ObRegion": "alias",
            "ObRegionId": 1,
            "Type": "PRIMARY",
            "ObRealClusterName": "c1",
            "RsList": [
                {"address": "10.0.0.1:2881", "role": "LEADER", "sql_port": 2881},
                {"address": "10.0.0.2:2881", "role": "FOLLOWER", "sql_port": 2881},
            ],
            "fetched_at": "2027-01-15T07:59:00Z",
        },
        {
            "ObRegion": "alias",
            "ObRegionId": 2,
            "Type": "STANDBY",
            "ObRealClusterName": "c1",
            "RsList": [{"address": "10.0.0.3:2881", "role": "LEADER", "sql_port": 2881}],
            "fetched_at": "2027-01-15T07:59:00Z",
            "ReadonlyRsList": [{"address": "[::1]:2882", "role": "LEADER", "sql_port": 2882}],
            "IDCList": [{"idc": "x1", "region": "hangzhou"}],
        },
    ]


def test_blanks_and_line_ends_do_not_count() -> None:
    data = written(cached())

    compact = msgspec.json.format(data, indent=-1)

    assert read_rslist_file(compact, NOW) == read_rslist_file(data.replace(b"\n", b"\r\n"), NOW)


def test_leaders_come_first() -> None:
    follower, leader = (
        {"address": str(address), "role": role, "sql_port": 2881} for address, role in ((A, "FOLLOWER"), (B, "LEADER"))
    )

    contents = read_rslist_file(forged({}, cluster={"RsList": [follower, leader]}), NOW)

    assert contents.entries[0].rslist.clusters[0].servers == (B, A)


# ---- what is left out when writing ------------------------------------------------------


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        (cached("c1", SubCluster(1, ClusterRole.PRIMARY, ())), "it has no servers"),
        (cached("a\nb"), "characters that no name has"),
        (cached(""), "Expected `str` of length >= 1"),
        (cached("x" * (LONGEST_NAME + 1)), "Expected `str` of length <= 512"),
        (cached("\ud800"), "surrogates not allowed"),
        (cached("c1", SubCluster(-1, ClusterRole.PRIMARY, (A,))), "Expected `int` >= 0"),
        (cached("c1", *[SubCluster(1, ClusterRole.PRIMARY, (A,))] * 2), "the same ObRegionId is there twice"),
        (cached("c1", SubCluster(1, ClusterRole.PRIMARY, (Address("nowhere", 1),))), "is not an address"),
        (cached("c1", fetched_at=float("nan")), "Invalid value NaN"),
        (cached("c1", fetched_at=float("inf")), "Invalid value NaN"),
        (cached("c1", fetched_at=1e15), "year"),
        (cached("good"), "it is there twice"),
    ],
)
def test_what_could_not_be_read_back_is_left_out_with_a_reason(bad: CachedRslist, said: str) -> None:
    encoded = write_rslist_file([cached("good"), bad], made_by="odp-trio 0", written_at=WRITTEN)

    assert read_rslist_file(encoded.data, NOW).entries == (cached("good"),)
    assert len(encoded.left_out) == 1
    assert said in encoded.left_out[0]


def test_of_too_many_those_used_last_are_kept() -> None:
    many = [cached(f"c{number:05}", fetched_at=float(number)) for number in range(MOST_CLUSTERS + 1)]

    encoded = write_rslist_file(many, made_by="odp-trio 0", written_at=WRITTEN)

    assert encoded.left_out == ("cluster 'c00000' is not kept: there are 10001 clusters; at most 10000 are allowed",)
    assert len(read_rslist_file(encoded.data, NOW).entries) == MOST_CLUSTERS


def test_a_file_that_would_be_too_large_is_not_made() -> None:
    servers = tuple(Address(f"10.{number >> 8}.{number & 255}.1", 2881) for number in range(60_000))
    wide = [cached(f"c{number}", SubCluster(1, ClusterRole.PRIMARY, servers)) for number in range(3)]

    with pytest.raises(BadCacheFile, match="at most 16777216 are allowed"):
        write_rslist_file(wide, made_by="odp-trio 0", written_at=WRITTEN)


# ---- what is refused when reading -------------------------------------------------------


def test_cut_off_anywhere_it_is_refused_as_such() -> None:
    data = written(cached("c1"), cached("名前"))

    reasons = {refusal(data[:length]).partition(":")[0] for length in range(1, len(data) - 1)}

    assert reasons == {"it is truncated"}
    assert refusal(b"") == "it is empty"
    assert read_rslist_file(data[:-1], NOW).entries  # the last line end says nothing


SERVER = {"address": "10.0.0.1:2881", "role": "LEADER", "sql_port": 2881}


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"not json", "it is not JSON: JSON is malformed"),
        (b"JC\x02\x7f[]", "it is not JSON"),
        (written(cached()) + b"{}", "it is not JSON"),
        (b'{"format": 1, "made_by": "\xff"}', "it is not JSON"),
        (b"[]", "it is no file of rslists: Expected `object`, got `array`"),
        (b"1", "it is no file of rslists: Expected `object`, got `int`"),
        (b"{}", "missing required field `format`"),
        (b'{"format": 1}', "missing required field `made_by`"),
        (b'{"format": 2, "later": []}', "its format is 2; this version reads 1"),
        (b'{"format": "1"}', "Expected `int`, got `str` - at `$.format`"),
        (b'{"format": 1' + b"0" * 10_000 + b"}", "out of range"),
        (written(cached()).replace(b'"PRIMARY"', b'"STANDBY"'), "its checksum is wrong: it was edited or damaged"),
        (written(cached()).replace(b"10.0.0.1", b"10.0.0.9"), "its checksum is wrong"),
        (written(cached()).replace(b'"odp-trio 0"', b'"somebody"'), "its checksum is wrong"),
        (written(cached()).replace(b"c1", b"c\0"), "it is damaged: byte"),
        (bytes(4096), "it is damaged: byte 0 is NUL"),
        (b" " * (MOST_BYTES + 1), "it has 16777217 bytes; at most 16777216 are allowed"),
        (b"[" * 1_000_000, "it is no file of rslists"),
        (b'{"x":' * 1_000_000, "it is nested too deeply"),
        (b'{"x":' + b"[" * 1_000_000, "it is nested too deeply"),
        (forged({"comment": "by hand"}), "unknown field `comment`"),
        (forged({"a\x1b[31m\nb": 1}), "unknown field `a?[31m?b`"),
        (forged({"made_by": "a\nb"}), "characters that no name has"),
        (forged({"clusters": {}}), "Expected `array`, got `object` - at `$.clusters`"),
        (forged({"clusters": [{}] * 3}), "missing required field `ObRegion` - at `$.clusters[0]`"),
        (forged({}, cluster={"ObRegion": 7}), "Expected `str`, got `int` - at `$.clusters[0].ObRegion`"),
        (forged({}, cluster={"ObRegion": "a\x00b"}), "'a\\x00b' has characters that no name has"),
        (forged({}, cluster={"ObRegionId": 1.5}), "Expected `int`, got `float`"),
        (forged({}, cluster={"ObRegionId": True}), "Expected `int`, got `bool`"),
        (forged({}, cluster={"Type": "BOTH"}), "Invalid enum value 'BOTH'"),
        (forged({}, cluster={"RsList": []}), "cluster 'c1' id 1: it has no servers"),
        (forged({}, cluster={"RsList": [SERVER | {"address": "c1.example:2881"}]}), "is not an address of the form"),
        (forged({}, cluster={"RsList": [SERVER | {"address": "10.0.0.1:0"}]}), "port must be between 1 and 65535"),
        (forged({}, cluster={"RsList": [SERVER | {"address": " 10.0.0.1:02881"}]}), "is written '10.0.0.1:2881'"),
        (forged({}, cluster={"RsList": [SERVER | {"sql_port": 2882}]}), "is not of sql_port 2882"),
        (forged({}, cluster={"RsList": [SERVER | {"role": "KING"}]}), "Invalid enum value 'KING'"),
        (forged({}, cluster={"fetched_at": "yesterday"}), "Invalid RFC3339 encoded datetime"),
        (forged({}, cluster={"fetched_at": "2026-01-01T00:00:00"}), "timezone component"),
        (forged({}, cluster={"fetched_at": 5}), "Expected `datetime`, got `int`"),
        (forged({}, cluster={"IDCList": [{"idc": "x", "region": "r"}] * 2}), "the same idc is there twice"),
    ],
)
def test_what_cannot_be_is_refused_with_its_reason(data: bytes, said: str) -> None:
    assert said in refusal(data)


def test_a_cluster_that_is_there_twice_is_refused() -> None:
    both = json.loads(written(cached("c1")))["clusters"] * 2
    other_name = [both[0], both[0] | {"ObRegionId": 2, "ObRealClusterName": "c2"}]

    assert refusal(forged({"clusters": both})) == "cluster 'c1' id 1: the same ObRegionId is there twice"
    assert "ObRealClusterName is 'c1' and 'c2'" in refusal(forged({"clusters": other_name}))


def test_too_many_clusters_are_refused() -> None:
    one = json.loads(written(cached()))["clusters"][0]
    many = [one | {"ObRegionId": number} for number in range(MOST_CLUSTERS + 1)]

    assert refusal(forged({"clusters": many})) == "there are 10001 clusters; at most 10000 are allowed"


def test_a_reason_is_never_long() -> None:
    huge = "9" * 1_000_000

    assert len(refusal(forged({}, cluster={"RsList": [SERVER | {"address": huge}]}))) < 500
    assert len(refusal(forged({huge: 1}))) < 500
    assert len(refusal(forged({}, cluster={"ObRegion": huge}))) < 500


# ---- times ------------------------------------------------------------------------------


def test_times_ahead_of_the_clock_are_taken_for_now_and_told() -> None:
    """After a reboot the clock may be wrong; the rslist is the one thing that still helps then."""
    data = written(cached(fetched_at=WRITTEN - 3600))

    contents = read_rslist_file(data, WRITTEN - 7200)

    assert contents.ahead == 7200.0
    assert contents.written_at == WRITTEN - 7200
    assert contents.entries[0].fetched_at == WRITTEN - 7200


def test_a_clock_that_was_set_a_little_is_no_news() -> None:
    assert read_rslist_file(written(cached()), WRITTEN - 30).ahead == 0.0


# ---- anything at all --------------------------------------------------------------------

SAMPLE = written(
    cached("c1", SubCluster(1, ClusterRole.PRIMARY, (A, B)), SubCluster(2, ClusterRole.STANDBY, (C,), (A,))),
    cached("名前"),
)


@settings(max_examples=500)
@given(st.integers(min_value=0, max_value=len(SAMPLE) - 1), st.integers(min_value=0, max_value=255))
def test_one_byte_changed_is_refused_or_changes_nothing(at: int, byte: int) -> None:
    changed = SAMPLE[:at] + bytes([byte]) + SAMPLE[at + 1 :]

    try:
        contents = read_rslist_file(changed, NOW)
    except BadCacheFile:
        return

    assert contents == read_rslist_file(SAMPLE, NOW)


@given(st.binary(max_size=200))
@example(b"\xef\xbb\xbf{}")
def test_any_bytes_are_refused_and_nothing_else(data: bytes) -> None:
    assert refusal(data)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@given(
    st.sampled_from(["format", "made_by", "written_at", "sha256", "clusters"]),
    st.sampled_from([*json.loads(written(cached()))["clusters"][0], "used_at", "ReadonlyRsList", "IDCList"]),
    json_values,
    st.datetimes().map(lambda moment: moment.isoformat() + "Z"),
    st.booleans(),
)
def test_any_value_anywhere_is_read_or_refused(head: str, key: str, value: Any, moment: str, whole: bool) -> None:
    changes = [forged({head: value}), forged({}, cluster={key: value}), forged({}, cluster={"fetched_at": moment})]
    for data in changes if whole else changes[1:]:
        try:
            read_rslist_file(data, NOW)
        except BadCacheFile as exc:
            assert str(exc).isprintable()


# ---- docs -------------------------------------------------------------------------------


def test_the_example_of_the_docs_is_such_a_file() -> None:
    example = (ROOT / "docs" / "cache-file.md").read_text().partition("```json\n")[2].partition("```")[0].encode()

    contents = read_rslist_file(example, NOW)

    again = write_rslist_file(contents.entries, made_by=contents.made_by, written_at=contents.written_at)
    assert (again.data, again.left_out) == (example, ())
    assert [len(entry.rslist.clusters) for entry in contents.entries] == [2]
