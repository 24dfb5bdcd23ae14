"""Commands about the configuration: ``Configuration`` does the work."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from odp_trio.admin.across.rows import AGREED, ONE
from odp_trio.admin.commands.command import LIKE, Asked, Command, Rows, order, show
from odp_trio.config.changes import AlterReport, Change, Scope
from odp_trio.config.listing import ConfigRow

_OPTIONS: Final = "name V, value V, info V, need_reboot V, visible_level V, range V, config_level V"
_VALUES: Final = (
    "vid L, vip V, vport L, tenant_name V, cluster_name V, name V, value V, config_level V, user_name V, source V"
)
_REPORT: Final = "kind V, name V, scope V, old_value V, new_value V, text V"
_FOR: Final = "[FOR CLUSTER 'cluster' [TENANT 'tenant' [USER 'user']]]"


def _rows(asked: Asked, *, diff: bool = False, user: bool = False) -> Rows:
    found = asked.proxy.configuration.rows(asked.text("pattern") or "%", diff=diff)
    return option_rows(row for row in found if not user or row.visible_level == "USER")


def option_rows(found: Iterable[ConfigRow]) -> list[tuple[str, ...]]:
    """Return options as ODP shows them."""
    return [
        (
            *(row.name, row.value, row.info, str(row.need_reboot).lower()),
            *(row.visible_level, row.range, row.config_level),
        )
        for row in found
    ]


def _every(asked: Asked) -> Rows:
    return _rows(asked)


def _diff(asked: Asked) -> Rows:
    return _rows(asked, diff=True)


def _diff_of_user(asked: Asked) -> Rows:
    return _rows(asked, diff=True, user=True)


def _all(asked: Asked) -> Rows:
    return [
        (
            *(-1, "", 0, row.scope.tenant, row.scope.cluster),
            *(row.name, row.value, row.config_level, row.scope.user, row.source),
        )
        for row in asked.proxy.configuration.rows(asked.text("pattern") or "%", all_scopes=True)
    ]


async def _alter(asked: Asked) -> str:
    return summary(await asked.proxy.configuration.alter(_changes(asked)))


async def _reset(asked: Asked) -> str:
    scope = _scope(asked)
    changes = [Change(name, None, scope) for key, name in asked.everything if key == "name"]
    return summary(await asked.proxy.configuration.alter(changes))


async def _try(asked: Asked) -> Rows:
    return report_rows(await asked.proxy.configuration.alter(_changes(asked), dry_run=True))


def _changes(asked: Asked) -> Sequence[Change]:
    scope = _scope(asked)
    names = [text for key, text in asked.everything if key == "name"]
    values = [text for key, text in asked.everything if key == "value"]
    return [Change(name, value, scope) for name, value in zip(names, values, strict=True)]


def _scope(asked: Asked) -> Scope:
    return Scope(*(asked.text(word) or "" for word in ("cluster", "tenant", "user")))


def report_rows(report: AlterReport) -> list[tuple[str, ...]]:
    """Return what would change, and then what somebody may not expect of it."""
    rows = [
        (
            *("change", changed.name, str(changed.scope), changed.old, changed.new),
            "takes effect at the next start" if changed.restart else "takes effect at once",
        )
        for changed in report.changed
    ]
    return [*rows, *(("impact", impact.name, "", "", "", impact.text) for impact in report.impacts)]


def summary(report: AlterReport) -> str:
    """Return what an OK says of a change: what waits for a restart, what somebody may not expect, where it is kept."""
    waiting = [changed.name for changed in report.changed if changed.restart]
    sentences = [f"{', '.join(waiting)}: at the next start"] if waiting else []
    sentences += [f"{impact.name}: {impact.text}" for impact in report.impacts]
    sentences.append(f"kept in {report.kept_in}" if report.kept_in else "not kept: the next start knows nothing of it")
    return "; ".join(sentences)


COMMANDS: Final[tuple[Command, ...]] = (
    show(
        f"SHOW PROXYCONFIG {LIKE}",
        _OPTIONS,
        _every,
        "the options, as they are configured; secrets are masked",
        across=ONE,
    ),
    show(f"SHOW PROXYCONFIG DIFF {LIKE}", _OPTIONS, _diff, "those that are not at their defaults", across=ONE),
    show(
        f"SHOW PROXYCONFIG DIFF USER {LIKE}",
        _OPTIONS,
        _diff_of_user,
        "of these, those of visible_level USER",
        across=ONE,
    ),
    show(
        f"SHOW PROXYCONFIG ALL {LIKE}",
        _VALUES,
        _all,
        "every value, those for a cluster, a tenant or a user too; the last two columns are our own",
        across=ONE,
    ),
    order(
        f"ALTER PROXYCONFIG SET name = value [, ...] {_FOR}",
        _alter,
        "set options, all of them or none, for everybody or a scope; the OK says what waits for a restart",
        across=AGREED,
    ),
    show(
        f"ALTER PROXYCONFIG SET name = value [, ...] {_FOR} DRY RUN",
        _REPORT,
        _try,
        "say what that would change, and what somebody may not expect of it",
        across=ONE,
        own=True,
    ),
    order(
        f"ALTER PROXYCONFIG RESET name [, ...] {_FOR}",
        _reset,
        "forget what was set at run time for options",
        across=AGREED,
        own=True,
    ),
)
