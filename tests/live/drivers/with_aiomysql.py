"""aiomysql: PyMySQL's protocol under asyncio, with a pool of its own."""

from __future__ import annotations

import asyncio  # the driver's house, not ours
import datetime as dt
from collections.abc import Awaitable, Callable
from typing import Any

import aiomysql
import pymysql
from pymysql.constants import CLIENT

from tests.live.drivers import canonical
from tests.live.drivers.script import Connection, Driver, OwnCheck, Target, main

loop = asyncio.new_event_loop()
call = loop.run_until_complete


class AiomysqlConnection(Connection):
    """A connection of aiomysql; every verb is a coroutine that is run to its end."""

    def __init__(self, raw: Any) -> None:
        self.raw = raw

    def query(self, sql: str, *params: Any) -> list[dict[str, Any]]:
        """Run one statement; return its results."""
        return call(self.results(sql, params))

    async def results(self, sql: str, params: tuple[Any, ...]) -> list[dict[str, Any]]:
        """Run one statement; read all of its results."""
        found = []
        async with self.raw.cursor() as cursor:
            await cursor.execute(sql, params or None)
            while True:
                result = cursor._result
                found.append(
                    {
                        "columns": [list(map(str, column)) for column in cursor.description or ()],
                        "rows": canonical.rows(await cursor.fetchall()) if cursor.description else None,
                        "affected": cursor.rowcount,
                        "insert_id": cursor.lastrowid,
                        "warnings": result.warning_count if result else None,
                        "status": result.server_status if result else None,
                    }
                )
                if not await cursor.nextset():
                    return found

    def many(self, sql: str, *sets: tuple[Any, ...]) -> Any:
        """Run a statement with many sets of parameters."""

        async def run() -> Any:
            async with self.raw.cursor() as cursor:
                return await cursor.executemany(sql, sets)

        return call(run())

    def multi(self, sql: str) -> Any:
        """Run several statements."""
        return self.query(sql)

    def stream(self, sql: str) -> Any:
        """Read rows as they come."""

        async def run() -> Any:
            async with self.raw.cursor(aiomysql.SSCursor) as cursor:
                await cursor.execute(sql)
                rows = [await cursor.fetchone()]
                while part := await cursor.fetchmany(1000):
                    rows.extend(part)
                return canonical.rows(row for row in rows if row)

        return call(run())

    def autocommit(self, on: bool) -> Any:
        """Switch autocommit."""
        call(self.raw.autocommit(on))
        return self.query("select @@autocommit")[0]["rows"], self.raw.get_autocommit()

    def commit(self) -> Any:
        """Commit."""
        call(self.raw.commit())

    def rollback(self) -> Any:
        """Roll back."""
        call(self.raw.rollback())

    def ping(self) -> Any:
        """Ask whether the server is there."""
        call(self.raw.ping(reconnect=False))

    def select_db(self, name: str) -> Any:
        """COM_INIT_DB."""
        call(self.raw.select_db(name))

    def thread_id_is_connection_id(self) -> Any:
        """Compare what the greeting told with what the server says."""
        return self.query("select connection_id() = %s", self.raw.thread_id())[0]["rows"]

    def close(self) -> Any:
        """Take leave of the server."""
        call(self.raw.ensure_closed())


class Aiomysql(Driver):
    """aiomysql."""

    name = "aiomysql"
    verbs = frozenset(
        ("query", "many", "multi", "stream", "open", "close", "autocommit", "commit", "rollback", "ping", "select_db",
         "load", "thread_id_is_connection_id")
    )  # fmt: skip

    def options(self, target: Target, **options: Any) -> dict[str, Any]:
        """Return what a connect gets."""
        options = {"database": target.database, **options}
        return {
            "host": target.host,
            "port": target.port,
            "user": target.user,
            "password": target.password,
            "db": options.pop("database"),
            "charset": "utf8mb4",
            "autocommit": True,
            "client_flag": CLIENT.MULTI_STATEMENTS,
            "local_infile": True,
            **options,
        }

    def connect(self, target: Target, **options: Any) -> Connection:
        """Open a connection."""
        return AiomysqlConnection(call(aiomysql.connect(**self.options(target, **options))))


