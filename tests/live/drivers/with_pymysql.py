"""PyMySQL: in pure Python, the most used driver of Python programs."""

from __future__ import annotations

import datetime as dt
import socket
import threading
import time
import warnings
from contextlib import closing
from typing import Any

import pymysql
from pymysql.constants import CLIENT, FIELD_TYPE
from pymysql.cursors import DictCursor, SSCursor, SSDictCursor

from tests.live.drivers import canonical
from tests.live.drivers.dbapi import VERBS, DbApiConnection
from tests.live.drivers.script import Connection, Driver, Target, main, own_checks, scratch


class PyMySQLConnection(DbApiConnection):
    """A connection of PyMySQL."""

    def more(self, cursor: Any) -> dict[str, Any]:
        """Return what else the driver shows of a result."""
        result = cursor._result
        fields = getattr(result, "fields", None) or ()
        return {
            "warnings": cursor.warning_count,
            "status": result.server_status if result else None,
            "message": result.message.decode() if result and result.message else None,
            "fields": [
                [
                    f.catalog,
                    f.db,
                    f.table_name,
                    f.org_table,
                    f.name,
                    f.org_name,
                    f.charsetnr,
                    f.length,
                    f.type_code,
                    f.flags,
                    f.scale,
                ]
                for f in fields
            ],
        }

    def ping(self) -> Any:
        """Ask whether the server is there."""
        return self.raw.ping(reconnect=False)

    def select_db(self, name: str) -> Any:
        """COM_INIT_DB."""
        return self.raw.select_db(name)

    def thread_id_is_connection_id(self) -> Any:
        """Compare what the greeting told with what the server says."""
        return self.query("select connection_id() = %s", self.raw.thread_id())[0]["rows"]

    def stream(self, sql: str) -> Any:
        """Read rows as they come."""
        return self.stream_on(self.raw.cursor(SSCursor), sql)


class PyMySQL(Driver):
    """PyMySQL."""

    name = "PyMySQL"
    verbs = VERBS | {"select_db", "load", "thread_id_is_connection_id"}

    def raw(self, target: Target, **options: Any) -> pymysql.connections.Connection[Any]:
        """Open a connection of the driver's own type."""
        return pymysql.connect(
            **{
                "host": target.host,
                "port": target.port,
                "user": target.user,
                "password": target.password,
                "database": target.database,
                "autocommit": True,
                "client_flag": CLIENT.MULTI_STATEMENTS,
                "local_infile": True,
                "read_timeout": 60,
                **options,
            }
        )

    def connect(self, target: Target, **options: Any) -> Connection:
        """Open a connection."""
        return PyMySQLConnection(self.raw(target, **options))


driver = PyMySQL()


def check_dict_cursor(target: Target) -> Any:
    """Rows as dictionaries."""
    with driver.raw(target, cursorclass=DictCursor) as connection, connection.cursor() as cursor:
        cursor.execute("select 1 as a, 'x' as b, 2 as a")
        return [repr(row) for row in cursor.fetchall()]


def check_stream_of_dictionaries(target: Target) -> Any:
    """A stream of dictionaries."""
    with driver.raw(target) as connection, connection.cursor(SSDictCursor) as cursor:
        cursor.execute("select id, v from part order by id limit 30")
        return [repr(row) for row in cursor.fetchall_unbuffered()]


def check_stream_given_up(target: Target) -> Any:
    """A stream that is given up after some rows."""
    with driver.raw(target) as connection:
        cursor = connection.cursor(SSCursor)
        cursor.execute("select p.id, q.id from part p, part q order by 1, 2")
        some = [cursor.fetchone() for _ in range(3)]
        cursor.close()
        with connection.cursor() as other:
            other.execute("select 'next'")
            return canonical.rows(some), canonical.rows(other.fetchall())


def check_scroll(target: Target) -> Any:
    """A cursor that is scrolled."""
    with driver.raw(target) as connection, connection.cursor() as cursor:
        cursor.execute("select id from part order by id")
        cursor.scroll(5)
        first = cursor.fetchone()
        cursor.scroll(0, mode="absolute")
        return cursor.rownumber, canonical.rows([first, cursor.fetchone()])


