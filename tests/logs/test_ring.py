"""SHOW WARNLOG."""

import re

from odp_trio.logs.ring import COLUMNS, WarnRing


def test_rows_are_those_of_odp() -> None:
    ring = WarnRing()
    ring.add(7, 1_700_000_000.25, "WARNING", "odp_trio.net", "cannot accept")

    (row,) = ring.rows()

    assert len(row) == len(COLUMNS)
    assert row[:2] == (1, 7)
    assert re.fullmatch(r"2023-11-1\d \d\d:\d\d:\d\d\.250000", row[2])
    assert row[3] == "WARNING [odp_trio.net] cannot accept"


def test_it_keeps_the_last_ones_and_selects() -> None:
    ring = WarnRing(3)
    for number in range(1, 6):
        ring.add(number % 2, float(number), "ERROR", "x", str(number))

    assert [line.log_id for line in ring.lines()] == [3, 4, 5]
    assert [line.log_id for line in ring.lines(log_id=4)] == [4, 5]
    assert [line.log_id for line in ring.lines(thread_id=1)] == [3, 5]
    assert [line.log_id for line in ring.lines(since=4.5)] == [5]


def test_a_long_line_is_cut() -> None:
    ring = WarnRing()
    ring.add(1, 0.0, "ERROR", "x", "y" * 5000)

    assert len(ring.lines()[0].log) == 2003
