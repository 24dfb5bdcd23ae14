"""The test bed, shipped: put any proxy before it.

live       a real OceanBase kernel as a child process
topology   the SQL that makes it answer as a cluster
faults     what an OBServer can be told to do wrong
requests   what a client sends, cut into requests
edits      answers that are changed
participants  transactions whose statements may run on several OBServers
relay      one connection through an OBServer
observers  OBServers: listeners, relays
bed        all of that, and the verbs
client     a small MySQL client on Trio
raw_client  one that keeps every packet as it came
answers    what came back: packets, and what a client makes of them
binary_parameters  values as COM_STMT_EXECUTE carries them
compressed_stream  MySQL's compressed protocol over a stream
ledger     what clients were told about their writes, held against what is there
load       clients that read and write, and write down what they were told
measures   what a load says: gaps, rates, percentiles, errors by kind
matrix     every fault under load, as a table
ocp        a config server and its faults
ocp_answers  what that config server tells
fakes      OBServers without a kernel, from memory, deterministic
demo       ``odp-trio demo``
demo_verbs  what its terminal can do to OBServers
simulation  the whole proxy in memory and in virtual time, by seed
commands   ``odp-trio testbed``
"""
