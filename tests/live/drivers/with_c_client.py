"""The MariaDB client library in C (Connector/C) by its C interface, prepared statements included."""

from __future__ import annotations

import ctypes as c
import datetime as dt
import re
import threading
import time
from contextlib import closing
from decimal import Decimal
from typing import Any

from tests.live.drivers import canonical, capi
from tests.live.drivers.capi import ClientError, lib
from tests.live.drivers.script import Connection, Driver, Target, main, own_checks


class Statement:
    """A prepared statement."""

    def __init__(self, connection: CConnection, sql: str) -> None:
        self.handle = lib.mysql_stmt_init(connection.handle)
        text = re.sub("%s", "?", sql).encode()
        self.check(lib.mysql_stmt_prepare(self.handle, text, len(text)))

    def check(self, failed: int) -> None:
        """Raise what the library says if a call has failed."""
        if failed:
            raise ClientError(
                lib.mysql_stmt_errno(self.handle),
                lib.mysql_stmt_sqlstate(self.handle).decode(),
                lib.mysql_stmt_error(self.handle).decode("utf-8", "replace"),
            )

    def execute(self, *values: Any) -> list[dict[str, Any]]:
        """Bind, execute, and read all results."""
        parameters = capi.Parameters(values)
        if values:
            self.check(lib.mysql_stmt_bind_param(self.handle, parameters.binds))
        self.check(lib.mysql_stmt_execute(self.handle))
        found = [self.result()]
        while (more := lib.mysql_stmt_next_result(self.handle)) == 0:
            found.append(self.result())
        self.check(more > 0)
        return found

    def result(self) -> dict[str, Any]:
        """Read one result."""
        count = lib.mysql_stmt_field_count(self.handle)
        if not count:
            affected, last = lib.mysql_stmt_affected_rows(self.handle), lib.mysql_stmt_insert_id(self.handle)
            return {"columns": [], "rows": None, "affected": affected, "insert_id": last}
        metadata = lib.mysql_stmt_result_metadata(self.handle)
        fields = lib.mysql_fetch_fields(metadata)
        try:
            rows = canonical.rows(self.rows(fields, count))
            return {"columns": capi.columns(fields, count), "rows": rows, "affected": None}
        finally:
            lib.mysql_free_result(metadata)
            lib.mysql_stmt_free_result(self.handle)

    def rows(self, fields: Any, count: int) -> Any:
        """Yield rows, every value as text that the library makes of it."""
        binds = (capi.Bind * count)()
        lengths, nulls = (c.c_ulong * count)(), (c.c_ubyte * count)()
        for number, bind in enumerate(binds):
            bind.buffer_type = capi.STRING
            bind.length = c.cast(c.addressof(lengths) + number * c.sizeof(c.c_ulong), c.POINTER(c.c_ulong))
            bind.is_null = c.addressof(nulls) + number
        self.check(lib.mysql_stmt_bind_result(self.handle, binds))
        while (fetched := lib.mysql_stmt_fetch(self.handle)) in (0, capi.TRUNCATED):
            yield [None if nulls[n] else self._column(n, fields[n], lengths[n]) for n in range(count)]
        self.check(fetched != capi.NO_DATA)

    def _column(self, number: int, field: Any, length: int) -> Any:
        memory = c.create_string_buffer(max(length, 70) + 1)
        size, bind = c.c_ulong(), capi.Bind()
        bind.buffer_type, bind.buffer, bind.buffer_length = capi.STRING, c.addressof(memory), len(memory)
        bind.length = c.pointer(size)
        self.check(lib.mysql_stmt_fetch_column(self.handle, c.byref(bind), number, 0))
        return capi.value_of(memory.raw[: size.value], field)

    def close(self) -> None:
        """COM_STMT_CLOSE."""
        lib.mysql_stmt_close(self.handle)


