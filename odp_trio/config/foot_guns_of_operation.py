"""What somebody may not expect of options of operation: servers that fail, logins, TLS, limits, the process."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from typing import Final

from odp_trio.config.foot_gun import when, whenever
from odp_trio.config.options import Settings

_MINUTE: Final = 60.0
_KEEP_ALIVE: Final = 2
_SMALL_SESSION: Final = 1 << 20


def _below(limit: str, other: str) -> Callable[[Settings], bool]:
    """Whether a limit that is set is no more than another that is set."""
    return lambda s: 0 < getattr(s, other) <= getattr(s, limit)


def _everywhere(networks: str) -> bool:
    words = networks.replace(",", " ").split()
    return any(ipaddress.ip_network(word).prefixlen == 0 for word in words)


OF_OPERATION: Final = (
    # ---- servers that fail -------------------------------------------------------------------------
    whenever(
        "failing_servers_stay",
        "enable_congestion congestion_failure_threshold",
        "servers that fail go on getting statements until the server list says that they are gone",
        lambda s: not s.enable_congestion or s.congestion_failure_threshold == 0,
    ),
    whenever(
        "nobody_probes",
        "server_detect_mode",
        "a server that hangs is noticed by the statements that wait for it alone, and tried again by one of them",
        lambda s: s.server_detect_mode == 0,
    ),
    whenever(
        "hung_servers_stay_long",
        "detect_server_timeout server_detect_fail_threshold server_detect_refresh_interval",
        "more than a minute passes before probes take a server that hangs off the routes",
        lambda s: (
            s.server_detect_fail_threshold * max(s.detect_server_timeout, s.server_detect_refresh_interval) > _MINUTE
        ),
    ),
    whenever(
        "all_servers_at_once",
        "congestion_changes_per_second",
        "a fault of the proxy's own network may put every server on a list within a moment",
        lambda s: s.congestion_changes_per_second == 0,
    ),
    whenever(
        "server_list_is_old",
        "server_state_refresh_interval",
        "a server that is added, stopped or gone is noticed more than a minute later",
        lambda s: s.server_state_refresh_interval > _MINUTE,
    ),
    # ---- logins ------------------------------------------------------------------------------------
    when(
        "locked_out",
        "obproxy_sys_password",
        "nobody can log in as root@proxysys any more, to undo it neither",
        lambda old, new: bool(old.obproxy_sys_password) and not new.obproxy_sys_password,
    ),
    whenever(
        "init_sql_may_fail",
        "init_sql",
        "it is executed at the start of every new session: if a server refuses it, the session ends",
        lambda s: bool(s.init_sql),
    ),
    whenever(
        "short_names_are_refused",
        "enable_full_username",
        "logins that do not name tenant and cluster are refused",
        lambda s: s.enable_full_username,
    ),
    whenever(
        "metadata_account_is_open",
        "skip_proxyro_check",
        "whoever knows the password of the account of metadata queries may log in with it from outside",
        lambda s: s.skip_proxyro_check,
    ),
    whenever(
        "servers_see_the_proxy",
        "enable_client_ip_checkout",
        "servers check an account's host, and white lists, against the address of the proxy",
        lambda s: not s.enable_client_ip_checkout,
    ),
    whenever(
        "wrong_cluster",
        "enable_cluster_checkout",
        "when an address is given to another cluster, logins go there unnoticed",
        lambda s: not s.enable_cluster_checkout,
    ),
    whenever(
        "anybody_names_an_address",
        "proxy_protocol_networks",
        "whoever can connect may claim any address by the PROXY protocol, and with it any account's host",
        lambda s: _everywhere(s.proxy_protocol_networks),
    ),
    whenever(
        "kill_knows_this_proxy_alone",
        "client_session_id_version",
        "KILL and SHOW PROCESSLIST know the sessions of this proxy alone",
        lambda s: s.client_session_id_version == 1,
    ),
    # ---- TLS -----------------------------------------------------------------------------------------
    whenever(
        "tls_is_not_offered",
        "enable_client_ssl ssl_cert_file",
        "enable_client_ssl without ssl_cert_file offers no TLS",
        lambda s: s.enable_client_ssl and not s.ssl_cert_file,
    ),
    whenever(
        "nobody_may_come_in",
        "ssl_attributes enable_client_ssl ssl_cert_file",
        "clients must use TLS, and it is not offered: every login is refused",
        lambda s: "ENABLE_FORCE" in s.ssl_attributes and not (s.enable_client_ssl and s.ssl_cert_file),
    ),
    whenever(
        "servers_are_met_in_plain_text",
        "server_ssl_mode enable_server_ssl",
        "server_ssl_mode has no effect without enable_server_ssl: servers are met in plain text",
        lambda s: s.server_ssl_mode != "PREFERRED" and not s.enable_server_ssl,
    ),
    whenever(
        "no_authority",
        "server_ssl_mode enable_server_ssl server_ssl_ca_file ssl_ca_file",
        "certificates of servers are to be checked, and neither server_ssl_ca_file nor ssl_ca_file says against what: "
        "no server can be reached",
        lambda s: (
            s.enable_server_ssl
            and s.server_ssl_mode in ("VERIFY_CA", "VERIFY_IDENTITY")
            and not (s.server_ssl_ca_file or s.ssl_ca_file)
        ),
    ),
    # ---- limits ----------------------------------------------------------------------------------------
    when(
        "more_clients_than_allowed",
        "client_max_connections",
        "clients that are there stay; further ones are not let in while there are {new.client_max_connections}",
        lambda old, new: (
            new.client_max_connections > 0 and not 0 < old.client_max_connections <= new.client_max_connections
        ),
    ),
    whenever(
        "administrators_wait_too",
        "client_max_connections_policy",
        "at the limit logins to the proxy itself wait in the listen queue too: nobody can KILL from outside",
        lambda s: s.client_max_connections_policy == "wait" and s.client_max_connections > 0,
    ),
    whenever(
        "nobody_is_displaced",
        "enable_client_connection_lru_disconnect client_max_connections_policy",
        "enable_client_connection_lru_disconnect has no effect where further clients wait",
        lambda s: s.enable_client_connection_lru_disconnect and s.client_max_connections_policy == "wait",
    ),
    whenever(
        "limit_of_users_is_never_reached",
        "user_max_connections tenant_max_connections",
        "user_max_connections has no effect: tenant_max_connections is no higher",
        _below("user_max_connections", "tenant_max_connections"),
    ),
    whenever(
        "sessions_end_of_their_size",
        "client_max_memory_size",
        "a client with many variables, prepared statements or a long answer on its way ends with error 4080",
        lambda s: s.client_max_memory_size < _SMALL_SESSION,
    ),
    whenever(
        "unbounded_statements",
        "max_prepared_stmt_count",
        "only client_max_memory_size bounds what a client that never closes its prepared statements keeps",
        lambda s: s.max_prepared_stmt_count == 0,
    ),
    whenever(
        "ddl_is_cut",
        "default_inactivity_timeout",
        "DDL, CALL and LOAD DATA that take longer than a minute without a byte are given up",
        lambda s: s.default_inactivity_timeout < _MINUTE,
    ),
    whenever(
        "lost_clients_stay",
        "client_sock_option_flag_out",
        "a client whose machine is gone keeps its session, and its locks, up to wait_timeout",
        lambda s: not s.client_sock_option_flag_out & _KEEP_ALIVE,
    ),
    whenever(
        "lost_servers_stay",
        "sock_option_flag_out",
        "a server whose machine is gone is noticed by statements that wait for it alone",
        lambda s: not s.sock_option_flag_out & _KEEP_ALIVE,
    ),
    # ---- the process -----------------------------------------------------------------------------------
    whenever(
        "transactions_are_cut",
        "hot_upgrade_exit_timeout",
        "a shutdown and a hot upgrade end every transaction at once",
        lambda s: s.hot_upgrade_exit_timeout == 0,
    ),
    whenever(
        "http_is_reachable",
        "prometheus_bound_ip enable_http",
        "whoever reaches {new.prometheus_bound_ip} port {new.prometheus_listen_port} reads every metric",
        lambda s: s.enable_http and not ipaddress.ip_address(s.prometheus_bound_ip).is_loopback,
    ),
    whenever(
        "log_is_silent",
        "syslog_level",
        "why sessions end and servers are put on lists is not logged",
        lambda s: s.syslog_level == "ERROR",
    ),
)
