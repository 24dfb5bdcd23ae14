"""Puts the directory of a config server together: imports what it needs only if there is one."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from odp_trio.catalog.directory import Directory
from odp_trio.config import Settings
from odp_trio.net.network import KERNEL, Network
from odp_trio.workers.asking import Workers


def open_directory(
    settings: Callable[[], Settings], workers: Workers | None = None, network: Network = KERNEL
) -> Directory | None:
    """Return the directory of the config server of the settings; None if they have none."""
    url = settings().obproxy_config_server_url
    if not url:
        return None
    from odp_trio.catalog.config_server import ConfigServer  # its HTTP client takes 0.1 s: others need not wait
    from odp_trio.catalog.http_get import HttpGet
    from odp_trio.catalog.rslist_file import RslistFile

    store = RslistFile(Path(settings().etc_dir), time.time)
    if workers is not None and workers.count > 1:
        from odp_trio.catalog.one_writer import write_for_all

        write_for_all(store, workers)
    return Directory(ConfigServer(url, HttpGet(network.http_transport)), store, settings, time.time)
