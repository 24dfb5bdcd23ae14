"""Commands about clients and their server sessions."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from typing import Final

from odp_trio.admin.across.rows import OWNER, ROWS
from odp_trio.admin.commands.command import LIKE, Asked, Command, Rows, Who, nothing, order, show
from odp_trio.admin.commands.moments import clock
from odp_trio.errors import NoSuchEntry, QueryInterrupted, SyntaxRefused, UnknownThread, UpstreamLost
from odp_trio.session.kill import check_permission, find_session, is_visible, kill_connection, kill_query
from odp_trio.session.own_answers import process_rows
from odp_trio.session.reasons import End, ServerEnd
from odp_trio.session.server_set import Upstream
from odp_trio.session.services import Session
from odp_trio.wire.fields import OBCapability

SESSION_COLUMNS: Final = (
    "proxy_sessid L, Id L, Cluster V, Tenant V, User V, Host V, db V, trans_count L, svr_session_count L, state V, "
    "tid L, pid L, using_ssl L"
)
_PROCESS_COLUMNS: Final = (
    "Id L, Tenant V, User V, Host V, db V, trans_count L, svr_session_count L, state V, tid L, pid L"
)
_VARIABLE_COLUMNS: Final = "variable_name V, value V, info V, modified_type V, sys_variable_flag V"
_POOLS: Final = "a server session belongs to one client; SHOW PROXYSESSION ATTRIBUTE lists them"


def proxy_session_id(session: Session) -> int | None:
    """Return the id that OBServers know a client by; None before it is logged in to one."""
    return None if session.identity is None else session.identity.proxy_session_id


def session_row(session: Session) -> tuple[object, ...]:
    """Return what SHOW PROXYSESSION says of a client."""
    destination, router = session.destination, session.router
    return (
        proxy_session_id(session),
        session.id,
        destination.cluster if destination else None,
        destination.tenant if destination else None,
        destination.user if destination else None,
        session.client,
        _database(session) or None,
        session.traffic.statements,
        len(router.servers.by_address) if router else 0,
        session.activity,
        threading.get_native_id(),
        os.getpid(),
        bool(session.tls),
    )


def _database(session: Session) -> str:
    return "" if session.router is None else session.router.state.database.decode("utf-8", "replace")


def _list(asked: Asked) -> Rows:
    everybody = tuple(asked.proxy.sessions.table.values())
    return (session_row(session) if is_visible(asked.killer, session) else None for session in everybody)


def _processes(asked: Asked) -> Rows:
    return process_rows(tuple(asked.proxy.sessions.table.values()), asked.killer)


def _named(asked: Asked) -> Session:
    """Return the session that a command names, or the one that gives it; raise UnknownThread."""
    number = asked.number("id")
    if number is None:
        assert asked.session is not None
        return asked.session
    table = asked.proxy.sessions.table
    found = find_session(table, number) or next(
        (one for one in table.values() if proxy_session_id(one) == number), None
    )
    if found is None or not is_visible(asked.killer, found):
        raise UnknownThread(f"Unknown thread id: {number}")
    return found


# ---- attributes ---------------------------------------------------------------------------


def _attributes(asked: Asked) -> Rows:
    session = _named(asked)
    return ((name, value, info) for name, value, info in _all_attributes(asked, session) if asked.like(name))


def _all_attributes(asked: Asked, session: Session) -> Iterator[tuple[str, object, str]]:
    destination, router = session.destination, session.router
    ip, port = session.peer
    state = None if router is None else router.state
    common: dict[str, object] = {
        "proxy_sessid": proxy_session_id(session),
        "cs_id": session.id,
        "cluster": destination.cluster if destination else None,
        "tenant": destination.tenant if destination else None,
        "user": destination.user if destination else None,
        "host_ip": ip,
        "host_port": port,
        "db": _database(session),
        "total_trans_cnt": session.traffic.statements,
        "svr_session_cnt": 0 if router is None else len(router.servers.by_address),
        "active": int(session.activity == "active"),
        "read_state": session.activity,
        "tid": threading.get_native_id(),
        "pid": os.getpid(),
        "idc_name": (state.idc if state else "") or asked.proxy.settings().proxy_idc_name,
    }
    yield from ((name, value, "cs common") for name, value in common.items())
    times = clock(asked.proxy.services)
    yield "modified_time", times.at(session.since), "cs stat"
    yield "reported_time", times.at(times.now), "cs stat"
    if router is None or state is None:
        return
    yield from ((name, value, "cs var version") for name, value in _versions(state.version).items())
    numbers = {id(upstream): at for at, upstream in enumerate(router.servers.by_address.values())}
    active = router.servers.active
    running = session.running()
    for upstream in tuple(router.servers.by_address.values()):
        if running is not None and upstream is running[0]:
            info = "curr used ss"
        elif upstream is active:
            info = "last used ss"
        else:
            info = f"ss pool [{numbers[id(upstream)]}]"
        if upstream.address == state.insert_id_server:
            info += " && lii ss"
        yield from ((name, value, info) for name, value in _server_session(session, upstream).items())


def _versions(version: int) -> dict[str, object]:
    """Return ODP's five versions: here one number counts all changes."""
    names = ("hot_sys_var_version", "sys_var_version", "user_var_version", "last_insert_id_version", "db_name_version")
    return dict.fromkeys(names, version)


