"""The tree: what runs, in which order it starts and stops.  This is the API for embedding.

    observe    outermost, last to go: HTTP, so that the drain can be watched
      catalog  one child a cluster: server lists
        sessions  temporary children, drained
          front   innermost, first to go: the listeners

    proxy      Proxy: the tables of a running proxy, and what may be asked of it
    ports      the listening sockets, who accepts clients from them, and HTTP
    doors      ways in for clients of this process, without a port
    connection  what such a client has: a stream behind its login
    subscription  events as an asynchronous iterator
    preparing  what is imported when the first statements have been served
    opening    open_proxy(): everything started bottom up and ended top down

Tables (cluster resources, tenant routes, sessions, counters) are made by ``Proxy``,
above the tasks that fill them: a crash of a task loses no data.
"""

from odp_trio.app.opening import open_proxy
from odp_trio.app.proxy import Proxy

__all__ = ["Proxy", "open_proxy"]
