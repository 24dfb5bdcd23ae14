"""mysql-connector-python: Oracle's driver, in pure Python and, with the sixth argument "c", over MySQL's C library."""

from __future__ import annotations

import sys
import threading
import time
import warnings
from contextlib import closing
from typing import Any

PURE = sys.argv[6:7] != ["c"]
if not PURE:
    import _mysql_connector  # noqa: F401  # before anything loads the system's own libssl

import mysql.connector  # noqa: E402
from mysql.connector import ClientFlag, pooling  # noqa: E402

from tests.live.drivers import canonical  # noqa: E402
from tests.live.drivers.dbapi import VERBS, DbApiConnection  # noqa: E402
from tests.live.drivers.script import Connection, Driver, Target, main, own_checks  # noqa: E402

warnings.simplefilter("ignore", DeprecationWarning)


class ConnectorConnection(DbApiConnection):
    """A connection of mysql-connector-python."""

    def execute(self, sql: str, *params: Any) -> list[dict[str, Any]]:
        """Prepare, execute, close."""
        with self.raw.cursor(prepared=True) as cursor:
            cursor.execute(sql, params)
            return [self.result(cursor)]

    def reuse(self, sql: str, *sets: tuple[Any, ...]) -> Any:
        """Execute one statement again and again."""
        with self.raw.cursor(prepared=True) as cursor:
            seen = []
            for params in sets:
                cursor.execute(sql, params)
                seen.append(canonical.rows(cursor.fetchall()))
            return seen

    def more(self, cursor: Any) -> dict[str, Any]:
        """Return what else the driver shows of a result."""
        return {"warnings": cursor.warning_count if hasattr(cursor, "warning_count") else None}

    def autocommit(self, on: bool) -> Any:
        """Switch autocommit."""
        self.raw.autocommit = on
        return self.query("select @@autocommit")[0]["rows"], self.raw.autocommit

    def ping(self) -> Any:
        """Ask whether the server is there."""
        return self.raw.ping(reconnect=False)

    def select_db(self, name: str) -> Any:
        """COM_INIT_DB."""
        self.raw.cmd_init_db(name)

    def reset(self) -> Any:
        """COM_RESET_CONNECTION."""
        self.raw.cmd_reset_connection()

    def change_user(self, user: str, password: str, database: str) -> Any:
        """COM_CHANGE_USER."""
        self.raw.cmd_change_user(user, password, database)

    def thread_id_is_connection_id(self) -> Any:
        """Compare what the greeting told with what the server says."""
        return self.query("select connection_id() = %s", self.raw.connection_id)[0]["rows"]

    def stream(self, sql: str) -> Any:
        """Read rows as they come."""
        return self.stream_on(self.raw.cursor(buffered=False), sql)


class Connector(Driver):
    """mysql-connector-python."""

    name = "mysql-connector-python" if PURE else "mysql-connector-python, C"
    verbs = VERBS | {"execute", "reuse", "select_db", "reset", "load", "change_user", "thread_id_is_connection_id"}

    def options(self, target: Target, **options: Any) -> dict[str, Any]:
        """Return what a connect gets."""
        return {
            "host": target.host,
            "port": target.port,
            "user": target.user,
            "password": target.password,
            "database": target.database,
            "autocommit": True,
            "allow_local_infile": True,
            "use_pure": PURE,
            "connection_timeout": 60,
            **options,
        }

    def raw(self, target: Target, **options: Any) -> Any:
        """Open a connection of the driver's own type."""
        return mysql.connector.connect(**self.options(target, **options))

    def connect(self, target: Target, **options: Any) -> Connection:
        """Open a connection."""
        return ConnectorConnection(self.raw(target, **options))

    def error(self, exc: BaseException) -> list[Any]:
        """Return errno, SQLSTATE and message."""
        return [getattr(exc, "errno", None) or -1, getattr(exc, "sqlstate", None), str(getattr(exc, "msg", exc))]


driver = Connector()


def asked(target: Target, sql: str, *params: Any, cursor: dict[str, Any] | None = None, **options: Any) -> Any:
    """Run one statement on a connection of its own; return its rows."""
    with closing(driver.raw(target, **options)) as connection, connection.cursor(**(cursor or {})) as opened:
        opened.execute(sql, params)
        return canonical.rows(row.values() if isinstance(row, dict) else row for row in opened.fetchall())


def check_pool(target: Target) -> Any:
    """A pool of connections: sessions are reset when they come back."""
    pool = pooling.MySQLConnectionPool(pool_name="p", pool_size=3, pool_reset_session=True, **driver.options(target))
    seen = []
    for number in range(7):
        connection = pool.get_connection()
        with connection.cursor() as cursor:
            cursor.execute("select @p is null")
            seen.append(canonical.rows(cursor.fetchall()))
            cursor.execute(f"set @p = {number}")
        connection.close()
    taken = [pool.get_connection() for _ in range(3)]
    try:
        pool.get_connection()
    except mysql.connector.errors.PoolError:
        seen.append("exhausted")
    for connection in taken:
        connection.close()
    pool._remove_connections()
    return seen


