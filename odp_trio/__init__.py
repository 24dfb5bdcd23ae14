"""odp_trio: a proxy for OceanBase on Trio.

The map of the house, top to bottom; a layer imports only what is below it:

    cli         arguments, signals, exit codes
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
    model       addresses, names
    errors      what can go wrong and how it is told to a client
"""

__version__ = "0.1.0"
