"""ODP's options that mean nothing here (yet), and why: known, so that they are named as such instead of swallowed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

_GROUPS: Final = {
    "OBKV RPC is not offered": """
        enable_obproxy_rpc_service rpc_async_pull_batch_max_size rpc_async_pull_batch_max_times
        rpc_async_pull_batch_wait_interval rpc_ctx_expire_time rpc_enable_async_pull_batch_tablets
        rpc_enable_congestion rpc_enable_direct_expire_route_entry rpc_enable_force_srv_black_list
        rpc_enable_global_index rpc_enable_reroute rpc_enable_retry_request_info_log
        rpc_force_srv_black_list rpc_listen_port rpc_max_request_batch_size rpc_max_response_batch_size
        rpc_max_server_table_entry_num rpc_net_timeout_base rpc_period_task_interval rpc_request_max_retries
        rpc_request_retry_waiting_time rpc_request_server_entry_max_retries rpc_request_timeout
        rpc_request_timeout_delta rpc_server_entry_expire_time rpc_server_net_handler_expire_time
        rpc_server_net_invalid_time_us rpc_server_net_max_pending_request
        rpc_srv_session_pool_inactive_timeout rpc_sub_req_max_retries
        rpc_support_key_partition_shard_request
    """,
    "a statement that cannot be routed goes where its session was last, or to any server of the tenant": """
        enable_bad_route_reject
    """,
    "weak reads go by proxy_route_policy and nearness; how stale a replica may be is the servers' own limit": """
        enable_causal_order_read ob_max_read_stale_time read_stale_remove_interval read_stale_retry_interval
    """,
    "statements are routed by their tables, not by global indexes": """
        enable_index_route
    """,
    "CALL goes where statements without a table go: where the session was last, or to the primary zone": """
        enable_pl_route
    """,
    "statements without a table go where the session was last, or to the tenant's primary zone": """
        enable_single_leader_node_routing
    """,
    "init_sql can set _force_parallel_query_dop": """
        obproxy_force_parallel_query_dop
    """,
    "target_db_server names servers that every statement goes to": """
        test_server_addr
    """,
    "a transaction stays with the server where it began": """
        enable_xa_route
    """,
    "client_max_connections is the limit": """
        max_connections
    """,
    "there is no metadata database: options are kept in etc_dir, statistics are at /metrics": """
        current_local_config_version enable_metadb_used metadb_batch_interval metadb_batch_size
        metadb_server_state_refresh_interval proxy_info_check_interval refresh_config
    """,
    "clusters, rslists and IDCs are asked for again by themselves, at their intervals": """
        refresh_idc_list refresh_json_config refresh_rslist
    """,
    "logins name cluster and tenant; there are no virtual addresses that stand for them": """
        local_vip_tenant_version need_convert_vip_to_tname
    """,
    "logical data guard and binlog services are not offered": """
        binlog_service_ip enable_ldg ldg_info_refresh_interval
    """,
    "metadata queries have short_async_task_timeout, and as many connections as they need": """
        long_async_task_timeout mysql_client_num
    """,
    "connection ids always carry proxy_id": """
        proxy_service_mode
    """,
    "locations expire by location_expire_period_time, and are renewed when a server says that they are wrong": """
        cache_cleaner_clean_interval check_tenant_locality_change location_expire_period
        partition_location_expire_relative_time sql_table_cache_expire_relative_time
        sql_table_cache_mem_limited tenant_location_valid_time
    """,
    "metrics are at /metrics, and always counted": """
        enable_extra_prometheus_metric enable_mysqlsm_info enable_report_session_stats enable_stat
        enable_strict_stat_time enable_sync_all_stats enable_trace enable_trace_stats enable_trans_detail_stats
        mem_leak_check_class_name mem_leak_check_mod_name monitor_cost_ms_unit
        monitor_item_max_idle_period monitor_stat_dump_interval
        monitor_stat_high_threshold monitor_stat_low_threshold monitor_stat_middle_threshold
        prometheus_cost_ms_unit prometheus_sync_interval
        sqlaudit_mem_limited stat_dump_interval stat_table_sync_interval
    """,
    "the proxy always writes its logs from a thread, with one level, and has no such log": """
        enable_async_log enable_syslog_file_compress monitor_log_level slow_proxy_process_time_threshold
        slow_transaction_time_threshold xflush_log_level
    """,
    "memory is bounded by back-pressure and fixed buffers": """
        default_buffer_water_mark enable_auto_restart enable_flow_control
        flow_consumer_reenable_threshold flow_event_queue_threshold flow_high_water_mark flow_low_water_mark
        internal_cmd_mem_limited proxy_mem_limited tunnel_request_size_threshold
    """,
    "one process with one event loop does everything": """
        automatic_match_work_thread block_thread_num enable_cpu_isolate enable_cpu_topology
        enable_performance_mode enable_strict_kernel_release frequent_accept net_accept_threads stack_size
        task_thread_num work_thread_num
    """,
    "a new version is installed from outside, and SIGUSR2 makes it take over": """
        fetch_proxy_bin_random_time fetch_proxy_bin_timeout hot_upgrade_failure_retries
        hot_upgrade_rollback_timeout proxy_hot_upgrade_check_interval
    """,
    "enable_http serves metrics": """
        enable_prometheus
    """,
    "a shutdown drains for hot_upgrade_exit_timeout at most": """
        delay_exit_time
    """,
    "send the process a signal instead": """
        proxy_local_cmd
    """,
    "sharding and session pools are not offered": """
        auto_scan_all bt_mode bt_retry_times bt_server_addr citadel_agent_ip cloud_instance_id
        create_conn_cont_num dataplane_host domain_name enable_conn_precreate enable_cross_shard_txn
        enable_mysql_proxy_pool enable_no_sharding_skip_real_conn enable_sequence_prefetch
        enable_session_pool_for_no_sharding enable_shard_authority enable_sharding env_tenant_name
        grpc_client_num grpc_thread_num grpc_timeout instance_ip is_pool_mode max_pending_num mng_url
        need_release_after_tx pod_name pod_namespace refresh_server_cont_num runtime_env
        scan_buffered_rows_warning_threshold sequence_entry_expire_time sequence_fail_retry_count
        sequence_prefetch_threshold server_zone session_pool_cont_delay_interval
        session_pool_default_blocking_timeout session_pool_default_idle_timeout
        session_pool_default_max_conn session_pool_default_min_conn session_pool_default_prefill
        session_pool_retry_interval session_pool_stat_log_interval session_pool_stat_log_ratio
        shard_scan_thread_num sidecar_node_id use_local_dbconfig use_local_session_prop workspace_name
    """,
    "the proxy's own scramble is always used": """
        enable_proxy_scramble
    """,
    "there is one application: app_name": """
        proxy_cluster
    """,
    "the kernel's value is used": """
        net_config_poll_timeout server_tcp_init_cwnd sock_packet_mark_out sock_packet_tos_out
    """,
    "logins name cluster and tenant, and are taken as they are": """
        enable_cloud_full_username
    """,
    "faults are made by odp_trio.testing, not by options": """
        enable_qa_mode error_inject qa_mode_mock_public_cloud_slb_addr qa_mode_mock_public_cloud_vid
    """,
    "limits are client_max_connections, tenant_max_connections and user_max_connections": """
        enable_qos qos_stat_clean_interval qos_stat_item_limit qos_stat_item_max_idle_period
    """,
    "servers are not asked to compare what they know of a session": """
        enable_session_info_verification
    """,
    "whoever has its password may log in as root@proxysys, from anywhere": """
        skip_proxy_sys_private_check
    """,
    "clients are served in MySQL's own protocol, compressed or not": """
        enable_ob_protocol_v2_with_client
    """,
    "servers are not asked for diagnosis of the protocol": """
        protocol_diagnosis_level
    """,
}

FOREIGN: Final[Mapping[str, str]] = {name: reason for reason, names in _GROUPS.items() for name in names.split()}
"""Name and reason."""
