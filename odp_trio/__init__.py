"""odp_trio: a proxy for OceanBase on Trio.

    async with odp_trio.open_proxy(settings) as proxy: ...

runs one inside a Trio program.  What is named here is imported when it is first used.

The map of the house, top to bottom; a layer imports only what is below it:

    cli         arguments, signals, exit codes
    conformance  checks of this proxy, or of any other, before any OceanBase
    testing     the test bed: a real kernel, OBServers before it, faults; shipped like trio.testing
    service     the proxy as a process: signals, ready file, systemd, its parent
    app         the tree: open_proxy(), wiring, readiness, drain
    admin       what operators read: health, metrics, the state of every part
    logs        lines, records of statements, spans: what is written down
    session     one client: login, the express lane, the parked task
    catalog     what we ask OBServers about: server lists, tenants
    process     one process among others: watch, hot upgrade, inherited sockets
    workers     several processes that are one proxy: what they ask one another
    net         reactor, listener, connecting
    supervise   children that may be born again
    ---- above: Trio; below: pure (no I/O, no clock, no chance) ----
    routing     facts, state and topology give an OBServer
    state       what a client session and its server sessions hold
    topology    what we believe about clusters and where tables are
    sql         lexer and grammar: text to facts
    wire        bytes and packets: MySQL and OB 2.0
    config      settings and their one table of options
    observe     counters
    events      what happens, for those who embed a proxy
    model       addresses, names
    errors      what can go wrong and how it is told to a client
"""

__version__ = "0.9.0"

import importlib

TYPE_CHECKING = False
if TYPE_CHECKING:
    from odp_trio.app.opening import open_proxy
    from odp_trio.app.proxy import Proxy
    from odp_trio.catalog.own_rules import own_rule
    from odp_trio.config import Settings

__all__ = ["Proxy", "Settings", "__version__", "open_proxy", "own_rule"]

_WHERE = {
    "Proxy": "odp_trio.app",
    "Settings": "odp_trio.config",
    "open_proxy": "odp_trio.app",
    "own_rule": "odp_trio.catalog.own_rules",
}


def __getattr__(name: str) -> object:
    """Import what is public when it is asked for: ``import odp_trio`` alone costs next to nothing."""
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(importlib.import_module(_WHERE[name]), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