def check_mogrify(target: Target) -> Any:
    """Parameters by name, lists and literals."""
    with driver.raw(target) as connection, connection.cursor() as cursor:
        cursor.execute(
            "select %(a)s, %(b)s in %(l)s, %(t)s", {"a": b"\xff\0", "b": 2, "l": [1, 2], "t": dt.time(1, 2, 3)}
        )
        return canonical.rows(cursor.fetchall())


def check_callproc(target: Target) -> Any:
    """A procedure by callproc, with its out parameters."""
    with driver.raw(target) as connection, connection.cursor() as cursor:
        cursor.callproc("add_up", (2, 3, 0, 4))
        cursor.execute("select @_add_up_2 + 0, @_add_up_3 + 0")
        out = canonical.rows(cursor.fetchall())
        cursor.callproc("two_results", (8,))
        results = [canonical.rows(cursor.fetchall())]
        while cursor.nextset():
            results.append(canonical.rows(cursor.fetchall()))
        return out, results


def check_charsets(target: Target) -> Any:
    """Connections with other character sets."""
    seen = []
    for charset, text in (("gbk", "漢字"), ("latin1", "né"), ("utf8", "é漢"), ("gb18030", "漢😀"), ("ascii", "a")):
        with driver.raw(target, charset=charset) as connection, connection.cursor() as cursor:
            cursor.execute("select %s, hex(%s), @@character_set_client, @@collation_connection", (text, text))
            seen.append(canonical.rows(cursor.fetchall()))
    return seen


def check_charset_changed(target: Target) -> Any:
    """set_character_set on an open connection."""
    with driver.raw(target) as connection, connection.cursor() as cursor:
        connection.set_character_set("gbk")
        cursor.execute("select '漢', hex('漢'), @@character_set_results")
        return canonical.rows(cursor.fetchall())


def check_init_command(target: Target) -> Any:
    """init_command and sql_mode at the connect."""
    with (
        driver.raw(target, init_command="set @i = 9", sql_mode="ANSI_QUOTES") as connection,
        connection.cursor() as cursor,
    ):
        cursor.execute("select @i + 0, @@sql_mode")
        return canonical.rows(cursor.fetchall())


def check_found_rows_flag(target: Target) -> Any:
    """Rows found instead of rows changed."""
    with driver.raw(target, client_flag=CLIENT.FOUND_ROWS) as connection, connection.cursor() as cursor:
        return [cursor.execute("update part set v = v where id between 1004 and 1010") for _ in range(2)]


def check_conv(target: Target) -> Any:
    """Converters of our own."""
    conv = {**pymysql.converters.conversions, FIELD_TYPE.NEWDECIMAL: str, FIELD_TYPE.DATETIME: str}
    with driver.raw(target, conv=conv) as connection, connection.cursor() as cursor:
        cursor.execute("select 1.50, timestamp '2024-01-02 03:04:05'")
        return canonical.rows(cursor.fetchall())


def check_context(target: Target) -> Any:
    """begin() and the context of a connection."""
    with driver.raw(target, autocommit=False) as connection:
        connection.begin()
        with connection.cursor() as cursor:
            cursor.execute("insert into account values (900, 1, 1)")
        connection.rollback()
        with connection.cursor() as cursor:
            cursor.execute("select count(*) from account where id = 900")
            return connection.get_autocommit(), canonical.rows(cursor.fetchall())


def check_reconnect(target: Target) -> Any:
    """A lost connection comes back by ping."""
    with closing(driver.raw(target)) as connection:
        connection._sock.shutdown(socket.SHUT_RDWR)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            connection.ping(reconnect=True)
        with connection.cursor() as cursor:
            cursor.execute("select database(), @@autocommit")
            return canonical.rows(cursor.fetchall())


