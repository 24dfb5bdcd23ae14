"""Spans, as the SDK's own exporter for tests has them."""

from __future__ import annotations

import pytest
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from odp_trio.config import Settings
from odp_trio.logs.spans import Spans
from tests.logs.records import record

FULL_LINK = "0af7651916cd43dd8448eb211c80319c"


@pytest.fixture
def exporter() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def spans(exporter: InMemorySpanExporter) -> Spans:
    return Spans(SimpleSpanProcessor(exporter))


def test_a_span_says_what_the_record_says(spans: Spans, exporter: InMemorySpanExporter) -> None:
    spans.add(record(), Settings())

    (span,) = exporter.get_finished_spans()
    assert (span.name, span.kind, span.parent) == ("SELECT t", SpanKind.CLIENT, None)
    assert (span.end_time, span.start_time) == (1_700_000_000_123_456_000, 1_700_000_000_121_456_000)
    assert [(event.name, event.timestamp - (span.start_time or 0)) for event in span.events] == [
        ("sent to the server", 50_000),
        ("first byte of the answer", 1_050_000),
    ]
    found = dict(span.attributes or {})
    assert {
        key: found[key] for key in ("db.system.name", "db.namespace", "db.operation.name", "db.collection.name")
    } == {
        "db.system.name": "oceanbase",
        "db.namespace": "orders",
        "db.operation.name": "SELECT",
        "db.collection.name": "t",
    }
    assert (found["server.address"], found["server.port"]) == ("10.0.0.1", 2881)
    assert (found["client.address"], found["client.port"]) == ("10.0.0.9", 4242)
    assert found["db.query.text"] == "SELECT a,\nb FROM t WHERE id = 5"
    assert span.resource.attributes["service.name"] == "odp-trio"


def test_a_traced_statement_has_the_trace_id_of_oceanbase(spans: Spans, exporter: InMemorySpanExporter) -> None:
    spans.add(record(trace_id=FULL_LINK), Settings())
    spans.add(record(), Settings())

    linked, other = exporter.get_finished_spans()
    assert linked.context is not None
    assert f"{linked.context.trace_id:032x}" == FULL_LINK
    assert (linked.attributes or {})["oceanbase.full_link.trace_id"] == FULL_LINK
    assert (linked.attributes or {})["oceanbase.trace_id"] == "YB42AC1E87C9-0000000000000001-0-0"
    assert other.context is not None
    assert other.context.trace_id not in (0, linked.context.trace_id)


def test_a_failed_one_says_why_and_shows_no_secret(spans: Spans, exporter: InMemorySpanExporter) -> None:
    spans.add(record(errno=1064, message="near 'hunter2'", sql=b"ALTER USER b IDENTIFIED BY 'hunter2' x"), Settings())

    (span,) = exporter.get_finished_spans()
    assert (span.status.status_code, span.status.description) == (StatusCode.ERROR, "near ***")
    assert (span.attributes or {})["error.type"] == "1064"
    assert "hunter2" not in span.to_json()


def test_what_the_proxy_answered_and_a_client_on_a_socket_file(spans: Spans, exporter: InMemorySpanExporter) -> None:
    spans.add(record(server="", sent=0, first=0, client="unix socket", tables=()), Settings())

    (span,) = exporter.get_finished_spans()
    assert (span.name, len(span.events)) == ("SELECT", 0)
    assert not {"server.address", "client.address"} & set(span.attributes or {})
