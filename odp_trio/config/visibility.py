"""ODP's word for who an option is meant for; ``SHOW PROXYCONFIG`` has it as visible_level."""

from __future__ import annotations

from typing import Final

_NAMES: Final = """
    app_name client_max_memory_size client_session_id_version enable_async_pull_location_cache
    enable_client_connection_lru_disconnect enable_client_ssl enable_full_username enable_get_rslist_remote
    enable_global_ps_cache enable_read_write_split enable_server_ssl enable_transaction_split init_sql
    ip_listen_mode limited_pl_update_threshold listen_port local_bound_ip local_bound_ipv6_ip
    location_expire_period_time normal_pl_update_threshold obproxy_config_server_url obproxy_read_consistency
    obproxy_read_only obproxy_sys_password observer_sys_password observer_sys_password1 prometheus_listen_port
    proxy_id proxy_idc_name proxy_primary_zone_name proxy_route_policy proxy_tenant_name
    rootservice_cluster_name rootservice_list server_detect_fail_threshold server_routing_mode
    skip_proxyro_check ssl_attributes target_db_server username_separator
"""
_SYS: Final = frozenset(_NAMES.split())


def visible_level(name: str) -> str:
    """Return SYS for an option that ODP means for its operators, USER for every other."""
    return "SYS" if name in _SYS else "USER"
