"""What we ask OBServers about, and how it stays fresh.

metadata   the MetadataConnection port and its implementation, in threads
metadata_connection  a blocking connection that answers no question of a server but that for native password
queries    ODP's own statements, and rows read into topology values
clusters   the clusters that may be logged in to, one supervised task each; they come and go with logins
keeper     one cluster: creation, then the chain of every 15 seconds, what follows failures
origin     where a cluster's rslist is from
flights    questions to the config server: one at a time for each name, none for a while after a failure
rslists    rslists as they are kept, and the ports that they come from
directory  what the config server says, kept, and who may ask it when
trouble    failures in a row, and when they are worth a line in the log
config_wiring  the directory of the config server that the settings name
config_server  the questions to a config server (OCP)
http_get   one GET, and a reason for everything that can go wrong
rslist_file  the local file of rslists: read at start, replaced at every change, one writer
one_writer  of several workers one writes that file for all
files      files read and replaced whole, and the lock of the one process that writes
tenants    single-flight fetch of tenant routes
location_queries  ODP's statements about tables and partitions
locations  single-flight fetch and renewal of locations
congestion  the lists of servers that fail, one table a cluster: feeds, log, who is told
prober     probes of servers: a connection, a greeting, no login
own_rules  rules of users, found by entry point and imported
"""
