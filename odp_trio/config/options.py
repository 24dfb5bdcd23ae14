"""The table of options: the fields of Settings, each with its kind, range, default and a sentence.

Everything that lists options (etc/odp.toml, docs/options.md, error messages) is made from it.
"""

from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any, Self, get_type_hints

import msgspec

from odp_trio.config.values import Secret
from odp_trio.model import Address


class Option(msgspec.Struct, frozen=True):
    """What is known about an option.

    ``own`` marks those that ODP does not have; ``low`` and ``high`` are
    inclusive.  ``odp_unit`` is ODP's unit of a bare number where that is not
    the kind's usual one: such a number is read that way in ``-o``, and refused
    in a file, where nobody would expect it.
    """

    kind: str
    text: str
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()
    own: bool = False
    restart: bool = False
    odp_unit: str = ""
    section: str = ""
    scoped: bool = False
    """May also be set for a cluster, a tenant or a user: ``[clusters.NAME.tenants.TENANT.users.USER]``."""
    takes: str = ""
    """For whom a change at run time is in force; empty: for everything, at once."""

    @property
    def in_force(self) -> str:
        """When a change at run time is in force."""
        return "at the next start" if self.restart else f"for {self.takes}" if self.takes else "at once"


class ClusterSettings(msgspec.Struct, frozen=True):
    """``[clusters.NAME]``: one cluster that may be logged in to.  Empty passwords mean the global ones.

    An empty ``rslist`` is had from the config server.
    """

    rslist: tuple[Address, ...]
    cluster_id: int | None = None
    observer_sys_user: str = ""
    observer_sys_password: Secret = Secret()
    observer_sys_password1: Secret = Secret()
    scopes: Mapping[tuple[str, str], Mapping[str, Any]] = {}
    """Options for (tenant, user); empty texts stand for all."""


