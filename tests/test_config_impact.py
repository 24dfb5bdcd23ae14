"""What a change sets off: the foot-guns, for whom, and what layers make of it."""

from typing import Any

import msgspec
import pytest

from odp_trio.config import ClusterSettings, Layer, Secret, Settings, options
from odp_trio.config.changes import Change, Overlay, Scope
from odp_trio.config.foot_guns import FOOT_GUNS
from odp_trio.config.impact import Seen, impacts, of_layers
from odp_trio.config.sources import Sources
from odp_trio.model import Address

RSLIST = (Address("10.0.0.1", 2881),)
DEFAULTS = Settings(clusters={"c1": ClusterSettings(RSLIST)})


def told(old: Settings | None, **values: Any) -> dict[str, str]:
    new = msgspec.structs.replace(old or DEFAULTS, **values)
    return {impact.name: impact.text for impact in impacts(old, new)}


def test_the_defaults_hold_nothing_to_expect() -> None:
    assert impacts(None, Settings()) == ()
    assert impacts(None, DEFAULTS) == ()


def test_weak_reads_may_reach_leaders_in_so_many_clusters() -> None:
    clusters = {name: ClusterSettings(RSLIST) for name in ("a", "b", "c")}
    old = Settings(clusters=clusters, proxy_route_policy="FOLLOWER_ONLY")

    assert told(old, proxy_route_policy="FOLLOWER_FIRST") == {
        "weak_reads_reach_leaders": "3 clusters (a, b, c): weak reads may now reach leaders, because proxy_route_policy "
        "= 'FOLLOWER_FIRST' does not keep them to followers as FOLLOWER_ONLY did"
    }


def test_a_cluster_with_a_value_of_its_own_is_not_counted() -> None:
    own = ClusterSettings(RSLIST, scopes={("", ""): {"proxy_route_policy": "FOLLOWER_ONLY"}})
    old = Settings(clusters={"a": ClusterSettings(RSLIST), "b": own}, proxy_route_policy="FOLLOWER_ONLY")

    assert told(old, proxy_route_policy="")["weak_reads_reach_leaders"].startswith("cluster a: weak reads")


def test_a_change_for_a_tenant_is_told_of_the_tenant() -> None:
    new = Settings(clusters={"a": ClusterSettings(RSLIST, scopes={("t", ""): {"obproxy_read_only": 0}})})
    old = Settings(clusters={"a": ClusterSettings(RSLIST)})

    (impact,) = impacts(old, new)

    assert impact.text == "cluster a tenant t: every write fails: tx_read_only is ON in every session"


# What sets each of them off, from the defaults or from what comes first.
SET_OFF: dict[str, Any] = {
    "weak_reads_reach_leaders": ({"proxy_route_policy": "FOLLOWER_ONLY"}, {"proxy_route_policy": ""}),
    "follower_only": {"proxy_route_policy": "FOLLOWER_ONLY"},
    "reads_become_weak": {"obproxy_read_consistency": 1},
    "reads_outside_transactions_become_weak": {"enable_read_write_split": True},
    "reads_in_transactions_become_weak": {"enable_read_write_split": True, "enable_transaction_split": True},
    "transaction_split_alone": {"enable_transaction_split": True},
    "writes_fail": {"obproxy_read_only": 0},
    "nearness_is_off": ({"proxy_idc_name": "hz"}, {"proxy_idc_name": ""}),
    "only_these_zones": {"proxy_primary_zone_name": "z1;z2"},
    "only_these_servers": {"target_db_server": "10.0.0.1:2881"},
    "any_server": {"server_routing_mode": "random"},
    "partitioned_tables_have_no_location": {"enable_partition_table_route": False},
    "nothing_is_preferred": {"enable_primary_zone": False, "enable_cached_server": False},
    "long_statements_are_cut": {"request_buffer_length": 1024},
    "needs_ob20": {"enable_reroute": True},
    "ob20_goes": ({"enable_ob_protocol_v2": True}, {"enable_ob_protocol_v2": False}),
    "nothing_to_compress": {"compression_algorithm": "zlib:3"},
    "locations_stay_stale": {"normal_pl_update_threshold": 0},
    "looser_under_load": {"limited_pl_update_threshold": 200},
    "renewals_are_waited_for": {"enable_async_pull_location_cache": False},
    "locations_are_forgotten": {"routing_cache_mem_limited": 1 << 20},
    "failing_servers_stay": {"enable_congestion": False},
    "nobody_probes": {"server_detect_mode": 0},
    "hung_servers_stay_long": {"detect_server_timeout": 30.0},
    "all_servers_at_once": {"congestion_changes_per_second": 0},
    "server_list_is_old": {"server_state_refresh_interval": 300.0},
    "locked_out": ({"obproxy_sys_password": Secret("x")}, {"obproxy_sys_password": Secret()}),
    "init_sql_may_fail": {"init_sql": "set @a = 1"},
    "short_names_are_refused": {"enable_full_username": True},
    "metadata_account_is_open": {"skip_proxyro_check": True},
    "servers_see_the_proxy": {"enable_client_ip_checkout": False},
    "wrong_cluster": {"enable_cluster_checkout": False},
    "anybody_names_an_address": {"proxy_protocol_networks": "10.0.0.0/8,0.0.0.0/0"},
    "kill_knows_this_proxy_alone": {"client_session_id_version": 1},
    "tls_is_not_offered": {"enable_client_ssl": True},
    "nobody_may_come_in": {"ssl_attributes": '{"using_ssl":"ENABLE_FORCE"}'},
    "servers_are_met_in_plain_text": {"server_ssl_mode": "REQUIRED"},
    "no_authority": {"enable_server_ssl": True, "server_ssl_mode": "VERIFY_CA"},
    "more_clients_than_allowed": {"client_max_connections": 100},
    "administrators_wait_too": {"client_max_connections_policy": "wait"},
    "nobody_is_displaced": {
        "enable_client_connection_lru_disconnect": True,
        "client_max_connections_policy": "wait",
    },
    "limit_of_users_is_never_reached": {"user_max_connections": 10, "tenant_max_connections": 5},
    "sessions_end_of_their_size": {"client_max_memory_size": 8 << 10},
    "unbounded_statements": {"max_prepared_stmt_count": 0},
    "ddl_is_cut": {"default_inactivity_timeout": 10.0},
    "lost_clients_stay": {"client_sock_option_flag_out": 1},
    "lost_servers_stay": {"sock_option_flag_out": 0},
    "transactions_are_cut": {"hot_upgrade_exit_timeout": 0.0},
    "http_is_reachable": {"prometheus_bound_ip": "0.0.0.0"},
    "log_is_silent": {"syslog_level": "ERROR"},
}


