"""The checks, a module or more a group; every module here is imported when the checks are asked for.

login        every way to say who one is; what those are told who may not come in
fidelity     direct against proxied: text protocol
fidelity_binary  direct against proxied: commands, prepared statements
greeting     the first packets, which clients decide by
prepared     statements that are prepared in text and in binary
transactions what is said of them, where they stay, how they end
kill         ending statements and sessions
admin_sql    commands for the proxy itself
framing      TLS, the compressed protocol, OB 2.0
limits       how many, how long, how much
session_state  what is set on one server holds on the next
clusters       cluster and tenant routing: rslists, the server list, the routes of tenants
routing        where statements run: leaders, transactions, what is read from a statement
partitions     partition hits: keys, locations that are kept, feedback of misses, leaders that move
nearness       weak reads and nearness: zones, IDCs, regions, zones for reading, policies
config_server  faults of the config server, and the file of rslists
failover       failover of servers: killed, frozen, refusing, answering errors, and back
process        the proxy's own life: starts, deaths, guards, health, several proxies
"""
