"""The one list of checks that every driver's script runs: what is done, and what must come back.

A check is a list of steps.  Each step is one thing that an application asks of its driver; ``scripts`` and the
scripts of the drivers say how each driver does it.  ``python -m tests.live.drivers.checks`` prints the list as JSON,
for scripts that are not Python.
"""

from __future__ import annotations

import datetime as dt
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, Final

from tests.live.drivers.canonical import tagged

PREPARE_TABLES: Final = (
    """create table types (id int primary key, ti tinyint, tu tinyint unsigned, si smallint, mi mediumint, i int,
       iu int unsigned, b bigint, bu bigint unsigned, f float, d double, nu decimal(30,10), bt bit(20), dd date,
       dt datetime(6), ts timestamp(6) null, tm time(6), y year, c char(10), vc varchar(200), vb varbinary(300),
       bl longblob, tx longtext, en enum('a','b','ç'), st set('x','y','z'), js json)
       default charset=utf8mb4""",
    """create table part (id bigint not null auto_increment, k varchar(20), v int, note varchar(100),
       primary key (id)) partition by hash(id) partitions 6""",
    "create table keyed (name varchar(40) primary key, v int not null) partition by key(name) partitions 4",
    """create table account (id int primary key, amount decimal(12,2) not null, v int) partition by hash(id) partitions 3""",
    """create table series (day date, n int, v varchar(20), primary key (day, n)) partition by range columns(day)
       (partition p1 values less than ('2024-01-01'), partition p2 values less than ('2025-01-01'),
        partition p3 values less than (maxvalue))""",
    "create table plain (id int not null auto_increment primary key, v varchar(50) unique, n int not null default 7)",
)
"""What a script makes in its empty database before the first check."""
MOVING_TABLES: Final = ("part", "keyed", "account", "series")
"""Those whose leaders move while a script runs through the proxy."""

PROCEDURES: Final = (
    "create procedure two_results(in a int) begin select a as first; select a + 1 as second, 'x' as text; end",
    "create procedure add_up(in a int, in b int, out c int, inout d int) begin set c = a + b; set d = d * 10; end",
)


@dataclass(frozen=True)
class Step:
    """One thing that is asked of a driver.

    ``verb`` is a method of the script's connection; ``on`` names the connection: "main" is always there, others come
    by the verb ``open`` and go when the check ends.  ``errno`` is the error that must come, 0 for none.  ``rows`` are
    the texts of the rows that must come, where they are the same for every driver.
    """

    verb: str
    sql: str = ""
    params: tuple[Any, ...] = ()
    on: str = "main"
    errno: int = 0
    rows: tuple[tuple[str | None, ...], ...] | None = None
    affected: int | None = None
    bare: bool = False
    """Only whether it works is observed: what it shows differs from run to run."""


@dataclass(frozen=True)
class Check:
    """What an application relies on, in a few steps; ``verbs`` it needs are those of its steps."""

    name: str
    steps: tuple[Step, ...]


def q(sql: str, *params: Any, **more: Any) -> Step:
    """One statement as text, with the driver's own quoting of parameters."""
    return Step("query", sql, params, **more)


def rows(sql: str, *expected: tuple[str | None, ...], **more: Any) -> Step:
    """One statement and the rows that it must return."""
    return Step("query", sql, rows=expected, **more)


def fails(errno: int, sql: str, *params: Any, **more: Any) -> Step:
    """One statement that must fail."""
    return Step("query", sql, params, errno=errno, **more)


def do(verb: str, *params: Any, **more: Any) -> Step:
    """Something other than a statement."""
    return Step(verb, "", params, **more)


# ---- values: each family as text and as a prepared statement ------------------------------------

