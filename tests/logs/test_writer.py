"""The thread that writes."""

from __future__ import annotations

import threading

from odp_trio.logs.writer import Writer

PATIENCE = 120.0
"""Seconds: a machine that stands still for a while must not look like lines that are lost."""


def test_everything_is_written_in_order_and_at_the_end_too() -> None:
    written: list[int] = []
    writer = Writer[int](written.extend, lambda: None)
    writer.start()
    writer.go()
    for number in range(1000):
        writer.put(number)
    writer.close(PATIENCE)

    assert (written, writer.dropped) == (list(range(1000)), 0)


def test_a_full_queue_drops_and_counts_and_nobody_waits() -> None:
    stuck, go_on, written = threading.Event(), threading.Event(), list[int]()

    def write(batch: list[int]) -> None:
        stuck.set()
        assert go_on.wait(5)
        written.extend(batch)

    writer = Writer[int](write, lambda: None, limit=10)
    writer.start()
    writer.go()
    writer.put(0)
    assert stuck.wait(5)
    for number in range(1, 100):
        writer.put(number)
    assert writer.dropped == 89
    go_on.set()
    writer.close(PATIENCE)

    assert written == list(range(11))


def test_nothing_is_done_before_the_port_is_open() -> None:
    written: list[int] = []
    started = threading.Event()

    def write(batch: list[int]) -> None:
        written.extend(batch)
        started.set()

    writer = Writer[int](write, lambda: None)
    writer.start()
    writer.put(1)
    assert not started.wait(0.1)
    writer.go()
    assert started.wait(5)
    writer.close(PATIENCE)


def test_a_start_that_hangs_says_so_all_the_same() -> None:
    done = threading.Event()
    writer = Writer[int](lambda _: done.set(), lambda: None)
    writer.start()
    writer.put(1)

    assert done.wait(5)
    writer.close(PATIENCE)


def test_a_writer_that_hangs_does_not_hold_up_the_end() -> None:
    for_ever = threading.Event()
    writer = Writer[int](lambda _: for_ever.wait(10) and None, lambda: None)
    writer.start()
    writer.go()
    writer.put(1)
    writer.close(0.05)
    for_ever.set()
