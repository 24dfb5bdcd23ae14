"""What the command and the pytest plugin can be told.  Imports nothing of the house: other people's pytest loads it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

    from odp_trio.conformance.target import Account, Target

PASSWORDS: Final = {
    "password": "ODP_CONFORMANCE_PASSWORD",
    "sys_password": "ODP_CONFORMANCE_SYS_PASSWORD",
    "admin_password": "ODP_CONFORMANCE_ADMIN_PASSWORD",
    "proxyro_password": "ODP_CONFORMANCE_PROXYRO_PASSWORD",
}
"""Variables of the environment; a file may be named instead.  No password is taken from the command line."""
VALUES: Final = {
    "rslist": ("IP:PORT;...", "OBServers of an OceanBase (SQL ports)"),
    "config-url": ("URL", "config server that names them"),
    "cluster": ("NAME", "the cluster's name in logins"),
    "user": ("USER@TENANT", "who may create a database"),
    "sys-user": ("USER@sys", "a user of the tenant sys, if there is one to use"),
    "proxy": ("HOST:PORT", "a proxy that runs before it, ours or another; without it one of ours is started"),
    "admin-user": ("USER@proxysys", "the login for administrators of that proxy (root@proxysys)"),
    "database": ("NAME", "the database that is made, and removed again (odp_conformance_ and something random)"),
    "password-file": ("FILE", f"password of --user; else ${PASSWORDS['password']}"),
    "sys-password-file": ("FILE", f"password of --sys-user; else ${PASSWORDS['sys_password']}"),
    "admin-password-file": ("FILE", f"password of --admin-user; else ${PASSWORDS['admin_password']}"),
    "proxyro-password-file": (
        "FILE",
        f"password of proxyro, for proxies of ours; else ${PASSWORDS['proxyro_password']}",
    ),
}
"""Options that have a value: its name, and what it is."""
SWITCHES: Final = {
    "direct": "no proxy between: what must hold there holds, the other checks are skipped",
    "fakes": "fake OBServers in this process instead of the embedded kernel",
}
"""Options that have none."""


def target_of(
    options: Callable[[str], Any], progress: Callable[[str], None] = lambda _: None
) -> AbstractAsyncContextManager[Target]:
    """Return the target that options describe, asked for by name, with ``_`` for ``-``; raise ConfigError."""
    from odp_trio.errors import ConfigError

    given = [name for name in VALUES if options(name.replace("-", "_"))]
    proxied = not options("direct")
    if options("direct") and options("proxy"):
        raise ConfigError("--direct and --proxy: is there a proxy or not?")
    if not given:
        from odp_trio.conformance import targets

        return (
            targets.faked(proxied=proxied) if options("fakes") else targets.embedded(proxied=proxied, progress=progress)
        )
    if options("fakes"):
        raise ConfigError(f"--fakes and --{given[0]}: which of them?")
    return _anywhere(options)


def _anywhere(options: Callable[[str], Any]) -> AbstractAsyncContextManager[Target]:
    from odp_trio.config import Secret
    from odp_trio.conformance.anywhere import Place, anywhere
    from odp_trio.errors import BadAddress, ConfigError
    from odp_trio.model import Address, parse_rslist

    if not options("user"):
        raise ConfigError("who is to log in? give --user USER@TENANT")
    if not options("cluster") and not options("direct"):
        raise ConfigError("what is the cluster called? give --cluster NAME")
    try:
        rslist = parse_rslist(options("rslist")) if options("rslist") else ()
        proxy = Address.parse(options("proxy")) if options("proxy") else None
    except BadAddress as exc:
        raise ConfigError(str(exc)) from exc
    admin = account(options("admin_user") or "root@proxysys", _password(options, "admin_password"))
    sys_user = options("sys_user")
    return anywhere(
        Place(
            cluster=options("cluster") or "direct",
            account=account(options("user"), _password(options, "password")),
            rslist=rslist,
            config_url=options("config_url") or "",
            proxy=proxy,
            direct=bool(options("direct")),
            sys_account=account(sys_user, _password(options, "sys_password")) if sys_user else None,
            admin=admin if options("admin_user") or admin.password.value else None,
            proxyro_password=Secret(_password(options, "proxyro_password")),
            database=options("database") or "",
        )
    )


def account(name: str, password: str) -> Account:
    """Take ``user@tenant`` apart; the tenant may be left out, and is sys then."""
    from odp_trio.config import Secret
    from odp_trio.conformance.target import Account

    user, _, tenant = name.partition("@")
    return Account(user, tenant or "sys", Secret(password))


def _password(options: Callable[[str], Any], name: str) -> str:
    """Return a password of a file or of the environment; raise OSError for a file that cannot be read."""
    file = options(f"{name}_file")
    if file:
        return Path(file).read_text(encoding="utf-8").rstrip("\r\n")
    return os.environ.get(PASSWORDS[name], "")
