"""What we ask OBServers about, and how it stays fresh.

metadata   the MetadataConnection port and its PyMySQL implementation
queries    ODP's own statements, and rows read into topology values
clusters   one supervised task a cluster: creation, then the server list every 15 seconds
config_server  the questions to a config server (OCP)
http_get   one GET, and a reason for everything that can go wrong
tenants    single-flight fetch of tenant routes
location_queries  ODP's statements about tables and partitions
locations  single-flight fetch and renewal of locations
own_rules  rules of users, found by entry point and imported
"""
