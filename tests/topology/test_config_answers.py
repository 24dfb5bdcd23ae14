"""What a config server answers, read: forms, rules of items, and a reason that names the place of what is wrong."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from odp_trio.errors import ConfigServerError, MalformedConfigAnswer
from odp_trio.model import Address
from odp_trio.topology.config_answers import read_document, read_idcs, read_rslist, read_version
from odp_trio.topology.rslist import METADB as METADB_NAME
from odp_trio.topology.rslist import ClusterRole, SubCluster
from tests.topology.config_json import DOCUMENT, FOLLOWER, IDCS, LEADER, METADB, RSLIST, URLS, without, wrapped

ONE, TWO, THREE = (Address(f"10.0.0.{number}", 2881) for number in (1, 2, 3))
TEMPLATE = without(DOCUMENT, "ObRootServiceInfoUrlList") | {
    "ObRootServiceInfoUrlTemplate": "http://ocp/rs?ObRegion=${ObRegion}",
    "ObRegion": ["c1", "c2"],
}
Reader = Callable[[bytes], object]


def rslist_of_c1(body: bytes) -> object:
    return read_rslist(body, "c1", 1)


def idcs_of_c1(body: bytes) -> object:
    return read_idcs(body, "c1", 1)


def reason(read: Reader, body: bytes) -> str:
    with pytest.raises(MalformedConfigAnswer) as caught:
        read(body)
    return str(caught.value)


# ---- envelope -----------------------------------------------------------------

ENVELOPES = [
    (b"", "the answer has no content (0 bytes)"),
    (b" \r\n\t", "the answer has no content (4 bytes)"),
    (b"\n<!DOCTYPE html><html>", "the answer is HTML, not JSON"),
    (b"<HTML><body>", "the answer is HTML, not JSON"),
    (b'<?xml version="1.0"?><error/>', "the answer is XML, not JSON"),
    (b"404 page not found", "the answer is not JSON; it begins with '404 page not found'"),
    (b"no /services?uid=s3cret", "the answer is not JSON; it begins with 'no /services?…'"),
    (b"\x00\x01\x02", "the answer is not JSON but 3 bytes that are no text"),
    ("été".encode(), "the answer is not JSON but 5 bytes that are no text"),
    (b'{"Success": tr', "the JSON is cut off after 14 bytes"),
    (b'{"Success": true}}', "the JSON is broken: JSON is malformed: trailing characters (byte 18)"),
    (b'{"Success": "\xff"}', "the JSON is broken: 'utf-8' codec can't decode byte 0xff in position 0"),
    (b"[" * 100_000, "the JSON is nested too deeply"),
    (b"[]", "the answer is an array; an object is expected"),
    (b"12", "the answer is a whole number; an object is expected"),
    (b"{}", "Success is missing"),
    (wrapped({}, Success=1), "Success is 1; true or false is expected"),
    (
        wrapped({}, Success=False, Message="no such\nuser", Code=400),
        "the config server reports a failure: Success is false, Code is 400, Message is 'no such user'",
    ),
    (b'{"Success": false}', "the config server reports a failure: Success is false"),
    (wrapped({}, Message=None), "Message is missing"),
    (wrapped({}, Message="Successful"), "Message is 'Successful'; 'successful' is expected"),
    (wrapped({}, Message=7), "Message is a whole number; text is expected"),
    (wrapped({}, Code=None), "Code is missing"),
    (wrapped({}, Code=300), "Code is 300; 200 to 299 is expected"),
    (wrapped({}, Code="200"), "Code is text; a whole number is expected"),
    (wrapped({}, Code=True), "Code is a truth value; a whole number is expected"),
    (wrapped({}, Code=-200), "Code is -200; a number from 0 to 2^63-1 is expected"),
    (wrapped({}, Code=10**400), "Code is 1" + "0" * 59 + "…; a number from 0 to 2^63-1 is expected"),
    (wrapped(None), "Data is missing"),
    (b'{"Message":"successful","Success":true,"Code":200,"Data":null}', "Data is null; an object is expected"),
    (wrapped(7), "Data is a whole number; an object is expected"),
]


@pytest.mark.parametrize(("body", "said"), ENVELOPES)
@pytest.mark.parametrize("read", [read_version, read_document, rslist_of_c1, idcs_of_c1])
def test_an_envelope_that_is_none_is_refused_with_a_reason(read: Reader, body: bytes, said: str) -> None:
    assert reason(read, body).startswith(said)


def test_line_ends_within_a_text_are_blanks_as_odp_has_it() -> None:
    assert read_version(wrapped({"Version": "a b"}).replace(b"a b", b"a\nb")) == "a b"


def test_unknown_keys_and_any_2xx_code_are_accepted() -> None:
    assert read_version(wrapped({"Version": "v", "New": [1]}, Code=204, Trace="x", Server=None)) == "v"


def test_a_version_that_is_not_told_is_none() -> None:
    assert read_version(wrapped({})) is None


# ---- main document ------------------------------------------------------------


def test_the_main_document_as_a_list() -> None:
    document = read_document(wrapped(DOCUMENT))

    assert document.version == DOCUMENT["Version"]
    assert document.rslist_urls == {entry["ObRegion"]: entry["ObRootServiceInfoUrl"] for entry in URLS}
    assert list(document.rslist_urls) == ["c1", "c2"]
    assert document.url("c3") is None
    assert document.url(METADB_NAME) == "http://ocp/m?a=b"
    assert repr(document) == f"ConfigDocument(version={document.version!r}, clusters=['c1', 'c2'])"


@pytest.mark.parametrize("key", ["ObRegion", "ObClusterList"])
@pytest.mark.parametrize("mark", ["${ObRegion}", "${ObCluster}"])
def test_the_main_document_as_a_template(key: str, mark: str) -> None:
    data = without(TEMPLATE, "ObRegion") | {
        key: ["c1", "c&2"],
        "ObRootServiceInfoUrlTemplate": f"http://ocp/rs?ObRegion={mark}&what=is-dropped",
    }

    assert read_document(wrapped(data)).rslist_urls == {
        "c1": "http://ocp/rs?ObRegion=c1",
        "c&2": "http://ocp/rs?ObRegion=c%262",
    }


def test_an_empty_list_leaves_it_to_the_template() -> None:
    assert list(read_document(wrapped(TEMPLATE | {"ObRootServiceInfoUrlList": []})).rslist_urls) == ["c1", "c2"]


def test_a_user_of_the_metadb_needs_no_cluster() -> None:
    assert read_document(wrapped(DOCUMENT | {"ObProxyDatabaseInfo": METADB | {"User": "admin@sys"}}))


def urls_with(*entries: object) -> dict[str, Any]:
    return DOCUMENT | {"ObRootServiceInfoUrlList": list(entries)}


def metadb_with(**changes: object) -> dict[str, Any]:
    return DOCUMENT | {"ObProxyDatabaseInfo": METADB | changes}


LIST = "Data.ObRootServiceInfoUrlList"
DOCUMENTS = [
    (without(DOCUMENT, "Version"), "Data.Version is missing"),
    (DOCUMENT | {"Version": 7}, "Data.Version is a whole number; text is expected"),
    (DOCUMENT | {"Version": ""}, "Data.Version is empty text"),
    (DOCUMENT | {"Version": "v" * 33}, "Data.Version has 33 bytes; at most 32 are allowed"),
    (without(DOCUMENT, "ObProxyBinUrl"), "Data.ObProxyBinUrl is missing"),
    (DOCUMENT | {"ObProxyBinUrl": "x" * 513}, "Data.ObProxyBinUrl has 513 bytes; at most 512 are allowed"),
    (without(DOCUMENT, "ObProxyDatabaseInfo"), "Data.ObProxyDatabaseInfo is missing"),
    (DOCUMENT | {"ObProxyDatabaseInfo": {}}, "Data.ObProxyDatabaseInfo.DataBase is missing"),
    (metadb_with(User=None), "Data.ObProxyDatabaseInfo.User is null; text is expected"),
    (
        metadb_with(User="admin@sys#other"),
        "Data.ObProxyDatabaseInfo.User ends in '#other'; '#MetaDataBase' is expected",
    ),
    (
        metadb_with(Password="hunter2" * 10),
        "Data.ObProxyDatabaseInfo.Password has 70 bytes; at most 64 are allowed",
    ),
    (without(DOCUMENT, "ObRootServiceInfoUrlList"), f"{LIST} and {LIST[:-4]}Template are missing: no cluster is named"),
    (urls_with(), f"{LIST} is empty: no cluster is named"),
    (DOCUMENT | {"ObRootServiceInfoUrlList": {}}, f"{LIST} is an object; an array is expected"),
    (urls_with("c1"), f"{LIST}[0] is text; an object is expected"),
    (urls_with({}), f"{LIST}[0].ObRegion or {LIST}[0].ObCluster is missing"),
    (urls_with(URLS[0], {"ObRegion": "c2"}), f"{LIST}[1].ObRootServiceInfoUrl is missing"),
    (urls_with(URLS[0] | {"ObRegion": "c" * 129}), f"{LIST}[0].ObRegion has 129 bytes; at most 128 are allowed"),
    (urls_with(URLS[0] | {"ObRegion": "é" * 65}), f"{LIST}[0].ObRegion has 130 bytes; at most 128 are allowed"),
    (urls_with(URLS[0] | {"ObRegion": "c\u2028"}), f"{LIST}[0].ObRegion holds a control character: 'c '"),
    (urls_with(*URLS, URLS[0]), f"{LIST}[2].ObRegion names cluster 'c1' for the second time"),
    (TEMPLATE | {"ObRegion": ["c1", "c1"]}, "Data.ObRegion[1] names cluster 'c1' for the second time"),
    (TEMPLATE | {"ObRegion": []}, "Data.ObRegion is empty: no cluster is named"),
    (TEMPLATE | {"ObRegion": "c1"}, "Data.ObRegion is text; an array is expected"),
    (without(TEMPLATE, "ObRegion"), "Data.ObRegion or Data.ObClusterList is missing"),
    (
        TEMPLATE | {"ObRootServiceInfoUrlTemplate": "http://ocp/"},
        f"{LIST[:-4]}Template has neither ${{ObRegion}} nor ${{ObCluster}} in it",
    ),
]


@pytest.mark.parametrize(("data", "said"), DOCUMENTS)
def test_a_main_document_that_cannot_be_is_refused_with_the_place(data: object, said: str) -> None:
    assert reason(read_document, wrapped(data)) == said


# ---- rslist -------------------------------------------------------------------


def test_a_rslist_of_one_object() -> None:
    rslist = read_rslist(wrapped(RSLIST), "c1")

    assert (rslist.cluster, rslist.real_name) == ("c1", "c1")
    assert rslist.clusters == (SubCluster(1, ClusterRole.PRIMARY, (ONE, TWO)),)
    assert rslist.primary is rslist.clusters[0]


def test_an_array_is_one_name_with_several_ids() -> None:
    standby = RSLIST | {"ObRegionId": 2, "Type": "standby", "RsList": [FOLLOWER]}
    body = wrapped([RSLIST, standby])

    both = read_rslist(body, "c1")
    assert [(one.cluster_id, one.role.name, one.servers) for one in both.clusters] == [
        (1, "PRIMARY", (ONE, TWO)),
        (2, "STANDBY", (TWO,)),
    ]
    assert both.primary is both.clusters[0]
    assert read_rslist(body, "c1", 2).clusters == both.clusters[1:]


def test_none_or_two_primaries_are_no_primary() -> None:
    twice = [RSLIST, RSLIST | {"ObRegionId": 2}]
    assert read_rslist(wrapped(twice), "c1").primary is None
    assert read_rslist(wrapped(RSLIST | {"Type": "STANDBY"}), "c1").primary is None


def test_the_port_of_sql_counts_not_that_of_the_address() -> None:
    item = {"address": "[::1]:2882", "role": "leader", "sql_port": 3306}

    assert read_rslist(wrapped(RSLIST | {"RsList": [item]}), "c1").clusters[0].servers == (Address("::1", 3306),)


def test_leaders_come_first_and_nobody_twice() -> None:
    third = FOLLOWER | {"address": "10.0.0.3:2882", "role": "Leader"}

    rslist = read_rslist(wrapped(RSLIST | {"RsList": [FOLLOWER, third, FOLLOWER, LEADER]}), "c1")

    assert rslist.clusters[0].servers == (THREE, ONE, TWO)


def test_readonly_replicas_are_kept_apart() -> None:
    third = FOLLOWER | {"address": "10.0.0.3:2882"}

    assert read_rslist(wrapped(RSLIST | {"ReadonlyRsList": [third]}), "c1").clusters[0].readonly == (THREE,)
    assert read_rslist(wrapped(without(RSLIST, "ReadonlyRsList")), "c1").clusters[0].readonly == ()
    assert read_rslist(wrapped(RSLIST | {"ReadonlyRsList": None}), "c1").clusters[0].readonly == ()


@pytest.mark.parametrize("changes", [{"ObRegion": None}, {"ObRegion": "real"}, {"ObRegionId": None}, {"Type": None}])
def test_what_may_be_left_out_or_named_otherwise(changes: dict[str, Any]) -> None:
    keys = {"ObRegion": ("ObCluster", "c1"), "ObRegionId": ("ObClusterId", 1), "Type": ("Nothing", 0)}
    other, value = keys[next(iter(changes))]
    data = {key: told for key, told in (RSLIST | changes | {other: value}).items() if told is not None}

    rslist = read_rslist(wrapped(data), "c1", 1)

    assert (rslist.real_name, rslist.clusters[0].cluster_id, rslist.primary) == ("c1", 1, rslist.clusters[0])


def test_without_an_id_it_is_0() -> None:
    assert read_rslist(wrapped(without(RSLIST, "ObRegionId")), "c1").clusters[0].cluster_id == 0


def test_behind_an_alias_servers_have_another_name() -> None:
    rslist = read_rslist(wrapped(RSLIST | {"ObRegion": "real", "ObClusterAlias": "c1"}), "c1")

    assert (rslist.cluster, rslist.real_name) == ("c1", "real")


def test_the_metadb_may_have_any_name() -> None:
    rslist = read_rslist(wrapped(RSLIST | {"ObRegion": "obdv1"}), METADB_NAME)

    assert (rslist.cluster, rslist.real_name) == (METADB_NAME, "obdv1")


@pytest.mark.parametrize(
    ("item", "said"),
    [
        (LEADER | {"address": "ob1.example.com:2882"}, "'ob1.example.com:2882' is not an address of the form ip:port"),
        (LEADER | {"address": "10.0.0.1"}, "'10.0.0.1' is not an address of the form ip:port"),
        (LEADER | {"address": "10.0.0.1:0"}, "'10.0.0.1:0': port must be between 1 and 65535"),
        (without(LEADER, "address"), "Data.RsList[0].address is missing"),
        (LEADER | {"address": 7}, "Data.RsList[0].address is a whole number; text is expected"),
        (without(LEADER, "sql_port"), "Data.RsList[0].sql_port is missing"),
        (LEADER | {"sql_port": "2881"}, "Data.RsList[0].sql_port is text; a whole number is expected"),
        (LEADER | {"sql_port": 65536}, "Data.RsList[0].sql_port is 65536; a port from 1 to 65535 is expected"),
    ],
)
def test_a_server_that_cannot_be_reached_by_its_item_is_left_out(item: dict[str, Any], said: str) -> None:
    skipped: list[str] = []

    rslist = read_rslist(wrapped(RSLIST | {"RsList": [item, FOLLOWER]}), "c1", 0, skipped.append)

    assert rslist.clusters[0].servers == (TWO,)
    assert len(skipped) == 1
    assert said in skipped[0]
    assert "Data.RsList[0]" in skipped[0]
    assert said in reason(rslist_of_c1, wrapped(RSLIST | {"RsList": [item]}))


def test_an_empty_cluster_id_among_others_is_left_out() -> None:
    skipped: list[str] = []

    rslist = read_rslist(wrapped([RSLIST, RSLIST | {"ObRegionId": 2, "RsList": []}]), "c1", 0, skipped.append)

    assert [one.cluster_id for one in rslist.clusters] == [1]
    assert skipped == ["cluster id 2 has no servers"]


RSLISTS = [
    (RSLIST | {"RsList": []}, "the rslist of cluster 'c1' is empty"),
    (RSLIST | {"RsList": [], "ReadonlyRsList": [LEADER]}, "the rslist of cluster 'c1' is empty"),
    ([], "Data is an empty array: nothing about cluster 'c1'"),
    (without(RSLIST, "RsList"), "Data.RsList is missing"),
    (RSLIST | {"RsList": None}, "Data.RsList is null; an array is expected"),
    (RSLIST | {"RsList": [7]}, "Data.RsList[0] is a whole number; an object is expected"),
    (
        RSLIST | {"RsList": [LEADER, FOLLOWER | {"role": "BOSS"}]},
        "Data.RsList[1].role is 'BOSS'; LEADER or FOLLOWER is expected",
    ),
    (RSLIST | {"Type": "MASTER"}, "Data.Type is 'MASTER'; PRIMARY or STANDBY is expected"),
    (without(RSLIST, "ObRegion"), "Data.ObRegion or Data.ObCluster is missing"),
    (RSLIST | {"ObRegion": "c2"}, "the answer is about cluster 'c2', not about 'c1'"),
    ([RSLIST, RSLIST | {"ObRegion": "c3"}], "the answer is about cluster 'c3', not about 'c1'"),
    (RSLIST | {"ObRegion": "c4", "ObClusterAlias": "x"}, "the answer is about cluster 'c4', not about 'c1'"),
    (RSLIST | {"ObRegionId": 2}, "the answer is about cluster id 2, not about 1"),
    (without(RSLIST, "ObRegionId"), "the answer is about cluster id 0, not about 1"),
    (RSLIST | {"ObRegionId": "1"}, "Data.ObRegionId is text; a whole number is expected"),
    ([RSLIST, RSLIST], "Data[1] is about cluster id 1, as another one is"),
    (
        [RSLIST, RSLIST | {"ObRegion": "r", "ObClusterAlias": "c1"}],
        "Data[1] is about 'r', but others about 'c1'",
    ),
]


@pytest.mark.parametrize(("data", "said"), RSLISTS)
def test_a_rslist_that_cannot_be_is_refused_with_the_place(data: object, said: str) -> None:
    assert reason(rslist_of_c1, wrapped(data)) == said


# ---- IDCs ---------------------------------------------------------------------


def test_idcs_are_written_small() -> None:
    assert read_idcs(wrapped(IDCS), "c1", 1) == {"hz1": "hangzhou"}
    assert read_idcs(wrapped([IDCS, IDCS | {"ObRegionId": 2, "IDCList": []}]), "c1", 2) == {}


def test_a_bad_idc_is_left_out() -> None:
    skipped: list[str] = []
    items = [{"idc": "hz1"}, {"idc": "", "region": "r"}, 7, {"idc": "sh1", "region": "shanghai"}]

    assert read_idcs(wrapped(IDCS | {"IDCList": items}), "c1", 0, skipped.append) == {"sh1": "shanghai"}
    assert skipped == [
        "Data.IDCList[0].region is missing",
        "Data.IDCList[1].idc is empty text",
        "Data.IDCList[2] is a whole number; an object is expected",
    ]


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (without(IDCS, "IDCList"), "Data.IDCList is missing"),
        (IDCS | {"ObRegion": "c2"}, "the answer is about cluster 'c2', not about 'c1'"),
        (IDCS | {"ObRegionId": 2}, "the answer is about cluster id 2, not about 1"),
    ],
)
def test_a_list_of_idcs_that_cannot_be_is_refused_with_the_place(data: object, said: str) -> None:
    assert reason(idcs_of_c1, wrapped(data)) == said


# ---- anything -----------------------------------------------------------------


def test_no_two_reasons_are_the_same() -> None:
    """Except where the table says the same thing twice on purpose."""
    said = [text for _, text in ENVELOPES + DOCUMENTS + RSLISTS]

    assert {text for text in said if said.count(text) > 1} == {
        "the answer is HTML, not JSON",
        "the rslist of cluster 'c1' is empty",
    }


scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
keys = st.sampled_from(
    sorted({*DOCUMENT, *METADB, *RSLIST, *LEADER, *IDCS, *URLS[0], "ObCluster", "ObClusterAlias", "ObRegionId", "idc"})
)
json = st.recursive(
    scalars | st.sampled_from(["c1", "PRIMARY", "LEADER", "10.0.0.1:2882"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys | st.text(max_size=3), inner, max_size=6),
    max_leaves=30,
)
READERS = [read_version, read_document, rslist_of_c1, idcs_of_c1]


def only_known_errors(body: bytes) -> None:
    for read in READERS:
        try:
            read(body)
        except ConfigServerError as exc:
            text = str(exc)
            assert text
            assert len(text) < 700
            assert not set("\r\n\x1b\x00\u2028") & set(text)


@given(st.binary(max_size=200))
def test_any_bytes_raise_nothing_else(body: bytes) -> None:
    only_known_errors(body)


@given(json)
def test_any_data_raises_nothing_else(data: object) -> None:
    only_known_errors(wrapped(data))


@given(st.sampled_from([DOCUMENT, TEMPLATE, RSLIST, [RSLIST, RSLIST], IDCS]), st.data())
def test_a_right_answer_with_any_value_in_one_place_raises_nothing_else(right: object, data: st.DataObject) -> None:
    record = msgspec.json.decode(msgspec.json.encode(right))
    place: Any = record
    while True:
        options = list(place) if isinstance(place, dict) else range(len(place))
        key = data.draw(st.sampled_from(options))
        inner = place[key]
        if not isinstance(inner, dict | list) or not inner or data.draw(st.booleans()):
            break
        place = inner
    place[key] = data.draw(json)

    only_known_errors(wrapped(record))


@given(st.integers(0, 600), st.integers(0, 255))
def test_a_right_answer_with_any_byte_changed_or_cut_raises_nothing_else(place: int, byte: int) -> None:
    body = bytearray(wrapped([RSLIST, RSLIST | {"ObRegionId": 2}]))
    only_known_errors(bytes(body[:place]))
    body[place % len(body)] = byte
    only_known_errors(bytes(body))
