"""What somebody may not expect of options of routing: consistency of reads, servers, locations."""

from __future__ import annotations

from typing import Final

from odp_trio.config.foot_gun import lowered, when, whenever

OF_ROUTING: Final = (
    # ---- reads -------------------------------------------------------------------------------
    when(
        "weak_reads_reach_leaders",
        "proxy_route_policy",
        "weak reads may now reach leaders, because proxy_route_policy = {new.proxy_route_policy!r} does not keep them "
        "to followers as FOLLOWER_ONLY did",
        lambda old, new: old.proxy_route_policy == "FOLLOWER_ONLY" != new.proxy_route_policy,
    ),
    whenever(
        "follower_only",
        "proxy_route_policy",
        "where no follower of a table can be had, weak reads go to servers that hold none of its replicas; a leader is "
        "never taken",
        lambda s: s.proxy_route_policy == "FOLLOWER_ONLY",
    ),
    whenever(
        "reads_become_weak",
        "obproxy_read_consistency",
        "every read is a weak one: a client may not see what it has just written",
        lambda s: s.obproxy_read_consistency == 1,
    ),
    whenever(
        "reads_outside_transactions_become_weak",
        "enable_read_write_split",
        "reads outside transactions are weak unless a hint says STRONG: a client may not see what it has just written",
        lambda s: s.enable_read_write_split,
    ),
    whenever(
        "reads_in_transactions_become_weak",
        "enable_transaction_split enable_read_write_split",
        "with autocommit = 0, reads before the first write of a transaction are weak: what it then writes may rest on "
        "old values",
        lambda s: s.enable_transaction_split and s.enable_read_write_split,
    ),
    whenever(
        "transaction_split_alone",
        "enable_transaction_split enable_read_write_split",
        "enable_transaction_split has no effect without enable_read_write_split",
        lambda s: s.enable_transaction_split and not s.enable_read_write_split,
    ),
    whenever(
        "writes_fail",
        "obproxy_read_only",
        "every write fails: tx_read_only is ON in every session",
        lambda s: s.obproxy_read_only == 0,
    ),
    # ---- where statements go -------------------------------------------------------------------
    when(
        "nearness_is_off",
        "proxy_idc_name",
        "all replicas are equally near: weak reads may go to other IDCs and regions, because proxy_idc_name is empty",
        lambda old, new: bool(old.proxy_idc_name) and not new.proxy_idc_name,
    ),
    whenever(
        "only_these_zones",
        "proxy_primary_zone_name",
        "statements go to the zones {new.proxy_primary_zone_name!r} alone, leaders elsewhere or not; weak reads with a "
        "proxy_route_policy go by that instead",
        lambda s: bool(s.proxy_primary_zone_name),
    ),
    whenever(
        "only_these_servers",
        "target_db_server",
        "every statement goes to {new.target_db_server!r}, whether its data is there or not, and no other takes over "
        "when these servers fail",
        lambda s: bool(s.target_db_server),
    ),
    whenever(
        "any_server",
        "server_routing_mode",
        "locations are not asked: most statements run on a server that must ask another one for the data",
        lambda s: s.server_routing_mode == "random",
    ),
    whenever(
        "partitioned_tables_have_no_location",
        "enable_partition_table_route",
        "statements on partitioned tables have no location: most run on a server that must ask another one",
        lambda s: not s.enable_partition_table_route,
    ),
    whenever(
        "nothing_is_preferred",
        "enable_primary_zone enable_cached_server",
        "statements without a location go to any server of the tenant: sessions use more servers, and bring each to "
        "their state",
        lambda s: not s.enable_primary_zone and not s.enable_cached_server,
    ),
    when(
        "long_statements_are_cut",
        "request_buffer_length",
        "statements longer than request_buffer_length are routed by their first bytes: a table or a condition behind "
        "these is not seen",
        lowered("request_buffer_length"),
    ),
    whenever(
        "needs_ob20",
        "enable_reroute enable_full_link_trace enable_ob_protocol_v2",
        "enable_reroute and enable_full_link_trace have no effect without enable_ob_protocol_v2",
        lambda s: (s.enable_reroute or s.enable_full_link_trace) and not s.enable_ob_protocol_v2,
    ),
    when(
        "ob20_goes",
        "enable_ob_protocol_v2",
        "new sessions do without what needs OB 2.0: a transaction stays on one server, servers do not reroute, nothing "
        "is traced",
        lambda old, new: old.enable_ob_protocol_v2 and not new.enable_ob_protocol_v2,
    ),
    whenever(
        "nothing_to_compress",
        "compression_algorithm enable_ob_protocol_v2 enable_compression_protocol",
        "compression_algorithm has no effect: neither enable_ob_protocol_v2 nor enable_compression_protocol is on",
        lambda s: bool(s.compression_algorithm) and not (s.enable_ob_protocol_v2 or s.enable_compression_protocol),
    ),
    # ---- locations -------------------------------------------------------------------------------
    whenever(
        "locations_stay_stale",
        "normal_pl_update_threshold",
        "no stale location is renewed: statements go on to servers that no longer lead",
        lambda s: s.normal_pl_update_threshold == 0,
    ),
    whenever(
        "looser_under_load",
        "normal_pl_update_threshold limited_pl_update_threshold",
        "more renewals may start when many locations become stale at once ({new.limited_pl_update_threshold}) than "
        "otherwise ({new.normal_pl_update_threshold})",
        lambda s: s.limited_pl_update_threshold > s.normal_pl_update_threshold > 0,
    ),
    whenever(
        "renewals_are_waited_for",
        "enable_async_pull_location_cache",
        "a statement whose location is stale waits for a question to the cluster",
        lambda s: not s.enable_async_pull_location_cache,
    ),
    when(
        "locations_are_forgotten",
        "routing_cache_mem_limited",
        "fewer locations are kept: those that were not used for longest are looked up anew when they are needed",
        lowered("routing_cache_mem_limited"),
    ),
)