class CConnection(Connection):
    """A MYSQL*."""

    def __init__(self, target: Target, options: dict[str, Any]) -> None:
        given = {"user": target.user, "password": target.password, "database": target.database, **options}
        self.handle = lib.mysql_init(None)
        lib.mysql_options(
            self.handle, capi.CHARSET_NAME, c.cast(c.c_char_p(given.get("charset", b"utf8mb4")), c.c_void_p)
        )
        lib.mysql_options(self.handle, capi.LOCAL_INFILE, c.cast(c.pointer(c.c_uint(1)), c.c_void_p))
        if "init_command" in given:
            lib.mysql_options(self.handle, capi.INIT_COMMAND, c.cast(c.c_char_p(given["init_command"]), c.c_void_p))
        if "read_timeout" in given:
            seconds = c.c_uint(given["read_timeout"])
            lib.mysql_options(self.handle, capi.READ_TIMEOUT, c.cast(c.pointer(seconds), c.c_void_p))
        for name, text in given.get("attributes", {}).items():
            lib.mysql_options4(self.handle, capi.CONNECT_ATTR_ADD, name.encode(), text.encode())
        user, password, database = (given[name].encode() for name in ("user", "password", "database"))
        flags = capi.MULTI_STATEMENTS | given.get("flags", 0)
        if not lib.mysql_real_connect(
            self.handle, target.host.encode(), user, password, database, target.port, None, flags
        ):
            try:
                self.check(1)
            finally:
                self.close()

    def check(self, failed: int) -> None:
        """Raise what the library says if a call has failed."""
        if failed:
            raise ClientError(
                lib.mysql_errno(self.handle),
                lib.mysql_sqlstate(self.handle).decode(),
                lib.mysql_error(self.handle).decode("utf-8", "replace"),
            )

    def quoted(self, item: Any) -> str:
        """Write a literal."""
        match item:
            case None:
                return "null"
            case int() | float() | Decimal():
                return str(item)
            case bytes():
                return f"x'{item.hex()}'"
            case dt.timedelta():
                tagged = canonical.tagged(item)["time"]
                return f"'{tagged}'"
            case str():
                data = item.encode()
                memory = c.create_string_buffer(2 * len(data) + 1)
                size = lib.mysql_real_escape_string(self.handle, memory, data, len(data))
                return f"'{memory.raw[:size].decode()}'"
        return f"'{item}'"

    def send(self, sql: str, params: tuple[Any, ...] = ()) -> None:
        """mysql_real_query()."""
        for item in params:
            sql = sql.replace("%s", self.quoted(item).replace("%s", "%\0s"), 1)
        text = sql.replace("%\0s", "%s").encode()
        self.check(lib.mysql_real_query(self.handle, text, len(text)))

    def query(self, sql: str, *params: Any) -> list[dict[str, Any]]:
        """Run one statement; return its results."""
        self.send(sql, params)
        return self.results()

    def results(self) -> list[dict[str, Any]]:
        """Read all results."""
        found = [self.result()]
        while (more := lib.mysql_next_result(self.handle)) == 0:
            found.append(self.result())
        self.check(more > 0)
        return found

    def result(self, *, stored: bool = True) -> dict[str, Any]:
        """Read one result."""
        handle = (lib.mysql_store_result if stored else lib.mysql_use_result)(self.handle)
        more = {
            "affected": lib.mysql_affected_rows(self.handle),
            "insert_id": lib.mysql_insert_id(self.handle),
            "warnings": lib.mysql_warning_count(self.handle),
            "info": (lib.mysql_info(self.handle) or b"").decode(),
        }
        if not handle:
            self.check(lib.mysql_field_count(self.handle))
            return {"columns": [], "rows": None, **more}
        try:
            count, fields = lib.mysql_num_fields(handle), lib.mysql_fetch_fields(handle)
            return {
                "columns": capi.columns(fields, count),
                "rows": canonical.rows(self.rows(handle, fields, count)),
                **more,
            }
        finally:
            lib.mysql_free_result(handle)

    def rows(self, handle: Any, fields: Any, count: int) -> Any:
        """Yield the rows of a result."""
        while row := lib.mysql_fetch_row(handle):
            sizes = lib.mysql_fetch_lengths(handle)
            yield [
                capi.value_of(None if row[n] is None else c.string_at(row[n], sizes[n]), fields[n])
                for n in range(count)
            ]
        self.check(lib.mysql_errno(self.handle))

    def execute(self, sql: str, *params: Any) -> list[dict[str, Any]]:
        """Prepare, execute, close."""
        with closing(Statement(self, sql)) as statement:
            return statement.execute(*params)

    def many(self, sql: str, *sets: tuple[Any, ...]) -> Any:
        """Execute a prepared statement for each set."""
        with closing(Statement(self, sql)) as statement:
            return sum(statement.execute(*params)[0]["affected"] for params in sets)

    def reuse(self, sql: str, *sets: tuple[Any, ...]) -> Any:
        """Execute one statement again and again."""
        with closing(Statement(self, sql)) as statement:
            return [statement.execute(*params)[0]["rows"] for params in sets]

    def interleave(self, first: str, second: str, times: int) -> Any:
        """Two statements in turn."""
        with closing(Statement(self, first)) as one, closing(Statement(self, second)) as two:
            return [(one.execute(n)[0]["rows"], two.execute(f"t{n}")[0]["rows"]) for n in range(times)]

    def multi(self, sql: str) -> Any:
        """Run several statements."""
        return self.query(sql)

    def stream(self, sql: str) -> Any:
        """mysql_use_result()."""
        self.send(sql)
        return self.result(stored=False)["rows"]

    def autocommit(self, on: bool) -> Any:
        """mysql_autocommit()."""
        self.check(lib.mysql_autocommit(self.handle, on))

    def commit(self) -> Any:
        """mysql_commit()."""
        self.check(lib.mysql_commit(self.handle))

    def rollback(self) -> Any:
        """mysql_rollback()."""
        self.check(lib.mysql_rollback(self.handle))

    def ping(self) -> Any:
        """mysql_ping()."""
        self.check(lib.mysql_ping(self.handle))

    def select_db(self, name: str) -> Any:
        """mysql_select_db()."""
        self.check(lib.mysql_select_db(self.handle, name.encode()))

    def reset(self) -> Any:
        """mysql_reset_connection()."""
        self.check(lib.mysql_reset_connection(self.handle))

    def change_user(self, user: str, password: str, database: str) -> Any:
        """mysql_change_user()."""
        self.check(lib.mysql_change_user(self.handle, user.encode(), password.encode(), database.encode()))

    def thread_id_is_connection_id(self) -> Any:
        """Compare what the greeting told with what the server says."""
        return self.query("select connection_id() = %s", lib.mysql_thread_id(self.handle))[0]["rows"]

    def close(self) -> Any:
        """mysql_close()."""
        lib.mysql_close(self.handle)


