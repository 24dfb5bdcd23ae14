"""The command line: arguments, exit codes.  Imports wait until a verb needs them: start-up time counts."""

from __future__ import annotations

import argparse
import gc
import logging
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import odp_trio
from odp_trio.admin import check_config

if TYPE_CHECKING:
    from odp_trio.config import Settings
    from odp_trio.config.settings import Built

FAILED = 1
USAGE_ERROR = 2
INTERRUPTED = 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run a verb and return the exit status: 0 done, 2 for a mistake of the user's, else the verb's own."""
    words = list(sys.argv[1:] if argv is None else argv)
    parser = command_line(run_alone=words[:1] == ["run"])
    command: list[str] = []
    if "--" in words:
        at = words.index("--")
        words, command = words[:at], words[at + 1 :]
    options = parser.parse_args(words)
    options.command = command
    try:
        return int(options.verb(options))
    except (Exception, KeyboardInterrupt, BaseExceptionGroup) as exc:
        return _complain(exc)


def _complain(error: BaseException) -> int:
    """Say in one line what the user or the machine did; raise what is a bug of ours."""
    from odp_trio.errors import ConfigError, OdpError

    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]  # a nursery wraps whatever ends it
    match error:
        case KeyboardInterrupt():
            return INTERRUPTED
        case ConfigError():
            print(f"odp-trio: {error}", file=sys.stderr)
            return USAGE_ERROR
        case OSError():
            about = f": {error.filename}" if error.filename else ""
            print(f"odp-trio: {error.strerror or error}{about}", file=sys.stderr)
            return FAILED
        case OdpError():
            print(f"odp-trio: {error}", file=sys.stderr)
            return FAILED
        case _:
            raise error


def command_line(*, run_alone: bool = False) -> argparse.ArgumentParser:
    """Return the parser of all verbs, or of ``run``, for whose start the others would take as long again."""
    parser = argparse.ArgumentParser(prog="odp-trio", description="A proxy for OceanBase.")
    parser.add_argument("-V", "--version", action="version", version=f"odp-trio {odp_trio.__version__}")
    verbs = parser.add_subparsers(metavar="VERB", required=True)

    run = verbs.add_parser("run", help="run the proxy", description="Run the proxy in the foreground.")
    run.set_defaults(verb=_run)
    run.add_argument("--ready-file", metavar="PATH", type=Path, help="written once clients are served")
    check_config.add_settings(run)
    run.add_argument("-N", "--nodaemon", action="store_true", help="as ODP has it; always so here")
    if not run_alone:
        _add_others(verbs)
    return parser


def _add_others(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    from odp_trio.admin import cache_command, top_command
    from odp_trio.admin.explain_command import add_verbs
    from odp_trio.conformance.command import add_verb as add_conformance
    from odp_trio.testing.simulation import arguments

    watch = verbs.add_parser("watch", help="keep a proxy running", description="Start the proxy, and start it again.")
    watch.set_defaults(verb=_watch)
    watch.epilog = "Behind '--': the options of run.  Exit status: 0 clean, 2 wrong settings, 3 gave up."
    number, seconds = _positive(int), _positive(float)
    watch.add_argument("--probe-interval", metavar="S", type=seconds, default=1.0, help="seconds between probes (1)")
    watch.add_argument("--probe-timeout", metavar="S", type=seconds, default=2.0, help="limit for a greeting (2)")
    watch.add_argument("--probe-failures", metavar="N", type=number, default=3, help="in a row: the proxy is hung (3)")
    watch.add_argument("--settle", metavar="S", type=seconds, default=10.0, help="a shorter life is a short one (10)")
    watch.add_argument("--give-up-after", metavar="N", type=number, default=5, help="short lives in a row (5)")
    watch.add_argument("--start-limit", metavar="S", type=seconds, default=30.0, help="limit for a start (30)")
    watch.add_argument("--no-spare", action="store_true", help="keep no second process ready to take over")
    watch.add_argument("--status-file", metavar="PATH", type=Path, help="JSON, written at every change")

    check_config.add_verb(verbs)

    cache_command.add_verb(verbs)
    top_command.add_verb(verbs)
    add_verbs(verbs)

    add_conformance(verbs)

    arguments.add_verb(verbs)
    demo = verbs.add_parser("demo", help="an OceanBase kernel, OBServers and the proxy on this machine")
    demo.set_defaults(verb=_demo)
    bed = verbs.add_parser("testbed", help="the same without the proxy")
    bed.set_defaults(verb=_testbed)
    for verb in (demo, bed):
        verb.add_argument("--observers", metavar="N", type=int, default=3, help="OBServers (default 3)")
        verb.add_argument("--dir", metavar="DIR", type=Path, help="where the kernel's data is (default: temporary)")
        verb.epilog = "Behind '--': a command to run with ODP_HOST, ODP_PORT, ODP_USER, … in its environment."
    demo.add_argument("--port", type=int, default=2883, help="port of the proxy (default 2883; 0: a free one)")
    demo.add_argument("--http-port", type=int, default=2884, help="HTTP port (default 2884; 0: a free one)")
    bed.add_argument("--port", type=int, default=0, help="port of the OBServers (default: a free one)")


def _positive(kind: Callable[[str], float]) -> Callable[[str], float]:
    def read(text: str) -> float:
        value = kind(text)
        if not 0 < value < float("inf"):
            raise ValueError(text)
        return value

    read.__name__ = "positive number"
    return read


def read_settings(options: argparse.Namespace) -> Built:
    """Return the settings that file, what was kept of changes, environment, -o and flags make, weakest first."""
    from odp_trio.admin.start import read_given

    return read_given(options, os.environ).build()


def _run(options: argparse.Namespace) -> int:
    gc.disable()  # some hundred modules are imported, and none of them is garbage
    from odp_trio.admin.configuration import Configuration
    from odp_trio.admin.start import read_given
    from odp_trio.logs.output import start_logging

    configuration = Configuration.read(lambda: read_given(options, os.environ))
    settings = _runnable(configuration.settings())
    output = start_logging(settings)
    log = logging.getLogger("odp_trio")
    for warning in configuration.warnings:
        log.warning("ignored: %s", warning)
    if options.nodaemon:
        log.info("ignored: -N: this process never becomes a daemon")
    import trio

    from odp_trio.process.inherited import take_inherited
    from odp_trio.service import run_proxy

    gc.freeze()
    gc.enable()
    inherited = take_inherited()
    if inherited.link is None and settings.workers != 1:
        from odp_trio.process.child import own_command
        from odp_trio.process.parent import run_watch, workers_of
        from odp_trio.process.watch_options import WatchOptions

        if workers_of(settings) > 1:
            output.go()  # the workers do the importing
            command = own_command(sys.argv[1:])
            return run_watch(settings, command, WatchOptions(), ready_file=options.ready_file, inherited=inherited)

    async def run() -> int:
        return await run_proxy(configuration, ready_file=options.ready_file, inherited=inherited)

    return trio.run(run)


def _runnable(settings: Settings) -> Settings:
    """Return settings that a proxy can run with; raise ConfigError for others."""
    if not settings.clusters and not settings.obproxy_config_server_url:
        from odp_trio.errors import ConfigError

        raise ConfigError(
            "no cluster is configured: give -r and -c, or [clusters.NAME] in the file, or obproxy_config_server_url"
        )
    return settings


def _watch(options: argparse.Namespace) -> int:
    """Check the options of run before anything is started: a mistake in them is no reason to try again."""
    from odp_trio.logs.output import start_logging

    of_run = command_line(run_alone=True).parse_args(["run", *options.command])
    settings = _runnable(read_settings(of_run).settings)
    start_logging(settings).go()  # the proxies do the importing here
    from odp_trio.process.child import own_command
    from odp_trio.process.parent import run_watch
    from odp_trio.process.watch_options import WatchOptions

    wanted = WatchOptions(
        probe_interval=options.probe_interval,
        probe_timeout=options.probe_timeout,
        probe_failures=options.probe_failures,
        settle=options.settle,
        give_up_after=options.give_up_after,
        start_limit=options.start_limit,
        spare=not options.no_spare,
        status_file=options.status_file,
    )
    return run_watch(settings, own_command(["run", *options.command]), wanted, ready_file=of_run.ready_file)


def _demo(options: argparse.Namespace) -> int:
    import trio

    from odp_trio.testing.demo import demo

    async def run() -> int:
        return await demo(
            observers=options.observers,
            port=options.port,
            http_port=options.http_port,
            directory=options.dir,
            command=options.command,
        )

    return trio.run(run)


def _testbed(options: argparse.Namespace) -> int:
    import trio

    from odp_trio.testing.commands import testbed

    async def run() -> int:
        return await testbed(
            observers=options.observers, port=options.port, directory=options.dir, command=options.command
        )

    return trio.run(run)


if __name__ == "__main__":
    raise SystemExit(main())
