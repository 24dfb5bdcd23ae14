"""Commands for the proxy itself, through PyMySQL and the mariadb client; no OBServer is needed for them."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import closing
from functools import partial
from typing import Any

import pymysql
import pymysql.constants.FIELD_TYPE as FIELD_TYPE
import pytest
import trio

from odp_trio.admin.commands.table import COMMANDS
from odp_trio.app import Proxy, open_proxy
from odp_trio.config import ClusterSettings, Secret, Settings
from odp_trio.model import Address

PASSWORD = "of the proxy"
SESSION = (
    "proxy_sessid L, Id L, Cluster V, Tenant V, User V, Host V, db V, trans_count L, svr_session_count L, state V, "
    "tid L, pid L, using_ssl L"
)
PROCESS = "Id L, Tenant V, User V, Host V, db V, trans_count L, svr_session_count L, state V, tid L, pid L"
OPTION = "name V, value V, info V, need_reboot V, visible_level V, range V, config_level V"
VARIABLE = "variable_name V, value V, info V, modified_type V, sys_variable_flag V"
TIMES = (
    "create_time V, last_valid_time V, last_access_time V, last_update_time V, expire_time V, relative_expire_time V"
)
CONGESTION = (
    "cluster_name V, zone_name V, region_name V, zone_state V, server_ip V, cr_version L, server_state V, "
    "alive_congested L, last_alive_congested V, dead_congested L, last_dead_congested V, stat_alive_failures L, "
    "stat_conn_failures L, conn_last_fail_time V, conn_failure_events L, alive_last_fail_time V, "
    "alive_failure_events L, ref_count L, detect_congested L, last_detect_congested V"
)
CONNECTION = (
    "thread_id L, connect_id L, socket_fd L, type V, src_ip V, src_port L, dst_ip V, dst_port L, virtual_ip V, "
    "virtual_port L, virtual_vid L, bind_style V, read_enabled L, read_nbytes L, read_ndone L, write_enabled L, "
    "write_nbyte L, write_ndone L, alive_time(sec) L, activity_timeout_in(sec) L, inactivity_timeout_in(sec) L, "
    "timeout_close_in(sec) L, last_error_no L, shutdown L, comments V"
)
THREAD = (
    "net_thread_id L, current_connection_count L, current_client_connection_count L, "
    "global_current_client_connection_count L, global_current_connection_count L, global_current_do_accept_count L, "
    "total_epoll_wait L, last_epoll_size L, total_cop_lock_failure L, total_lru_timeout_count L, "
    "total_lru_timeout_time-sec L, total_set_default_inactive L, total_calls_read_from_net L, total_calls_read L, "
    "total_calls_read_nodata L, total_read_bytes L, total_calls_write_to_net L, total_calls_write L, "
    "total_calls_write_nodata L, total_write_bytes L, protected_queue_al_size L, protected_queue_local_size L, "
    "priority_queue_size L"
)
OF_ODP = {
    "show proxyconfig": OPTION,
    "show proxyconfig like 'listen%'": OPTION,
    "show proxyconfig diff": OPTION,
    "show proxyconfig diff like '%password'": OPTION,
    "show proxyconfig diff user like 'x'": OPTION,
    "show processlist": PROCESS,
    "show proxysession": SESSION,
    "show proxysession attribute": "attribute_name V, value V, info V",
    "show proxysession attribute like '%id'": "attribute_name V, value V, info V",
    "show proxysession stat": "stat_name V, value L",
    "show proxysession stat like 'x'": "stat_name V, value L",
    "show proxysession variables": VARIABLE,
    "show proxysession variables all like 'a%'": VARIABLE,
    "show proxycluster": "cluster_name V, cluster_id L, rs_url V, root_addr V, role V, replica_type V",
    "show proxycluster like demo": "cluster_name V, cluster_id L, rs_url V, root_addr V, role V, replica_type V",
    "show proxycluster idc": "cluster_name V, cluster_id L, idc_url V, idc V, region V",
    "show proxyresource": (
        "cluster_name V, cluster_id L, state V, version L, ref_count L, last_access_time_ns L, last_access_time V, "
        "deleting_completed_thread_num L, fetch_rs_list_task_count L, last_fetch_rs_list_time_ns L, "
        "last_fetch_rs_list_time V, fetch_idc_list_task_count L, last_fetch_idc_list_time_ns L, "
        "last_fetch_idc_list_time V"
    ),
    "show proxyinfo idc": (
        "global_idc_name V, cluster_name V, match_type V, regions_name V, same_idc V, same_region V, other_region V"
    ),
    "show proxyroute": (
        "cluster_name V, tenant_name V, database_name V, table_name V, state V, partition_num L, replica_num L, "
        f"table_id L, cluster_version L, schema_version L, from_rslist V, {TIMES}, server addr V"
    ),
    "show proxyroute like 'orders'": (
        "cluster_name V, tenant_name V, database_name V, table_name V, state V, partition_num L, replica_num L, "
        f"table_id L, cluster_version L, schema_version L, from_rslist V, {TIMES}, server addr V"
    ),
    "show proxyroute partition": (
        f"table_id L, partition_id L, state V, cluster_version L, schema_version L, {TIMES}, server addr V"
    ),
    "show proxycongestion": CONGESTION,
    "show proxycongestion 'demo'": CONGESTION,
    "show proxycongestion all": CONGESTION,
    "show proxycongestion all 'demo'": CONGESTION,
    "show proxystat": "stat_name V, value L, persist_type V",
    "show proxystat like 'total%'": "stat_name V, value L, persist_type V",
    "show proxystat refresh like 'total%'": "stat_name V, value L, persist_type V",
    "show proxymemory": "mod_name V, mod_type V, hold L, used L, count L, avg_used L, backtrace V",
    "show proxynet thread": THREAD,
    "show proxynet connection": CONNECTION,
    "show proxynet connection limit 1": CONNECTION,
    "show proxynet connection limit 0, 1": CONNECTION,
    "show proxynet connection limit 1 offset 0": CONNECTION,
    "show proxysm": (
        "sm_id L, ss_id L, server_sessid L, server_host V, cs_id L, proxy_sessid L, cluster_name V, sm_info V"
    ),
    "show warnlog": "log_id L, thread_id L, time V, log V",
    "show warnlog 1": "log_id L, thread_id L, time V, log V",
    "show warnlog 1, 1, '2026-01-01'": "log_id L, thread_id L, time V, log V",
    "show proxyinfo binary": "name V, info V",
    "show proxyinfo upgrade": "name V, info V",
}
"""Columns of ODP's commands; L is a BIGINT, V a VARCHAR."""
LONGER = {
    "show proxyconfig all": "vid L, vip V, vport L, tenant_name V, cluster_name V, name V, value V, config_level V"
}
"""Those with columns of our own behind ODP's."""
OUR_OWN = {
    "show proxytree": "task V, state V, since V, restarts L, last_error V",
    "show proxytasks": "path V, state V, since V, restarts L, last_error V, next_attempt V",
    "show proxyends": (
        "id L, client V, user V, tenant V, cluster V, server V, began V, seconds V, statements L, client_bytes L, "
        "server_bytes L, reason V, detail V"
    ),
    "show proxyserverends": (
        "id L, server_session L, server V, user V, tenant V, cluster V, began V, seconds V, reason V, detail V"
    ),
    "show proxyendreasons": "reason V, side V, ends L",
    "show proxyserver": (
        "cluster_name V, cluster_version V, server_addr V, zone_name V, region_name V, idc V, server_state V, age V"
    ),
    "show proxyhelp": "command V, meaning V, who V",
    "show full processlist": PROCESS,
    "alter proxyconfig set connect_timeout = 3s dry run": ("kind V, name V, scope V, old_value V, new_value V, text V"),
}
EVERY = OF_ODP | OUR_OWN