@pytest.mark.parametrize("gun", FOOT_GUNS, ids=lambda gun: gun.name)
def test_each_foot_gun_goes_off_and_is_quiet_when_nothing_of_it_changes(gun: Any) -> None:
    what = SET_OFF[gun.name]
    before, after = what if isinstance(what, tuple) else ({}, what)
    old = msgspec.structs.replace(DEFAULTS, **before)

    assert set(gun.options) <= set(options())
    assert gun.name in told(old, **after)
    assert impacts(msgspec.structs.replace(old, **after), msgspec.structs.replace(old, **after)) == ()
    assert gun.name not in told(msgspec.structs.replace(DEFAULTS, **after), **before)


def test_an_idc_that_no_zone_is_in_is_named_with_the_nearest() -> None:
    seen = Seen(idcs={"c1": frozenset({"hz1", "hz2"})}, zones={"c1": frozenset({"z1"})})
    new = msgspec.structs.replace(DEFAULTS, proxy_idc_name="hz11", proxy_primary_zone_name="z1;z2")

    found = {impact.name: impact.text for impact in impacts(DEFAULTS, new, seen)}

    assert found["unknown_idc"].startswith(
        "cluster c1: no zone is in IDC 'hz11', so all replicas are equally near; did"
    )
    assert found["unknown_zone"].startswith("cluster c1: there is no zone 'z2'")


def test_clients_beyond_a_new_limit_are_counted() -> None:
    new = msgspec.structs.replace(DEFAULTS, client_max_connections=10)

    found = {impact.name: impact.text for impact in impacts(DEFAULTS, new, Seen(clients=12))}

    assert found["clients_beyond_the_limit"] == "12 clients are there, 10 may be: they stay"


def test_a_value_that_a_stronger_layer_takes_back_is_told() -> None:
    changes = [Change("connect_timeout", "9s"), Change("proxy_idc_name", "sh")]
    overlay = Overlay().having(changes)
    scoped = {"rslist": "1.1.1.1:1", "proxy_idc_name": "hz", "tenants": {"t": {"proxy_idc_name": "bj"}}}
    sources = Sources(
        weaker=(Layer("odp.toml", {"clusters": {"c1": scoped}}),),
        kept=overlay,
        kept_in="x",
        altered=overlay,
        stronger=(Layer("-o", {"connect_timeout": "7s"}),),
    )

    found = of_layers(sources.build(), sources.next_start(), changes)

    assert [(impact.name, impact.text) for impact in found] == [
        ("stronger_at_start", "the next start takes connect_timeout = '7s' of -o: change it there too"),
        ("shadowed", "proxy_idc_name stays as it is for cluster c1, cluster c1 tenant t"),
    ]
    assert of_layers(sources.build(), sources.build(), [Change("proxy_idc_name", "x", Scope("c1", "t"))]) == ()
