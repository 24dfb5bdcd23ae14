"""The load's own client, and the load straight on the OBServers of a bed."""

from __future__ import annotations

import pytest
import trio

from odp_trio.model import Address
from odp_trio.testing.bed import Testbed
from odp_trio.testing.client import Client, ConnectionLost, NoAnswer, StatementFailed
from odp_trio.testing.load import Mix, Plan, is_uncertain, open_load, rows_statement, table_statements


async def connected(bed: Testbed, number: int = 0, patience: float = 10.0) -> Client:
    address = Address(bed.observers[number].ip, bed.port)
    return await Client.connect(address, "app@sys", bed.app_password, database="test", patience=patience)


async def test_a_client_reads_both_protocols(bed: Testbed) -> None:
    client = await connected(bed)

    assert await client.query("select 1, 'two', null, -3") == [("1", "two", None, "-3")]
    assert await client.query("set @a = 1") == []
    statement = await client.prepare("select ? + 1, 'two', null, cast(? as signed) from dual where ? = 3")
    assert await client.execute(statement, (1, -5, 3)) == [(2, "two", None, -5)]
    assert await client.execute(statement, (1, -5, 4)) == []
    nothing = await client.prepare("set @a = 2")
    assert await client.execute(nothing) == []
    await client.quit()


async def test_a_client_says_what_it_was_told(bed: Testbed) -> None:
    with pytest.raises(StatementFailed, match="^1045: Access denied"):
        await Client.connect(Address(bed.observers[0].ip, bed.port), "app@sys", "wrong")
    client = await connected(bed)
    with pytest.raises(StatementFailed, match="1146"):
        await client.query("select * from not_there")
    assert await client.query("select 1") == [("1",)]  # it goes on

    bed.cut(0, after_bytes=0)
    with pytest.raises(ConnectionLost) as lost:
        await client.query("select 1")
    assert lost.value.sent
    with pytest.raises(ConnectionLost) as lost:
        await client.query("select 1")
    assert not lost.value.sent
    client.close()

    bed.refuse(1)
    with pytest.raises(ConnectionLost, match="refused") as lost:
        await connected(bed, 1)
    assert not lost.value.sent

    frozen = await connected(bed, 2, patience=0.2)
    bed.freeze(2)
    with pytest.raises(NoAnswer, match=r"within 0\.2 s"):
        await frozen.query("select 1")
    frozen.close()
    await bed.thaw(2)


def test_which_errors_leave_a_write_in_doubt() -> None:
    assert is_uncertain(ConnectionLost("gone", sent=True))
    assert not is_uncertain(ConnectionLost("gone", sent=False))
    assert is_uncertain(StatementFailed(2013, "the connection was lost; its outcome is unknown"))
    assert is_uncertain(StatementFailed(4012, "Timeout"))
    assert not is_uncertain(StatementFailed(4664, "no server"))


async def test_a_load_knows_what_is_there(bed: Testbed) -> None:
    plan = Plan("app@sys", bed.app_password, clients=4, think=0.005, mix=Mix(read_weak=0))
    await bed.query(*table_statements(plan))
    address = Address(bed.observers[0].ip, bed.port)
    async with open_load(plan, address) as load:
        assert await load.wait_flowing(trio.current_time(), 10)
        await trio.sleep(0.3)
        for _ in range(5):
            bed.cut(0, after_bytes=0)
            await trio.sleep(0.05)
        again = trio.current_time()
        assert await load.wait_flowing(again, 10)

    rows = await bed.query(rows_statement(plan))
    audit = load.ledger.audit((row["client"], row["seq"]) for row in rows)
    assert audit.clean, audit
    assert audit.acknowledged > 20
    assert load.failures
    assert load.logins > plan.clients
    assert not load.wrong