@pytest.fixture
async def proxy() -> AsyncIterator[Proxy]:
    """A proxy whose one cluster cannot be reached."""
    settings = Settings(
        listen_port=0,
        local_bound_ip="127.0.0.1",
        enable_http=False,
        reactor="nested",
        hot_upgrade_exit_timeout=0.1,
        obproxy_sys_password=Secret(PASSWORD),
        inspector_password=Secret("to look"),
        clusters={"demo": ClusterSettings((Address("127.0.0.1", 1),))},
    )
    async with open_proxy(settings) as proxy:
        yield proxy


def ask(address: tuple[str, int], *statements: str, user: str = "root", password: str = PASSWORD) -> list[Any]:
    """Log in, and return for each statement its columns as the table has them and its rows, or its error."""
    found: list[Any] = []
    with closing(
        pymysql.connect(host=address[0], port=address[1], user=f"{user}@proxysys", password=password, read_timeout=20)
    ) as connection:
        for sql in statements:
            with connection.cursor() as cursor:
                try:
                    cursor.execute(sql)
                except pymysql.err.MySQLError as exc:
                    found.append(exc.args)
                    continue
                columns = [
                    f"{column[0]} {'L' if column[1] == FIELD_TYPE.LONGLONG else 'V'}"
                    for column in cursor.description or ()
                ]
                found.append((", ".join(columns), tuple(cursor.fetchall())))
    return found


