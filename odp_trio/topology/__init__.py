"""What we believe about clusters: tables without I/O, told what is new and what time it is.

cluster   one cluster: rslist, servers, zones; merging a fresh server list
rslist    what a config server says: clusters, their rslists
config_questions  the URLs that a config server is asked for
config_envelope   the JSON around its answers, and values read out of it
config_answers    its answers as records of rslist, or the reason why not
rslist_file  the local file of rslists: entries to bytes and back
congestion  servers that fail: what counts as a failure, the lists, what is kept of a server
congestion_table  the lists of one cluster: black, grey, by probes; the budget of changes
network_loss  have they failed, or is it our network?
tenant    where ordinary tenants live
partitioning  how a table is partitioned, read from its metadata
objects   the server's serialised objects: bounds and defaults
location  where a table and its partitions are: entries
location_table  all of them, bounded
scope     what the names in a statement meant the last time, by tenant and database
renewal_limiter  how many locations may be renewed in a second
snapshot  all of it, and the settings of routing, as one JSON file; read back for explaining without a proxy
partitioning_record  how a table is partitioned, as JSON
"""
