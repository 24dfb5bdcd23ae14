"""Wire fidelity: what a client gets through the proxy is, packet by packet, what the server says."""

from __future__ import annotations

from odp_trio.conformance.compare import queries, same
from odp_trio.conformance.needs import Needs
from odp_trio.conformance.registry import check
from odp_trio.conformance.target import Target
from odp_trio.testing.raw_client import PLAIN, TRACKING
from odp_trio.wire.fields import Capability

BOTH = Needs.SERVERS
"""Without a proxy the first server is compared with itself: that shows what differs without anybody's doing."""
SQL = BOTH | Needs.SQL
KEPT = (
    "drop table if exists fid",
    "create table fid (id int primary key auto_increment, v varchar(100), n decimal(10,3))",
)
MADE = (
    "drop table if exists fid",
    "create table fid (id int primary key auto_increment, v varchar(100), n decimal(10,3))",
)
TYPES = (
    "select 1, -1, 18446744073709551615, 1.50, 1e10, 'text', '', null, x'00ff27', b'101', "
    "cast('2020-01-02' as date), cast('2020-01-02 03:04:05.678' as datetime(3)), cast('-12:34:56' as time), "
    "cast(7 as unsigned), true, '🦆é', cast('{\"a\": 1}' as json)"
)


@check("wire.ok", "wire", needs=SQL)
async def ok_packets(target: Target) -> None:
    """OK packets are the server's: rows changed, insert id, warnings, status and words."""
    statements = (
        *MADE,
        "insert into fid (v) values ('one')",
        "insert into fid (v) values ('two'), ('three'), ('four')",
        "update fid set v = 'x' where id < 3",
        "update fid set v = 'x' where id < 3",
        "update fid set v = 'x' where id = 99",
        "replace into fid values (1, 'r', 1.5), (9, 's', null)",
        "insert into fid (id, v) values (1, 'dup') on duplicate key update v = 'upd'",
        "insert ignore into fid (id, v) values (1, 'dup')",
        "delete from fid where id > 2",
        "truncate table fid",
        "set @a = 1",
        "do 1",
        "drop table fid",
    )
    await same(target, queries(*statements))


@check("wire.ok.found-rows", "wire", needs=SQL)
async def found_rows_flag(target: Target) -> None:
    """With CLIENT_FOUND_ROWS an UPDATE counts the rows it found, as at the server."""
    script = queries("insert into kept (id, v) values (1, 'x')", "update kept set v = 'x'")
    await same(target, script, capabilities=PLAIN | Capability.FOUND_ROWS, table=True)


@check("wire.select", "wire", needs=BOTH)
async def small_results(target: Target) -> None:
    """Small results are the server's: definitions, rows, status."""
    await same(target, queries("select 1", "select 1 as a, 'b' as b", "select 1 union all select 2 union all select 3"))


@check("wire.select.empty", "wire", needs=SQL)
async def empty_results(target: Target) -> None:
    """Results without rows, and without warnings, are the server's."""
    await same(target, queries("select * from kept", "select 1 from dual where 1 = 0"), table=True)


@check("wire.select.types", "wire", needs=SQL | Needs.KERNEL)
async def types_as_text(target: Target) -> None:
    """Values and definitions of every type come as the server writes them in the text protocol."""
    await same(target, queries(TYPES))


@check("wire.select.names", "wire", needs=SQL)
async def column_names(target: Target) -> None:
    """Column definitions keep database, table, alias and original names."""
    statements = (
        "select f.id as x, f.v, g.n from kept f join kept g on f.id = g.id",
        "select count(*), max(v) as `odd name` from kept",
        "select * from (select id as inner_id from kept) q",
    )
    await same(target, queries(*statements), table=True)


