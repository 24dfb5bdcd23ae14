"""What we believe about clusters: tables without I/O, told what is new and what time it is.

cluster   one cluster: rslist, servers, zones; merging a fresh server list
tenant    where ordinary tenants live
location  where tables and partitions are: entries, bounds, the limit of renewals
"""
