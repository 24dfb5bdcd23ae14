"""mysqlclient: the DB-API over the MariaDB client library in C, Django's first choice."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import closing
from typing import Any

import MySQLdb
import MySQLdb.cursors
from MySQLdb.constants import CLIENT, FIELD_TYPE

from tests.live.drivers import canonical
from tests.live.drivers.dbapi import VERBS, DbApiConnection
from tests.live.drivers.script import Connection, Driver, Target, main, own_checks


class MysqlclientConnection(DbApiConnection):
    """A connection of mysqlclient."""

    def result(self, cursor: Any) -> dict[str, Any]:
        """Read one result; the library's own words go with it."""
        info, warnings = self.raw.info(), self.raw.warning_count()
        return {**super().result(cursor), "flags": cursor.description_flags, "info": str(info), "warnings": warnings}

    def select_db(self, name: str) -> Any:
        """COM_INIT_DB."""
        return self.raw.select_db(name)

    def change_user(self, user: str, password: str, database: str) -> Any:
        """COM_CHANGE_USER."""
        return self.raw.change_user(user, password, database)

    def thread_id_is_connection_id(self) -> Any:
        """Compare what the greeting told with what the server says."""
        return self.query("select connection_id() = %s", self.raw.thread_id())[0]["rows"]

    def stream(self, sql: str) -> Any:
        """Read rows as they come: mysql_use_result()."""
        return self.stream_on(self.raw.cursor(MySQLdb.cursors.SSCursor), sql)


class Mysqlclient(Driver):
    """mysqlclient."""

    name = "mysqlclient"
    verbs = VERBS | {"select_db", "load", "change_user", "thread_id_is_connection_id"}

    def raw(self, target: Target, **options: Any) -> Any:
        """Open a connection of the driver's own type."""
        connection = MySQLdb.connect(
            **{
                "host": target.host,
                "port": target.port,
                "user": target.user,
                "password": target.password,
                "database": target.database,
                "charset": "utf8mb4",
                "autocommit": True,
                "local_infile": True,
                "read_timeout": 60,
                **options,
            }
        )
        return connection

    def connect(self, target: Target, **options: Any) -> Connection:
        """Open a connection."""
        return MysqlclientConnection(self.raw(target, **options))


driver = Mysqlclient()


def asked(target: Target, sql: str, *params: Any, **options: Any) -> Any:
    """Run one statement on a connection of its own; return its rows."""
    with closing(driver.raw(target, **options)) as connection, connection.cursor() as cursor:
        cursor.execute(sql, params or None)
        return canonical.rows(cursor.fetchall())


def check_low_level(target: Target) -> Any:
    """The library's own calls: query, store_result, use_result, fetch_row."""
    with closing(driver.raw(target)) as connection:
        connection.query("select id, v from part where id between 1004 and 1010 order by id")
        stored = connection.store_result()
        seen = [stored.num_rows(), stored.num_fields(), stored.field_flags(), repr(stored.fetch_row(2, 1))]
        stored.data_seek(0)
        seen.append(repr(stored.fetch_row(0, 0)))
        connection.query("select id from part order by id limit 5")
        used = connection.use_result()
        seen.append(repr([used.fetch_row() for _ in range(6)]))
        return seen


def check_stat(target: Target) -> Any:
    """COM_STATISTICS."""
    with closing(driver.raw(target)) as connection:
        return bool(connection.stat())


def check_server_info(target: Target) -> Any:
    """What the greeting told."""
    with closing(driver.raw(target)) as connection:
        return connection.get_server_info(), connection.get_proto_info(), connection.get_character_set_info()


def check_field_count(target: Target) -> Any:
    """field_count, affected_rows, insert_id of the connection."""
    with closing(driver.raw(target)) as connection:
        connection.query("insert into plain (v) values ('low')")
        seen = [connection.field_count(), connection.affected_rows(), connection.insert_id() > 0]
        connection.query("select 1, 2, 3")
        seen.append(connection.field_count())
        connection.store_result()
        return seen