_ALL_BYTES: Final = bytes(range(256))
VALUES: Final[dict[str, tuple[tuple[str, Any], ...]]] = {
    "small integers": (
        ("ti", -128),
        ("tu", 255),
        ("si", -32768),
        ("mi", 8388607),
        ("i", -2147483648),
        ("iu", 4294967295),
    ),
    "bigint": (("b", -9223372036854775808), ("bu", 9223372036854775807)),
    "unsigned bigint over 2^63": (("bu", 18446744073709551615), ("b", 9223372036854775807)),
    "float and double": (("f", 1.5), ("d", -2.25e10)),
    "small doubles": (("d", 0.1), ("f", -0.0078125)),
    "decimal": (("nu", Decimal("12345678901234567890.0123456789")), ("i", 1)),
    "negative decimal": (("nu", Decimal("-0.0000000001")), ("i", 0)),
    "bit": (("bt", 0xABCDE), ("i", 1)),
    "date": (("dd", dt.date(2024, 2, 29)), ("y", 2155)),
    "datetime with microseconds": (("dt", dt.datetime(2024, 2, 29, 23, 59, 59, 123456)), ("i", 1)),
    "datetime without": (("dt", dt.datetime(1999, 1, 1)), ("i", 1)),
    "timestamp": (("ts", dt.datetime(2038, 1, 1, 1, 2, 3, 500000)), ("i", 1)),
    "time": (("tm", dt.timedelta(hours=12, minutes=34, seconds=56, microseconds=789)), ("i", 1)),
    "long and negative time": (("tm", -dt.timedelta(hours=100, minutes=1, seconds=2)), ("i", 1)),
    "quotes and backslashes": (("vc", 'it\'s "quoted" \\ back\\n %s ? `x` -- /* */ ;'), ("c", "")),
    "line ends and zero byte": (("vc", "a\r\n\t\0b\x1a"), ("c", "x")),
    "emoji and scripts": (("vc", "😀 ñ 漢字 שלום é"), ("tx", "🇩🇪👩‍👩‍👧")),
    "empty string": (("vc", ""), ("tx", "")),
    "all bytes": (("vb", _ALL_BYTES), ("bl", _ALL_BYTES[::-1])),
    "text of 70,000 characters": (("tx", "äx" * 35_000), ("i", 1)),
    "blob of 300,000 bytes": (("bl", _ALL_BYTES * 1172), ("i", 1)),
    "text of 1 MiB": (("tx", "0123456789abcdef" * 65_536), ("i", 1)),
    "enum and set": (("en", "ç"), ("st", "x,z")),
    "json": (("js", '{"a": [1, 2.5, null, true], "ü": "😀"}'), ("i", 1)),
}


def _value_checks(verb: str, first_id: int) -> Iterator[Check]:
    """Write each family to a row and read it, by the driver's types and by the server's own words."""
    for number, (name, pairs) in enumerate(VALUES.items(), first_id):
        columns = [column for column, _ in pairs]
        listed = ", ".join(columns)
        # What the server itself has: bytes as hexadecimal digits, long ones as a digest.
        shown = ", ".join(f"if(length({c}) > 300, md5({c}), hex(concat({c}, '')))" for c in columns)
        yield Check(
            f"{'values' if verb == 'query' else 'prepared'}: {name}",
            (
                Step(
                    verb,
                    f"insert into types (id, {listed}) values (%s{', %s' * len(pairs)})",
                    (number, *(v for _, v in pairs)),
                    affected=1,
                ),
                Step(verb, f"select {listed} from types where id = %s", (number,)),
                Step(verb, f"select {shown} from types where id = %s", (number,)),
            ),
        )
    everything = "ti, tu, si, mi, i, iu, b, bu, f, d, nu, bt, dd, dt, ts, tm, y, c, vc, vb, bl, tx, en, st, js"
    yield Check(
        f"{'values' if verb == 'query' else 'prepared'}: NULL in every type",
        (
            Step(
                verb,
                "insert into types (id, i, vc, dt, bl) values (%s, %s, %s, %s, %s)",
                (first_id + 90, None, None, None, None),
                affected=1,
            ),
            Step(verb, f"select {everything} from types where id = %s", (first_id + 90,), rows=((None,) * 25,)),
        ),
    )


# ---- statements ---------------------------------------------------------------------------------

