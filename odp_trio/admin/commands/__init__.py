"""Commands for the proxy itself, over the MySQL port.

syntax     how a command is written: notation and parser in one
command    what a command is: who may give it, what it shows or does
table      all of them: parser, help, documentation
answer     from a text to packets: the nearest commands, who may, results in slices
asides     what clients say unasked: SET, SHOW VARIABLES, SELECT @@version_comment
moments    times as text
settings   SHOW PROXYCONFIG, ALTER PROXYCONFIG
sessions   SHOW PROXYSESSION, SHOW PROCESSLIST, KILL
clusters   SHOW PROXYCLUSTER, SHOW PROXYRESOURCE, SHOW PROXYCONGESTION
routes     SHOW PROXYROUTE, EXPLAIN ROUTE
numbers    SHOW PROXYSTAT, SHOW PROXYMEMORY, SHOW PROXYNET
tasks      SHOW PROXYTREE, SHOW PROXYENDS, SHOW WARNLOG, PING PROXY
render     docs/admin.md
"""
