"""``odp-trio check-config``: the settings that a start would have, and what somebody may not expect of them.

Imports wait until the verb runs.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from odp_trio.config.settings import Built

FOUND: Final = 1
FLAGS: Final = (
    ("listen_port", "-p", "listen_port"),
    ("prometheus_listen_port", "-l", "prometheus_listen_port"),
    ("rs_list", "-r", "rootservice_list"),
    ("cluster_name", "-c", "rootservice_cluster_name"),
    ("appname", "-n", "app_name"),
    ("workers", "--workers", "workers"),
)
"""Flags of ``run`` that are options: destination, flag, option."""


def add_settings(verb: argparse.ArgumentParser) -> None:
    """Add the options that settings are read from."""
    verb.add_argument("--config", metavar="FILE", type=Path, help="settings (see etc/odp.toml)")
    verb.add_argument("--etc", metavar="DIR", type=Path, help="directory with odp.toml, read when there is no --config")
    verb.add_argument("-p", "--listen_port", metavar="PORT", help="port for MySQL clients")
    verb.add_argument("-l", "--prometheus_listen_port", metavar="PORT", help="port for HTTP")
    verb.add_argument("-r", "--rs_list", metavar="LIST", help="root servers, ip:port;ip:port (sql ports)")
    verb.add_argument("-c", "--cluster_name", metavar="NAME", help="name of their cluster")
    verb.add_argument("-n", "--appname", metavar="NAME", help="name of the application")
    verb.add_argument("--workers", metavar="N", help="processes, or auto: one for each processor (1)")
    verb.add_argument("-o", "--optstr", metavar="OPTIONS", help="name=value,name=value")


def add_verb(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb to a command line."""
    check = verbs.add_parser(
        "check-config",
        help="validate settings, print what is in force and what to expect of it",
        description="Print the settings of FILE alone, or those that run would have with the same options: then what "
        "was kept of changes at run time and the environment count too. What somebody may not expect goes to "
        "standard error.",
        epilog="Exit status: 0, 1 with --strict when there is anything to expect, 2 for a mistake.",
    )
    check.set_defaults(verb=lambda options: check_config(options, check))
    check.add_argument("file", metavar="FILE", type=Path, nargs="?")
    check.add_argument("--since", metavar="FILE", type=Path, help="say only what is new against this file")
    check.add_argument("--strict", action="store_true", help="exit with 1 when there is anything to expect")
    check.add_argument("--json", action="store_true", help="print JSON")
    add_settings(check)


def check_config(options: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    """Run ``odp-trio check-config`` and return the exit status; raise ConfigError naming every mistake."""
    from odp_trio.config.impact import impacts
    from odp_trio.config.render import effective, effective_json

    built = _read(options, parser)
    old = None if options.since is None else _alone(options.since).settings
    found = impacts(old, built.settings)
    if options.json:
        sys.stdout.buffer.write(effective_json(built, found) + b"\n")
    else:
        sys.stdout.write(effective(built))
        for warning in built.warnings:
            sys.stderr.write(f"ignored: {warning}\n")
        for impact in found:
            sys.stderr.write(f"{impact.name}: {impact.text}\n")
    return FOUND if found and options.strict else 0


def _read(options: argparse.Namespace, parser: argparse.ArgumentParser) -> Built:
    from odp_trio.admin.start import read_given

    names = ("config", "etc", "optstr", *(destination for destination, _, _ in FLAGS))
    if (options.file is None) == all(getattr(options, name) is None for name in names):
        parser.error("give FILE, or options of run")
    return read_given(options, os.environ).build() if options.file is None else _alone(options.file)


def _alone(file: Path) -> Built:
    from odp_trio.admin.start import read_file
    from odp_trio.config.settings import build

    return build(read_file(file))