STATEMENTS: Final = (
    Check(
        "literals of all kinds",
        (
            q(
                "select 1, -1, 1.50, 1e3, 'text', x'00ff', null, true, date '2024-01-02', timestamp '2024-01-02 03:04:05', "
                "18446744073709551615"
            ),
        ),
    ),
    Check(
        "names of columns",
        (q("select v as `a b`, n as `größe`, id as `select`, n + 1, count(*) as c from plain group by v, n, id"),),
    ),
    Check("an empty result has its columns", (q("select id, v, n from plain where id = -1"),)),
    Check(
        "insert ids",
        (
            q("insert into plain (v) values (%s)", "one", affected=1),
            q("insert into plain (v) values (%s), (%s), (%s)", "two", "three", "four", affected=3),
            q("insert into plain (id, v) values (%s, %s)", 500, "explicit", affected=1),
            rows("select v from plain order by id", ("one",), ("two",), ("three",), ("four",), ("explicit",)),
        ),
    ),
    Check(
        "last_insert_id()",
        (
            q("insert into plain (v) values ('lid')"),
            rows("select last_insert_id() = (select id from plain where v = 'lid')", ("1",)),
            q("select last_insert_id(12345)"),
            rows("select last_insert_id()", ("12345",)),
        ),
    ),
    Check(
        "rows matched and rows changed",
        (
            q("insert into plain (v, n) values ('same', 1), ('same2', 1)"),
            q("update plain set n = 1 where v like %s", "same%"),
            q("update plain set n = 2 where v like %s", "same%", affected=2),
        ),
    ),
    Check(
        "on duplicate key update",
        (
            q("insert into plain (v, n) values ('dup', 1)", affected=1),
            q("insert into plain (v, n) values ('dup', 1) on duplicate key update n = n + 1"),
            rows("select n from plain where v = 'dup'", ("2",)),
        ),
    ),
    Check(
        "replace",
        (
            q("insert into plain (v, n) values ('rep', 1)"),
            q("replace into plain (v, n) values ('rep', 5)", affected=2),
            rows("select n from plain where v = 'rep'", ("5",)),
        ),
    ),
    Check(
        "delete",
        (
            q("insert into plain (v) values ('del1'), ('del2')"),
            q("delete from plain where v in ('del1', 'del2')", affected=2),
        ),
    ),
    Check(
        "insert ignore and its warnings",
        (
            q("insert into plain (v) values ('ign')"),
            q("insert ignore into plain (v) values ('ign')", affected=0),
            q("show warnings"),
        ),
    ),
    Check(
        "warnings of a cut value",
        (
            q("set sql_mode = ''"),
            q("insert into plain (v, n) values (repeat('w', 60), 'no number')"),
            q("show warnings"),
            q("show count(*) warnings"),
            q("set sql_mode = default"),
        ),
    ),
    Check(
        "found_rows() and row_count()",
        (
            q("select sql_calc_found_rows id from types order by id limit 1"),
            q("select found_rows() > 1"),
            q("update plain set n = n + 1 where v = 'one'"),
            rows("select row_count()", ("1",)),
        ),
    ),
    Check(
        "insert of a select, update and delete with joins",
        (
            q("insert into keyed (name, v) select concat('j', v), n from plain where v in ('one', 'two')", affected=2),
            q("update keyed k join plain p on k.name = concat('j', p.v) set k.v = k.v + 100", affected=2),
            q("select name, v from keyed where left(name, 1) = 'j' order by name"),
            q("delete k from keyed k join plain p on k.name = concat('j', p.v)", affected=2),
        ),
    ),
    Check(
        "subqueries, union, with",
        (
            rows("select 1 union all select 2 union select 2 order by 1", ("1",), ("2",)),
            rows(
                "with recursive r (n) as (select 1 union all select n + 1 from r where n < 5) select sum(n) from r",
                ("15",),
            ),
            rows("select (select max(n) from (select 3 as n union select 4) x) as m", ("4",)),
        ),
    ),
    Check(
        "window functions",
        (
            rows(
                "select n, row_number() over (order by n desc) from (select 1 as n union select 2) x order by n",
                ("1", "2"),
                ("2", "1"),
            ),
        ),
    ),
    Check(
        "show and describe",
        (
            q("show tables"),
            q("describe plain"),
            q("show create table plain"),
            q("show columns from keyed like 'v'"),
            q("show index from plain", bare=True),
        ),
    ),
    Check(
        "information_schema",
        (
            q(
                "select table_name, table_type from information_schema.tables where table_schema = database() "
                "order by table_name"
            ),
            q(
                "select column_name, data_type, is_nullable from information_schema.columns "
                "where table_schema = database() and table_name = 'plain' order by ordinal_position"
            ),
        ),
    ),
    Check(
        "show variables",
        (
            q("show variables like 'character_set_c%'"),
            q("show session variables like 'tx_isolation'"),
            q("select @@version_comment, @@max_allowed_packet, @@lower_case_table_names"),
        ),
    ),
    Check("explain", (q("explain select * from part where id = 5", bare=True),)),
    Check(
        "comments, blanks and a semicolon",
        (
            rows("  /* hello */ select /* there */ 5 -- end", ("5",)),
            rows("select 6;", ("6",)),
            rows("# first\n select 7", ("7",)),
            rows("/*! select 8 */", ("8",)),
        ),
    ),
    Check("an empty statement", (fails(1065, ""), rows("select 1", ("1",)))),
    Check(
        "a view",
        (
            q("create or replace view v_plain as select id, v from plain where n > 0"),
            q("select v from v_plain where v = 'one'"),
            q("drop view v_plain"),
        ),
    ),
    Check(
        "json functions",
        (
            rows("select json_extract('{\"a\": {\"b\": [1, 2]}}', '$.a.b[1]')", ("2",)),
            rows("select json_unquote(json_extract('{\"a\": \"x\"}', '$.a'))", ("x",)),
            q("select json_object('k', 1, 'l', 'ü')"),
        ),
    ),
    Check(
        "dates and time zones",
        (
            q("set time_zone = '+00:00'"),
            rows("select from_unixtime(0)", ("1970-01-01 00:00:00",)),
            q("set time_zone = '-05:30'"),
            rows("select unix_timestamp('1970-01-01 00:00:00')", ("19800",)),
            rows("select date_format(from_unixtime(86400), '%Y-%m-%d %H:%i')", ("1970-01-01 18:30",)),
            q("set time_zone = default"),
        ),
    ),
    Check(
        "long group_concat",
        (
            q("set group_concat_max_len = 1000000"),
            rows(
                "select length(group_concat(repeat('g', 1000))) from "
                "(select 1 union select 2 union select 3 union select 4) x",
                ("4003",),
            ),
            q("set group_concat_max_len = default"),
        ),
    ),
    Check("one hundred columns", (q("select " + ", ".join(f"{n} as c{n}" for n in range(100))),)),
    Check(
        "a statement of 72,000 bytes",
        (q("select count(*) from part where id in (" + ", ".join(map(str, range(10**6, 10**6 + 8_000))) + ")"),),
    ),
    Check(
        "a result of 3,000 rows",
        (
            q(
                "with recursive r (n) as (select 1 union all select n + 1 from r where n < 60) "
                "select a.n, b.n, concat('row ', a.n, ':', b.n) from r a, r b where b.n <= 50 order by 1, 2"
            ),
        ),
    ),
    Check("a row of 2 MiB", (q("select repeat('r', 2097152) as long_text, 1 as one"),)),
)

