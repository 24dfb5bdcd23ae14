"""Spans of statements for OpenTelemetry: one a statement, with what happened when.

A statement that OceanBase's full-link tracing traces has its trace id: what SHOW TRACE shows
and what the collector has are found by the same number.  Needs ``odp-trio[otel]``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, final

import odp_trio
from odp_trio.config import Settings
from odp_trio.logs.masking import masked_message
from odp_trio.logs.statement import statement_text, trace_id
from odp_trio.observe import StatementRecord

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import SpanProcessor


@final
class Spans:
    """Makes spans of records, and gives them to a processor."""

    def __init__(self, processor: SpanProcessor) -> None:
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.id_generator import IdGenerator, RandomIdGenerator
        from opentelemetry.sdk.trace.sampling import ALWAYS_ON

        @final
        class Ids(IdGenerator):
            """Random ids, but for a trace that has its number already."""

            def __init__(self) -> None:
                self.given = 0
                self._chance = RandomIdGenerator()

            def generate_trace_id(self) -> int:
                return self.given or self._chance.generate_trace_id()

            def generate_span_id(self) -> int:
                return self._chance.generate_span_id()

        self._ids = Ids()
        resource = Resource.create({"service.name": "odp-trio", "service.version": odp_trio.__version__})
        self._provider = TracerProvider(
            sampler=ALWAYS_ON, resource=resource, id_generator=self._ids, shutdown_on_exit=False
        )
        self._provider.add_span_processor(processor)
        self._tracer = self._provider.get_tracer("odp_trio", odp_trio.__version__)

    @classmethod
    def to(cls, endpoint: str) -> Spans:
        """Return what sends spans by OTLP over HTTP, in batches, in a thread of its own."""
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.trace.export import BatchSpanProcessor

        return cls(BatchSpanProcessor(OTLPSpanExporter(endpoint=endpoint)))

    def add(self, record: StatementRecord, settings: Settings) -> None:
        """Make a span of a statement that has ended."""
        from opentelemetry.context import Context
        from opentelemetry.trace import SpanKind, Status, StatusCode

        ended = record.wall_us * 1000
        self._ids.given = int(record.trace_id, 16) if record.trace_id else 0
        name = f"{record.kind.upper()} {record.tables[0]}" if record.tables else record.kind.upper()
        span = self._tracer.start_span(
            name,
            context=Context(),
            kind=SpanKind.CLIENT,
            attributes=_attributes(record, settings),
            start_time=ended - record.total_ns,
        )
        if record.sent:
            span.add_event("sent to the server", timestamp=ended - (record.ended - record.sent))
            span.add_event("first byte of the answer", timestamp=ended - (record.ended - record.first))
        if record.errno:
            span.set_status(Status(StatusCode.ERROR, masked_message(record.message, record.sql)))
        span.end(end_time=ended)

    def close(self) -> None:
        """Send what is left."""
        self._provider.shutdown()


def _attributes(record: StatementRecord, settings: Settings) -> dict[str, Any]:
    """Return the attributes of a span: OpenTelemetry's for databases, and ours."""
    found: dict[str, Any] = {
        "db.system.name": "oceanbase",
        "db.namespace": record.database,
        "db.operation.name": record.kind.upper(),
        "db.query.text": statement_text(record, settings),
        "odp.cluster": record.cluster,
        "odp.tenant": record.tenant,
        "odp.user": record.user,
        "odp.session": record.session,
        "odp.rule": record.rule,
        "odp.missed": record.missed,
        "odp.proxy_us": record.proxy_ns // 1000,
        "odp.trace_id": trace_id(record),
    }
    if record.tables:
        found["db.collection.name"] = record.tables[0]
    for side, address in (("client", record.client), ("server", record.server)):
        host, _, port = address.rpartition(":")
        if host and port.isdigit():
            found[f"{side}.address"], found[f"{side}.port"] = host.strip("[]"), int(port)
    if record.errno:
        found["db.response.status_code"] = found["error.type"] = str(record.errno)
    if record.trace_id:
        found["oceanbase.full_link.trace_id"] = record.trace_id
    if record.server_trace_id:
        found["oceanbase.trace_id"] = record.server_trace_id
    return found