@check("wire.select.many-rows", "wire", needs=SQL)
async def many_rows(target: Target) -> None:
    """A result of 4,000 rows comes whole, its sequence numbers running round at 256."""
    digits = "(select 0 d union all select 1 union all select 2 union all select 3 union all select 4 union all "
    digits += "select 5 union all select 6 union all select 7 union all select 8 union all select 9)"
    rows = f"select concat(a.d, b.d, c.d) n from {digits} a, {digits} b, {digits} c"
    await same(
        target,
        queries(
            f"select n from ({rows}) q, (select 1 union all select 2 union all select 3 "
            "union all select 4) r order by n"
        ),
    )


@check("wire.select.long-row", "wire", needs=SQL)
async def long_rows(target: Target) -> None:
    """Rows of 100 kB and of 1 MB come whole."""
    await same(target, queries("select repeat('x', 100000), 1", "select repeat('yz', 500000)"))


@check("wire.select.16-mib", "wire", needs=SQL)
async def split_rows(target: Target) -> None:
    """A row that fills a packet of 16 MiB to the last byte comes as the server splits it."""
    await same(target, queries("select repeat('x', 16777211)"))


@check("wire.statement.long", "wire", needs=SQL)
async def long_statements(target: Target) -> None:
    """Statements of 70 kB and of 1 MB arrive whole."""
    await same(target, queries(f"select length('{'a' * 70_000}')", f"select length('{'b' * 1_000_000}')"))


@check("wire.statement.odd", "wire", needs=SQL)
async def odd_statements(target: Target) -> None:
    """Comments, semicolons, empty statements and odd spacing are left to the server."""
    statements = (
        "/* a comment */ select 1",
        "select 1 ;",
        "select 1 -- behind",
        "select 1 # behind",
        "  \n\tselect\n1",
        "/*! select 2 */",
        "",
        " ",
        ";",
        "/* only a comment */",
        "-- nothing\n",
        "select 'a;b', \"c;d\", `1` from (select 1) q",
        "(select 1)",
        "select /*+ no_such_hint */ 1",
        "SeLeCt 1",
        "select 'it''s', 'a\\'b'",
    )
    await same(target, queries(*statements))


@check("wire.errors", "wire", needs=SQL)
async def errors(target: Target) -> None:
    """Errors are the server's: number, state and words; and the connection goes on."""
    statements = (
        "selec 1",
        "select",
        "select no_such_column",
        "select * from no_such_table",
        "use no_such_database",
        "drop table no_such",
        "insert into kept values (1, 'a', 1, null)",
        "insert into kept values (1, 'b', 1, null)",
        "insert into kept values (1)",
        "insert into kept (no_such) values (1)",
        "create table kept (a int)",
        "select 1 from kept where no_such = 1",
        "set no_such = 1",
        "set @@global.version = 'x'",
        "kill 999999999",
        "call no_such()",
        "select no_such_function(1)",
        "execute no_such",
        "signal sqlstate '45000' set message_text = 'said by a client'",
        "rollback to no_such",
        "select 1",
    )
    await same(target, queries(*statements), table=True)


@check("wire.warnings", "wire", needs=SQL)
async def warnings(target: Target) -> None:
    """Numbers of warnings, SHOW WARNINGS and SHOW ERRORS are the server's."""
    statements = (
        "select cast('x' as signed)",
        "show warnings",
        "show count(*) warnings",
        "select @@warning_count",
        "drop table if exists no_such",
        "show warnings",
        "select 1/0",
        "show warnings",
        "select * from no_such_table",
        "show errors",
        "show warnings",
        "select 1",
        "show warnings",
    )
    await same(target, queries(*statements))


@check("wire.multi", "wire", needs=SQL)
async def multi_statements(target: Target) -> None:
    """Several statements in one packet give all their results, MORE_RESULTS and an error in the middle included."""
    statements = (
        "select 1; select 2",
        "select 1; set @a = 1; select @a",
        "select 1; selec 2; select 3",
        "select 1; select no_such; select 3",
        "insert into kept (id, v) values (1, 'a'); select v from kept; delete from kept",
        "set @b = 5; select @b + 1;",
    )
    await same(target, queries(*statements), table=True)


