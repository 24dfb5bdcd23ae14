"""What outlasts a restart in the local file, and what happens while it cannot be written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from odp_trio.admin.status import config_server_status, proxy_status
from odp_trio.app import open_proxy
from odp_trio.catalog.directory import SAVE_AGAIN_SECONDS
from odp_trio.catalog.rslist_file import NAME, RslistFile
from odp_trio.config import Settings
from odp_trio.errors import ConfigServerError
from tests.catalog.fake_config_server import FakeStore
from tests.catalog.test_login_clusters import open_world


async def test_regions_of_idcs_outlast_a_restart_without_the_config_server(autojump_clock: MockClock) -> None:
    files = FakeStore()
    async with open_world("a", files=files) as world:
        world.server.idcs_told = {"idc1": "hangzhou"}
        cluster = await world.clusters.enter("a")
        await trio.sleep(20)
        assert cluster.idcs == {"idc1": "hangzhou"}

    (kept,) = files.entries
    assert kept.idcs == {0: {"idc1": "hangzhou"}}
    assert kept.used_at == 1000.0
    async with open_world("a", files=files, ignore_local_config=False) as world:
        world.server.down = "refused"
        cluster = await world.clusters.enter("a")
        assert cluster.idcs == {"idc1": "hangzhou"}


async def test_what_could_not_be_written_is_written_later(autojump_clock: MockClock) -> None:
    files = FakeStore(full=True)
    async with open_world("a", files=files) as world:
        await world.clusters.enter("a")
        await trio.sleep(SAVE_AGAIN_SECONDS * 2.5)
        assert files.entries == ()
        assert files.saves <= 5

        files.full = False
        await trio.sleep(SAVE_AGAIN_SECONDS)
        assert files.servers("a")
        saves = files.saves
        await trio.sleep(SAVE_AGAIN_SECONDS * 10)
        assert files.saves == saves


async def test_what_is_not_written_yet_is_written_at_the_end(autojump_clock: MockClock) -> None:
    files = FakeStore(full=True)
    async with open_world("a", files=files) as world:
        await world.clusters.enter("a")
        await trio.sleep(1)
    files.full = False
    saves = files.saves

    await world.directory.aclose()
    await world.directory.aclose()

    assert files.servers("a")
    assert files.saves == saves + 1


def on_real_disk(directory: Path) -> Any:
    return RslistFile(directory, lambda: 1_800_000_000.0)


async def test_a_file_on_disk_stands_in_for_a_config_server_that_fails(tmp_path: Path) -> None:
    async with open_world("a", files=on_real_disk(tmp_path)) as world:
        await world.clusters.enter("a")
    await world.directory.aclose()

    async with open_world("a", files=on_real_disk(tmp_path), ignore_local_config=False) as world:
        world.server.down = "refused"
        assert (await world.clusters.enter("a")).available
        status = config_server_status(world.directory, trio.current_time())
        assert status is not None
        assert (status.file.path, status.file.writer, status.file.problem) == (str(tmp_path / NAME), True, "")
        assert status.file.age is not None
    await world.directory.aclose()


async def test_a_bad_file_stops_no_start_and_tells_in_the_status(tmp_path: Path) -> None:
    (tmp_path / NAME).write_text("[]")

    async with open_world("a", files=on_real_disk(tmp_path), ignore_local_config=False) as world:
        world.server.down = "refused"
        with pytest.raises(ConfigServerError, match="refused"):
            await world.clusters.enter("a")

        status = config_server_status(world.directory, trio.current_time())
        assert status is not None
        assert "is not used: it is no file of rslists: Expected `object`, got `array`; it is now" in status.file.problem
        assert status.file.refused == status.file.problem
    await world.directory.aclose()


@pytest.mark.parametrize("hostile", ["", "[" * 100_000, '{"format": 1, "made_by"', "\0" * 4096])
async def test_a_proxy_starts_with_any_file(tmp_path: Path, hostile: str) -> None:
    (tmp_path / NAME).write_text(hostile)
    settings = Settings(
        obproxy_config_server_url="http://127.0.0.1:1/services?uid=s3cret",
        ignore_local_config=False,
        etc_dir=str(tmp_path),
        local_bound_ip="127.0.0.1",
        listen_port=0,
        enable_http=False,
    )

    async with open_proxy(settings) as proxy:
        assert proxy.addresses[0][1]
        (said,) = [reason for reason in proxy_status(proxy).why_degraded if "local file" in reason]

    assert said.startswith(f"local file of rslists: {tmp_path / NAME} is not used: it is ")
