"""The test bed, shipped: put any proxy before it.

live       a real OceanBase kernel as a child process
topology   the SQL that makes it answer as a cluster
faults     what an OBServer can be told to do wrong
requests   what a client sends, cut into requests
edits      answers that are changed
relay      one connection through an OBServer
observers  OBServers: listeners, relays
bed        all of that, and the verbs
demo       ``odp-trio demo``
commands   ``odp-trio testbed``
"""