def check_pool_by_name(target: Target) -> Any:
    """A pool made by connect()."""
    seen = []
    for _ in range(4):
        with closing(driver.raw(target, pool_name="named", pool_size=2)) as connection, connection.cursor() as cursor:
            cursor.execute("select count(*) from part where id = 1010")
            seen.append(canonical.rows(cursor.fetchall()))
    return seen


def check_prepared_many(target: Target) -> Any:
    """executemany of a prepared statement."""
    with closing(driver.raw(target)) as connection, connection.cursor(prepared=True) as cursor:
        cursor.executemany("insert into part (id, k, v) values (?, ?, ?)", [(7000 + n, "pm", n) for n in range(12)])
        cursor.execute("select count(*), sum(v) from part where id between ? and ?", (7000, 7011))
        return cursor.rowcount, canonical.rows(cursor.fetchall())


def check_prepared_dictionaries(target: Target) -> Any:
    """A prepared statement's rows as dictionaries."""
    return asked(target, "select id, v from part where id = ?", 1010, cursor={"prepared": True, "dictionary": True})


def check_prepared_fetch(target: Target) -> Any:
    """A prepared statement's rows in parts."""
    with closing(driver.raw(target)) as connection, connection.cursor(prepared=True) as cursor:
        cursor.execute("select id from part where id between ? and ? order by id", (1004, 1023))
        rows = [cursor.fetchone(), *cursor.fetchmany(5), *cursor.fetchall()]
        return canonical.rows(rows), cursor.rowcount


def check_dictionary(target: Target) -> Any:
    """Rows as dictionaries."""
    return asked(target, "select 1 as a, 'x' as b", cursor={"dictionary": True})


def check_raw_rows(target: Target) -> Any:
    """Rows as the bytes that came."""
    return asked(target, "select 1, 'é', 1.50, timestamp '2024-01-02 03:04:05.000001', null", cursor={"raw": True})


def check_buffered(target: Target) -> Any:
    """Buffered cursors: two results at a time."""
    with closing(driver.raw(target)) as connection:
        with connection.cursor(buffered=True) as one, connection.cursor(buffered=True) as two:
            one.execute("select id from part where id between 1004 and 1007 order by id")
            two.execute("select name from keyed order by name limit 3")
            return canonical.rows(one), canonical.rows(two)


def check_unread_result(target: Target) -> Any:
    """An unread result is refused, or consumed if asked for."""
    seen: list[Any] = []
    with closing(driver.raw(target)) as connection:
        cursor = connection.cursor()
        cursor.execute("select id from part order by id limit 20")
        try:
            connection.cursor().execute("select 1")
        except mysql.connector.Error as exc:
            seen.append(str(exc))
        cursor.fetchall()
    with closing(driver.raw(target, consume_results=True)) as connection:
        connection.cursor().execute("select id from part order by id limit 20")
        cursor = connection.cursor()
        cursor.execute("select 'next'")
        seen.append(canonical.rows(cursor.fetchall()))
    return seen


def check_callproc(target: Target) -> Any:
    """A procedure by callproc, with its out parameters and results."""
    with closing(driver.raw(target)) as connection, connection.cursor() as cursor:
        out = cursor.callproc("add_up", (2, 3, 0, 4))
        seen: list[Any] = [canonical.rows([out.values() if isinstance(out, dict) else out])]
        cursor.callproc("two_results", (8,))
        seen += [canonical.rows(result.fetchall()) for result in cursor.stored_results()]
        return seen


def check_start_transaction(target: Target) -> Any:
    """start_transaction with its options, and in_transaction."""
    with closing(driver.raw(target)) as connection, connection.cursor() as cursor:
        connection.start_transaction(isolation_level="REPEATABLE READ", consistent_snapshot=True)
        cursor.execute("insert into account values (902, 1, 1)")
        seen: list[Any] = [connection.in_transaction]
        connection.rollback()
        seen.append(connection.in_transaction)
        connection.start_transaction(readonly=True)
        try:
            cursor.execute("insert into account values (903, 1, 1)")
        except mysql.connector.Error as exc:
            seen.append(driver.error(exc))
        connection.rollback()
        return seen


def check_get_warnings(target: Target) -> Any:
    """Warnings fetched after each statement."""
    with (
        closing(driver.raw(target, get_warnings=True, sql_mode="NO_ENGINE_SUBSTITUTION")) as connection,
        connection.cursor() as cursor,
    ):
        cursor.execute("insert into plain (v, n) values ('gw', 'abc')")
        return repr(cursor.warnings)


