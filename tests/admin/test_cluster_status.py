"""Clusters and the config server in the status: what keeps a proxy from being ready, what is degraded, the metrics."""

from __future__ import annotations

from typing import Any, get_origin

import msgspec

from odp_trio.admin.measurements import Measurements
from odp_trio.admin.metrics import collect, write_slices
from odp_trio.admin.routes import RouteTotals
from odp_trio.admin.status import ClusterStatus, ConfigServerStatus, ProxyStatus, RslistFileStatus

FILE = RslistFileStatus("/etc/odp/x.json", writer=True, age=60.0, writes=3, failures=0, problem="", refused="")
SERVER = ConfigServerStatus("http://ocp/services", 2, "v1", 9, 0, "", 12.0, usable=True, file=FILE)
GOOD = ClusterStatus("a", "4.3.5.3", {"10.0.0.1:2881": "ACTIVE"}, 7, 0, "", 3.0)


def status(*clusters: ClusterStatus, server: ConfigServerStatus | None = SERVER) -> ProxyStatus:
    empty: dict[str, Any] = {"int": 0, "float": 0.0, "bool": False, "str": "", "tuple": (), "dict": {}}
    values = {
        field.name: empty[str(getattr(get_origin(field.type) or field.type, "__name__", ""))]
        for field in msgspec.structs.fields(ProxyStatus)
        if field.default is msgspec.NODEFAULT and field.default_factory is msgspec.NODEFAULT
    }
    return ProxyStatus(**values | {"clusters": clusters, "config_server": server})


def change(record: Any, **fields: Any) -> Any:
    return msgspec.structs.replace(record, **fields)


def test_a_cluster_of_the_settings_without_servers_keeps_clients_away_and_one_that_came_by_login_does_not() -> None:
    gone = change(GOOD, servers={}, last_failure="nobody answers")

    assert status(gone).why_not_ready == ("cluster a has no server list: nobody answers",)
    assert status(change(gone, rslist_source="config server")).why_not_ready == ()


def test_without_any_cluster_it_is_not_ready() -> None:
    silent = change(SERVER, usable=False, failures=2, last_failure="the connection is refused", age=None)

    assert status(server=silent).why_not_ready == ("no cluster is known: the connection is refused",)
    assert status(server=change(silent, usable=True)).why_not_ready == ()  # the local file speaks for it


def test_what_is_degraded_says_how_old_it_is() -> None:
    down = change(SERVER, failures=3, last_failure="status 500", age=240.0)
    old = change(
        GOOD,
        rslist_source="local file",
        rslist_age=3600.0,
        rslist_failure="no answer",
        rebuilding="20 refreshes failed",
    )

    assert status(GOOD).why_degraded == ()
    assert status(old, server=down).why_degraded == (
        "cluster a: its rslist is from the local file, 3600 s old",
        "cluster a: no new rslist: no answer",
        "cluster a is being built anew: 20 refreshes failed",
        "config server: 3 failures in a row; its clusters are 240 s old: status 500",
    )


def written(now: ProxyStatus) -> str:
    families = collect(now, Measurements(), RouteTotals({}, ()))
    return b"".join(piece for family in families for piece in write_slices(family)).decode()


def test_the_metrics_of_the_config_server() -> None:
    here = change(GOOD, rslist_source="config server", rslist_age=8.0)
    text = written(status(here))

    assert "odp_config_server_clusters 2.0" in text
    assert "odp_config_server_failures 0.0" in text
    assert "odp_config_server_age_seconds 12.0" in text
    assert 'odp_cluster_rslist_age_seconds{cluster="a",source="config server"} 8.0' in text
    assert "odp_config_server" not in written(status(GOOD, server=None))