def check_multi_statements_option(target: Target) -> Any:
    """COM_SET_OPTION: several statements are forbidden and allowed again."""
    with closing(driver.raw(target)) as connection, connection.cursor() as cursor:
        connection.set_server_option(1)
        cursor.execute("select 1")
        off = canonical.rows(cursor.fetchall())
        connection.set_server_option(0)
        cursor.execute("select 2; select 3")
        on = canonical.rows(cursor.fetchall())
        cursor.nextset()
        return off, on, canonical.rows(cursor.fetchall())


def check_charsets(target: Target) -> Any:
    """Connections with other character sets."""
    pairs = (("gbk", "漢字"), ("latin1", "né"), ("utf8mb3", "é漢"), ("ascii", "a"))
    return [
        asked(target, "select %s, hex(%s), @@character_set_client, @@character_set_results", text, text, charset=name)
        for name, text in pairs
    ]


def check_charset_changed(target: Target) -> Any:
    """set_character_set on an open connection."""
    with closing(driver.raw(target)) as connection, connection.cursor() as cursor:
        connection.set_character_set("gbk")
        cursor.execute("select '漢', hex('漢'), @@character_set_results")
        return connection.character_set_name(), canonical.rows(cursor.fetchall())


def check_collation(target: Target) -> Any:
    """A collation of the connection's own."""
    return asked(target, "select @@collation_connection, 'a' = 'A'", charset="utf8mb4", collation="utf8mb4_bin")


def check_init_command(target: Target) -> Any:
    """init_command and sql_mode at the connect."""
    return asked(target, "select @i + 0, @@sql_mode", init_command="set @i = 9", sql_mode="ANSI_QUOTES")


def check_no_unicode(target: Target) -> Any:
    """Text as bytes."""
    return asked(target, "select 'é', v from plain where v = 'one'", use_unicode=False)


def check_found_rows_flag(target: Target) -> Any:
    """Rows found instead of rows changed."""
    with closing(driver.raw(target, client_flag=CLIENT.FOUND_ROWS)) as connection, connection.cursor() as cursor:
        return [cursor.execute("update part set v = v where id between 1004 and 1010") for _ in range(2)]


def check_conv(target: Target) -> Any:
    """Converters of our own."""
    conv = {FIELD_TYPE.LONGLONG: str, FIELD_TYPE.NEWDECIMAL: float}
    return asked(target, "select 5, 1.50, timestamp '2024-01-02 03:04:05'", conv=conv)


def check_dict_cursor(target: Target) -> Any:
    """Rows as dictionaries."""
    with closing(driver.raw(target)) as connection, connection.cursor(MySQLdb.cursors.DictCursor) as cursor:
        cursor.execute("select 1 as a, 'x' as b, 2 as a")
        return [repr(row) for row in cursor.fetchall()]


def check_stream_of_dictionaries(target: Target) -> Any:
    """A stream of dictionaries."""
    with closing(driver.raw(target)) as connection, connection.cursor(MySQLdb.cursors.SSDictCursor) as cursor:
        cursor.execute("select id, v from part order by id limit 30")
        return [repr(row) for row in cursor.fetchall()]


def check_callproc(target: Target) -> Any:
    """A procedure by callproc, with its out parameters."""
    with closing(driver.raw(target)) as connection, connection.cursor() as cursor:
        cursor.callproc("add_up", (2, 3, 0, 4))
        cursor.nextset()
        cursor.execute("select @_add_up_2 + 0, @_add_up_3 + 0")
        return canonical.rows(cursor.fetchall())


def check_parameters_by_name(target: Target) -> Any:
    """Parameters by name, lists and bytes."""
    with closing(driver.raw(target)) as connection, connection.cursor() as cursor:
        cursor.execute("select hex(%(a)s), %(b)s in %(l)s, %(c)s", {"a": b"\xff\0", "b": 2, "l": [1, 2], "c": "%"})
        return canonical.rows(cursor.fetchall())