driver = Aiomysql()


async def asked(target: Target, sql: str, *params: Any, cursor: type[Any] = aiomysql.Cursor, **options: Any) -> Any:
    """Run one statement on a connection of its own; return its rows."""
    async with aiomysql.connect(**driver.options(target, **options)) as connection, connection.cursor(cursor) as opened:
        await opened.execute(sql, params or None)
        rows = await opened.fetchall()
        return [repr(row) for row in rows] if rows and isinstance(rows[0], dict) else canonical.rows(rows)


async def check_many_at_once(target: Target) -> Any:
    """Thirty statements at once on ten connections."""
    return await asyncio.gather(
        *(asked(target, "select %s, count(*) from part where id >= %s", number, 1000) for number in range(30))
    )


async def check_pool(target: Target) -> Any:
    """A pool: connections are lent, kept and closed."""
    async with aiomysql.create_pool(minsize=1, maxsize=4, **driver.options(target)) as pool:

        async def use(number: int) -> Any:
            async with pool.acquire() as connection, connection.cursor() as cursor:
                await cursor.execute("select v + %s from part where id = %s", (number, 1004 + number % 10))
                return canonical.rows(await cursor.fetchall())

        seen = await asyncio.gather(*(use(number) for number in range(20)))
        sizes = [pool.size <= 4, pool.freesize <= 4, pool.maxsize]
        await pool.clear()
        return seen, sizes, pool.freesize


async def check_pool_recycle(target: Target) -> Any:
    """A pool that makes connections anew."""
    async with aiomysql.create_pool(minsize=1, maxsize=1, pool_recycle=0, **driver.options(target)) as pool:
        seen = []
        for _ in range(3):
            async with pool.acquire() as connection, connection.cursor() as cursor:
                await cursor.execute("select database()")
                seen.append(canonical.rows(await cursor.fetchall()))
        return seen


async def check_pool_writes(target: Target) -> Any:
    """Writers at once on a pool, each row once."""
    async with aiomysql.create_pool(minsize=2, maxsize=6, **driver.options(target)) as pool:

        async def write(number: int) -> None:
            async with pool.acquire() as connection, connection.cursor() as cursor:
                await connection.begin()
                await cursor.execute("insert into part (id, v) values (%s, %s)", (6000 + number, number))
                await cursor.execute("insert into keyed values (%s, %s)", (f"pool {number}", number))
                await (connection.rollback() if number % 5 == 0 else connection.commit())

        await asyncio.gather(*(write(number) for number in range(25)))
    return [
        await asked(target, "select count(*), sum(v) from part where id between 6000 and 6099"),
        await asked(target, "select count(*), sum(v) from keyed where left(name, 5) = 'pool '"),
    ]


async def check_dict_cursor(target: Target) -> Any:
    """Rows as dictionaries."""
    return await asked(target, "select 1 as a, 'x' as b", cursor=aiomysql.DictCursor)


async def check_stream_of_dictionaries(target: Target) -> Any:
    """A stream of dictionaries."""
    return await asked(target, "select id, v from part order by id limit 30", cursor=aiomysql.SSDictCursor)


async def check_async_iteration(target: Target) -> Any:
    """Rows by "async for"."""
    async with aiomysql.connect(**driver.options(target)) as connection, connection.cursor(aiomysql.SSCursor) as cursor:
        await cursor.execute("select id from part where id between 1004 and 1015 order by id")
        return canonical.rows([row async for row in cursor])


async def check_scroll(target: Target) -> Any:
    """A cursor that is scrolled."""
    async with aiomysql.connect(**driver.options(target)) as connection, connection.cursor() as cursor:
        await cursor.execute("select id from part order by id")
        await cursor.scroll(5)
        return cursor.rownumber, canonical.rows([await cursor.fetchone()])