@check("wire.multi.not-asked", "wire", needs=SQL)
async def multi_statements_not_asked(target: Target) -> None:
    """What becomes of several statements when the client did not ask for them is the server's affair."""
    await same(target, queries("select 1; select 2", "select 3"), capabilities=PLAIN & ~Capability.MULTI_STATEMENTS)


@check("wire.procedures", "wire", needs=SQL | Needs.PROCEDURES)
async def procedures(target: Target) -> None:
    """Results of procedures come whole, with the OK at their end."""
    statements = (
        "drop procedure if exists fid_p",
        "create procedure fid_p(n int, out m int) begin select n as a, n + 1 as b; select 'two'; set m = n * 2; end",
        "call fid_p(1, @m)",
        "select @m",
        "call fid_p(1)",
        "call fid_p('x', @m)",
        "drop procedure fid_p",
    )
    await same(target, queries(*statements))


def _content(name: bytes) -> bytes:
    return {
        b"rows.csv": b"1,one,1.5\n2,two,2\n3,,\n",
        b"long.csv": b"".join(b"%d,%s,1\n" % (number, b"x" * 90) for number in range(1, 2001)),
    }.get(name, b"")


@check("wire.load-data", "wire", needs=SQL | Needs.UPLOADS)
async def load_data(target: Target) -> None:
    """LOAD DATA LOCAL asks the client for the file and takes it, an empty one and a faulty one too."""
    load = "load data local infile '{}' into table kept fields terminated by ',' (id, v, n)"
    statements = (
        load.format("rows.csv"),
        "select count(*) from kept",
        "delete from kept",
        load.format("empty.csv"),
        load.format("long.csv"),
        "select count(*), sum(length(v)) from kept",
    )
    script = queries(*statements, upload=_content)
    await same(target, script, capabilities=PLAIN | Capability.LOCAL_FILES, table=True)


@check("wire.show", "wire", needs=SQL)
async def shows(target: Target) -> None:
    """SHOW and DESCRIBE come from the server."""
    statements = (
        "show tables like 'kept'",
        "describe kept",
        "show columns from kept",
        "show index from kept",
        "show variables like 'sql_mode'",
        "show create database information_schema",
        "show databases like 'information%'",
        "show collation like 'utf8mb4_bin'",
        "show engines",
        "explain select 1",
    )
    await same(target, queries(*statements), table=True)


@check("wire.charsets", "wire", needs=SQL | Needs.CHARSETS)
async def charsets(target: Target) -> None:
    """Texts come in the character set that the client has asked for."""
    statements = (
        "set names latin1",
        "select 'abc', charset('x'), _utf8mb4'é'",
        "set names gbk",
        "select _utf8mb4'é', hex('é')",
        "set names binary",
        "select 'abc'",
        "set names utf8mb4",
        "select 'é🦆', length('é🦆')",
    )
    await same(target, queries(*statements))
    await same(target, queries("select 'abc', charset('x')"), charset=8)


@check("wire.transactions", "wire", needs=SQL)
async def transaction_status(target: Target) -> None:
    """The status of each answer in and behind a transaction is the server's."""
    statements = (
        "begin",
        "insert into kept (id, v) values (1, 'a')",
        "select * from kept",
        "savepoint s",
        "delete from kept",
        "rollback to s",
        "commit",
        "start transaction read only",
        "select 1",
        "rollback",
        "set autocommit = 0",
        "select count(*) from kept",
        "commit",
        "insert into kept (id, v) values (2, 'b')",
        "set autocommit = 1",
        "select count(*) from kept",
    )
    await same(target, queries(*statements), table=True)


@check("wire.tracking", "wire", needs=SQL)
async def session_tracking(target: Target) -> None:
    """A client with SESSION_TRACK is told what has changed, as by the server."""
    statements = (
        "set autocommit = 0",
        "set autocommit = 1",
        "set names latin1",
        "set names utf8mb4",
        f"use {target.database}",
        "set @a = 1",
        "select 1",
        "begin",
        "rollback",
        "set time_zone = '+01:00'",
    )
    await same(target, queries(*statements), capabilities=TRACKING)