def _server_session(session: Session, upstream: Upstream) -> dict[str, object]:
    assert session.router is not None
    running = session.running()
    busy = running is not None and running[0] is upstream
    in_transaction = session.router.tracker.in_transaction and upstream is session.router.servers.active
    return {
        "server_ip": upstream.address.ip,
        "server_port": upstream.address.port,
        "server_sessid": upstream.connection_id,
        "ss_id": upstream.connection_id,
        "state": "active" if busy else "idle",
        "transact_count": None,
        "server_trans_stat": int(in_transaction),
        **_versions(upstream.state.version),
        "is_checksum_supported": int(bool(upstream.capabilities & OBCapability.CHECKSUM)),
        "is_safe_read_weak_supported": int(bool(upstream.capabilities & OBCapability.SAFE_WEAK_READ)),
        "is_checksum_switch_supported": int(bool(upstream.capabilities & OBCapability.CHECKSUM_SWITCH)),
        "checksum_switch": int(upstream.framed is not None),
        "enable_extra_ok_packet_for_stats": 0,
        "using_ssl": int(bool(upstream.tls)),
    }


# ---- statistics and variables ---------------------------------------------------------------


def _statistics(asked: Asked) -> Rows:
    session = _named(asked)
    traffic, router = session.traffic, session.router
    values = {
        "total_query_count": traffic.statements,
        "server_error_responses": traffic.errors,
        "client_request_total_size": traffic.client_bytes_in,
        "client_response_total_size": traffic.server_bytes_in,
        "current_server_connections": 0 if router is None else len(router.servers.by_address),
        "prepared_statements": 0 if router is None else len(router.statements.prepared.statements),
        "kept_bytes": 0 if router is None else router.weigh() + (session.lane.kept_bytes if session.lane else 0),
        "seconds": int(clock(asked.proxy.services).now - session.since),
    }
    return [(name, value) for name, value in values.items() if asked.like(name)]


def _variables(asked: Asked) -> Rows:
    return _variable_rows(asked, everything=False)


def _all_variables(asked: Asked) -> Rows:
    return _variable_rows(asked, everything=True)


def _variable_rows(asked: Asked, *, everything: bool) -> Rows:
    router = _named(asked).router
    if router is None:
        return
    state = router.state
    untouched = state.login_variables() if everything else {}
    changed = {name: value for name, (value, _) in state.system.items()}
    for name, value in sorted((untouched | changed).items()):
        if asked.like(name.decode("utf-8", "replace")):
            told = name in changed
            yield _text(name), _text(value), "changed sys var" if told else "sys var", _modified(told), "session_scope"
    for name, (value, _) in sorted(state.user.items()):
        if asked.like(name.decode("utf-8", "replace")):
            yield _text(name), _text(value), "user var", _modified(True), ""


def _modified(changed: bool) -> str:
    return "cold modified vars" if changed else ""


def _text(value: bytes) -> str:
    return value.decode("utf-8", "replace")


# ---- KILL -----------------------------------------------------------------------------------


def _end(asked: Asked) -> None:
    victim = _victim(asked)
    if victim is asked.session:
        victim.end(End.KILLED, "by itself")
        raise QueryInterrupted("Query execution was interrupted")
    kill_connection(victim, asked.by)