async def asked(proxy: Proxy, *statements: str, **who: str) -> list[Any]:
    return await trio.to_thread.run_sync(partial(ask, proxy.addresses[0], *statements, **who))


async def rows(proxy: Proxy, sql: str) -> list[tuple[Any, ...]]:
    (answer,) = await asked(proxy, sql)
    return list(answer[1])


# ---- columns ------------------------------------------------------------------------------


async def test_pymysql_gets_the_columns_of_the_table(proxy: Proxy) -> None:
    answers = await asked(proxy, *EVERY, *LONGER)

    found = {sql: answer[0] for sql, answer in zip((*EVERY, *LONGER), answers, strict=True)}
    assert {sql: found[sql] for sql in EVERY} == EVERY
    for sql, begins in LONGER.items():
        assert found[sql].startswith(f"{begins}, ")


@pytest.mark.skipif(shutil.which("mariadb") is None, reason="the mariadb client is not installed")
async def test_the_mariadb_client_gets_the_columns_of_the_table(proxy: Proxy) -> None:
    host, port = proxy.addresses[0]
    command = ["mariadb", "--no-defaults", "-h", host, "-P", str(port), "-u", "root@proxysys", f"-p{PASSWORD}"]
    command += ["--skip-ssl", "--table", "--column-type-info", "--force"]
    script = "".join(f"{sql};\n" for sql in EVERY)
    run = partial(subprocess.run, command, input=script, capture_output=True, text=True, timeout=60, check=False)
    done = await trio.to_thread.run_sync(run)

    assert done.stderr == ""
    names = re.findall(r"^Field +(\d+): +`(.*?)`.*?^Type: +(\w+)", done.stdout, re.MULTILINE | re.DOTALL)
    results: list[list[str]] = []
    for number, name, kind in names:
        if number == "1":
            results.append([])
        results[-1].append(f"{name} {'L' if kind == 'LONGLONG' else 'V'}")
    assert [", ".join(result) for result in results] == list(EVERY.values())


@pytest.mark.skipif(shutil.which("mariadb") is None, reason="the mariadb client is not installed")
async def test_an_ok_says_what_a_change_means(proxy: Proxy) -> None:
    """As PyMySQL reads it, and as the mariadb client does, which wants session-state blocks."""
    host, port = proxy.addresses[0]
    command = ["mariadb", "--no-defaults", "-h", host, "-P", str(port), "-u", "root@proxysys", f"-p{PASSWORD}"]
    run = partial(
        subprocess.run,
        [*command, "--skip-ssl", "-vvv", "-e", "alter proxyconfig set listen_backlog = 9; ping proxy; select 1"],
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    done = await trio.to_thread.run_sync(run)

    said = "listen_backlog: at the next start; not kept: the next start knows nothing of it"
    assert said in done.stdout
    assert done.stdout.count("Query OK") == 2

    def ask_once() -> Any:
        with closing(pymysql.connect(host=host, port=port, user="root@proxysys", password=PASSWORD)) as connection:
            connection.query("alter proxyconfig set listen_backlog = 8")
            return connection._result.message  # type: ignore[attr-defined]

    assert await trio.to_thread.run_sync(ask_once) == said.encode()


def test_no_command_of_the_table_is_left_out_here() -> None:
    shown = {" ".join(command.syntax.words) for command in COMMANDS if command.columns}
    told = {sql.upper() for sql in (*EVERY, *LONGER)}
    elsewhere = {"EXPLAIN ROUTE", "EXPLAIN ROUTE FOR", "SHOW PROXYNET CONNECTION LIMIT OFFSET"}

    assert {words for words in shown if not any(sql.startswith(words) for sql in told)} <= elsewhere | {
        "ALTER PROXYCONFIG SET DRY RUN"
    }


# ---- what is no command -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sql", "near", "named"),
    [
        ("show proxyclutser", "proxyclutser", "SHOW PROXYCLUSTER"),
        ("show proxysesion stat", "proxysesion stat", "SHOW PROXYSESSION STAT"),
        ("show proxycluster foo", "foo", "SHOW PROXYCLUSTER IDC"),
        ("alter proxyconfig sett connect_timeout=1", "sett", "ALTER PROXYCONFIG SET"),
        ("alter proxy restart taks 'x'", "taks", "ALTER PROXY RESTART TASK"),
        ("kil proxysession 5", "kil", "KILL PROXYSESSION"),
        ("kill proxysession", "not complete", "KILL PROXYSESSION id"),
        ("pingproxy", "pingproxy", "PING PROXY"),
        ("explain routes select 1", "routes", "EXPLAIN ROUTE"),
        ("create table t (a int)", "create table", "SHOW PROXYHELP"),
        ("show", "not complete", "SHOW PROXYHELP"),
        ("", "no command", "SHOW PROXYHELP"),
        ("show proxycluster like 'a", "'a", "SHOW PROXYCLUSTER"),
        ("x" * 100_000, "xxx", "SHOW PROXYHELP"),
        ("alter proxyconfig set " + ", ".join(["a = 1"] * 100), "", "ALTER PROXYCONFIG SET"),
    ],
)
async def test_what_is_no_command_is_told_the_nearest_ones(proxy: Proxy, sql: str, near: str, named: str) -> None:
    ((errno, message),) = await asked(proxy, sql)

    assert errno == 1064
    assert near in message
    assert named in message