SESSION: Final = (
    Check(
        "user variables",
        (
            q("set @a = 5, @b = 'text', @c = null, @d = 1.5"),
            q("select 1 from part where id = 1"),
            rows("select @a + 1, @b, @c, @d", ("6", "text", None, "1.5")),
        ),
    ),
    Check(
        "a user variable assigned in a select",
        (q("set @s = 1"), q("select @s := @s + 5"), rows("select @s + 0", ("6",))),
    ),
    Check(
        "system variables",
        (
            q("set sql_mode = 'ANSI_QUOTES,STRICT_TRANS_TABLES'"),
            q("select 1 from part where id = 2"),
            rows('select "id" is null from part where "id" = -1'),
            rows("select @@sql_mode like '%ANSI_QUOTES%'", ("1",)),
            q("set sql_mode = default"),
        ),
    ),
    Check(
        "set names",
        (
            q("set names gbk"),
            rows(
                "select @@character_set_client, @@character_set_results, @@character_set_connection",
                ("gbk", "gbk", "gbk"),
            ),
            rows("select hex(convert(x'e6bca2' using utf8mb4)) is not null", ("1",)),
            q("set names latin1"),
            rows("select hex(convert('a' using utf8mb4)), @@character_set_client", ("61", "latin1")),
            q("set names utf8mb4"),
            rows("select '漢'", ("漢",)),
        ),
    ),
    Check(
        "use another database",
        (
            q("use oceanbase"),
            rows("select database()", ("oceanbase",)),
            q("use {db}"),
            q("select database()"),
            q("select count(*) > 0 from part where id = -1"),
        ),
    ),
    Check("use an unknown database", (fails(1049, "use no_such_database"), q("select database()"))),
    Check(
        "text-prepared statements",
        (
            q("prepare s1 from 'select ? + 1, ?'"),
            q("set @p = 41, @r = 'r'"),
            rows("execute s1 using @p, @r", ("42", "r")),
            q("select 1 from part where id = 3"),
            rows("execute s1 using @p, @r", ("42", "r")),
            q("deallocate prepare s1"),
            fails(1243, "execute s1 using @p, @r"),
        ),
    ),
    Check(
        "locks with names",
        (
            rows("select get_lock('{db}_l', 1)", ("1",)),
            do("open", on="other"),
            rows("select get_lock('{db}_l', 0)", ("0",), on="other"),
            rows("select is_free_lock('{db}_l')", ("0",), on="other"),
            rows("select release_lock('{db}_l')", ("1",)),
            rows("select is_free_lock('{db}_l')", ("1",), on="other"),
        ),
    ),
    Check(
        "a temporary table",
        (
            q("create temporary table tmp (a int)"),
            q("insert into tmp values (1), (2)"),
            rows("select sum(a) from tmp", ("3",)),
            q("drop table tmp"),
        ),
    ),
    Check("ping", (do("ping"), rows("select 1", ("1",)))),
    Check(
        "select a database by its command",
        (
            do("select_db", "oceanbase"),
            rows("select database()", ("oceanbase",)),
            do("select_db", "{db}"),
            q("select database()"),
        ),
    ),
    Check(
        "reset of the connection",
        (
            q("set @x = 1, @@group_concat_max_len = 2000"),
            do("reset"),
            rows("select @x is null", ("1",)),
            q("select @@group_concat_max_len"),
            q("select database()"),
            do("select_db", "{db}"),
        ),
    ),
    Check(
        "change of the user",
        (
            do("open", on="other"),
            q("set @x = 1", on="other"),
            do("change_user", "{user2}", "second_pw", "{db}", on="other"),
            q("select @x is null, substring_index(user(), '@', 1), database()", on="other"),
            q("select count(*) >= 0 from part where id = 7", on="other"),
        ),
    ),
    Check(
        "change of the user with a wrong password",
        (do("open", on="other"), do("change_user", "{user2}", "wrong", "{db}", on="other", errno=1045)),
    ),
    Check(
        "connections have their own sessions",
        (
            do("open", on="other"),
            q("set @own = 'main'"),
            q("set @own = 'other'", on="other"),
            rows("select @own", ("main",)),
            rows("select @own", ("other",), on="other"),
            rows("select @own", ("main",)),
        ),
    ),
    Check("the number of the connection", (do("thread_id_is_connection_id"),)),
)