def _end_server_session(asked: Asked) -> None:
    victim, number = _victim(asked), asked.number("ss_id")
    router = victim.router
    upstreams = () if router is None else tuple(router.servers.by_address.values())
    upstream = next((one for one in upstreams if one.connection_id == number), None)
    if router is None or upstream is None:
        raise NoSuchEntry(f"session {victim.id} has no server session {number}")
    if upstream is not router.servers.active:
        router.servers.drop(upstream, ServerEnd.KILLED, f"by {asked.by}")
    elif victim.lane is not None and victim.lane.is_open:
        victim.lane.server_dead(UpstreamLost(f"its server session {number} was killed by {asked.by}"))
    else:
        raise NoSuchEntry(f"session {victim.id} is just using its server session {number}; KILL it, or try again")


def _victim(asked: Asked) -> Session:
    number = asked.number("id")
    assert number is not None
    victim = _named(asked)
    check_permission(asked.killer, victim, number)
    if victim.why is not None:
        raise UnknownThread(f"Unknown thread id: {number}")
    return victim


async def _interrupt(asked: Asked) -> None:
    victim = _victim(asked)
    if victim is asked.session:
        raise SyntaxRefused("this session runs nothing that could be interrupted")
    await kill_query(asked.proxy.services, victim, None, asked.by)


_HOSTS: Final = "sm_id L, ss_id L, server_sessid L, server_host V, cs_id L, proxy_sessid L, cluster_name V, sm_info V"


def _machines(asked: Asked) -> Rows:
    number = asked.number("id")
    for session in tuple(asked.proxy.sessions.table.values()):
        if not is_visible(asked.killer, session) or number not in (None, session.id):
            yield None
            continue
        running = session.running()
        upstream = None if running is None else running[0]
        server_id = None if upstream is None else upstream.connection_id
        host = None if upstream is None else str(upstream.address)
        cluster = session.destination.cluster if session.destination else None
        yield session.id, server_id, server_id, host, session.id, proxy_session_id(session), cluster, session.activity


COMMANDS: Final[tuple[Command, ...]] = (
    show(
        "SHOW PROCESSLIST",
        _PROCESS_COLUMNS,
        _processes,
        "the clients, as tools ask for them",
        across=ROWS,
        who=Who.EVERYBODY,
    ),
    show(
        "SHOW FULL PROCESSLIST",
        _PROCESS_COLUMNS,
        _processes,
        "the same; a client of a cluster gets the server's",
        across=ROWS,
        own=True,
    ),
    show("SHOW PROXYSESSION", SESSION_COLUMNS, _list, "the clients", across=ROWS, who=Who.EVERYBODY),
    show(
        f"SHOW PROXYSESSION ATTRIBUTE [id] {LIKE}",
        "attribute_name V, value V, info V",
        _attributes,
        "one client and its server sessions: the one of that `Id` or `proxy_sessid`, or oneself",
        across=OWNER,
        who=Who.EVERYBODY,
    ),
    show(
        f"SHOW PROXYSESSION STAT [id] {LIKE}",
        "stat_name V, value L",
        _statistics,
        "counts of one client",
        across=OWNER,
        who=Who.EVERYBODY,
    ),
    show(
        f"SHOW PROXYSESSION VARIABLES ALL [id] {LIKE}",
        _VARIABLE_COLUMNS,
        _all_variables,
        "the variables of one client, as its servers told them",
        across=OWNER,
        who=Who.EVERYBODY,
    ),
    show(
        f"SHOW PROXYSESSION VARIABLES [id] {LIKE}",
        _VARIABLE_COLUMNS,
        _variables,
        "those that were changed since its login",
        across=OWNER,
        who=Who.EVERYBODY,
    ),
    nothing(
        f"SHOW PROXYSESSION READ_STALE {LIKE}",
        "servers are not asked how stale their replicas are",
        who=Who.EVERYBODY,
    ),
    show("SHOW PROXYSM [id]", _HOSTS, _machines, "what each client is doing, and where", across=ROWS),
    order("KILL PROXYSESSION id", _end, "end a client, whatever it is doing", across=OWNER),
    order(
        "KILL PROXYSESSION id ss_id",
        _end_server_session,
        "end one of its server sessions (`ss_id` of SHOW PROXYSESSION ATTRIBUTE): what runs there fails as if the "
        "connection had broken",
        across=OWNER,
    ),
    order("KILL [CONNECTION] id", _end, "end a client", across=OWNER, who=Who.EVERYBODY),
    order("KILL QUERY id", _interrupt, "end only its statement", across=OWNER, who=Who.EVERYBODY),
    nothing("SHOW GLOBALSESSION [statement]", _POOLS),
    nothing("KILL GLOBALSESSION statement", _POOLS),
)
