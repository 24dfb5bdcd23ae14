"""A proxy of one process: it asks itself, and errors come back as what they were."""

from __future__ import annotations

import pytest
import trio

from odp_trio.errors import ConfigError, OdpError, UnknownThread
from odp_trio.workers.asking import Alone, Question, Refusal, refusal_of
from tests.workers.part import Part


async def refuse(body: bytes) -> bytes:
    raise UnknownThread(f"Unknown thread id: {body.decode()}")


async def stumble(_: bytes) -> bytes:
    raise KeyError("bug")


async def test_the_answer_is_its_own() -> None:
    alone = Alone()

    async def twice(body: bytes) -> bytes:
        return body * 2

    alone.answerer.on("twice", twice)

    (answer,) = await alone.ask_all(Question("twice", b"ab"))

    assert (answer.worker, answer.body, answer.good) == (0, b"abab", True)
    assert await alone.ask_one(0, Question("twice", b"ab")) == answer
    assert (await alone.ask_one(1, Question("twice", b"ab"))).missing == "there is no worker 1"


async def test_an_error_is_raised_again_as_what_it_was() -> None:
    alone = Alone()
    alone.answerer.on("kill", refuse)

    (answer,) = await alone.ask_all(Question("kill", b"7"))

    assert answer.problem == "worker 0: Unknown thread id: 7"
    assert answer.refusal is not None
    error = answer.refusal.error()
    assert isinstance(error, UnknownThread)
    assert (str(error), error.errno) == ("Unknown thread id: 7", UnknownThread.errno)


@pytest.mark.parametrize("kind", ["Exception", "no_such_thing", "annotations", "StatementRefused"])
async def test_an_error_of_an_unknown_kind_keeps_its_number(kind: str) -> None:
    error = Refusal(kind, "why", 1234, "42000").error()

    assert type(error) is OdpError
    assert (str(error), error.errno, error.sqlstate) == ("why", 1234, "42000")


async def test_a_bug_in_an_answer_is_a_refusal_and_a_log_line(caplog: pytest.LogCaptureFixture) -> None:
    alone = Alone()
    alone.answerer.on("x", stumble)

    (answer,) = await alone.ask_all(Question("x"))
    (nobody,) = await alone.ask_all(Question("y"))

    assert answer.problem == "worker 0: internal error: KeyError: 'bug'"
    assert "answering 'x'" in caplog.text
    assert nobody.problem == "worker 0: nobody here answers 'y'"


async def test_an_agreement_is_prepared_sealed_and_done() -> None:
    alone, part = Alone(), Part()
    alone.answerer.take_part("alter", part)

    async def seal() -> None:
        part.said.append("seal")

    agreement = await alone.agree(Question("alter", b"x"), seal=seal)

    assert [answer.body for answer in agreement.check()] == [b"prepared x"]
    assert part.said == ["prepare x", "seal", "commit"]


async def test_an_agreement_that_is_refused_or_not_sealed_is_abandoned() -> None:
    alone, part = Alone(), Part(refuses=ConfigError("not so"))
    alone.answerer.take_part("alter", part)

    with pytest.raises(ConfigError, match="not so"):
        (await alone.agree(Question("alter", b"x"))).check()

    part.refuses = None

    async def seal() -> None:
        raise ConfigError("the disk is full")

    with pytest.raises(ConfigError, match="the disk is full"):
        (await alone.agree(Question("alter", b"x"), seal=seal)).check()
    with pytest.raises(OdpError, match="nobody here answers 'other'"):
        (await alone.agree(Question("other"))).check()
    assert part.said == ["prepare x", "abandon"] * 2


async def test_an_agreement_that_is_cancelled_is_abandoned() -> None:
    alone, part = Alone(), Part()
    alone.answerer.take_part("alter", part)

    with trio.move_on_after(0.01):
        await alone.agree(Question("alter", b"x"), seal=trio.sleep_forever)

    assert part.said == ["prepare x", "abandon"]
    assert (await alone.agree(Question("alter", b"x"))).done


def test_what_an_error_is_sent_as() -> None:
    assert refusal_of(ConfigError("no")) == Refusal("ConfigError", "no", ConfigError.errno, ConfigError.sqlstate)