ERRORS: Final = (
    Check("error: syntax", (fails(1064, "selec 1"), rows("select 1", ("1",)))),
    Check("error: no such table", (fails(1146, "select * from no_such_table"),)),
    Check("error: no such column", (fails(1054, "select no_such_column from part"),)),
    Check(
        "error: duplicate key",
        (q("insert into plain (v) values ('key')"), fails(1062, "insert into plain (v) values ('key')")),
    ),
    Check("error: NULL not allowed", (fails(1048, "insert into keyed values ('null', null)"),)),
    Check("error: number of values", (fails(1136, "insert into keyed values ('x')"),)),
    Check("error: data too long", (fails(1406, "insert into types (id, c) values (-1, repeat('x', 11))"),)),
    Check("error: out of range", (fails(1264, "insert into types (id, ti) values (-1, 1000)"),)),
    Check("error: no default value", (fails(1364, "insert into keyed (name) values ('x')"),)),
    Check("error: table exists", (fails(1050, "create table plain (a int)"),)),
    Check("error: unknown table to drop", (fails(1051, "drop table no_such_table"),)),
    Check("error: unknown variable", (fails(1193, "set no_such_variable = 1"),)),
    Check("error: a group function", (fails(1111, "select 1 from part where count(*) > 1"),)),
    Check("error: more than one row", (fails(1242, "select (select 1 union select 2)"),)),
    Check("error: unknown procedure", (fails(1305, "call no_such_procedure()"),)),
    Check(
        "error: query time-out",
        (
            q("set ob_query_timeout = 300000"),
            fails(4012, "select sleep(5)"),
            q("set ob_query_timeout = default"),
            rows("select 1", ("1",)),
        ),
    ),
    Check("error: wrong password", (Step("open", "", ("password", "wrong"), on="other", errno=1045),)),
    Check(
        "error: unknown database at login",
        (Step("open", "", ("database", "no_such_database"), on="other", errno=1049),),
    ),
    Check("error: unknown user", (Step("open", "", ("user", "{nobody}"), on="other", errno=1045),)),
)

