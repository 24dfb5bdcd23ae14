"""Scripts of session statements, made at random, and what they answer on a connection that stays and one that moves.

A step is one command, the server that it is sent to, and whether the state is looked at behind it.  Both connections
run a script at the same time, each in a database of its own; the names of these are of one length.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Final

from hypothesis import strategies as st

from odp_trio.model import Address
from odp_trio.testing.binary_parameters import Parameter
from odp_trio.wire.command import Com
from tests.live.corpus import normalised
from tests.live.rotation import ALLOWED_ROTATED, Wheel
from tests.raw_client import READ_ONLY_CURSOR, Answer, Prepared, RawClient

SIDES: Final = ("staying", "rotated")
"""Databases of the two connections; ``{db}`` in a statement."""
SLOTS: Final = 3
_STEPS: Final = 20


@dataclass(frozen=True)
class Step:
    """One command: ``verb`` says of which kind, ``text`` and ``number`` what about."""

    verb: str
    text: str = ""
    slot: int = 0
    number: int = 0
    place: int = 0
    look: int | None = None
    """The server that is asked about the state afterwards."""

    def __str__(self) -> str:
        about = f" slot {self.slot}" if self.verb not in ("query", "init_db", "command") else ""
        look = "" if self.look is None else f", state on {self.look}"
        return f"on {self.place}: {self.verb}{about} {self.text or self.number}{look}"


# ---- what there is to say -----------------------------------------------------------

_SYSTEM: Final = {
    "autocommit": ("0", "1", "on", "OFF", "default"),
    "sql_mode": ("''", "'ANSI_QUOTES'", "'NO_BACKSLASH_ESCAPES'", "'PIPES_AS_CONCAT,STRICT_ALL_TABLES'", "default"),
    "time_zone": ("'+00:00'", "'-05:30'", "default"),
    "group_concat_max_len": ("20", "default"),
    "div_precision_increment": ("10", "@@global.div_precision_increment"),
    "auto_increment_increment": ("10", "1"),
    "auto_increment_offset": ("3", "1"),
    "ob_query_timeout": ("20000000", "@@ob_query_timeout + 1"),
    "ob_trx_timeout": ("100000001", "default"),
    "wait_timeout": ("28801", "default"),
    "sql_select_limit": ("2", "default"),
    "foreign_key_checks": ("0", "1", "on"),
    "unique_checks": ("off", "on"),
    "sql_safe_updates": ("0", "off"),
    "last_insert_id": ("77", "0"),
    "character_set_results": ("null", "utf8mb4", "'latin1'", "default"),
    "character_set_client": ("latin1", "utf8mb4", "gbk"),
    "collation_connection": ("utf8mb4_bin", "latin1_swedish_ci", "utf8mb4_general_ci"),
    "transaction_isolation": ("'READ-COMMITTED'", "'REPEATABLE-READ'", "'SERIALIZABLE'"),
    "tx_read_only": ("0", "1"),
    "sql_warnings": ("on", "off"),
    "sql_notes": ("0", "1"),
    "block_encryption_mode": ("'aes-256-ecb'", "default"),
    "default_week_format": ("3", "0"),
    "ob_read_consistency": ("'weak'", "'strong'"),
    "no_such_variable": ("1",),
}
_SPELLINGS: Final = (
    "set {} = {}",
    "SET SESSION {} = {}",
    "set @@{} := {}",
    "set @@session.{} = {}",
    "set local {} = {}",
    "set @a = 'with', {} = {}, @b = 9",
    "/* first */ set {} = {} ;",
)
_USER_VALUES: Final = (
    "1", "-1", "0", "12345678901234567890", "1.50", "-0.001", "1e10", "'text'", "''", "'it''s'", "'a\\\\b'", "'b\\\\'",
    "'a\\nb'", "'x\\0y'", "'🦆é'", "x'00ff27'", "b'101'", "null", "true", "@b", "@a + 1", "concat(@a, 'x')", "now() > 0",
    "cast('2020-01-02' as date)", "cast('2020-01-02 03:04:05' as datetime(3))", "cast('03:04:05' as time)", "'\"'",
    "_latin1'abc'", "(select count(*) from t)", "repeat('v', 500)", "cast(7 as unsigned)", "1/3", "database()",
)  # fmt: skip
_TRANSACTIONS: Final = (
    "begin", "start transaction", "START TRANSACTION READ ONLY", "start transaction read write",
    "start transaction with consistent snapshot", "commit", "commit work", "rollback", "ROLLBACK", "savepoint s1",
    "savepoint s2", "rollback to s1", "rollback to savepoint s2", "release savepoint s1",
    "set transaction isolation level read committed", "set transaction read only", "set transaction read write",
    "set session transaction isolation level repeatable read", "set session transaction read write",
    "set autocommit = 0", "set autocommit = 1",
)  # fmt: skip
_DATA: Final = (
    "insert into t (v) values ('one')", "insert into t (v) values ('two'), ('three')", "insert into t (v) select 'four'",
    "insert into {db}.t (v) values (@a)", "insert into t (id, v) values (last_insert_id() + 1000, 'far')",
    "insert ignore into t (id, v) select max(id), 'taken' from t", "replace into t (v) values ('new')",
    "update t set v = concat(v, 'x') order by id desc limit 1", "update t set v = last_insert_id(id + 5) limit 1",
    "delete from t order by id desc limit 1", "select id, v from t order by id desc limit 2",
    "select count(*), max(id) from {db}.t", "select * from t order by id limit 1 for update", "select v from no_such",
    "insert into {db}2.t (v) values ('other')", "select count(*) from {db}2.t",
)  # fmt: skip
_SESSION: Final = (
    "select last_insert_id()", "select @@last_insert_id, @@identity", "select last_insert_id(99)", "select database()",
    "select @a, @b, @c", "select @a := 5, @a := @a + 1", "select id, v into @a, @b from t order by id limit 1",
    "show warnings", "show errors", "show count(*) warnings", "select @@warning_count",
    "select cast('x' as signed)", "select 1 union select 2", "select sql_calc_found_rows 1 union select 2 limit 1",
    'select "sql_mode" from dual', "select 'a' || 'b'", "select 'a\\\\'", "select from_unixtime(0), 1/3",
    "select group_concat('abcdefghij', 'klmnopqrst', 'uvwxyz')", "select 'é', length('é'), charset('x'), collation('x')",
    "use {db}", "use {db}2", "use `{db}`", "use no_such", "set names utf8mb4", "set names latin1", "set names gbk",
    "set names utf8mb4 collate utf8mb4_bin", "set names default", "set character set latin1", "set charset utf8mb4",
    "set names no_such", "call p(3)", "set timestamp = 86400", "set timestamp = default", "select unix_timestamp() = 86400",
    "call {db}.p(4)", "do 1", "do last_insert_id(123)", "select 1; select 2",
    "set @a = 'multi'; select @a; use {db}2; set time_zone = '+01:00'", "begin; insert into t (v) values ('in')",
    "insert into t (v) values ('out'); commit", "set @a = @@sql_mode, @b = @@time_zone", "select @@session.tx_read_only",
    "explain select 1 from t", "select * from (select 1 as x) q", "this is no sql",
)  # fmt: skip
_TEXT_PREPARED: Final = (
    "prepare p1 from 'select @a, ? as q'", "prepare p1 from 'insert into t (v) values (?)'", "prepare p2 from 'select 2'",
    "prepare P1 from 'set @c = 1'", "prepare p2 from @a", "prepare p1 from 'no sql'", "prepare `p2` from 'use {db}2'",
    'prepare p2 from "select count(*), max(id) from t"', "prepare p1 from 'commit'",
    "execute p1", "execute p1 using @a", "EXECUTE P2", "execute `p2`", "execute p1 using @a, @b", "execute no_such",
    "deallocate prepare p1", "drop prepare p2", "deallocate prepare no_such",
)  # fmt: skip
_DDL: Final = (
    "create temporary table tt (a int)", "insert into tt values (1), (2)", "select count(*) from tt",
    "drop table if exists tt", "drop temporary table if exists tt",
)  # fmt: skip
_BINARY: Final = (
    "select ?, concat(@a, ''), @@autocommit", "insert into t (v) values (?)", "select id, v from t where id > ? order by id",
    "set @a = ?", "select last_insert_id(), database()", "set autocommit = 0", "set time_zone = '+03:00'", "commit",
    "select 1 union all select 2 union all select 3", "update t set v = ? where id = ?", "no sql", "set @b = ?, @c = @b",
    "select count(*) from t",
)  # fmt: skip
_VALUES: Final[tuple[Parameter, ...]] = (1, None, "text", -5, 2.5, b"\0\xff'", "🦆", "")

SYSTEM: Final = tuple(
    spelling.format(name, value) for name, values in _SYSTEM.items() for value, spelling in product(values, _SPELLINGS)
)
USER: Final = (
    *(
        spelling.format(name, value)
        for name, value, spelling in product("abc", _USER_VALUES, ("set @{} = {}", "set @`{}` := {}"))
    ),
    "set @`odd name` = @a, @C = 'upper'",
)


def _query(texts: tuple[str, ...]) -> st.SearchStrategy[Step]:
    return st.sampled_from(texts).map(lambda text: Step("query", text))


_SLOT: Final = st.integers(0, SLOTS - 1)
_NUMBER: Final = st.integers(0, len(_VALUES) - 1)
_COMMANDS: Final = st.one_of(
    st.just(Step("nothing")),
    _query(_SESSION),
    _query(_DATA),
    _query(_TRANSACTIONS),
    _query(SYSTEM),
    _query(USER),
    _query(_TEXT_PREPARED),
    _query(_DDL),
    st.builds(Step, st.just("prepare"), st.sampled_from(_BINARY), _SLOT),
    st.builds(
        Step,
        st.sampled_from(("execute", "execute without types", "open a cursor", "fetch", "reset", "close", "long data")),
        st.just(""),
        _SLOT,
        _NUMBER,
    ),
    st.sampled_from(("{db}", "{db}2", "no_such")).map(lambda text: Step("init_db", text)),
    st.sampled_from((Com.PING, Com.RESET_CONNECTION, Com.STATISTICS)).map(lambda com: Step("command", number=com)),
)
_PLACE: Final = st.integers(0, 2)


def _placed(step: Step, place: int, look: int | None) -> Step:
    return Step(step.verb, step.text, step.slot, step.number, place, look)


SCRIPTS: Final = st.lists(st.builds(_placed, _COMMANDS, _PLACE, st.none() | _PLACE), min_size=_STEPS, max_size=_STEPS)

LOOK: Final = (
    "select "
    + ", ".join(f"@@{name}" for name in _SYSTEM if name != "no_such_variable")
    + ", @@character_set_connection, @@tx_isolation, @@sql_auto_is_null"
    + ", hex(@a), hex(@b), hex(@c), @a, @b, @c, @`odd name`, database(), last_insert_id()"
)
FIRST_ID: Final = 1000


# ---- running them -------------------------------------------------------------------


def prepare_databases(address: Address) -> None:
    """Make the databases of both sides, and a procedure."""
    with RawClient(address) as client:
        for name in SIDES:
            for sql in (
                f"drop database if exists {name}",
                f"drop database if exists {name}2",
                f"create database {name}",
                f"create database {name}2",
                f"create table {name}.t (id bigint primary key auto_increment, v varchar(8000))",
                f"create table {name}2.t (id bigint primary key auto_increment, v varchar(8000))",
                f"create procedure {name}.p(n bigint) begin set @a = n; set time_zone = '+07:00'; end",
            ):
                answer = client.query(sql)
                assert not answer.errno, (sql, answer.payloads[-1])


@dataclass
class Side:
    """One connection and its prepared statements."""

    client: RawClient
    name: str
    prepared: dict[int, Prepared] = field(default_factory=dict)
    long_data: set[int] = field(default_factory=set)

    def query(self, sql: str) -> Answer:
        return self.client.query(sql.replace("{db}", self.name))

    def run(self, step: Step) -> list[Answer]:
        """Do a step; a statement that is not prepared cannot be executed."""
        client, slot = self.client, step.slot
        if step.verb == "nothing":
            return []
        if step.verb == "query":
            return [self.query(step.text)]
        if step.verb == "init_db":
            return [client.command(bytes((Com.INIT_DB,)) + step.text.replace("{db}", self.name).encode())]
        if step.verb == "command":
            if step.number == Com.STATISTICS:
                client.command(bytes((step.number,)))
                return []
            if step.number == Com.RESET_CONNECTION:
                self.prepared.clear()  # the kernel may give their ids to statements of PREPARE ... FROM
            return [client.command(bytes((step.number,)))]
        if step.verb == "prepare":
            if slot in self.prepared:
                return []
            prepared = client.prepare(step.text)
            if prepared.id:
                self.prepared[slot] = prepared
            return [_without_id(prepared.answer)]
        known = self.prepared.get(slot)
        return [] if known is None else self._about(step, known)

    def _about(self, step: Step, known: Prepared) -> list[Answer]:
        client = self.client
        values = [_VALUES[(step.number + at) % len(_VALUES)] for at in range(known.parameters)]
        if step.verb.startswith("execute"):
            long, self.long_data = self.long_data, set()
            given = sorted(long) if step.slot in long and known.parameters else []
            types = step.verb == "execute"
            return [client.execute(known.id, values, send_types=types, long_data=[0] if given else [])]
        match step.verb:
            case "open a cursor":
                self.long_data.discard(step.slot)
                return [client.execute(known.id, values, cursor=READ_ONLY_CURSOR)]
            case "fetch":
                return [client.fetch(known.id, 1)]
            case "reset":
                self.long_data.discard(step.slot)
                return [client.reset(known.id)]
            case "close":
                del self.prepared[step.slot]
                client.close_statement(known.id)
                return []
            case _:
                return []


def _without_id(answer: Answer) -> Answer:
    first = answer.packets[0]
    if first[4:5] != b"\0":
        return answer
    return Answer([first[:5] + b"<id>" + first[9:], *answer.packets[1:]], answer.status, answer.errno)


_DEFINITION: Final = b"\x03def"


def _comparable(packet: bytes, name: str) -> bytes:
    """The payload without what may differ: the side's database, and the length that a column is said to have.

    Of a user variable the server tells the value only, as a literal: its type may be another one elsewhere.
    """
    payload = packet[4:].replace(name.encode(), b"{database}"[: len(name)].ljust(len(name), b"_"))
    if payload.startswith(_DEFINITION):
        return payload[:-12] if b"@" in payload else payload[:-10] + payload[-6:]
    return normalised(b"@", payload, ALLOWED_ROTATED)


def differences(step: str, staying: Answer, rotated: Answer) -> list[str]:
    """Describe what differs in two answers; sequence numbers count too."""
    one, other = (
        [(packet[3], _comparable(packet, name)) for packet in answer.packets]
        for answer, name in zip((staying, rotated), SIDES, strict=True)
    )
    if one == other:
        return []
    lines = [f"{step}: {len(one)} packets, {len(other)} packets"]
    lines += [f"  {a!r}\n  {b!r}" for a, b in zip(one, other, strict=False) if a != b]
    return lines


class Pair:
    """A connection that stays and one that is rotated, in the same state."""

    def __init__(self, staying: Address, rotated: Address, *, first_id: int) -> None:
        self.sides: list[Side] = []
        try:
            for name, address in zip(SIDES, (staying, rotated), strict=True):
                client = RawClient(address, "root@sys", database=name)
                self.sides.append(Side(client, name))
            for sql in ("delete from t", "delete from {db}2.t", f"insert into t values ({first_id}, 'first')"):
                for side in self.sides:
                    answer = side.query(sql)
                    assert not answer.errno, (sql, answer.payloads[-1])
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        for side in self.sides:
            side.client.close()

    def run(self, step: Step) -> list[str]:
        """Do a step on both sides; return what differs."""
        one, other = (side.run(step) for side in self.sides)
        if len(one) != len(other):
            return [f"{step}: {len(one)} answers, {len(other)} answers"]
        return [line for a, b in zip(one, other, strict=True) for line in differences(str(step), a, b)]

    def look(self) -> list[str]:
        """Compare what both sides believe of themselves."""
        one, other = (side.query(LOOK) for side in self.sides)
        return differences("state", one, other)


def play(pair: Pair, script: Sequence[Step], wheel: Wheel) -> list[str]:
    """Run a script until something differs; return that."""
    for step in script:
        wheel.place = step.place
        found = pair.run(step)
        if not found and step.look is not None:
            wheel.place = step.look
            found = pair.look()
        if found:
            return found
    return pair.look()
