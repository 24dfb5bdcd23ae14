"""What a check needs of its target, and why a target may not have it."""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping
from typing import Final


class Needs(enum.Flag):
    """What a target may have; a check that needs what is not there is skipped."""

    NOTHING = 0
    PROXY = enum.auto()
    """A proxy stands before the servers."""
    SERVERS = enum.auto()
    """OBServers take connections that go round the proxy."""
    SEVERAL = enum.auto()
    """There is more than one OBServer."""
    WHERE = enum.auto()
    """It can be said where a statement ran."""
    LEADERS = enum.auto()
    """It can be said which server leads which partition."""
    PARTITIONS = enum.auto()
    """Tables can be partitioned."""
    MOVES = enum.auto()
    """Leaders can be moved."""
    TOPOLOGY = enum.auto()
    """Servers, zones and tenants can be changed."""
    FAULTS = enum.auto()
    """Servers can be killed, frozen, slowed, made to answer errors."""
    METADATA = enum.auto()
    """The metadata queries of a proxy can be seen."""
    ADMIN = enum.auto()
    """The proxy has a login for administrators."""
    OWN_PROXY = enum.auto()
    """Further proxies of ours can be started before the same servers, with options, and their tasks crashed."""
    PROCESS = enum.auto()
    """A proxy can be started as a process of its own, and killed."""
    CONFIG_SERVER = enum.auto()
    """A config server that can be made to fail names the cluster."""
    TENANT = enum.auto()
    """There is a second tenant, or the user's is not sys."""
    SYS = enum.auto()
    """The user may log in to the tenant sys."""
    TLS = enum.auto()
    """The proxy offers TLS to clients."""
    SQL = enum.auto()
    """Statements are run by something that knows SQL beyond single rows of single tables."""
    EVERY_PARTITIONING = enum.auto()
    """Tables can be partitioned by keys, by lists, and by columns of every type."""
    PROCEDURES = enum.auto()
    """There are procedures."""
    CHARSETS = enum.auto()
    """Texts are spoken in the character set that the session has asked for."""
    MODES = enum.auto()
    """sql_mode decides how a statement is read."""
    UPLOADS = enum.auto()
    """LOAD DATA LOCAL takes files of clients."""
    KERNEL = enum.auto()
    """A real OceanBase runs the statements: all of its SQL is there, with its words and its types."""


ABSENT: Final[Mapping[Needs, str]] = {
    Needs.PROXY: "no proxy stands before the servers",
    Needs.SERVERS: "no server can be reached but through the proxy",
    Needs.SEVERAL: "there is one server only",
    Needs.WHERE: "nothing says where a statement ran",
    Needs.LEADERS: "nothing says which server leads which partition",
    Needs.PARTITIONS: "tables cannot be partitioned",
    Needs.MOVES: "leaders of this cluster are not ours to move",
    Needs.TOPOLOGY: "servers, zones and tenants of this cluster are not ours to change",
    Needs.FAULTS: "servers of this cluster are not ours to break",
    Needs.METADATA: "what a proxy asks the servers of this cluster cannot be seen",
    Needs.ADMIN: "no login for administrators of the proxy was given",
    Needs.OWN_PROXY: "no proxy of ours can be started here with other options",
    Needs.PROCESS: "no proxy can be started here as a process of its own",
    Needs.CONFIG_SERVER: "no config server that can be made to fail",
    Needs.TENANT: "there is no ordinary tenant",
    Needs.SYS: "the user is no user of the tenant sys",
    Needs.TLS: "the proxy offers no TLS",
    Needs.SQL: "nothing here knows SQL beyond single rows of single tables",
    Needs.EVERY_PARTITIONING: "tables can be partitioned by hash and by ranges of whole numbers only",
    Needs.PROCEDURES: "there are no procedures",
    Needs.CHARSETS: "all texts are spoken in one character set",
    Needs.MODES: "sql_mode changes nothing in how statements are read",
    Needs.UPLOADS: "files of clients are not taken: there is no LOAD DATA LOCAL",
    Needs.KERNEL: "no real OceanBase runs the statements",
}
"""The reason for which a check is skipped."""


def missing(wanted: Needs, there: Needs) -> Iterator[str]:
    """Say of everything that is wanted and not there why."""
    for need in wanted & ~there:
        yield ABSENT[need]