def check_read_timeout(target: Target) -> Any:
    """The driver's own time-out."""
    connection = driver.raw(target, read_timeout=2)
    try:
        connection.cursor().execute("select sleep(6)")
    except pymysql.err.OperationalError as exc:
        return exc.args[0], connection.open
    raise AssertionError("no time-out")


def check_kill_query(target: Target) -> Any:
    """A statement is killed by another connection."""
    seen = []
    with closing(driver.raw(target)) as sleeper, closing(driver.raw(target)) as killer, sleeper.cursor() as cursor:
        cursor.execute("select connection_id()")
        number = cursor.fetchone()[0]

        def kill() -> None:
            time.sleep(0.5)
            killer.cursor().execute(f"kill query {number}")

        thread = threading.Thread(target=kill)
        thread.start()
        try:
            cursor.execute("select sleep(20)")
        except pymysql.err.MySQLError as exc:
            seen.append(exc.args[0])
        thread.join()
        cursor.execute("select 'alive'")
        seen.append(canonical.rows(cursor.fetchall()))
    return seen


def check_kill(target: Target) -> Any:
    """A connection is killed by another one, by its command."""
    with closing(driver.raw(target)) as victim, closing(driver.raw(target)) as killer:
        with victim.cursor() as cursor:
            cursor.execute("select connection_id()")
            number = cursor.fetchone()[0]
        with killer.cursor() as cursor:
            cursor.execute(f"kill {number}")
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline:
            try:
                victim.cursor().execute("select 1")
            except pymysql.err.MySQLError as exc:
                return exc.args[0], victim.open
            time.sleep(0.05)
    raise AssertionError("it lives")


def check_deadlock(target: Target) -> Any:
    """A deadlock ends one of two transactions."""
    with closing(driver.raw(target)) as one, closing(driver.raw(target)) as two:
        first, second = one.cursor(), two.cursor()
        first.execute("insert into account values (950, 1, 1), (951, 1, 1)")
        for cursor, number in ((first, 950), (second, 951)):
            cursor.execute("begin")
            cursor.execute("update account set v = v + 1 where id = %s", (number,))
        errors: list[int] = []

        def wait() -> None:
            try:
                first.execute("update account set v = v + 1 where id = 951")
            except pymysql.err.MySQLError as exc:
                errors.append(exc.args[0])

        thread = threading.Thread(target=wait)
        thread.start()
        try:
            second.execute("update account set v = v + 1 where id = 950")
        except pymysql.err.MySQLError as exc:
            errors.append(exc.args[0])
        two.rollback()
        thread.join()
        one.rollback()
        return errors


def check_options_file(target: Target) -> Any:
    """A file of options."""
    with scratch() as place:
        path = place / "my.cnf"
        path.write_text(
            f"[client]\nhost={target.host}\nport={target.port}\nuser={target.user}\npassword={target.password}\n"
            f"database={target.database}\n"
        )
        with pymysql.connect(read_default_file=str(path)) as connection, connection.cursor() as cursor:
            cursor.execute("select database()")
            return canonical.rows(cursor.fetchall())


def check_program_name(target: Target) -> Any:
    """Connection attributes."""
    with driver.raw(target, program_name="drivers") as connection, connection.cursor() as cursor:
        cursor.execute("select 1")
        return connection.server_version, connection.get_proto_info(), canonical.rows(cursor.fetchall())


def check_field_types(target: Target) -> Any:
    """Type codes of every column of a table."""
    with driver.raw(target) as connection, connection.cursor() as cursor:
        cursor.execute("select * from types where id = -100")
        return [[column[0], column[1], column[2], column[6]] for column in cursor.description]


def check_max_packet(target: Target) -> Any:
    """A statement of 3 MiB."""
    with driver.raw(target) as connection, connection.cursor() as cursor:
        cursor.execute("select length(%s)", ("m" * 3_000_000,))
        return canonical.rows(cursor.fetchall())


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
    with driver.raw(target) as connection, connection.cursor() as cursor:
        cursor.execute("select count(*), sum(v) from part where id between 5000 and 5999")
        return canonical.rows(cursor.fetchall())


if __name__ == "__main__":
    main(driver, own_checks(globals()))
