"""People with sessions: they read and write, set variables, pause, leave; and know what they were told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Final, final

import trio

from odp_trio.errors import ConnectFailed
from odp_trio.net.memory import MemorySocket
from odp_trio.testing.client import Client, ConnectionLost, NoAnswer, StatementFailed
from odp_trio.testing.ledger import Fate, Ledger, Number
from odp_trio.testing.load import is_uncertain
from odp_trio.testing.simulation.network import MemoryNetwork
from odp_trio.testing.simulation.rules import Rule, Rules
from odp_trio.testing.simulation.trace import Trace

PATIENCE: Final = 300.0
"""Longer than every limit of the proxy: who waits for so long waits for ever."""
THINK: Final = 12.0
"""Seconds between two statements of a client at work, on average."""
HASTE: Final = 1.2
"""The same around a fault."""
_INSERT: Final = "insert into writes values(%d, %d, %d)"
_TOKENS: Final = 1 << 40


@dataclass(slots=True)
class Known:
    """What a client has set in its session; a name that is missing may have any value."""

    user: dict[str, str | None] = field(default_factory=dict)
    system: dict[str, str] = field(default_factory=dict)
    database: str | None = "ledger"


class World:
    """What all clients share."""

    def __init__(self, network: MemoryNetwork, rules: Rules, trace: Trace) -> None:
        self.network, self.rules, self.trace = network, rules, trace
        self.ledger = Ledger()
        self.answers = 0
        self.logins = 0
        self.think = 0.0
        """How long clients pause between two statements, on average; 0: for an hour or so."""
        self.changed = trio.Event()
        self.stopped = trio.Event()
        """Clients are to leave."""

    def stir(self, think: float) -> None:
        """Let clients work, or rest (0)."""
        self.think = think
        changed, self.changed = self.changed, trio.Event()
        changed.set()

    def stop(self) -> None:
        """Let every client finish and leave."""
        self.stopped.set()
        self.stir(THINK)


@final
class Person:
    """One client, over all its connections."""

    def __init__(self, world: World, number: int, rng: Random) -> None:
        self._world, self.number, self._rng = world, number, rng
        self._tenant = ("shop", "shop", "bank", "sys")[number % 4]
        self._client: Client
        self._sock: MemorySocket
        self._known = Known()
        self._prepared: dict[str, int] = {}
        self._written: list[tuple[int, int]] = []

    async def run(self) -> None:
        """Log in, work, leave; again and again."""
        world, rng = self._world, self._rng
        while not world.stopped.is_set():
            await self._think()
            if world.stopped.is_set():
                return
            if not await self._log_in():
                continue
            try:
                for _ in range(rng.randrange(3, 60)):
                    if world.stopped.is_set():
                        break
                    await self._think()
                    await self._act()
                await self._leave()
            except NoAnswer as exc:
                world.rules.check(False, Rule.HANG, f"client {self.number}: {exc}")
            except ConnectionLost as exc:
                self._note("lost" if exc.sent else "sent away", str(exc))
            finally:
                self._client.close()

    async def _think(self) -> None:
        """Pause: seconds when there is work, minutes when there is none."""
        world, rng = self._world, self._rng
        seconds = rng.expovariate(1 / world.think) if world.think else rng.uniform(200, 4000)
        with trio.move_on_after(seconds):
            await world.changed.wait()

    def _note(self, what: str, error: str) -> None:
        self._world.trace.note(f"client {self.number} {what}: {error}")
        self._world.rules.note_error(f"client {self.number}: {what}: {error}")

    async def _log_in(self) -> bool:
        world, rng = self._world, self._rng
        try:
            self._sock = world.network.dial()
        except ConnectFailed as exc:
            self._note("cannot connect", str(exc))
            await trio.sleep(rng.uniform(0.5, 5))
            return False
        try:
            self._client = await Client.on_socket(
                self._sock, f"app@{self._tenant}#demo", "app_pw", database="ledger", patience=PATIENCE
            )
        except NoAnswer as exc:
            world.rules.check(False, Rule.HANG, f"login of client {self.number}: {exc}")
            return False
        except (StatementFailed, ConnectionLost) as exc:
            self._note("login", str(exc))
            await trio.sleep(rng.uniform(0.5, 5))
            return False
        world.logins += 1
        self._known, self._prepared = Known(), {}
        return True

    async def _leave(self) -> None:
        """Say goodbye; or vanish, in the middle of a command now and then."""
        rng = self._rng
        if rng.random() < 0.7:
            await self._client.quit()
            return
        command = b"\x20\0\0\0\x03select 1 from nowhere, at length"
        if rng.random() < 0.5:
            await trio.lowlevel.checkpoint()
            try:
                self._sock.send(command[: rng.randrange(len(command) + 1)])
            except OSError:
                return
        if rng.random() < 0.5:
            self._sock.abort()

    # ---- what is done -------------------------------------------------------------------

    async def _act(self) -> None:
        steps: tuple[Callable[[], object], ...] = (
            self._ask, self._ask_prepared, self._read, self._read, self._write, self._write, self._write_prepared,
            self._transaction, self._transaction, self._set_user, self._set_system, self._use,
            self._check_state, self._check_state, self._check_state,
        )  # fmt: skip
        try:
            await self._rng.choice(steps)()  # type: ignore[misc]
        except StatementFailed as exc:
            self._note("statement", str(exc))

    async def _query(self, sql: str) -> list[tuple[int | str | None, ...]]:
        rows = await self._client.query(sql)
        self._world.answers += 1
        self._world.trace.note(f"client {self.number} {sql}: {rows}")
        return rows

    async def _ask(self) -> None:
        tokens = [str(self._rng.randrange(_TOKENS)) for _ in range(self._rng.choice((1, 1, 1, 2, 40)))]
        rows = await self._query("select " + ", ".join(tokens))
        self._right(rows == [tuple(tokens)], f"{tokens}: {rows}")

    async def _ask_prepared(self) -> None:
        token = self._rng.randrange(_TOKENS)
        rows = await self._client.execute(await self._statement("select ?"), (token,))
        self._world.answers += 1
        self._right(rows == [(token,)], f"execute {token}: {rows}")

    def _right(self, right: bool, detail: str) -> None:
        self._world.rules.check(right, Rule.WRONG_ANSWER, f"client {self.number}: {detail}")

    async def _statement(self, sql: str) -> int:
        if sql not in self._prepared:
            self._prepared[sql] = await self._client.prepare(sql)
        return self._prepared[sql]

    async def _read(self) -> None:
        if self._written and self._known.database == "ledger":
            await self._look(*self._rng.choice(self._written[-50:]))

    async def _look(self, home: int, sequence: int) -> None:
        rows = await self._query(
            f"select client, seq from writes where home = {home} and client = {self.number} and seq = {sequence}"
        )
        right = rows == [(str(self.number), str(sequence))]
        self._world.rules.check(right, Rule.LOST, f"client {self.number} wrote {sequence} and reads {rows}")

    # ---- writes -------------------------------------------------------------------------

    async def _write(self) -> None:
        if self._known.database != "ledger":
            return
        home, number = self._rng.randrange(100), self._world.ledger.begin(self.number)
        await self._settled([(home, number)], lambda: self._query(_INSERT % (home, *number)))

    async def _write_prepared(self) -> None:
        if self._known.database != "ledger":
            return
        statement = await self._statement("insert into writes values(?, ?, ?)")
        home, number = self._rng.randrange(100), self._world.ledger.begin(self.number)
        await self._settled([(home, number)], lambda: self._client.execute(statement, (home, *number)))

    async def _settled(self, writes: list[tuple[int, Number]], deciding: Callable[[], object]) -> None:
        ledger, numbers = self._world.ledger, [number for _, number in writes]
        try:
            await deciding()  # type: ignore[misc]
        except (StatementFailed, ConnectionLost) as exc:
            if not is_uncertain(exc):
                ledger.settle(numbers, Fate.FAILED)
            raise
        ledger.settle(numbers, Fate.ACKNOWLEDGED)
        self._world.answers += 1
        self._world.trace.note(f"client {self.number} acknowledged {numbers}")
        self._written += [(home, sequence) for home, (_, sequence) in writes]

    async def _transaction(self) -> None:
        if self._known.database != "ledger":
            return
        ledger, rng = self._world.ledger, self._rng
        writes = [(rng.randrange(100), ledger.begin(self.number)) for _ in range(rng.randrange(1, 4))]
        numbers = [number for _, number in writes]
        try:
            await self._query(rng.choice(("begin", "start transaction")))
            for home, number in writes:
                await self._query(_INSERT % (home, *number))
                if rng.random() < 0.3:
                    await trio.sleep(rng.expovariate(0.5))
            await self._look(writes[0][0], writes[0][1][1])
            if rng.random() < 0.2:
                await self._query("rollback")
                ledger.settle(numbers, Fate.FAILED)
                return
        except ConnectionLost:
            ledger.settle(numbers, Fate.FAILED)
            raise
        except StatementFailed:
            ledger.settle(numbers, Fate.FAILED)
            await self._give_up()
            raise
        await self._settled(writes, lambda: self._query("commit"))

    async def _give_up(self) -> None:
        """Roll back; or leave, where even that fails: else the next BEGIN would commit."""
        try:
            await self._query("rollback")
        except StatementFailed as exc:
            self._client.close()
            raise ConnectionLost(f"ROLLBACK failed: {exc}", sent=False) from exc

    # ---- state --------------------------------------------------------------------------

    async def _set_user(self) -> None:
        name = f"v{self._rng.randrange(4)}"
        token = str(self._rng.randrange(_TOKENS))
        text = self._rng.random() < 0.5
        value = f"s{token}" if text else token
        self._known.user.pop(name, None)
        await self._query(f"set @{name} = '{value}'" if text else f"set @{name} = {value}")
        self._known.user[name] = value

    async def _set_system(self) -> None:
        name, values = self._rng.choice(
            (("ob_query_timeout", ("9000000", "11000000", "12000000")), ("time_zone", ("+01:00", "-05:00", "+08:00")),
             ("sql_mode", ("", "ANSI", "STRICT_ALL_TABLES")))
        )  # fmt: skip
        value = self._rng.choice(values)
        self._known.system.pop(name, None)
        await self._query(f"set @@{name} = '{value}'" if name != "ob_query_timeout" else f"set {name} = {value}")
        self._known.system[name] = value

    async def _use(self) -> None:
        database = self._rng.choice(("ledger", "ledger", "other"))
        self._known.database = None
        await self._query(f"use {database}")
        self._known.database = database

    async def _check_state(self) -> None:
        known = self._known
        checks: list[tuple[str, str]] = [(f"@{name}", value) for name, value in known.user.items() if value is not None]
        checks += [(f"@@{name}", value) for name, value in known.system.items()]
        if known.database is not None:
            checks.append(("database()", known.database))
        if not checks:
            return
        what, value = self._rng.choice(checks)
        rows = await self._query(f"select {what}")
        detail = f"client {self.number} set {what} to {value!r} and reads {rows}"
        self._world.rules.check(rows == [(value,)], Rule.STATE, detail)