class CClient(Driver):
    """The MariaDB C client."""

    name = "MariaDB C client"
    verbs = frozenset(
        ("query", "execute", "many", "reuse", "interleave", "multi", "stream", "open", "close", "parallel", "autocommit",
         "commit", "rollback", "ping", "select_db", "reset", "change_user", "load", "thread_id_is_connection_id")
    )  # fmt: skip

    def connect(self, target: Target, **options: Any) -> CConnection:
        """Open a connection."""
        return CConnection(target, options)

    def error(self, exc: BaseException) -> list[Any]:
        """Return errno, SQLSTATE and message."""
        return list(exc.args) if isinstance(exc, ClientError) else [-1, repr(exc)]


driver = CClient()


def check_long_data(target: Target) -> Any:
    """mysql_stmt_send_long_data: a parameter in pieces, sent twice."""
    with closing(driver.connect(target)) as connection:
        statement = Statement(connection, "select length(?), md5(?), ?")
        seen = []
        for piece in (b"abc" * 3000, "é".encode() * 7000):
            parameters = capi.Parameters((b"", b"", 5))
            statement.check(lib.mysql_stmt_bind_param(statement.handle, parameters.binds))
            for number in (0, 1):
                for _ in range(9):
                    statement.check(lib.mysql_stmt_send_long_data(statement.handle, number, piece, len(piece)))
            statement.check(lib.mysql_stmt_execute(statement.handle))
            seen.append(statement.result())
        statement.close()
        return seen


def check_long_data_reset(target: Target) -> Any:
    """mysql_stmt_reset: pieces that were sent are forgotten."""
    with closing(driver.connect(target)) as connection, closing(Statement(connection, "select ?")) as statement:
        parameters = capi.Parameters((b"whole",))
        statement.check(lib.mysql_stmt_bind_param(statement.handle, parameters.binds))
        statement.check(lib.mysql_stmt_send_long_data(statement.handle, 0, b"piece", 5))
        statement.check(lib.mysql_stmt_reset(statement.handle))
        return statement.execute("after")


def check_cursor(target: Target) -> Any:
    """A cursor on the server: rows are fetched seven at a time."""
    with closing(driver.connect(target)) as connection:
        statement = Statement(connection, "select id, v from part where id >= ? and id < 1100 order by id")
        for attribute, number in ((capi.CURSOR_TYPE, capi.READ_ONLY_CURSOR), (capi.PREFETCH_ROWS, 7)):
            statement.check(
                lib.mysql_stmt_attr_set(statement.handle, attribute, c.cast(c.pointer(c.c_ulong(number)), c.c_void_p))
            )
        found = statement.execute(1004)
        statement.close()
        return found


