"""What can go wrong, whose fault it is, and how it is told to a client.

Each class that a client can see carries the MySQL ``errno`` and ``sqlstate``
of its ERR packet; ``wire.resultset.err_packet`` is the only way to one.
"""

from __future__ import annotations


class OdpError(Exception):
    """Base of every error that we raise on purpose."""

    errno: int = 4016
    sqlstate: str = "HY000"


# ---- bytes ----------------------------------------------------------------


class ProtocolError(OdpError):
    """Bytes that break the protocol.  Abstract: raise one of the two below."""


class ClientProtocolError(ProtocolError):
    """The client broke the protocol.  Not raised for SQL we do not understand."""

    errno = 1043
    sqlstate = "08S01"


class OutOfOrder(ClientProtocolError):
    """A packet with a wrong sequence number."""

    errno = 1156
    sqlstate = "08S01"


class ServerProtocolError(ProtocolError):
    """An OBServer broke the protocol.  Not raised for an ERR packet, which is an answer."""

    errno = 4016


# ---- login ----------------------------------------------------------------


class LoginError(OdpError):
    """The client may not come in."""


class AccessDenied(LoginError):
    """Refused before or instead of the server's own check (unknown tenant, reserved user, admin password)."""

    errno = 1045
    sqlstate = "42000"


class UnknownCluster(LoginError):
    """The login names a cluster that we do not know (OB_CLUSTER_NOT_EXIST)."""

    errno = 4669


class TooManyClients(LoginError):
    """The proxy, or the user, has as many clients as it may (ODP's 5059)."""

    errno = 1203
    sqlstate = "42000"


class TooManyInTenant(TooManyClients):
    """The tenant has as many clients as it may (ODP's 5271)."""

    errno = 1040
    sqlstate = "08004"


class SecureTransportRequired(LoginError):
    """A client logged in without TLS where that is not allowed (ER_SECURE_TRANSPORT_REQUIRED)."""

    errno = 3159


class NotSupported(OdpError):
    """A command that the protocol has but this proxy does not forward (OB_NOT_SUPPORTED)."""

    errno = 1235
    sqlstate = "0A000"


class SyntaxRefused(OdpError):
    """An internal statement that cannot be understood (never raised for SQL meant for a server)."""

    errno = 1064
    sqlstate = "42000"


class OutOfRange(OdpError):
    """An argument of an internal command that cannot be (OB_INVALID_ARGUMENT)."""

    errno = 1210


class NotAllowed(OdpError):
    """An internal command that may not be done to what it names (OB_OP_NOT_ALLOW)."""

    errno = 4179


class NoSuchEntry(OdpError):
    """An internal command names something that there is not (OB_ENTRY_NOT_EXIST)."""

    errno = 4018


class Draining(OdpError):
    """The proxy is going away; the client should connect again elsewhere."""

    errno = 1053
    sqlstate = "08S01"


# ---- servers --------------------------------------------------------------


class UpstreamError(OdpError):
    """The server side of a session failed (OB_CONNECT_ERROR)."""

    errno = 4124


class ConnectFailed(UpstreamError):
    """No OBServer could be connected to; nothing was sent."""


class NoDescriptor(ConnectFailed):
    """This process may open no more sockets: that is not the server's fault."""


class UpstreamLost(UpstreamError):
    """A server connection ended while it was needed."""


class UpstreamTimedOut(UpstreamLost):
    """An OBServer did not answer in time."""


class FoundDead(UpstreamLost):
    """Probes of an OBServer fail: it is not waited for."""


class SessionLost(UpstreamLost):
    """What the session had on its server is gone with it, a transaction most often; the client must connect again.

    Drivers and pools know this number, their own CR_SERVER_LOST, as a connection to be thrown away.
    """

    errno = 2013
    sqlstate = "08S01"


class InitFailed(OdpError):
    """``init_sql`` cannot be executed: no session can be had with this setting (OB 8006)."""

    errno = 8006
    sqlstate = "HY000"


class NotBegun(OdpError):
    """The client was told of a transaction that a server then refused to begin: the session cannot go on."""

    errno = 2013
    sqlstate = "08S01"


class OutcomeUnknown(SessionLost):
    """The connection was lost after a statement was sent that may have run."""


class InsecureServer(UpstreamError):
    """An OBServer that may not be trusted: it offers no TLS although that is insisted on, or its certificate is wrong.

    It may be in good health, and nothing of a login was sent.
    """