async def check_parameters_by_name(target: Target) -> Any:
    """Parameters by name."""
    async with aiomysql.connect(**driver.options(target)) as connection, connection.cursor() as cursor:
        await cursor.execute("select %(a)s, %(b)s + %(c)s, %(t)s", {"a": "ü", "b": 2, "c": 3, "t": dt.time(1, 2, 3)})
        return cursor.mogrify("select %s", ("a'b",)), canonical.rows(await cursor.fetchall())


async def check_callproc(target: Target) -> Any:
    """A procedure by callproc, with its out parameters."""
    async with aiomysql.connect(**driver.options(target)) as connection, connection.cursor() as cursor:
        await cursor.callproc("add_up", (2, 3, 0, 4))
        await cursor.execute("select @_add_up_2 + 0, @_add_up_3 + 0")
        seen = [canonical.rows(await cursor.fetchall())]
        await cursor.callproc("two_results", (8,))
        seen.append(canonical.rows(await cursor.fetchall()))
        while await cursor.nextset():
            seen.append(canonical.rows(await cursor.fetchall()))
        return seen


async def check_charsets(target: Target) -> Any:
    """Connections with other character sets."""
    pairs = (("gbk", "漢字"), ("latin1", "né"), ("utf8", "é漢"))
    return [
        await asked(target, "select %s, hex(%s), @@character_set_client", text, text, charset=name)
        for name, text in pairs
    ]


async def check_init_command(target: Target) -> Any:
    """init_command and sql_mode at the connect."""
    return await asked(target, "select @i + 0, @@sql_mode", init_command="set @i = 9", sql_mode="ANSI_QUOTES")


async def check_cancelled(target: Target) -> Any:
    """A statement that the program gives up after a while; another connection goes on."""
    try:
        await asyncio.wait_for(asked(target, "select sleep(3)"), 0.7)
    except TimeoutError:
        return await asked(target, "select 'next'")
    raise AssertionError("no time-out")


async def check_connect_timeout(target: Target) -> Any:
    """A time limit for the connect."""
    return await asked(target, "select 1", connect_timeout=20)


async def check_read_only_user_data(target: Target) -> Any:
    """Connection attributes of our own."""
    return await asked(target, "select 1", program_name="drivers")


async def check_reconnect(target: Target) -> Any:
    """A lost connection comes back by ping."""
    connection = await aiomysql.connect(**driver.options(target))
    connection._writer.transport.abort()
    await asyncio.sleep(0)
    connection.close()
    await connection.ping(reconnect=True)
    async with connection.cursor() as cursor:
        await cursor.execute("select database(), @@autocommit")
        seen = canonical.rows(await cursor.fetchall())
    await connection.ensure_closed()
    return seen


async def check_kill(target: Target) -> Any:
    """A statement is killed by another connection."""
    async with (
        aiomysql.connect(**driver.options(target)) as victim,
        aiomysql.connect(**driver.options(target)) as other,
    ):
        async with victim.cursor() as cursor:
            await cursor.execute("select connection_id()")
            number = (await cursor.fetchone())[0]

            async def kill() -> None:
                await asyncio.sleep(0.5)
                async with other.cursor() as second:
                    await second.execute(f"kill query {number}")

            task = asyncio.create_task(kill())
            seen: list[Any] = []
            try:
                await cursor.execute("select sleep(20)")
            except pymysql.err.MySQLError as exc:
                seen.append(exc.args[0])
            await task
            await cursor.execute("select 'alive'")
            return [*seen, canonical.rows(await cursor.fetchall())]


def blocking(function: Callable[[Target], Awaitable[Any]]) -> OwnCheck:
    """Return a check that runs a coroutine to its end."""
    return lambda target: call(function(target))  # type: ignore[arg-type]


if __name__ == "__main__":
    coroutines = {name: value for name, value in globals().items() if name.startswith("check_")}
    main(driver, {f.__doc__.splitlines()[0].rstrip("."): blocking(f) for f in coroutines.values()})
