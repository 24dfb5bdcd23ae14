"""The man page odp-trio(1): out of the command line's parser and the table of options."""

from __future__ import annotations

import argparse
import re
from typing import Final

import odp_trio
from odp_trio.cli import command_line
from odp_trio.config.environment import PLAIN
from odp_trio.config.options import options
from odp_trio.config.render import value_text

_FILES: Final = (
    ("etc_dir/proxyconfig.toml", "what ALTER PROXYCONFIG set; below the environment and the flags"),
    ("etc_dir/obproxy_rslist_info.json", "rslists, for when the config server fails"),
    ("log_dir", "logs"),
)
_STATUS: Final = (
    ("0", "ended as told"),
    ("1", "could not start or go on; of check-config --strict: there is something to expect"),
    ("2", "the settings or the flags are wrong"),
    ("3", "of watch: gave up, the proxy died at once again and again"),
)
_SIGNALS: Final = (
    ("SIGTERM, SIGINT, SIGUSR1", "drain, then end; the same again: end at once"),
    ("SIGUSR2", "hot upgrade: a new process takes over, no connection is lost"),
)


def roff(text: str) -> str:
    """Return a text that troff shows as it is."""
    text = text.replace("\\", r"\e").replace("-", r"\-").replace("…", "...").replace("'", r"\(aq")
    return re.sub(r"^\.", r"\\&.", text, flags=re.MULTILINE)


def man_page() -> str:
    """Return the page."""
    parser = command_line()
    lines = [
        '.\\" Made from the command line and the table of options: nox -s docs',
        f'.TH ODP\\-TRIO 1 "" "odp\\-trio {odp_trio.__version__}" "User Commands"',
        ".SH NAME",
        r"odp\-trio \- a proxy for OceanBase",
        ".SH SYNOPSIS",
        r".B odp\-trio",
        r".I VERB",
        r"[\fIOPTION\fR ...]",
        ".SH DESCRIPTION",
        roff(
            "One address for every cluster, tenant and replica of OceanBase: any MySQL client logs in as "
            "user@tenant#cluster; the proxy finds the cluster, the tenant's servers and one that is fit, and forwards. "
            "It does the job of ODP (OceanBase Database Proxy)."
        ),
        ".SH VERBS",
    ]
    for name, verb, says in _verbs(parser):
        lines += [f".SS {roff(name)}", roff(_sentence(verb.description or says))]
        lines += [line for action in verb._actions for line in _argument(action)]
        if verb.epilog:
            lines += [".PP", roff(_sentence(" ".join(verb.epilog.split())))]
    lines += [
        ".SH OPTIONS",
        roff(
            "Written in the file, behind -o, or as a variable ODP_NAME of the environment; their defaults in brackets."
        ),
    ]
    for name, described in options().items():
        option = described.option
        default = value_text(described, described.default)
        lines += [".TP", rf"\fB{roff(name)}\fR [{roff(default)}]", roff(option.text)]
    lines += [".SH ENVIRONMENT"]
    for variable, option_name in sorted(PLAIN.items()):
        lines += [".TP", rf"\fB{roff(variable)}\fR", roff(f"the option {option_name}")]
    for title, rows in (("FILES", _FILES), ("EXIT STATUS", _STATUS), ("SIGNALS", _SIGNALS)):
        lines.append(f'.SH "{title}"')
        for head, says in rows:
            lines += [".TP", rf"\fB{roff(head)}\fR", roff(says)]
    lines += [".SH SEE ALSO", roff("https://odp-trio.readthedocs.io")]
    return "\n".join(lines) + "\n"


def _verbs(parser: argparse.ArgumentParser) -> list[tuple[str, argparse.ArgumentParser, str]]:
    """Return name, parser and help of each verb."""
    action = next(action for action in parser._actions if isinstance(action, argparse._SubParsersAction))
    helps = {choice.dest: choice.help or "" for choice in action._choices_actions}
    return [(name, verb, helps.get(name, "")) for name, verb in action.choices.items()]


def _argument(action: argparse.Action) -> list[str]:
    if isinstance(action, argparse._HelpAction) or action.help == argparse.SUPPRESS:
        return []
    metavar = action.metavar if isinstance(action.metavar, str) else action.dest.upper()
    value = "" if action.nargs == 0 else rf" \fI{roff(metavar)}\fR"
    flags = ", ".join(rf"\fB{roff(flag)}\fR" for flag in action.option_strings)
    head = f"{flags}{value}" if flags else rf"\fI{roff(metavar)}\fR"
    return [".TP", head, roff((action.help or "").replace("%%", "%"))]


def _sentence(text: str) -> str:
    text = text[:1].upper() + text[1:]
    return text if text.endswith(".") else f"{text}."