def check_raise_on_warnings(target: Target) -> Any:
    """Warnings as errors."""
    with (
        closing(driver.raw(target, raise_on_warnings=True, sql_mode="NO_ENGINE_SUBSTITUTION")) as connection,
        connection.cursor() as cursor,
    ):
        try:
            cursor.execute("insert into plain (v, n) values ('rw', 'abc')")
        except mysql.connector.Error as exc:
            return driver.error(exc)
        return "no error"


def check_charsets(target: Target) -> Any:
    """Connections with other character sets."""
    pairs = (("gbk", "漢字"), ("latin1", "né"), ("utf8mb4", "é漢😀"))
    return [
        asked(
            target,
            "select %s, hex(%s), @@character_set_client, @@character_set_results",
            text,
            text,
            charset=name,
            use_unicode=True,
        )
        for name, text in pairs
    ]


def check_set_charset(target: Target) -> Any:
    """set_charset_collation on an open connection."""
    with closing(driver.raw(target)) as connection, connection.cursor() as cursor:
        connection.set_charset_collation("latin1", "latin1_swedish_ci")
        cursor.execute("select 'é', @@collation_connection")
        return connection.charset, connection.collation, canonical.rows(cursor.fetchall())


def check_properties(target: Target) -> Any:
    """time_zone, sql_mode, database as properties of the connection."""
    with closing(driver.raw(target)) as connection, connection.cursor() as cursor:
        connection.time_zone = "+03:00"
        connection.sql_mode = "ANSI_QUOTES"
        cursor.execute("select @@time_zone, @@sql_mode")
        seen: list[Any] = [canonical.rows(cursor.fetchall()), connection.time_zone, connection.sql_mode]
        connection.database = "oceanbase"
        return [*seen, connection.database]


def check_info(target: Target) -> Any:
    """What the greeting told, and statistics."""
    with closing(driver.raw(target)) as connection:
        return connection.server_info, connection.server_version, connection.is_connected()


def check_attributes(target: Target) -> Any:
    """Connection attributes of our own."""
    return asked(target, "select 1", conn_attrs={"program": "drivers", "größe": "ü" * 20})


def check_init_command(target: Target) -> Any:
    """init_command at the connect."""
    return asked(target, "select @i + 0", init_command="set @i = 9")


def check_client_flags(target: Target) -> Any:
    """Rows found instead of rows changed."""
    with closing(driver.raw(target, client_flags=[ClientFlag.FOUND_ROWS])) as connection, connection.cursor() as cursor:
        seen = []
        for _ in range(2):
            cursor.execute("update part set v = v where id between 1004 and 1010")
            seen.append(cursor.rowcount)
        return seen


def check_reconnect(target: Target) -> Any:
    """reconnect() and ping() on a closed connection."""
    connection = driver.raw(target)
    connection.close()
    seen: list[Any] = [connection.is_connected()]
    connection.reconnect(attempts=2)
    with connection.cursor() as cursor:
        cursor.execute("select database(), @@autocommit")
        seen.append(canonical.rows(cursor.fetchall()))
    (connection.shutdown if PURE else connection.close)()
    connection.ping(reconnect=True, attempts=2)
    seen.append(connection.is_connected())
    connection.close()
    return seen


def check_reset_session(target: Target) -> Any:
    """reset_session with variables to set."""
    with closing(driver.raw(target)) as connection, connection.cursor() as cursor:
        cursor.execute("set @before = 1")
        connection.reset_session(user_variables={"after": 2}, session_variables={"group_concat_max_len": 3000})
        cursor.execute("select @before is null, @after + 0, @@group_concat_max_len")
        return canonical.rows(cursor.fetchall())


def check_kill(target: Target) -> Any:
    """A statement is killed by another connection."""
    seen: list[Any] = []
    with closing(driver.raw(target)) as other, closing(driver.raw(target)) as victim, victim.cursor() as cursor:
        cursor.execute("select connection_id()")
        number = cursor.fetchall()[0][0]

        def kill() -> None:
            time.sleep(0.5)
            other.cmd_query(f"kill query {number}")

        thread = threading.Thread(target=kill)
        thread.start()
        try:
            cursor.execute("select sleep(20)")
            cursor.fetchall()
        except mysql.connector.Error as exc:
            seen.append(exc.errno)
        thread.join()
        return seen


def check_read_timeout(target: Target) -> Any:
    """The driver's own time-out."""
    with closing(driver.raw(target, read_timeout=2)) as connection, connection.cursor() as cursor:
        try:
            cursor.execute("select sleep(5)")
            cursor.fetchall()
        except mysql.connector.Error as exc:
            return exc.errno
    raise AssertionError("no time-out")


def check_map_results(target: Target) -> Any:
    """Several statements, each with its result."""
    with closing(driver.raw(target)) as connection, connection.cursor() as cursor:
        cursor.execute("select 1; insert into plain (v) values ('map'); select 'x', 'y'", map_results=True)
        seen = []
        for statement, result in cursor.fetchsets():
            seen.append([statement, canonical.rows(result)])
        return seen


if __name__ == "__main__":
    main(driver, own_checks(globals()))