async def test_a_command_of_odp_that_means_nothing_here_says_why(proxy: Proxy) -> None:
    commands = [command for command in COMMANDS if command.nothing]
    words = [" ".join(command.syntax.words) for command in commands]
    statements = [f"{word} x" if "GLOBALSESSION" in word or len(word.split()) == 1 else word for word in words]

    answers = await asked(proxy, *statements)

    assert len(answers) > 8
    for command, (errno, message) in zip(commands, answers, strict=True):
        assert errno == 1235
        assert message.endswith(f"means nothing here: {command.nothing}")


# ---- who ----------------------------------------------------------------------------------------


async def test_the_inspector_may_ping_and_nothing_else(proxy: Proxy) -> None:
    answers = await asked(
        proxy, "ping proxy", "set autocommit = 1", "show proxysession", "alter proxy drain",
        user="inspector", password="to look",
    )  # fmt: skip

    assert answers[:2] == [("", ()), ("", ())]
    assert [errno for errno, _ in answers[2:]] == [1045, 1045]
    assert not proxy.draining


@pytest.mark.parametrize(
    ("user", "password"), [("root", "to look"), ("inspector", PASSWORD), ("other", PASSWORD), ("root", "")]
)
async def test_nobody_else_may_log_in_to_the_proxy(proxy: Proxy, user: str, password: str) -> None:
    with pytest.raises(pymysql.err.MySQLError) as caught:
        await asked(proxy, "ping proxy", user=user, password=password)

    assert caught.value.args[0] == 1045


async def test_without_a_password_in_the_options_nobody_may(proxy: Proxy) -> None:
    await asked(proxy, "alter proxyconfig set inspector_password = ''")

    with pytest.raises(pymysql.err.MySQLError):
        await asked(proxy, "ping proxy", user="inspector", password="")


# ---- rows ---------------------------------------------------------------------------------------