def check_escaping(target: Target) -> Any:
    """The library's escaping follows the server's mode."""
    with closing(driver.raw(target)) as connection, connection.cursor() as cursor:
        seen = [connection.escape_string(b"a'b\\c").decode()]
        cursor.execute("set sql_mode = 'NO_BACKSLASH_ESCAPES'")
        seen.append(connection.escape_string(b"a'b\\c").decode())
        cursor.execute("select %s", ("a'b\\c",))
        return seen, canonical.rows(cursor.fetchall())


def check_connect_attributes(target: Target) -> Any:
    """The library's connection attributes."""
    return asked(target, "select 1", client_flag=CLIENT.INTERACTIVE)


def check_read_timeout(target: Target) -> Any:
    """The driver's own time-out."""
    with closing(driver.raw(target, read_timeout=2)) as connection:
        try:
            connection.query("select sleep(6)")
        except MySQLdb.OperationalError as exc:
            return exc.args[0]
    raise AssertionError("no time-out")


def _ended(target: Target, end: Callable[[Any, int], None], sql: str) -> Any:
    """Run something long on one connection while ``end`` ends it from another one."""
    seen: list[Any] = []
    victim, other = driver.raw(target), driver.raw(target)
    with closing(other), victim.cursor() as cursor:
        cursor.execute("select connection_id()")
        number = cursor.fetchone()[0]

        def run() -> None:
            time.sleep(0.5)
            end(other, number)

        thread = threading.Thread(target=run)
        thread.start()
        try:
            cursor.execute(sql)
        except MySQLdb.MySQLError as exc:
            seen.append(exc.args[0])
        thread.join()
    return seen


def check_kill_query(target: Target) -> Any:
    """A statement is killed by another connection."""
    return _ended(target, lambda other, number: other.query(f"kill query {number}"), "select sleep(20)")


def check_autocommit_of_the_connect(target: Target) -> Any:
    """Autocommit off from the connect on; get_autocommit follows the status flags."""
    with closing(driver.raw(target, autocommit=False)) as connection, connection.cursor() as cursor:
        seen = [connection.get_autocommit()]
        cursor.execute("insert into account values (901, 1, 1)")
        connection.rollback()
        cursor.execute("select count(*) from account where id = 901")
        seen.append(canonical.rows(cursor.fetchall()))
        connection.autocommit(True)
        return [*seen, connection.get_autocommit()]


def check_discard_result(target: Target) -> Any:
    """Results that nobody reads are discarded."""
    with closing(driver.raw(target)) as connection:
        connection.query("select id from part")
        connection.discard_result()
        connection.query("select 5")
        return repr(connection.store_result().fetch_row())


def check_large_result(target: Target) -> Any:
    """A result of 8 MiB in one row and one of 10,000 rows."""
    return (
        asked(target, "select repeat('a', 8388608)"),
        asked(
            target,
            "with recursive r (n) as (select 1 union all select n + 1 from r where n < 100) "
            "select a.n * 1000 + b.n from r a, r b order by 1",
        ),
    )


def check_threads(target: Target) -> Any:
    """Eight threads write and read, a connection each."""
    failures: list[str] = []

    def work(number: int) -> None:
        try:
            with closing(driver.raw(target)) as connection, connection.cursor() as cursor:
                for turn in range(10):
                    key = 5000 + number * 100 + turn
                    cursor.execute("insert into part (id, v) values (%s, %s)", (key, turn))
                    cursor.execute("select v from part where id = %s", (key,))
                    assert cursor.fetchone() == (turn,)
        except Exception as exc:
            failures.append(repr(exc))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures, failures
    return asked(target, "select count(*), sum(v) from part where id between 5000 and 5999")


if __name__ == "__main__":
    main(driver, own_checks(globals()))
