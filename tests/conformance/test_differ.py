"""Comparing two sides: what is paired, what is normalised, what is told."""

from __future__ import annotations

from odp_trio.conformance import corpus
from odp_trio.conformance.normalise import differences
from odp_trio.conformance.recording import Recording
from odp_trio.model import Address
from odp_trio.testing.answers import Answer
from odp_trio.wire.command import Com
from odp_trio.wire.packets import packet
from odp_trio.wire.resultset import err_payload, ok_payload

SERVERS = (Address("10.0.0.1", 2881), Address("10.0.0.2", 2881))


def answer(payload: bytes, errno: int = 0) -> Answer:
    return Answer([packet(1, payload)], 0, errno)


def test_commands_are_paired_whatever_the_servers_are_called() -> None:
    one, other = Recording(SERVERS), Recording((Address("10.9.9.1", 1), Address("10.9.9.2", 1)))
    said = b"\x03/* target_db_server='%s' */ select 1"
    one.add(said % b"10.0.0.2:2881", first := answer(ok_payload()))
    other.add(said % b"10.9.9.2:1", second := answer(ok_payload()))
    other.add(b"\x03select 2", third := answer(ok_payload()))

    pairs = list(one.pairs(other))

    assert [(left, right) for _, left, right in pairs] == [(first, second), (None, third)]


def test_what_is_taken_is_not_there_any_more() -> None:
    recording = Recording(SERVERS)
    recording.add(b"\x03select 1", answer(ok_payload()))

    assert len(list(recording.take().pairs(Recording(())))) == 1
    assert list(recording.take().pairs(Recording(()))) == []


def test_an_error_is_no_ok_and_a_warning_counts() -> None:
    fine = answer(ok_payload())
    warned = answer(ok_payload()[:-2] + b"\1\0")

    assert differences(b"\x03select 1", fine, fine) == []
    assert [at for at, _, _ in differences(b"\x03select 1", fine, warned)] == [0]
    assert differences(b"\x03select 1", fine, answer(err_payload(1064, "42000", "no"), 1064))


def test_statement_ids_may_differ_and_nothing_else_of_the_packet() -> None:
    def prepared(number: int, columns: int) -> Answer:
        payload = b"\0" + number.to_bytes(4, "little") + columns.to_bytes(2, "little") + b"\0\0\0\0\0"
        return Answer([packet(1, payload)], 0, 0, Com.STMT_PREPARE)

    assert differences(b"\x16select 1", prepared(1, 1), prepared(7, 1)) == []
    assert differences(b"\x16select 1", prepared(1, 1), prepared(7, 2))


def test_the_corpus_is_there_and_its_statements_are_apart() -> None:
    assert {"queries", "errors", "changes", "session"} <= set(corpus.names())
    for name in corpus.names():
        found = corpus.statements(name)
        assert len(found) > 10
        assert not any(sql.startswith("##") or sql.endswith(";;") for sql in found)
