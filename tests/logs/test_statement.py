"""Digest, slow and error lines: which statement has which, and what they say."""

from __future__ import annotations

import re
from typing import Any

import pytest

from odp_trio.config import Settings
from odp_trio.config.options import ClusterSettings
from odp_trio.logs.statement import FIELDS, Finished, Log, fields, least_threshold, logs_of, odp_line
from tests.logs.records import record, taking

SETTINGS = Settings()


def logs(finished: Finished, **options: Any) -> set[str]:
    return {log.value for log in logs_of(finished, Settings(**options))}


@pytest.mark.parametrize(
    ("finished", "options", "expected"),
    [
        (Finished(taking(99)), {}, set()),
        (Finished(taking(101)), {}, {"digest"}),
        (Finished(taking(501)), {}, {"digest", "slow"}),
        (Finished(taking(1), digest=True), {}, {"digest"}),
        (Finished(taking(1), span=True), {}, set()),
        (Finished(taking(1, errno=1064)), {}, {"error"}),
        (Finished(taking(501, errno=1064)), {}, {"digest", "slow", "error"}),
        (Finished(taking(9000)), {"slow_query_time_threshold": 0.0, "query_digest_time_threshold": 0.0}, set()),
        (Finished(taking(9000)), {"slow_query_time_threshold": 0.0}, {"digest"}),
        (Finished(taking(2)), {"slow_query_time_threshold": 0.001}, {"digest", "slow"}),
    ],
)
def test_which_lines_a_statement_has(finished: Finished, options: dict[str, Any], expected: set[str]) -> None:
    assert logs(finished, **options) == expected


def test_the_least_threshold_is_anybodys() -> None:
    scopes = {("shop", "bob"): {"slow_query_time_threshold": 0.02}, ("", ""): {"query_digest_time_threshold": 0.0}}
    cluster = ClusterSettings(rslist=(), scopes=scopes)

    assert least_threshold(SETTINGS) == 0.1
    assert least_threshold(Settings(clusters={"demo": cluster})) == 0.02
    assert least_threshold(Settings(query_digest_time_threshold=0.0, slow_query_time_threshold=0.0)) == 0.0


def test_fields_have_the_documented_keys_and_values() -> None:
    found = fields(Log.DIGEST, record(), SETTINGS)

    assert found == {
        "log": "digest",
        "time": "2023-11-14T22:13:20.123456Z",
        "app_name": "undefined",
        "cluster": "demo",
        "tenant": "shop",
        "database": "orders",
        "user": "bob",
        "database_type": "OB_MYSQL",
        "table": "t",
        "command": "COM_QUERY",
        "statement": "SELECT",
        "result": "success",
        "error_code": 0,
        "sql": "SELECT a,\nb FROM t WHERE id = 5",
        "total_us": 2000,
        "prepare_us": 50,
        "server_us": 1000,
        "proxy_us": 60,
        "trace_id": "Y2A-00060A23E2A48A40",
        "server_trace_id": "YB42AC1E87C9-0000000000000001-0-0",
        "full_link_trace_id": "",
        "client": "10.0.0.9:4242",
        "server": "10.0.0.1:2881",
        "session": 42,
        "server_session": 77,
        "rule": "leader",
        "missed": False,
        "request_bytes": 36,
        "response_bytes": 120,
        "wanted": "sampled",
    } | {"trace_id": found["trace_id"]}
    assert re.fullmatch(r"Y2A-[0-9A-F]{16}", found["trace_id"])
    assert set(found) == {"log", *(field.key for field in FIELDS)} - {"error_message"}


def test_odps_line_has_odps_fields_in_their_places() -> None:
    line = odp_line(fields(Log.SLOW, record(), SETTINGS))

    moment, *cells = line.split(",")
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6}", moment)
    assert "\n" not in line
    trace = cells[17]
    assert cells == [
        "undefined", "", "", "orders", "demo:shop:orders", "OB_MYSQL", "t", "t", "COM_QUERY", "SELECT", "success", "",
        "SELECT a%2C%0Ab FROM t WHERE id = 5", "2000us", "50us", "0us", "1000us", trace,
        "YB42AC1E87C9-0000000000000001-0-0", "10.0.0.9:4242", "", "0", "10.0.0.1:2881",
    ]  # fmt: skip
    for field in FIELDS:
        if field.number and field.key not in ("cluster", "tenant", "database", "error_message"):
            value = fields(Log.SLOW, record(), SETTINGS)[field.key]
            assert re.match(
                re.escape(str(value or "").replace(",", "%2C").replace("\n", "%0A")), cells[field.number - 1]
            )


def test_an_error_line_has_the_message_and_the_error_as_it_may_be_shown() -> None:
    failed = record(
        errno=1064, message="You have an error near 'BY 'hunter2' x'", sql=b"ALTER USER b IDENTIFIED BY 'hunter2' x"
    )
    found = fields(Log.ERROR, failed, SETTINGS)

    assert (found["result"], found["error_code"]) == ("failed", 1064)
    assert "hunter2" not in str(found)
    *_, message, trace = odp_line(found).split(",")
    assert (message, trace) == ("You have an error near ***", "YB42AC1E87C9-0000000000000001-0-0")


def test_the_text_is_cut_behind_masking_and_not_before() -> None:
    long = record(sql=b"SELECT * FROM users WHERE password = '" + b"x" * 50 + b"'")

    assert fields(Log.DIGEST, long, Settings(digest_sql_length=45))["sql"] == "SELECT * FROM users WHERE password = ***"
    behind = record(sql=b"SELECT 'hunter2' = password FROM users")
    assert fields(Log.DIGEST, behind, Settings(digest_sql_length=20))["sql"] == "SELECT *** = passwor"


def test_what_the_proxy_answers_itself() -> None:
    found = fields(Log.DIGEST, record(server="", server_session=0, sent=0, first=0, rule="proxy", tables=()), SETTINGS)

    assert (found["server"], found["server_us"], found["prepare_us"], found["table"]) == ("", 0, 2000, "")