def check_cursor_and_others(target: Target) -> Any:
    """A cursor on the server, other statements between its fetches."""
    with closing(driver.connect(target)) as connection:
        statement = Statement(connection, "select id from part where id between ? and ? order by id")
        for attribute, number in ((capi.CURSOR_TYPE, capi.READ_ONLY_CURSOR), (capi.PREFETCH_ROWS, 3)):
            statement.check(
                lib.mysql_stmt_attr_set(statement.handle, attribute, c.cast(c.pointer(c.c_ulong(number)), c.c_void_p))
            )
        parameters = capi.Parameters((1004, 1014))
        statement.check(lib.mysql_stmt_bind_param(statement.handle, parameters.binds))
        statement.check(lib.mysql_stmt_execute(statement.handle))
        memory, bind = c.c_longlong(), (capi.Bind * 1)()
        bind[0].buffer_type, bind[0].buffer = capi.LONGLONG, c.addressof(memory)
        statement.check(lib.mysql_stmt_bind_result(statement.handle, bind))
        seen: list[Any] = []
        while lib.mysql_stmt_fetch(statement.handle) == 0:
            seen.append(memory.value)
            if len(seen) % 4 == 0:
                seen.append(connection.query("select v from part where id = %s", 1000 + len(seen))[0]["rows"])
        statement.close()
        return seen


def check_native_types(target: Target) -> Any:
    """Results in C's own types: long long, double, MYSQL_TIME."""
    with closing(driver.connect(target)) as connection:
        statement = Statement(connection, "select ?, 18446744073709551615, 2.5e0, cast(? as datetime(6)), null")
        parameters = capi.Parameters((-7, dt.datetime(2024, 2, 29, 1, 2, 3, 456789)))
        statement.check(lib.mysql_stmt_bind_param(statement.handle, parameters.binds))
        statement.check(lib.mysql_stmt_execute(statement.handle))
        memory = (c.c_longlong(), c.c_ulonglong(), c.c_double(), capi.Time(), c.c_longlong())
        nulls = (c.c_ubyte * 5)()
        binds = (capi.Bind * 5)()
        kinds = (capi.LONGLONG, capi.LONGLONG, capi.DOUBLE, capi.DATETIME, capi.LONGLONG)
        for number, (bind, place, kind) in enumerate(zip(binds, memory, kinds, strict=True)):
            bind.buffer, bind.buffer_type, bind.buffer_length = c.addressof(place), kind, c.sizeof(place)
            bind.is_null = c.addressof(nulls) + number
        binds[1].is_unsigned = 1
        statement.check(lib.mysql_stmt_bind_result(statement.handle, binds))
        fetched = lib.mysql_stmt_fetch(statement.handle)
        moment = memory[3]
        statement.close()
        return (
            fetched,
            [place.value for place in memory[:3]],
            [moment.year, moment.day, moment.second_part],
            list(nulls),
        )


def check_stored_statement(target: Target) -> Any:
    """mysql_stmt_store_result: rows are counted and sought."""
    with closing(driver.connect(target)) as connection:
        statement = Statement(connection, "select id from part where id between 1004 and 1012 order by id")
        statement.check(lib.mysql_stmt_execute(statement.handle))
        statement.check(lib.mysql_stmt_store_result(statement.handle))
        memory, bind = c.c_longlong(), (capi.Bind * 1)()
        bind[0].buffer_type, bind[0].buffer = capi.LONGLONG, c.addressof(memory)
        statement.check(lib.mysql_stmt_bind_result(statement.handle, bind))
        lib.mysql_stmt_data_seek(statement.handle, 4)
        lib.mysql_stmt_fetch(statement.handle)
        seen = lib.mysql_stmt_num_rows(statement.handle), memory.value
        statement.close()
        return seen


def check_parameter_count(target: Target) -> Any:
    """What PREPARE tells: parameters and columns."""
    with closing(driver.connect(target)) as connection:
        statement = Statement(connection, "select id, v as w, ? from part where id = ? and k = ?")
        metadata = lib.mysql_stmt_result_metadata(statement.handle)
        shown = capi.columns(lib.mysql_fetch_fields(metadata), lib.mysql_num_fields(metadata))
        lib.mysql_free_result(metadata)
        seen = lib.mysql_stmt_param_count(statement.handle), shown
        statement.close()
        return seen