async def test_options_are_shown_and_set(proxy: Proxy) -> None:
    assert [row[:2] for row in await rows(proxy, "show proxyconfig like 'listen_port'")] == [("listen_port", "0")]
    assert await rows(proxy, "show proxyconfig like 'LISTEN%'") == []
    (preview,) = await rows(proxy, "alter proxyconfig set connect_timeout = 3s dry run")
    assert preview == ("change", "connect_timeout", "", "5s", "3s", "takes effect at once")
    assert proxy.settings().connect_timeout == 5.0
    answers = await asked(
        proxy,
        "alter proxyconfig set connect_timeout = 3s, proxy_idc_name = 'hz'",
        "alter proxyconfig set proxy_idc_name = sh for cluster demo",
        "alter proxyconfig set conect_timeout = 3s",
        "alter proxyconfig set connect_timeout = never",
        "alter proxyconfig set connect_timeout = 9s, proxy_idc_name = 'x', no_such = 1",
    )
    assert answers[:2] == [("", ()), ("", ())]
    assert [errno for errno, _ in answers[2:]] == [5099, 4147, 5099]
    assert "'connect_timeout'" in answers[2][1]
    assert (proxy.settings().connect_timeout, proxy.settings().proxy_idc_name) == (3.0, "hz")
    assert proxy.settings().scoped("demo", "", "").proxy_idc_name == "sh"
    changed = {row[0]: row[1] for row in await rows(proxy, "show proxyconfig diff")}
    assert changed["connect_timeout"] == "3s"
    assert changed["obproxy_sys_password"] == "***"
    values = [row[3:8] for row in await rows(proxy, "show proxyconfig all like 'proxy_idc_name'")]
    assert values == [
        ("", "", "proxy_idc_name", "hz", "LEVEL_GLOBAL"),
        ("", "demo", "proxy_idc_name", "sh", "LEVEL_CLUSTER"),
    ]
    await asked(proxy, "alter proxyconfig reset connect_timeout")
    assert proxy.settings().connect_timeout == 5.0
    assert await rows(proxy, "alter proxyconfig set proxy_idc_name =") == []
    assert proxy.settings().proxy_idc_name == ""


async def test_the_session_sees_itself(proxy: Proxy) -> None:
    answers = await asked(proxy, "show proxysession", "show proxysession attribute", "select connection_id()")

    (itself,) = answers[0][1]
    assert itself[3:5] == ("proxysys", "root")
    assert itself[9] == "admin"
    attributes = {name: value for name, value, _ in answers[1][1]}
    assert (attributes["cs_id"], attributes["tenant"]) == (str(itself[1]), "proxysys")
    assert answers[2][1] == ((itself[1],),)
    assert (await asked(proxy, "show proxysession attribute 5"))[0] == (1094, "Unknown thread id: 5")
    assert (await asked(proxy, "kill proxysession 99999999999999999999"))[0][0] == 1064
    assert (await asked(proxy, "kill proxysession 9999999999999999999"))[0][0] == 1210


async def test_a_session_that_kills_itself_is_told_and_ends(proxy: Proxy) -> None:
    def run() -> tuple[Any, ...]:
        host, port = proxy.addresses[0]
        with closing(pymysql.connect(host=host, port=port, user="root@proxysys", password=PASSWORD)) as connection:
            with pytest.raises(pymysql.err.OperationalError) as caught, connection.cursor() as cursor:
                cursor.execute(f"kill {connection.thread_id()}")
            return caught.value.args

    assert (await trio.to_thread.run_sync(run))[0] == 1317
    with trio.fail_after(5):
        while proxy.sessions.table:  # noqa: ASYNC110  # of many kinds
            await trio.sleep(0.01)


async def test_a_cluster_that_cannot_be_reached_is_shown_with_the_reason(proxy: Proxy) -> None:
    assert await rows(proxy, "show proxycluster") == [("demo", None, "", "127.0.0.1:1", "", "FULL")]
    with trio.fail_after(10):
        while proxy.clusters.resources()[0].failures == 0:  # noqa: ASYNC110  # of many kinds
            await trio.sleep(0.01)
    ((name, _, server, *_, reason, _),) = await rows(proxy, "show proxyserver")
    assert (name, server) == ("demo", None)
    assert "127.0.0.1:1" in reason
    ((name, _, state, _, users, *_),) = await rows(proxy, "show proxyresource like 'd%'")
    assert (name, state, users) == ("demo", "CR_INIT", 0)
    assert (await asked(proxy, "alter proxyresource delete 'demo'"))[0][0] == 4179
    assert (await asked(proxy, "alter proxyresource delete 'other'"))[0][0] == 4018


async def test_tasks_are_shown_and_started_again(proxy: Proxy) -> None:
    tree = [row[0] for row in await rows(proxy, "show proxytree")]
    assert tree[0] == "proxy"
    assert "│  ├─ locations" in tree
    paths = {row[0]: row[1] for row in await rows(proxy, "show proxytasks")}
    assert paths["front/listener"] == "running"
    (before,) = await rows(proxy, "show proxytasks like 'catalog/prober'")
    assert (await asked(proxy, "alter proxy restart task 'catalog/prober'"))[0] == ("", ())
    with trio.fail_after(5):
        while (await rows(proxy, "show proxytasks like 'catalog/prober'"))[0][3] != before[3] + 1:  # noqa: ASYNC110
            await trio.sleep(0.01)
    errno, message = (await asked(proxy, "alter proxy restart task 'catalog/probre'"))[0]
    assert errno == 1210
    assert "catalog/prober" in message


