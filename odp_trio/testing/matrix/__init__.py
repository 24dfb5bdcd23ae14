"""The fault matrix: every fault under load, and what clients noticed.  ``python -m odp_trio.testing.matrix``.

fault          a fault as data: how it begins and ends, what may be noticed of it
servers        OBServers that die, freeze, refuse, are slow
cluster        leaders, tenants and the server list change
config_server  the config server is down, or answers what it should not
process        tasks of the proxy crash, its process dies
watched        a proxy under ``odp-trio watch``
run            one fault before a fresh proxy under load
row            what came of it, what it breaks, and the table
"""
