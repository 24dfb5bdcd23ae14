"""A change of one process is in force in the next; what -o says is stronger, and the change said so."""

from __future__ import annotations

from pathlib import Path

import pymysql

from odp_trio.model import Address
from tests.proxy_process import proxy_process

NOBODY = "127.0.0.1:1"
"""No cluster is needed: the proxy starts, and answers logins to itself."""


def admin(address: Address, *statements: str) -> list[tuple[object, ...]]:
    """Execute statements as root@proxysys; return the rows of the last one."""
    connection = pymysql.connect(host=address.ip, port=address.port, user="root@proxysys", password="admin")
    try:
        with connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
            return list(cursor.fetchall())
    finally:
        connection.close()


def value(address: Address, name: str) -> object:
    return admin(address, f"SHOW PROXYCONFIG LIKE '{name}'")[0][1]


def test_a_change_lasts_beyond_its_process(tmp_path: Path) -> None:
    options = f"etc_dir={tmp_path},login_timeout=5s"
    environment = {"PROXYSYS_PASSWORD": "admin"}
    with proxy_process(NOBODY, "demo", "", options=options, **environment) as first:
        changes = "connect_timeout = '9s', login_timeout = '7s', server_detect_mode = 2"
        told = [row for row in admin(first.address, f"ALTER PROXYCONFIG SET {changes} DRY RUN") if "start" in str(row)]
        admin(first.address, f"ALTER PROXYCONFIG SET {changes}")

        assert [value(first.address, name) for name in ("connect_timeout", "login_timeout")] == ["9s", "7s"]
        assert "the next start takes login_timeout = '5s' of -o: change it there too" in str(told)

    with proxy_process(NOBODY, "demo", "", options=options, **environment) as second:
        assert [value(second.address, name) for name in ("connect_timeout", "login_timeout")] == ["9s", "5s"]
        assert value(second.address, "server_detect_mode") == "2"