async def test_a_drain_is_answered_and_ends_the_proxy(proxy: Proxy) -> None:
    assert (await asked(proxy, "alter proxy drain"))[0] == ("", ())

    with trio.fail_after(5):
        await proxy.wait_shutdown()


async def test_statistics_have_odps_names_and_ours(proxy: Proxy) -> None:
    answers = await asked(proxy, "show proxystat", "show proxystat refresh")
    found = {name: value for name, value, _ in answers[0][1]}

    assert found["current_client_connections"] == found["sessions"] == 1
    assert found["total_client_connections"] == found["accepted"]
    assert list(found) == [name for name, _, _ in answers[1][1]]


async def test_what_drivers_say_unasked_is_answered(proxy: Proxy) -> None:
    answers = await asked(
        proxy,
        "/* a driver */ select @@session.auto_increment_increment as auto_increment_increment, @@wait_timeout, 1",
        "select @@version_comment limit 1",
        "show variables like 'tx%'",
        "show session variables where variable_name = 'x' or 1",
        "show warnings",
        "select proxy_version(), proxy_status() as status, database(), 'x' y",
        "select * from t",
        "select @@no_such_variable",
        "begin", "commit", "rollback", "set names utf8mb4", "use sales",
    )  # fmt: skip

    assert answers[0] == ("auto_increment_increment V, @@wait_timeout V, 1 L", (("1", "28800", 1),))
    assert answers[1][1][0][0].startswith("odp-trio ")
    assert [row[0] for row in answers[2][1]] == ["tx_isolation", "tx_read_only"]
    assert len(answers[3][1]) > 20
    assert answers[4] == ("Level V, Code V, Message V", ())
    assert answers[5][1][0][1:] == ("ACTIVE", None, "x")
    assert [answer[0] for answer in answers[6:8]] == [1235, 1235]
    assert answers[8:] == [("", ())] * 5


async def test_no_command_fails_of_a_bug_whatever_its_arguments(proxy: Proxy) -> None:
    """Each as its notation says, with everything that may be left out and without it."""
    words = {"id": "1", "ss_id": "2", "log_id": "3", "thread_id": "4", "count": "5", "offset": "6", "statement": "x"}
    statements = []
    for command in COMMANDS:
        notation = command.syntax.notation.replace("[, ...]", "")
        if command.syntax.words[:2] == ("ALTER", "PROXY") or command.syntax.words[0] == "KILL":
            continue
        while "[" in (short := notation):
            notation = re.sub(r"\[[^\[\]]*\]", "", short)
        texts = (notation, re.sub(r"[\[\]]", " ", command.syntax.notation.replace("[, ...]", "")))
        statements += [re.sub(r"\b[a-z_]+\b", lambda found: words.get(found[0], found[0]), text) for text in texts]

    answers = await asked(proxy, *statements)

    assert len(answers) > 90
    for sql, answer in zip(statements, answers, strict=True):
        if isinstance(answer[0], int):
            assert answer[0] in (1064, 1094, 1235, 1210, 4018, 4012, 5099), (sql, answer)


async def test_an_idle_login_has_its_own_limit(proxy: Proxy) -> None:
    await asked(proxy, "alter proxyconfig set login_timeout = 100ms, default_inactivity_timeout = 1s")
    host, port = proxy.addresses[0]
    connect = partial(pymysql.connect, host=host, port=port, user="root@proxysys", password=PASSWORD)
    began = trio.current_time()
    with closing(await trio.to_thread.run_sync(connect)), trio.fail_after(10):
        while proxy.counts.ends["idle"] == 0:  # noqa: ASYNC110  # of many kinds
            await trio.sleep(0.01)

    assert trio.current_time() - began > 0.9


async def test_help_has_a_line_for_every_command(proxy: Proxy) -> None:
    found = [row[0] for row in await rows(proxy, "show proxyhelp")]

    assert found == [command.syntax.notation for command in COMMANDS]