TRANSACTIONS: Final = (
    Check(
        "transaction: commit",
        (
            do("open", on="other"),
            do("autocommit", False),
            q(
                "insert into account (id, amount) values (1, %s), (2, %s), (3, %s)",
                Decimal("10.00"),
                Decimal("20.50"),
                Decimal("0.01"),
            ),
            rows("select count(*) from account where id in (1, 2, 3)", ("0",), on="other"),
            do("commit"),
            rows("select count(*), sum(amount) from account where id in (1, 2, 3)", ("3", "30.51"), on="other"),
            do("autocommit", True),
        ),
    ),
    Check(
        "transaction: rollback",
        (
            do("autocommit", False),
            q("update account set amount = amount - 5 where id = 1", affected=1),
            q("update account set amount = amount + 5 where id = 2", affected=1),
            rows("select amount from account where id in (1, 2) order by id", ("5.00",), ("25.50",)),
            do("rollback"),
            rows("select amount from account where id in (1, 2) order by id", ("10.00",), ("20.50",)),
            do("autocommit", True),
        ),
    ),
    Check(
        "transaction: begin and commit as statements",
        (
            q("begin"),
            q("update account set v = 1 where id = 1"),
            q("update account set v = 2 where id = 2"),
            q("commit"),
            rows("select id, v from account where id < 3 order by id", ("1", "1"), ("2", "2")),
        ),
    ),
    Check(
        "transaction: savepoints",
        (
            q("start transaction"),
            q("insert into account values (10, 1, 1)"),
            q("savepoint s1"),
            q("insert into account values (11, 1, 1)"),
            q("savepoint s2"),
            q("insert into account values (12, 1, 1)"),
            q("rollback to s2"),
            q("release savepoint s1"),
            q("commit"),
            rows("select id from account where id between 10 and 12 order by id", ("10",), ("11",)),
        ),
    ),
    Check("transaction: unknown savepoint", (q("begin"), fails(1305, "rollback to savepoint nowhere"), q("rollback"))),
    Check(
        "transaction: an error does not end it",
        (
            q("begin"),
            q("insert into account values (20, 1, 1)"),
            fails(1062, "insert into account values (20, 2, 2)"),
            q("insert into account values (21, 1, 1)"),
            q("commit"),
            rows("select count(*) from account where id in (20, 21)", ("2",)),
        ),
    ),
    Check(
        "transaction: DDL commits",
        (
            q("begin"),
            q("insert into account values (30, 1, 1)"),
            q("create table ddl_commits (a int)"),
            q("rollback"),
            rows("select count(*) from account where id = 30", ("1",)),
            q("drop table ddl_commits"),
        ),
    ),
    Check(
        "transaction: read only",
        (
            q("start transaction read only"),
            rows("select count(*) from account where id = 1", ("1",)),
            fails(1792, "insert into account values (40, 1, 1)"),
            q("rollback"),
        ),
    ),
    Check(
        "transaction: isolation",
        (
            q("set session transaction isolation level repeatable read"),
            rows("select @@tx_isolation", ("REPEATABLE-READ",)),
            do("open", on="other"),
            q("begin"),
            q("select amount from account where id = 1"),
            q("update account set amount = 99 where id = 1", on="other"),
            rows("select amount from account where id = 1", ("10.00",)),
            q("commit"),
            rows("select amount from account where id = 1", ("99.00",)),
            q("set session transaction isolation level read committed"),
            rows("select @@tx_isolation", ("READ-COMMITTED",)),
        ),
    ),
    Check(
        "transaction: read committed sees others' commits",
        (
            do("open", on="other"),
            q("begin"),
            q("select amount from account where id = 2"),
            q("update account set amount = 77 where id = 2", on="other"),
            rows("select amount from account where id = 2", ("77.00",)),
            q("commit"),
        ),
    ),
    Check(
        "transaction: set transaction for the next one",
        (
            q("set transaction read only"),
            q("begin"),
            fails(1792, "update account set v = 3 where id = 1"),
            q("commit"),
            q("update account set v = 3 where id = 1", affected=1),
        ),
    ),
    Check(
        "transaction: a row is locked",
        (
            do("open", on="other"),
            q("set ob_trx_lock_timeout = 200000"),
            q("begin", on="other"),
            q("select v from account where id = 2 for update", on="other"),
            fails(1205, "update account set v = 100 where id = 2"),
            q("commit", on="other"),
            q("update account set v = 100 where id = 2", affected=1),
            q("set ob_trx_lock_timeout = default"),
        ),
    ),
    Check(
        "transaction: for update nowait",
        (
            do("open", on="other"),
            q("begin", on="other"),
            q("update account set v = 7 where id = 3", on="other"),
            q("begin"),
            fails(1205, "select v from account where id = 3 for update nowait"),
            q("rollback"),
            q("rollback", on="other"),
        ),
    ),
    Check(
        "transaction: autocommit as a variable",
        (
            q("set autocommit = 0"),
            q("update account set v = 50 where id = 1"),
            rows("select @@autocommit", ("0",)),
            q("rollback"),
            q("set autocommit = 1"),
            rows("select v from account where id = 1", ("3",)),
        ),
    ),
    Check(
        "transaction: lost with its connection",
        (
            do("open", on="other"),
            q("begin", on="other"),
            q("insert into account values (60, 1, 1)", on="other"),
            do("close", on="other"),
            rows("select count(*) from account where id = 60", ("0",)),
        ),
    ),
    Check(
        "transaction: over all partitions",
        (
            q("begin"),
            *(q("insert into account (id, amount, v) values (%s, %s, %s)", n, Decimal(n), n) for n in range(100, 112)),
            *(q("update account set amount = amount * 2 where id = %s", n, affected=1) for n in range(100, 112)),
            q("commit"),
            rows("select count(*), sum(amount) from account where id between 100 and 111", ("12", "2532.00")),
        ),
    ),
)