class LoginRefused(UpstreamError):
    """An OBServer answered the login with an ERR packet, which the client is to see."""

    def __init__(self, payload: bytes, errno: int, message: str) -> None:
        super().__init__(f"{errno}: {message}")
        self.payload = payload
        self.errno = errno


# ---- routing --------------------------------------------------------------


class RouteError(OdpError):
    """A statement has no server to go to; the session goes on."""


class NoReplica(RouteError):
    """Every server that may serve the statement has been refused or is out of service (OB_GET_LOCATION_TIME_OUT)."""

    errno = 4664


class NotRoutable(RouteError):
    """The statement names a target that it may not have (OB_OP_NOT_ALLOW)."""

    errno = 1235
    sqlstate = "0A000"


class StatementRefused(RouteError):
    """A server would not prepare a statement of the client's; the client sees that server's ERR packet."""

    def __init__(self, payload: bytes, errno: int, message: str) -> None:
        super().__init__(message)
        self.payload = payload
        self.errno = errno


class UnknownThread(OdpError):
    """KILL names a connection that there is not, or that the killer may not know of (OB_UNKNOWN_CONNECTION)."""

    errno = 1094


class NotOwner(OdpError):
    """KILL of a connection that is not the killer's (OB_ERR_KILL_DENIED)."""

    errno = 1095


class QueryInterrupted(RouteError):
    """KILL came before the statement was sent to a server (OB_ERR_QUERY_INTERRUPTED)."""

    errno = 1317
    sqlstate = "70100"


class UnknownStatement(RouteError):
    """A prepared statement's id that this session does not have; the session goes on."""

    errno = 1243
    sqlstate = "HY000"


class TooManyStatements(OdpError):
    """The session may not prepare another statement (ER_MAX_PREPARED_STMT_COUNT_REACHED); it goes on."""

    errno = 1461
    sqlstate = "42000"


class SessionMemoryExceeded(OdpError):
    """What the session keeps, or would have to keep, is too much (OB_EXCEED_MEM_LIMIT)."""

    errno = 4080
    sqlstate = "HY013"


# ---- metadata -------------------------------------------------------------


class CatalogError(OdpError):
    """What we ask OBServers about could not be had (Get Location Cache Fail)."""

    errno = 4012


class MetadataUnavailable(CatalogError):
    """A metadata query failed: refused, timed out, or answered with an error."""


class MetadataRefused(MetadataUnavailable):
    """Every server that was asked answered with the same error; ``number`` is the server's."""

    def __init__(self, message: str, number: int = 0) -> None:
        super().__init__(message)
        self.number = number


class MalformedMetadata(CatalogError):
    """A metadata answer lacks a column or holds a value that cannot be true."""


class ClusterMismatch(CatalogError):
    """The servers of an rslist belong to a cluster of another name (OB_CLUSTER_NO_MATCH)."""

    errno = 4666


class ConfigServerError(CatalogError):
    """The config server (OCP) gave nothing that can be used; the message says what was asked and what is wrong."""

    errno = 4669


class ConfigServerUnavailable(ConfigServerError):
    """It could not be reached, or not in time, or it did not answer with status 200."""


class MalformedConfigAnswer(ConfigServerError):
    """It answered with something else than ODP's JSON, or with values that cannot be true."""


# ---- configuration --------------------------------------------------------


class ConfigError(OdpError):
    """A setting that cannot be used.  The message names the option, the value and what is allowed."""

    errno = 4147


class UnknownOption(ConfigError):
    """An option that there is not (OB_ERR_SYS_CONFIG_UNKNOWN); the message names the nearest one."""

    errno = 5099


class ForeignOption(ConfigError):
    """An option of ODP that means nothing here; the message says what happens instead."""

    errno = 1235
    sqlstate = "42000"


class FixedOption(ConfigError):
    """An option that only a start can set."""

    errno = 1235
    sqlstate = "42000"


class BadAddress(ConfigError):
    """Text that is not ``ip:port``."""


class BadCacheFile(ConfigError):
    """A file of rslists that cannot be used as it is; the message says why.  Not raised for one that is not there."""


# ---- supervision ----------------------------------------------------------


class UnknownTask(OdpError):
    """No supervised task of that path runs."""

    errno = 1210


class WorkerMissing(OdpError):
    """A worker of this proxy that must say something does not answer (OB_TIMEOUT)."""

    errno = 4012


class ChildGaveUp(OdpError):
    """A supervised child failed more often than its intensity allows; ``__cause__`` is the last error."""
