"""System variables of a fake OBServer: a selection of those that a real one lists at a proxy's login.

Names and defaults: seen on seekdb 1.3.0, which lists 838 of them.
"""

from __future__ import annotations

from typing import Final

VERSION: Final = "5.7.25-OceanBase-v4.3.5.3"
OB_VERSION: Final = "4.3.5.3"
COMMENT: Final = "OceanBase 4.3.5.3 (fake OBServer of odp-trio)"

NUMBERS: Final[dict[str, int]] = {
    "auto_increment_increment": 1,
    "auto_increment_offset": 1,
    "interactive_timeout": 28800,
    "last_insert_id": 0,
    "identity": 0,
    "insert_id": 0,
    "max_allowed_packet": 16777216,
    "wait_timeout": 28800,
    "connect_timeout": 10,
    "div_precision_increment": 4,
    "group_concat_max_len": 1024,
    "lower_case_table_names": 1,
    "net_read_timeout": 30,
    "net_write_timeout": 60,
    "sql_select_limit": 9223372036854775807,
    "max_user_connections": 0,
    "net_buffer_length": 16384,
    "query_cache_size": 0,
    "max_sp_recursion_depth": 0,
    "error_count": 0,
    "warning_count": 0,
    "lock_wait_timeout": 31536000,
    "max_connections": 2147483647,
    "max_execution_time": 0,
    "protocol_version": 10,
    "server_id": 1,
    "tmp_table_size": 16777216,
    "cte_max_recursion_depth": 1000,
    "ob_interm_result_mem_limit": 2147483648,
    "ob_query_timeout": 10000000,
    "ob_trx_timeout": 86400000000,
    "ob_trx_idle_timeout": 86400000000,
    "ob_trx_lock_timeout": -1,
    "ob_last_schema_version": 0,
    "ob_proxy_global_variables_version": 0,
    "ob_proxy_user_privilege": 0,
    "ob_org_cluster_id": 0,
    "ob_plan_cache_percentage": 2,
    "ob_capability_flag": 0,
    "ob_sql_work_area_percentage": 5,
    "ob_safe_weak_read_snapshot": 1,
    "ob_max_read_stale_time": -1,
    "ob_pl_block_timeout": 3216672000000000,
    "_ob_proxy_weakread_feedback": 0,
    "parallel_servers_target": 10,
    "default_week_format": 0,
    "max_heap_table_size": 16777216,
    "sort_buffer_size": 262144,
    "innodb_lock_wait_timeout": 50,
    "_current_default_catalog": 0,
}

SWITCHES: Final[dict[str, bool]] = {
    "autocommit": True,
    "explicit_defaults_for_timestamp": True,
    "read_only": False,
    "super_read_only": False,
    "sql_auto_is_null": False,
    "tx_read_only": False,
    "transaction_read_only": False,
    "sql_warnings": False,
    "sql_notes": False,
    "sql_quote_show_create": True,
    "sql_safe_updates": False,
    "sql_big_selects": True,
    "sql_log_off": False,
    "big_tables": False,
    "general_log": False,
    "local_infile": True,
    "unique_checks": True,
    "foreign_key_checks": True,
    "session_track_schema": True,
    "session_track_state_change": False,
    "profiling": False,
    "log_bin": True,
    "innodb_strict_mode": True,
    "ob_proxy_partition_hit": True,
    "ob_proxy_set_trx_executed": False,
    "ob_enable_transformation": True,
    "ob_enable_plan_cache": True,
    "ob_enable_index_direct_select": False,
    "ob_enable_aggregation_pushdown": True,
    "ob_enable_show_trace": False,
    "ob_enable_transmission_checksum": True,
    "ob_enable_jit": False,
    "ob_enable_sql_audit": True,
    "ob_check_sys_variable": True,
    "is_result_accurate": True,
    "_nlj_batching_enabled": True,
    "recyclebin": False,
}

TEXTS: Final[dict[str, str]] = {
    "character_set_client": "utf8mb4",
    "character_set_connection": "utf8mb4",
    "character_set_database": "utf8mb4",
    "character_set_results": "utf8mb4",
    "character_set_server": "utf8mb4",
    "character_set_system": "utf8mb4",
    "character_set_filesystem": "binary",
    "collation_connection": "utf8mb4_general_ci",
    "collation_database": "utf8mb4_general_ci",
    "collation_server": "utf8mb4_general_ci",
    "sql_mode": "STRICT_ALL_TABLES,NO_ZERO_IN_DATE,NO_AUTO_CREATE_USER",
    "time_zone": "+08:00",
    "system_time_zone": "+00:00",
    "tx_isolation": "READ-COMMITTED",
    "transaction_isolation": "READ-COMMITTED",
    "version_comment": COMMENT,
    "version": VERSION,
    "binlog_format": "ROW",
    "binlog_row_image": "FULL",
    "completion_type": "NO_CHAIN",
    "default_authentication_plugin": "mysql_native_password",
    "default_storage_engine": "OceanBase",
    "have_openssl": "YES",
    "have_ssl": "YES",
    "hostname": "",
    "init_connect": "",
    "lc_messages": "en_US",
    "license": "",
    "query_cache_type": "OFF",
    "datadir": "store",
    "debug_sync": "",
    "timestamp": "0",
    "long_query_time": "10",
    "session_track_system_variables": (
        "time_zone, autocommit, character_set_client, character_set_results, character_set_connection"
    ),
    "ob_log_level": "disabled",
    "ob_read_consistency": "STRONG",
    "ob_compatibility_mode": "MYSQL",
    "ob_route_policy": "READONLY_ZONE_FIRST",
    "ob_statement_trace_id": "Y0-0",
    "ob_trace_info": "",
    "ob_tcp_invited_nodes": "%",
    "ob_table_access_policy": "AUTO",
    "nls_date_format": "DD-MON-RR",
    "nls_timestamp_format": "DD-MON-RR HH.MI.SSXFF AM",
    "nls_timestamp_tz_format": "DD-MON-RR HH.MI.SSXFF AM TZR",
    "resource_manager_plan": "",
}

READ_ONLY: Final = frozenset(
    {
        "version",
        "version_comment",
        "protocol_version",
        "hostname",
        "license",
        "lower_case_table_names",
        "error_count",
        "warning_count",
        "have_openssl",
        "have_ssl",
        "system_time_zone",
        "character_set_system",
        "datadir",
        "log_bin",
    }
)
GLOBAL_ONLY: Final = frozenset(
    {
        "max_connections",
        "init_connect",
        "general_log",
        "local_infile",
        "read_only",
        "super_read_only",
        "connect_timeout",
        "ob_tcp_invited_nodes",
        "ob_plan_cache_percentage",
        "ob_sql_work_area_percentage",
    }
)
ALIASES: Final[dict[str, tuple[str, ...]]] = {
    "tx_isolation": ("tx_isolation", "transaction_isolation"),
    "transaction_isolation": ("tx_isolation", "transaction_isolation"),
    "tx_read_only": ("tx_read_only", "transaction_read_only"),
    "transaction_read_only": ("tx_read_only", "transaction_read_only"),
    "last_insert_id": ("last_insert_id", "identity"),
    "identity": ("last_insert_id", "identity"),
}
"""Variables that are one under two names."""


def defaults() -> dict[str, str]:
    """Return the values of a new session as they are written on the wire, by name."""
    return (
        {name: str(value) for name, value in NUMBERS.items()}
        | {name: "ON" if value else "OFF" for name, value in SWITCHES.items()}
        | TEXTS
    )


DEFAULTS: Final = defaults()
