"""Deterministic simulation: the whole proxy, its OBServers, config server and clients in one loop, in virtual time.

determinism  Trio's scheduler, clocks and threads as a seed wants them
network      connections in memory: to the proxy, to OBServers, to the config server
line         what comes from an OBServer in pieces, or is cut
servers      the fake OBServers, and what is noted of all that they run and store
config       the config server's answers, and its faults
trace        what happened, in a digest
rules        the invariants, and the first of them that broke
clients      people with sessions, who know what they were told
script       faults by seed: what, when, for how long
faults       how each of them is made
watch        what is looked at all along
run          one seed
command      ``odp-trio simulate``
arguments    its arguments
"""
