"""A live kernel for the session; a test bed and a proxy before it for a test."""

from __future__ import annotations

import importlib.util
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import trio

from odp_trio.app import Proxy, open_proxy
from odp_trio.model import Address
from odp_trio.testing.bed import Testbed, open_testbed, template
from odp_trio.testing.demo import settings_for
from odp_trio.testing.live import KernelProcess, copy_sparsely, free_port
from odp_trio.testing.topology import PROXYRO_PASSWORD, Node, reset_statements
from tests.proxy_process import proxy_process


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    missing = importlib.util.find_spec("pylibseekdb") is None
    for item in items:
        if "tests/live" in str(item.path):
            item.add_marker("live")
            if missing:
                item.add_marker(pytest.mark.skip(reason="no OceanBase kernel here: pip install 'odp-trio[demo]'"))


@pytest.fixture(scope="session")
def kernel() -> Iterator[KernelProcess]:
    """One kernel for all live tests: they keep apart by database names."""
    with tempfile.TemporaryDirectory(prefix="odp-trio-tests-") as place:
        copy_sparsely(template(), Path(place) / "kernel")
        process = KernelProcess(Path(place) / "kernel", free_port(), "demo")
        process.start()
        try:
            yield process
        finally:
            process.stop()


@pytest.fixture
async def bed(kernel: KernelProcess) -> AsyncIterator[Testbed]:
    """Three OBServers in their first state."""
    async with open_testbed(kernel=kernel) as bed:
        yield bed


@pytest.fixture
async def proxy(bed: Testbed) -> AsyncIterator[Proxy]:
    """A proxy before the bed, in this process."""
    async with open_proxy(settings_for(bed, enable_http=False, hot_upgrade_exit_timeout=0.2)) as proxy:
        with trio.fail_after(20):
            await proxy.clusters.wait_available(bed.cluster)
        yield proxy


@pytest.fixture(scope="session")
def kernel_address(kernel: KernelProcess) -> Address:
    """The kernel itself, without relays."""
    return Address("127.0.0.1", kernel.port)


@contextmanager
def proxy_before(kernel: KernelProcess) -> Iterator[Address]:
    """A proxy process straight before the kernel, for clients that block."""
    nodes = [Node(number, f"127.0.0.{number + 1}", f"zone{number + 1}") for number in range(3)]
    kernel.run(*reset_statements(nodes, kernel.port, ("sys",)))
    with proxy_process(f"127.0.0.1:{kernel.port}", "demo", PROXYRO_PASSWORD) as process:
        yield process.address


@pytest.fixture
def proxy_address(kernel: KernelProcess) -> Iterator[Address]:
    """Such a proxy, for one test."""
    with proxy_before(kernel) as address:
        yield address


@pytest.fixture(scope="module")
def module_proxy_address(kernel: KernelProcess) -> Iterator[Address]:
    """Such a proxy for all tests of a module, of which none changes the topology."""
    with proxy_before(kernel) as address:
        yield address


@pytest.fixture
def run_options(kernel: KernelProcess) -> list[str]:
    """Options of ``run`` for a proxy process straight before the kernel; the last one is what -o says."""
    nodes = [Node(number, f"127.0.0.{number + 1}", f"zone{number + 1}") for number in range(3)]
    kernel.run(*reset_statements(nodes, kernel.port, ("sys",)))
    options = f"observer_sys_password={PROXYRO_PASSWORD},local_bound_ip=127.0.0.1,hot_upgrade_exit_timeout=3s"
    return ["-p", "0", "-l", "0", "-r", f"127.0.0.1:{kernel.port}", "-c", "demo", "-o", options]
