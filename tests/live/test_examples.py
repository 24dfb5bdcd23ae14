"""The examples run."""

import subprocess
import sys

from odp_trio.testing.live import KernelProcess
from odp_trio.testing.topology import PROXYRO_PASSWORD, Node, reset_statements
from tests.live.clients import ask
from tests.paths import ROOT


def test_a_proxy_inside_a_trio_program(kernel: KernelProcess) -> None:
    kernel.run(*reset_statements([Node(0, "127.0.0.1", "zone1")], kernel.port, ("sys",)))
    command = [
        sys.executable,
        str(ROOT / "examples" / "embed.py"),
        f"127.0.0.1:{kernel.port}",
        "demo",
        PROXYRO_PASSWORD,
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            address = line.removeprefix("listening on (").rstrip(")\n").replace("'", "").split(", ")
            assert ask((address[0], int(address[1])), "select 42") == ((42,),)
        finally:
            process.kill()