def check_types_change(target: Target) -> Any:
    """One statement, executed with other types each time."""
    with closing(driver.connect(target)) as connection, closing(Statement(connection, "select ?, ? is null")) as one:
        return [one.execute(item, item)[0]["rows"] for item in (1, "x", None, 2.5, b"\0\xff", None, 2**64 - 1)]


def check_statement_of_changed_table(target: Target) -> Any:
    """A statement whose table gets a column in between."""
    with closing(driver.connect(target)) as connection:
        connection.query("create table changing (a int)")
        connection.query("insert into changing values (1)")
        statement = Statement(connection, "select a from changing where a > ?")
        seen = [statement.execute(0)[0]["rows"]]
        connection.query("alter table changing add column b int default 5")
        seen.append(statement.execute(0)[0]["rows"])
        statement.close()
        connection.query("drop table changing")
        return seen


def check_forty_statements(target: Target) -> Any:
    """Forty prepared statements at a time."""
    with closing(driver.connect(target)) as connection:
        statements = [Statement(connection, f"select v + {n} from part where id = ?") for n in range(40)]
        seen = [statement.execute(1004 + n % 20)[0]["rows"] for n, statement in enumerate(statements)]
        for statement in statements:
            statement.close()
        return seen


def check_statement_in_transaction(target: Target) -> Any:
    """A statement prepared before a transaction, executed inside and after it."""
    with closing(driver.connect(target)) as connection:
        statement = Statement(connection, "insert into account (id, amount) values (?, ?)")
        connection.query("begin")
        statement.execute(700, Decimal("1.5"))
        connection.query("rollback")
        statement.execute(701, Decimal("2.5"))
        statement.close()
        return connection.query("select id, amount from account where id in (700, 701)")[0]["rows"]


def check_send_query(target: Target) -> Any:
    """mysql_send_query and mysql_read_query_result: two connections at work at once."""
    with closing(driver.connect(target)) as one, closing(driver.connect(target)) as two:
        start = time.monotonic()
        for connection in (one, two):
            text = b"select sleep(0.4), 'done'"
            connection.check(lib.mysql_send_query(connection.handle, text, len(text)))
        seen = []
        for connection in (two, one):
            connection.check(lib.mysql_read_query_result(connection.handle))
            seen.append(connection.results()[0]["rows"])
        return seen, time.monotonic() - start < 20


def check_seek(target: Target) -> Any:
    """mysql_num_rows and mysql_data_seek."""
    with closing(driver.connect(target)) as connection:
        connection.send("select id from part where id between 1004 and 1012 order by id")
        handle = lib.mysql_store_result(connection.handle)
        lib.mysql_data_seek(handle, 6)
        seen = lib.mysql_num_rows(handle), c.string_at(lib.mysql_fetch_row(handle)[0]).decode()
        lib.mysql_free_result(handle)
        return seen


def check_given_up(target: Target) -> Any:
    """A result that is given up in the middle; out of sync before."""
    with closing(driver.connect(target)) as connection:
        connection.send("select p.id, q.id from part p, part q")
        handle = lib.mysql_use_result(connection.handle)
        first = bool(lib.mysql_fetch_row(handle))
        try:
            connection.send("select 1")
        except ClientError as exc:
            error = exc.args[0]
        lib.mysql_free_result(handle)
        return first, error, connection.query("select 'next'")[0]["rows"]


def check_list_fields(target: Target) -> Any:
    """COM_FIELD_LIST."""
    with closing(driver.connect(target)) as connection:
        handle = lib.mysql_list_fields(connection.handle, b"plain", None)
        connection.check(not handle)
        shown = capi.columns(lib.mysql_fetch_fields(handle), lib.mysql_num_fields(handle))
        lib.mysql_free_result(handle)
        return shown


def check_list_tables(target: Target) -> Any:
    """mysql_list_tables."""
    with closing(driver.connect(target)) as connection:
        handle = lib.mysql_list_tables(connection.handle, b"p%")
        connection.check(not handle)
        rows = canonical.rows(connection.rows(handle, lib.mysql_fetch_fields(handle), 1))
        lib.mysql_free_result(handle)
        return rows