PARTITIONS: Final = (
    Check(
        "partitions: many rows at once",
        (
            Step(
                "many",
                "insert into part (k, v, note) values (%s, %s, %s)",
                tuple((f"k{n}", n, f"note {n}") for n in range(60)),
            ),
            rows("select count(*), sum(v) from part", ("60", "1770")),
        ),
    ),
    Check(
        "partitions: point selects",
        tuple(q("select k, v from part where v = %s and id > %s", n, 0) for n in range(0, 60, 12)),
    ),
    Check(
        "partitions: by the key",
        (
            Step(
                "many", "insert into part (id, k, v) values (%s, %s, %s)", tuple((1000 + n, "p", n) for n in range(24))
            ),
            *(q("select id, v from part where id = %s", 1000 + n) for n in range(24)),
        ),
    ),
    Check(
        "partitions: update and delete by the key",
        (
            *(q("update part set v = v + %s where id = %s", 1, 1000 + n, affected=1) for n in range(8)),
            *(q("delete from part where id = %s", 1000 + n, affected=1) for n in range(4)),
            rows("select count(*), sum(v) from part where id between 1000 and 1023", ("20", "274")),
        ),
    ),
    Check(
        "partitions: a range over several",
        (
            rows("select count(*) from part where id between 1004 and 1010", ("7",)),
            rows("select id from part where id >= 1000 order by id desc limit 2", ("1023",), ("1022",)),
        ),
    ),
    Check(
        "partitions: by a string",
        (
            Step("many", "insert into keyed values (%s, %s)", tuple((f"näme {n}", n) for n in range(16))),
            *(q("select v from keyed where name = %s", f"näme {n}") for n in range(16)),
        ),
    ),
    Check(
        "partitions: by a date",
        (
            Step(
                "many",
                "insert into series values (%s, %s, %s)",
                tuple((dt.date(2023 + n % 3, 6, 1 + n), n, f"v{n}") for n in range(9)),
            ),
            *(q("select n, v from series where day = %s", dt.date(2023 + n % 3, 6, 1 + n)) for n in range(9)),
            rows("select count(*) from series where day < '2024-01-01'", ("3",)),
        ),
    ),
    Check(
        "partitions: joined",
        (rows("select count(*) from part p join series s on s.n = p.v where p.id >= 1000", ("5",)),),
    ),
    Check(
        "partitions: named",
        (q("select count(*) > 0 from part partition (p1)"), fails(1735, "select * from part partition (nowhere)")),
    ),
    Check(
        "partitions: a weak read",
        (
            q("select /*+ read_consistency(weak) */ count(*) > 0 from part where id = 1005"),
            q("set ob_read_consistency = 'weak'"),
            q("select v from part where id = 1005"),
            q("set ob_read_consistency = 'strong'"),
        ),
    ),
    Check(
        "partitions: truncate and drop one",
        (
            q("alter table series truncate partition p3"),
            rows("select count(*) from series where day >= '2025-01-01'", ("0",)),
            q("alter table series drop partition p3"),
            rows("select count(*) from series", ("6",)),
        ),
    ),
)

RESULTS: Final = (
    Check(
        "results: several statements",
        (
            do(
                "multi",
                "select 1 as a; insert into plain (v) values ('multi'); select v from plain where v = 'multi'; set @m = 3",
            ),
            rows("select @m + 0", ("3",)),
        ),
    ),
    Check(
        "results: an error amidst several statements",
        (do("multi", "select 1; selec 2; select 3", errno=1064), rows("select 4", ("4",))),
    ),
    Check("results: a procedure's", (do("multi", "call two_results(4)"), rows("select 1", ("1",)))),
    Check(
        "results: out parameters",
        (q("set @c = 0, @d = 4"), do("multi", "call add_up(2, 3, @c, @d)"), rows("select @c + 0, @d + 0", ("5", "40"))),
    ),
    Check(
        "results: a stream of rows",
        (
            do(
                "stream",
                "with recursive r (n) as (select 1 union all select n + 1 from r where n < 60) "
                "select a.n * 1000 + b.n, repeat('s', 50) from r a, r b order by 1",
            ),
            rows("select 1", ("1",)),
        ),
    ),
    Check("results: a stream over partitions", (do("stream", "select id, v from part order by id"),)),
    Check(
        "load data local",
        (
            Step(
                "load",
                "load data local infile 'rows.csv' into table keyed fields terminated by ',' (name, v)",
                ("".join(f"load {n},{n}\n" for n in range(500)),),
            ),
            rows("select count(*), sum(v) from keyed where left(name, 5) = 'load '", ("500", "124750")),
        ),
    ),
    Check(
        "load data local: an empty file",
        (
            Step(
                "load", "load data local infile 'rows.csv' into table keyed fields terminated by ',' (name, v)", ("",)
            ),
            rows("select 1", ("1",)),
        ),
    ),
    Check("ten connections at once", (do("parallel", "select count(*), %s from part where id >= %s", 10),)),
)

