"""Which statements go with a span."""

from __future__ import annotations

import struct

from odp_trio.session.tracing import Tracer
from odp_trio.wire.command import Com
from odp_trio.wire.extra_info import Key, entries, entry

# As a kernel says it in its first answer, and after SET ob_enable_show_trace = 1.
SEEN = bytes.fromhex(
    "d3073f000000e4070100000001e507080000009a9999999999b93fe60701000000"
    "03e707080000000000000000000000e8070800000040420f0000000000e90701000000"
)


def control(level: int, sample: float, *, show: bool = False) -> bytes:
    told = entry(2020, bytes((level,))) + entry(2021, struct.pack("<d", sample)) + entry(2025, bytes((show,)))
    return entry(2003, told)


def traced(tracer: Tracer, command: int = Com.QUERY, *, of: int = 1000) -> int:
    return sum(bool(tracer.span(command)) for _ in range(of))


def test_nothing_is_traced_before_a_server_says_so() -> None:
    assert traced(Tracer(1)) == 0


def test_a_share_of_the_statements_is_traced() -> None:
    tracer = Tracer(1)
    tracer.control(SEEN + b"\0")  # a tenth

    assert 60 < traced(tracer) < 140


def test_everything_while_traces_are_shown_and_nothing_at_level_0() -> None:
    tracer = Tracer(1)
    tracer.control(SEEN + b"\1")
    assert traced(tracer) == 1000
    tracer.control(control(0, 1.0, show=True))
    assert traced(tracer) == 0
    tracer.control(control(1, 0.0))
    assert traced(tracer) == 0


def test_only_statements_have_spans_and_each_its_own() -> None:
    tracer = Tracer(1)
    tracer.control(control(1, 1.0))

    assert traced(tracer, Com.PING) == 0
    assert tracer.span(Com.QUERY) != tracer.span(Com.QUERY)
    ((key, value),) = entries(tracer.span(Com.STMT_EXECUTE))
    ((kind, inner),) = entries(value)
    assert (key, kind) == (Key.FULL_TRC, 2004)
    assert {name: len(part) for name, part in entries(inner)} == {2030: 1, 2031: 1, 2032: 16, 2033: 1, 2034: 16}
    assert dict(entries(inner))[2032] == tracer.trace_id  # the records of statements have it
    tracer.span(Com.PING)
    assert tracer.trace_id == b""