def check_stat(target: Target) -> Any:
    """COM_STATISTICS and what the greeting told."""
    with closing(driver.connect(target)) as connection:
        told = lib.mysql_get_server_info(connection.handle).decode(), lib.mysql_get_proto_info(connection.handle)
        return bool(lib.mysql_stat(connection.handle)), told, lib.mysql_ping(connection.handle)


def check_debug(target: Target) -> Any:
    """COM_DEBUG."""
    with closing(driver.connect(target)) as connection:
        return lib.mysql_dump_debug_info(connection.handle), connection.query("select 1")[0]["rows"]


def check_server_option(target: Target) -> Any:
    """COM_SET_OPTION: several statements are forbidden and allowed again."""
    with closing(driver.connect(target)) as connection:
        connection.check(lib.mysql_set_server_option(connection.handle, 1))
        connection.check(lib.mysql_set_server_option(connection.handle, 0))
        return [result["rows"] for result in connection.query("select 1; select 2")]


def check_charsets(target: Target) -> Any:
    """mysql_options and mysql_set_character_set: other character sets."""
    seen: list[Any] = []
    with closing(driver.connect(target, charset=b"gbk")) as connection:
        text = b"select hex('\xba\xba') as h, @@character_set_client"
        connection.check(lib.mysql_real_query(connection.handle, text, len(text)))
        seen.append(connection.result()["rows"])
        connection.check(lib.mysql_set_character_set(connection.handle, b"latin1"))
        seen.append(connection.query("select @@character_set_client, @@character_set_results")[0]["rows"])
        seen.append(lib.mysql_character_set_name(connection.handle).decode())
    return seen


def check_init_command(target: Target) -> Any:
    """MYSQL_INIT_COMMAND."""
    with closing(driver.connect(target, init_command=b"set @i = 9")) as connection:
        return connection.query("select @i + 0")[0]["rows"]


def check_attributes(target: Target) -> Any:
    """Connection attributes of our own, many of them."""
    with closing(driver.connect(target, attributes={f"name{n}": "ü" * 50 for n in range(40)})) as connection:
        return connection.query("select 1")[0]["rows"]


def check_found_rows(target: Target) -> Any:
    """CLIENT_FOUND_ROWS and CLIENT_IGNORE_SPACE."""
    with closing(driver.connect(target, flags=2 | 256)) as connection:
        done = connection.query("update part set v = v where id between 1004 and 1010")[0]
        return done["affected"], done["info"], connection.query("select count (*) from plain where id = -1")[0]["rows"]


def check_change_user_state(target: Target) -> Any:
    """mysql_change_user forgets prepared statements and variables."""
    with closing(driver.connect(target)) as connection:
        connection.query("set @x = 1")
        statement = Statement(connection, "select 1")
        connection.change_user(target.user, target.password, target.database)
        seen: list[Any] = [connection.query("select @x is null")[0]["rows"]]
        try:
            statement.execute()
        except ClientError as exc:
            seen.append(exc.args[0])
        statement.close()
        return seen


def check_read_timeout(target: Target) -> Any:
    """MYSQL_OPT_READ_TIMEOUT."""
    with closing(driver.connect(target, read_timeout=2)) as connection:
        try:
            connection.query("select sleep(6)")
        except ClientError as exc:
            return exc.args[0]
    raise AssertionError("no time-out")


def check_kill(target: Target) -> Any:
    """A statement is killed by another connection."""
    with closing(driver.connect(target)) as victim, closing(driver.connect(target)) as other:
        number = victim.query("select connection_id()")[0]["rows"][0][0][1]

        def kill() -> None:
            time.sleep(0.5)
            other.query(f"kill query {number}")

        thread = threading.Thread(target=kill)
        thread.start()
        seen: list[Any] = []
        try:
            victim.query("select sleep(20)")
        except ClientError as exc:
            seen.append(exc.args[:2])
        thread.join()
        return [*seen, victim.query("select 'alive'")[0]["rows"]]


def check_large(target: Target) -> Any:
    """A statement and a parameter of 4 MiB."""
    text = "m" * 4_000_000
    with closing(driver.connect(target)) as connection:
        return (
            connection.query("select length(%s)", text)[0]["rows"],
            connection.execute("select length(%s)", text)[0]["rows"],
        )


if __name__ == "__main__":
    main(driver, own_checks(globals()))