PREPARED: Final = (
    Check(
        "prepared: used again and again",
        (Step("reuse", "select v + %s from part where id = %s", tuple((n, 1004 + n % 20) for n in range(40))),),
    ),
    Check("prepared: two at a time", (do("interleave", "select %s + 1", "select concat(%s, 'x')", 10),)),
    Check(
        "prepared: expressions of parameters",
        (Step("execute", "select %s, %s is null, concat(%s, '-'), coalesce(%s, 'none')", (1, None, "é", None)),),
    ),
    Check(
        "prepared: insert, update, delete",
        (
            Step(
                "execute",
                "insert into account (id, amount, v) values (%s, %s, %s)",
                (300, Decimal("1.25"), None),
                affected=1,
            ),
            Step("execute", "update account set v = %s where id = %s", (5, 300), affected=1),
            Step("execute", "select amount, v from account where id = %s", (300,), rows=(("1.25", "5"),)),
            Step("execute", "delete from account where id = %s", (300,), affected=1),
        ),
    ),
    Check(
        "prepared: an error when prepared", (Step("execute", "selec %s", (1,), errno=1064), rows("select 1", ("1",)))
    ),
    Check("prepared: no such table", (Step("execute", "select * from no_such_table where a = %s", (1,), errno=1146),)),
    Check(
        "prepared: an error when executed",
        (
            Step("execute", "insert into account values (%s, %s, %s)", (301, 1, 1), affected=1),
            Step("execute", "insert into account values (%s, %s, %s)", (301, 1, 1), errno=1062),
        ),
    ),
    Check(
        "prepared: in a transaction",
        (
            q("begin"),
            *(
                Step("execute", "insert into account (id, amount) values (%s, %s)", (310 + n, n), affected=1)
                for n in range(5)
            ),
            q("rollback"),
            rows("select count(*) from account where id between 310 and 314", ("0",)),
        ),
    ),
    Check(
        "prepared: show, set and DDL",
        (
            Step("execute", "show columns from plain", ()),
            Step("execute", "set @prepared = 7", ()),
            rows("select @prepared + 0", ("7",)),
        ),
    ),
    Check(
        "prepared: a string of 70,000 characters as a parameter",
        (Step("execute", "select length(%s), md5(%s)", ("é" * 70_000, "é" * 70_000)),),
    ),
    Check("prepared: a call", (Step("execute", "call two_results(%s)", (6,)), rows("select 1", ("1",)))),
    Check(
        "prepared: over partitions",
        tuple(Step("execute", "select v from part where id = %s", (1004 + n,)) for n in range(12)),
    ),
    Check(
        "prepared: many results", (Step("execute", "select id, k, v, note from part where id > %s order by id", (0,)),)
    ),
)

CHECKS: Final = (
    *_value_checks("query", 100),
    *STATEMENTS,
    *SESSION,
    *ERRORS,
    *TRANSACTIONS,
    *PARTITIONS,
    *RESULTS,
    *_value_checks("execute", 300),
    *PREPARED,
)


def named(value: Any, names: dict[str, str]) -> Any:
    """Return a value with {db} and the like replaced."""
    if isinstance(value, str):
        for name, text in names.items():
            value = value.replace("{" + name + "}", text)
        return value
    return tuple(named(item, names) for item in value) if isinstance(value, tuple) else value


def checks_for(verbs: frozenset[str], names: dict[str, str]) -> Iterator[Check]:
    """Yield what a driver that has these verbs can run."""
    for check in CHECKS:
        if all(step.verb in verbs for step in check.steps):
            yield replace(
                check,
                steps=tuple(replace(s, sql=named(s.sql, names), params=named(s.params, names)) for s in check.steps),
            )


if __name__ == "__main__":
    listed = [
        {"name": check.name, "steps": [{**vars(step), "params": tagged(step.params)} for step in check.steps]}
        for check in CHECKS
    ]
    json.dump({"tables": PREPARE_TABLES, "procedures": PROCEDURES, "checks": listed}, sys.stdout)