_DAY = 86400.0


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Every setting in force."""

    clusters: Mapping[str, ClusterSettings] = {}

    # fmt: off
    listen_port: Annotated[int, Option("int", "Port for MySQL clients; 0 takes a free one.", 0, 65535, restart=True, section="Listening")] = 2883
    local_bound_ip: Annotated[str, Option("ip", "Address to listen on for MySQL clients.", restart=True)] = "0.0.0.0"
    ip_listen_mode: Annotated[int, Option("int", "1: listen on local_bound_ip (of either version), 2: on local_bound_ipv6_ip, 3: on both.", 1, 3, restart=True)] = 1
    local_bound_ipv6_ip: Annotated[str, Option("ip", "Address to listen on for MySQL clients by IPv6; see ip_listen_mode.", restart=True)] = "::"
    unix_socket: Annotated[str, Option("text", "Path of a unix socket to listen on for MySQL clients of this machine, besides; empty: none.", own=True, restart=True)] = ""
    unix_socket_mode: Annotated[str, Option("mode", "Permissions of that socket: who may write to it may connect.", own=True, restart=True)] = "0777"
    listen_backlog: Annotated[int, Option("int", "Connections that may wait to be accepted.", 1, 65535, own=True, restart=True)] = 1024
    workers: Annotated[int, Option("int", "Processes that are this proxy together, each with its own event loop, on the same ports; 0: one for each processor. The flag --workers.", 0, 32, own=True, restart=True)] = 1
    enable_http: Annotated[bool, Option("bool", "Serve /health, /ready and /metrics.", own=True, restart=True)] = True
    prometheus_listen_port: Annotated[int, Option("int", "Port of the HTTP service; 0 takes a free one.", 0, 65535, restart=True)] = 2884
    prometheus_bound_ip: Annotated[str, Option("ip", "Address to listen on for HTTP; whoever reaches it can read every metric.", own=True, restart=True)] = "127.0.0.1"
    http_token: Annotated[Secret, Option("secret", "Bearer token for /api and the console; without one they can be read from this machine only, and nothing can be changed.", own=True)] = Secret()

    app_name: Annotated[str, Option("text", "Name of the application that this proxy serves; shown in logs.", restart=True, section="Identity")] = "undefined"
    proxy_id: Annotated[int, Option("int", "Number of this proxy, part of every connection id; 0 takes a random one at each start.", 0, 8191, restart=True)] = 0
    client_session_id_version: Annotated[int, Option("int", "Layout of connection ids, and who knows them: 2 tells them to servers, so that KILL and SHOW PROCESSLIST work through any proxy of the cluster; with 1 this proxy alone knows them, and proxy_id is at most 255.", 1, 2, restart=True)] = 2
    mysql_version: Annotated[str, Option("version", "Server version in the greeting: digits and dots.", takes="new clients")] = "5.7.25"

    rootservice_list: Annotated[str, Option("rslist", "Root servers of one cluster, ip:port;ip:port (sql ports); the flag -r.", restart=True, section="Clusters")] = ""
    rootservice_cluster_name: Annotated[str, Option("text", "Name of the cluster of rootservice_list, and the default cluster of logins that name none; the flag -c.", restart=True)] = ""
    proxy_tenant_name: Annotated[str, Option("text", "Tenant of logins that name neither tenant nor cluster.", takes="new clients")] = ""
    obproxy_config_server_url: Annotated[str, Option("url", "Config server (OCP) that names the clusters: its whole URL, used as it is. Empty: only configured clusters can be logged in to.", restart=True)] = ""
    config_server_refresh_interval: Annotated[float, Option("duration", "How often, at most, the config server is asked for its clusters: after half to all of this time.", 10.0, _DAY)] = 60.0
    ignore_local_config: Annotated[bool, Option("bool", "Do not use the rslists that were kept in etc_dir when the config server fails.")] = True
    enable_get_rslist_remote: Annotated[bool, Option("bool", "Ask the config server for the rslist at every creation of a cluster resource, though one is known.")] = False
    idc_list_refresh_interval: Annotated[float, Option("duration", "How often a cluster's list of IDCs is asked for.", 10.0, _DAY)] = 7200.0
    enable_standby: Annotated[bool, Option("bool", "Clusters of one name may be several: a primary, which logins go to, and standbys. Without it roles are not looked at: the first is taken.")] = True
    cluster_expire_time: Annotated[float, Option("duration", "Clusters of the config server that nobody has used for so long are forgotten; 0: never.", 0.0, 365 * _DAY)] = _DAY
    cluster_count_high_water_mark: Annotated[int, Option("int", "Clusters kept; beyond that the least recently used without sessions go first.", 2, 102_400)] = 256
    etc_dir: Annotated[str, Option("text", "Directory of what is kept: proxyconfig.toml, what ALTER PROXYCONFIG has set, and obproxy_rslist_info.json, the rslists that were had from the config server.", own=True, restart=True)] = "etc"
    server_state_refresh_interval: Annotated[float, Option("duration", "How often each cluster's server list is fetched.", 0.01, 3600.0)] = 15.0
    server_state_refresh_jitter: Annotated[float, Option("fraction", "Share of that interval by which a fetch may come sooner or later, so that many proxies do not ask in step.", 0.0, 0.5, own=True)] = 0.1
    server_state_failures_before_rslist: Annotated[int, Option("int", "Failed refreshes in a row before the rslist is fetched anew; as many again and the cluster resource is built anew.", 1, 1000, own=True)] = 10
    short_async_task_timeout: Annotated[float, Option("duration", "Limit of one metadata query, and of the wait for a cluster at its first login.", 0.1, 3600.0)] = 5.0
    observer_sys_user: Annotated[str, Option("text", "Account of the sys tenant that metadata queries use.", own=True, restart=True)] = "proxyro"
    observer_sys_password: Annotated[Secret, Option("secret", "Its password: clear, or the 40 hexadecimal digits of its SHA1 as ODP has it.", restart=True)] = Secret()
    observer_sys_password1: Annotated[Secret, Option("secret", "Tried when the first one is refused, so that a password can be changed without a gap.", restart=True)] = Secret()

    proxy_idc_name: Annotated[str, Option("text", "IDC of this proxy: servers of the same IDC come first, then those of its region, then others. Empty: all are equally near.", scoped=True, section="Routing")] = ""
    proxy_route_policy: Annotated[str, Option("upper", "Order of replicas for weak reads where no zone is read-only; empty means nearness alone.", choices=("", "FOLLOWER_FIRST", "UNMERGE_FOLLOWER_FIRST", "FOLLOWER_ONLY"), scoped=True)] = ""
    proxy_primary_zone_name: Annotated[str, Option("text", "Zones that may be used at all, in order: z1,z2;z3 (; parts priorities). Empty: every zone.", scoped=True)] = ""
    target_db_server: Annotated[str, Option("targets", "Servers that every statement goes to, in order: ip:port,ip:port;ip:port (; parts priorities). Empty: routing decides.", scoped=True)] = ""
    server_routing_mode: Annotated[str, Option("text", "oceanbase routes by location; random takes any server of the tenant for each statement.", choices=("oceanbase", "random"))] = "oceanbase"
    enable_primary_zone: Annotated[bool, Option("bool", "Statements without a location go to the tenant's primary zone.", scoped=True)] = True
    enable_cached_server: Annotated[bool, Option("bool", "Statements without a location go where the session was last.", scoped=True)] = True
    enable_partition_table_route: Annotated[bool, Option("bool", "Compute partitions; without it statements on partitioned tables have no location.")] = True
    enable_read_write_split: Annotated[bool, Option("bool", "Reads outside transactions are weak reads, unless a hint says STRONG.", scoped=True)] = False
    enable_transaction_split: Annotated[bool, Option("bool", "With autocommit = 0 too, reads before the transaction's first write are weak (needs enable_read_write_split).", scoped=True)] = False
    enable_transaction_internal_routing: Annotated[bool, Option("bool", "DML of a transaction goes to the leaders of its tables where servers allow it (OB 2.0, from version 4 on); the rest of it goes where it began.")] = True
    obproxy_read_consistency: Annotated[int, Option("int", "1 makes every session's ob_read_consistency WEAK, 0 leaves it alone.", 0, 1, scoped=True, takes="new clients")] = 0
    obproxy_read_only: Annotated[int, Option("int", "0 makes every session's tx_read_only ON, 1 leaves it alone.", 0, 1, scoped=True, takes="new clients")] = 1
    request_buffer_length: Annotated[int, Option("capacity", "How much of a statement is looked at for routing.", 1024, 16 << 20)] = 4096
    statement_cache_size: Annotated[int, Option("int", "Statement shapes whose facts are kept.", 100, 10_000_000, own=True, restart=True)] = 10_000
    enable_global_ps_cache: Annotated[bool, Option("bool", "Sessions share what is known of the texts that they prepare: text, literals, what routing reads, number of parameters.")] = True
    global_ps_cache_size: Annotated[int, Option("int", "Prepared texts whose facts are shared, at most.", 2, 10_000_000, own=True, restart=True)] = 10_000
    global_ps_cache_mem_limited: Annotated[int, Option("capacity", "What they may take, about.", 64 << 10, 1 << 40, own=True, restart=True)] = 32 << 20
    max_prepared_stmt_count: Annotated[int, Option("int", "Prepared statements that a session may have, and as many again made by PREPARE ... FROM; beyond it error 1461; 0: no bound. A server session has a limit of its own, open_cursors.", 0, 1 << 30, own=True)] = 16_382
    own_rules: Annotated[str, Option("text", "Routing rules of one's own, parted by blanks: NAME or MODULE:FUNCTION, each with ?mode=active|shadow&budget=200us.", own=True, restart=True)] = ""

    routing_cache_mem_limited: Annotated[int, Option("capacity", "Bound of the cache of locations: one takes 512 bytes of three quarters of it.", 100 << 10, 1 << 40, section="Locations")] = 128 << 20
    enable_async_pull_location_cache: Annotated[bool, Option("bool", "A statement whose location is stale uses it once more while it is renewed; without it, it waits.")] = True
    delay_update_entry_interval: Annotated[float, Option("duration", "Pause after a renewal of a location that brought nothing new.", 0.0, 3600.0)] = 5.0
    normal_pl_update_threshold: Annotated[int, Option("int", "Renewals of locations that may start in a second.", 0, 1_000_000)] = 100
    limited_pl_update_threshold: Annotated[int, Option("int", "The same for 10 to 20 seconds after more than that became stale at once.", 0, 1_000_000)] = 10
    location_expire_period_time: Annotated[float, Option("duration", "Locations are looked up anew after half to all of this time; 0: never.", 0.0, 30 * _DAY)] = 0.0

    enable_congestion: Annotated[bool, Option("bool", "Keep statements away from servers that fail, beyond what the server list says.", section="Black- and greylist")] = True
    congestion_failure_threshold: Annotated[int, Option("int", "Failures of sessions within the window, with no good answer between, that put a server on the greylist; 0: nothing of this section is in force.", 0, 1_000_000)] = 5
    congestion_fail_window: Annotated[float, Option("duration", "Window in which failures are counted.", 1.0, 3600.0)] = 120.0
    congestion_retry_interval: Annotated[float, Option("duration", "Pause after a failure of a server on the greylist before a good probe takes it off, or, without a prober, one request may try it.", 1.0, 3600.0)] = 20.0
    min_keep_congestion_interval: Annotated[float, Option("duration", "Shortest stay on a list before the server list's word that a server is ACTIVE takes it off; answers and probes need not wait for it.", 1.0, _DAY)] = 20.0
    min_congested_connect_timeout: Annotated[float, Option("duration", "A client that gives up while a server has been connected to for longer counts as a failure of the server.", 0.001, 3600.0)] = 0.1
    server_detect_mode: Annotated[int, Option("int", "Servers that are probed: 0 none, 1 those that are working for a session, that failed, or are on a list, 2 all. While a cluster's servers begin to fail and none answers: 1 probes all of them.", 0, 2)] = 1
    server_detect_refresh_interval: Annotated[float, Option("duration", "How often they are probed.", 0.001, 3600.0)] = 1.0
    detect_server_timeout: Annotated[float, Option("duration", "Limit of one probe: to connect, and to get the server's greeting.", 1.0, 3600.0)] = 5.0
    server_detect_fail_threshold: Annotated[int, Option("int", "Failed probes in a row that take a server off the routes.", 1, 10_000)] = 3
    congestion_changes_per_second: Annotated[int, Option("int", "Servers that may be put on or taken off the lists in a second by failures and probes; further ones wait. 0: no bound.", 0, 100_000, own=True)] = 20

    init_sql: Annotated[str, Option("text", "Statements that each session executes on its server before its first one; one that fails ends the session.", scoped=True, section="Logins", takes="new clients")] = ""
    username_separator: Annotated[str, Option("separators", "Separators of the form cluster:tenant:user, parted by semicolons; the first one that occurs twice counts.", takes="new clients")] = ":;-;."
    enable_cluster_checkout: Annotated[bool, Option("bool", "Tell servers the cluster's name, so that they refuse a login to the wrong cluster.", takes="new clients")] = True
    enable_client_ip_checkout: Annotated[bool, Option("bool", "Tell servers the client's address, which they check against the account's host.", takes="new clients")] = True
    enable_full_username: Annotated[bool, Option("bool", "Refuse logins that do not name tenant and cluster.", takes="new clients")] = False
    skip_proxyro_check: Annotated[bool, Option("bool", "Let clients log in as the account of metadata queries.", takes="new clients")] = False
    proxy_protocol_networks: Annotated[str, Option("networks", "Load balancers that may say who a client is, by the PROXY protocol (version 1 or 2): networks, parted by commas. From others such a header is refused.", own=True, takes="new clients")] = ""
    login_timeout: Annotated[float, Option("duration", "How long a client may take to log in.", 0.1, 3600.0, own=True, takes="new clients")] = 10.0
    obproxy_sys_password: Annotated[Secret, Option("secret", "Password of root@proxysys, the login to the proxy itself; without one nobody may.", takes="new clients")] = Secret()
    inspector_password: Annotated[Secret, Option("secret", "Password of inspector@proxysys, who may say PING PROXY and nothing else; without one nobody may.", takes="new clients")] = Secret()

    enable_client_ssl: Annotated[bool, Option("bool", "Offer TLS to clients, once certificate and key are loaded.", restart=True, section="TLS")] = False
    ssl_cert_file: Annotated[str, Option("text", "Certificate of the proxy, with the certificates that lead to an authority behind it (PEM).", own=True, restart=True)] = ""
    ssl_key_file: Annotated[str, Option("text", "Its private key (PEM); empty: it is in ssl_cert_file.", own=True, restart=True)] = ""
    ssl_key_password: Annotated[Secret, Option("secret", "Password of the private keys, if they have one.", own=True, restart=True)] = Secret()
    ssl_ca_file: Annotated[str, Option("text", "Authorities (PEM) that certificates of clients are checked against, and those of servers unless server_ssl_ca_file is set.", own=True, restart=True)] = ""
    client_ssl_verify: Annotated[str, Option("text", "Certificates of clients: not asked for; checked if there is one; without a good one nobody comes in by TLS.", choices=("none", "optional", "required"), own=True, restart=True)] = "none"
    ssl_attributes: Annotated[str, Option("ssl_attributes", "JSON object: using_ssl = ENABLE_FORCE refuses clients without TLS (3159), min_tls_version = TLSV1.3 offers nothing older on either leg. Less than TLSV1.2 is never offered.", restart=True)] = ""
    enable_server_ssl: Annotated[bool, Option("bool", "Use TLS towards servers that offer it; server_ssl_mode may insist.", restart=True)] = False
    server_ssl_mode: Annotated[str, Option("upper", "PREFERRED goes on in plain text where a server does not offer TLS, REQUIRED does not, VERIFY_CA checks its certificate too, VERIFY_IDENTITY also that it is for the server's address.", choices=("PREFERRED", "REQUIRED", "VERIFY_CA", "VERIFY_IDENTITY"), own=True, restart=True)] = "PREFERRED"
    server_ssl_ca_file: Annotated[str, Option("text", "Authorities (PEM) that certificates of servers are checked against; empty: ssl_ca_file.", own=True, restart=True)] = ""
    server_ssl_cert_file: Annotated[str, Option("text", "Certificate (PEM) that servers are shown when they ask for one; empty: none. An OBServer refuses one whose name is not in ob_ssl_invited_common_names.", own=True, restart=True)] = ""
    server_ssl_key_file: Annotated[str, Option("text", "Its private key (PEM); empty: it is in server_ssl_cert_file.", own=True, restart=True)] = ""

    client_max_connections: Annotated[int, Option("int", "Clients at a time, those that are logging in among them; logins to the proxy itself do not count. 0 means no limit.", 0, 1_000_000, section="Connections", takes="new clients")] = 8192
    client_max_connections_policy: Annotated[str, Option("text", "What becomes of further clients: refuse tells them 1203 when they log in, wait leaves them (and logins to the proxy itself) in the listen queue.", choices=("refuse", "wait"), own=True, takes="new clients")] = "refuse"
    enable_client_connection_lru_disconnect: Annotated[bool, Option("bool", "Instead of refusing a further client, close the one that has been idle for longest outside a transaction.", takes="new clients")] = False
    tenant_max_connections: Annotated[int, Option("int", "Clients of one tenant at a time; further ones are refused with 1040. 0 means no limit.", 0, 1_000_000, own=True, scoped=True, takes="new clients")] = 0
    user_max_connections: Annotated[int, Option("int", "Clients of one user of one tenant at a time; further ones are refused with 1203. 0 means no limit.", 0, 1_000_000, own=True, scoped=True, takes="new clients")] = 0
    connect_timeout: Annotated[float, Option("duration", "Limit for connecting to a server, and for its answer to a login.", 0.05, 3600.0, own=True)] = 5.0
    connect_observer_max_retries: Annotated[int, Option("int", "Least number of servers tried for one statement, or for one login, before the client is told.", 2, 5)] = 3
    observer_query_timeout_delta: Annotated[float, Option("duration", "A server that has not begun to answer for this long after the statement's own time-out (ob_query_timeout) is given up.", 1.0, 30.0)] = 20.0
    client_max_memory_size: Annotated[int, Option("capacity", "What may be kept for one client: variables, prepared statements, bytes on their way. Beyond it, its session ends with error 4080.", 8 << 10, 64 << 20)] = 8 << 20
    default_inactivity_timeout: Annotated[float, Option("duration", "Limit of a wait that no other limit holds for: the silence of a server during DDL, routines and what is not understood; an idle login to the proxy itself.", 1.0, 30 * _DAY)] = 180_000.0
    client_compression_level: Annotated[int, Option("int", "Level of zlib at which clients that ask for compression (mariadb --compress) are answered; 0: compression is not offered.", 0, 9, own=True, takes="new clients")] = 0
    client_tcp_keepidle: Annotated[int, Option("int", "Seconds of silence before a client is probed; 0 leaves the kernel's value.", 0, 7200, takes="new clients")] = 5
    client_tcp_keepintvl: Annotated[int, Option("int", "Seconds between probes of a client.", 0, 75, takes="new clients")] = 5
    client_tcp_keepcnt: Annotated[int, Option("int", "Probes without an answer before a client is given up.", 0, 9, takes="new clients")] = 5
    client_tcp_user_timeout: Annotated[int, Option("int", "Seconds for which what was sent to a client may stay unacknowledged before its connection is given up; 0 leaves the kernel's value.", 0, 20, takes="new clients")] = 0
    client_sock_option_flag_out: Annotated[int, Option("int", "Options of connections from clients, added: 1 no delay, 2 keep-alive.", 0, 3, takes="new clients")] = 3
    server_tcp_keepidle: Annotated[int, Option("int", "Seconds of silence before a server is probed; 0 leaves the kernel's value.", 0, 7200, takes="new server sessions")] = 5
    server_tcp_keepintvl: Annotated[int, Option("int", "Seconds between probes of a server.", 0, 75, takes="new server sessions")] = 5
    server_tcp_keepcnt: Annotated[int, Option("int", "Probes without an answer before a server is given up.", 0, 9, takes="new server sessions")] = 5
    server_tcp_user_timeout: Annotated[int, Option("int", "Seconds for which what was sent to a server may stay unacknowledged before its connection is given up; 0 leaves the kernel's value.", 0, 20, takes="new server sessions")] = 0
    sock_option_flag_out: Annotated[int, Option("int", "Options of connections to servers, added: 1 no delay, 2 keep-alive.", 0, 3, takes="new server sessions")] = 3
    sock_recv_buffer_size_out: Annotated[int, Option("capacity", "The kernel's receive buffer of a connection to a server; 0: the kernel decides.", 0, 8 << 20, takes="new server sessions")] = 0
    sock_send_buffer_size_out: Annotated[int, Option("capacity", "The kernel's send buffer of a connection to a server; 0: the kernel decides.", 0, 8 << 20, takes="new server sessions")] = 0
    session_ends_kept: Annotated[int, Option("int", "Ends of clients, and of server sessions as many, that SHOW PROXYENDS and /api/ends know of; older ones are forgotten.", 0, 1_000_000, own=True, restart=True)] = 1000

    enable_ob_protocol_v2: Annotated[bool, Option("bool", "Talk to servers in OB 2.0 frames where they can: checksums over everything, session info and transaction-internal routing, at the price of CPU time. New sessions.", section="Framing towards servers", takes="new server sessions")] = False
    enable_compression_protocol: Annotated[bool, Option("bool", "Talk to servers in frames of MySQL's compressed protocol where OB 2.0 is off or not had: checksums over everything, at the price of CPU time. New sessions.", takes="new server sessions")] = False
    compression_algorithm: Annotated[str, Option("compression", "zlib:N (N from 0 to 9): compress what goes to servers in such frames, and in OB 2.0 let them compress. Empty, or level 0: do not.", takes="new server sessions")] = ""
    enable_full_link_trace: Annotated[bool, Option("bool", "Take part in full-link tracing: servers say which statements are traced, and get a span for each of those (OB 2.0; not to be had without).", takes="new server sessions")] = False
    enable_reroute: Annotated[bool, Option("bool", "Let servers answer a strong read or a write that they do not lead with the address of the one that does (OB 2.0).")] = False
    enable_weak_reroute: Annotated[bool, Option("bool", "The same for weak reads (OB 2.0).")] = True

    syslog_level: Annotated[str, Option("log_level", "Least level that is logged.", choices=("DEBUG", "INFO", "WARN", "ERROR"), section="Logs")] = "INFO"
    log_dir: Annotated[str, Option("text", "Directory of the log files; empty: what would be in obproxy.log goes to standard error, and the other files are not written.", own=True, restart=True)] = ""
    log_format: Annotated[str, Option("text", "How lines are written: console for people, json for programs, odp as ODP writes them.", choices=("console", "json", "odp"), own=True)] = "console"
    enable_syslog_wf: Annotated[bool, Option("bool", "Write lines of level WARN and above into obproxy.log.wf too.")] = False
    log_repeats_per_minute: Annotated[int, Option("int", "How often in a minute the same message about the same client or server is written; what is left out is counted. 0: always.", 0, 1_000_000, own=True)] = 10
    query_digest_time_threshold: Annotated[float, Option("duration", "A statement that takes longer gets a line in obproxy_digest.log; 0: none does for that.", 0.0, 30 * _DAY, scoped=True)] = 0.1
    query_digest_sample_rate: Annotated[float, Option("fraction", "Share of all statements that get a line in obproxy_digest.log whatever they take.", 0.0, 1.0, own=True)] = 0.0
    slow_query_time_threshold: Annotated[float, Option("duration", "A statement that takes longer gets a line in obproxy_slow.log, and in obproxy_digest.log; 0: none does.", 0.0, 30 * _DAY, scoped=True)] = 0.5
    statement_lines_per_second: Annotated[int, Option("int", "Statements that may get lines in these files, or spans, in a second: a storm of errors shall not keep the proxy busy. Further ones are dropped and counted. 0: any number.", 0, 1_000_000, own=True)] = 1000
    digest_sql_length: Annotated[int, Option("int", "Characters of a statement in these lines, at most.", 0, 1 << 20)] = 1024
    connection_diagnosis_option: Annotated[int, Option("int", "0: obproxy_diagnosis.log says nothing of logins and of connections that end badly; 1: it does. 2 and 3, as ODP has them, are the same: the client's error packet always says why.", 0, 3)] = 3
    route_diagnosis_level: Annotated[int, Option("int", "0: obproxy_diagnosis.log says nothing of statements that went to a server without their data; 1 to 4: it does.", 0, 4)] = 2
    max_log_file_size: Annotated[int, Option("capacity", "A log file that has grown to this size is renamed, and a new one begun.", 1 << 20, 1 << 30)] = 256 << 20
    max_syslog_file_count: Annotated[int, Option("int", "Renamed log files that are kept; 0: any number.", 0, 1_000_000)] = 0
    max_syslog_file_time: Annotated[float, Option("duration", "Renamed log files that were last written to before that are removed.", 1.0, 36_500 * _DAY)] = 7 * _DAY
    log_dir_size_threshold: Annotated[int, Option("capacity", "When all log files take more than this, renamed ones are removed, the oldest first.", 256 << 20, 1 << 40)] = 64 << 30
    log_file_percentage: Annotated[int, Option("int", "The same when they take more than this share, in percent, of their file system; 0: however much.", 0, 100)] = 80
    log_cleanup_interval: Annotated[float, Option("duration", "How often renamed log files are looked at.", 5.0, 30 * _DAY)] = 60.0
    syslog_io_bandwidth_limit: Annotated[int, Option("capacity", "Bytes of logs that may be written in a second; further lines are dropped and counted. 0: no limit.", 0, 1 << 30)] = 30 << 20
    otel_traces_endpoint: Annotated[str, Option("url", "Where spans of statements are sent by OTLP over HTTP, such as http://127.0.0.1:4318/v1/traces (needs odp-trio[otel]); empty: nowhere.", own=True, restart=True)] = ""
    otel_sample_rate: Annotated[float, Option("fraction", "Share of statements that get a span, besides those that are slow or fail.", 0.0, 1.0, own=True)] = 0.0

    enable_monitor_stat: Annotated[bool, Option("bool", "Count statements and what they take, by tenant, kind and route, for the metrics. New sessions.", section="Metrics", takes="new clients")] = True
    monitor_item_limit: Annotated[int, Option("int", "Combinations of tenant, kind of statement and route that are measured apart from each other; further ones are summed up under empty names.", 0, 10000)] = 3000

    hot_upgrade_exit_timeout: Annotated[float, Option("duration", "How long a shutdown waits for transactions to end.", 0.0, _DAY, odp_unit="us", section="Process")] = 30.0
    cpu_scheduling_policy: Annotated[str, Option("text", "How Linux schedules the program's processes: batch lets who runs finish, so that the proxy wakes up less often, for more at a time; other is what programs have by default. Another policy that was given from outside stays; a proxy that is part of another program leaves it alone.", choices=("batch", "other"), own=True, restart=True)] = "batch"
    reactor: Annotated[str, Option("text", "How sockets are served: inside Trio's wait (fast, Linux), or nested in a task.", choices=("auto", "inside", "nested"), own=True, restart=True)] = "auto"
    # fmt: on

    @property
    def default_cluster(self) -> str | None:
        """The cluster of logins that name none: rootservice_cluster_name, else the first one with an rslist.

        None: the config server's, if there is one.
        """
        if self.rootservice_cluster_name:
            return self.rootservice_cluster_name
        has_server = bool(self.obproxy_config_server_url)
        return next((name for name, cluster in self.clusters.items() if cluster.rslist or not has_server), None)

    def scoped(self, cluster: str, tenant: str, user: str) -> Self:
        """Return the settings as they are in force for one login: cluster, tenant and user win, in this order."""
        known = self.clusters.get(cluster)
        if known is None or not known.scopes:
            known = self.clusters.get(cluster.rpartition(":")[0])  # one of several clusters of a name: ``name:2``
        if known is None or not known.scopes:
            return self
        values: dict[str, Any] = {}
        for scope in (("", ""), (tenant, ""), (tenant, user)):
            values |= known.scopes.get(scope, {})
        return msgspec.structs.replace(self, **values) if values else self


class Described(msgspec.Struct, frozen=True):
    """An option with its name and default."""

    name: str
    option: Option
    default: Any


@cache
def options() -> Mapping[str, Described]:
    """Return the table, in the order of the file."""
    hints = get_type_hints(Settings, include_extras=True)
    table: dict[str, Described] = {}
    for field in msgspec.structs.fields(Settings):
        for extra in getattr(hints[field.name], "__metadata__", ()):
            if isinstance(extra, Option):
                table[field.name] = Described(field.name, extra, field.default)
    return table
