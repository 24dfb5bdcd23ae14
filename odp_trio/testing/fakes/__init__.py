"""Fake OBServers: they speak the real protocol, from memory, and the same seed gives the same bytes.

``cluster``        the topology, and the verbs that change it: those of the test bed
``serving``        OBServers on streams and on loopback: the only part that knows Trio
``network``        the same in memory, for a proxy without sockets
``connection``     one connection, without a socket
``login``          the login, checked as an OBServer does
``commands``       COM_*
``session``        variables, the transaction, texts cut into statements
``statements``     how each kind of statement is run
``setting``        SET
``verbs``          transactions, KILL, PREPARE, CREATE, DROP
``shows``          SHOW
``metadata``       ODP's own queries
``prepared``       the binary protocol
``lexer``, ``splitting``, ``naming``, ``nodes``   texts into tokens and trees
``parser``, ``query_parser``, ``expression_parser``, ``ddl_parser``   what makes trees of tokens
``compile``, ``operators``, ``functions``, ``values``, ``scope``   expressions
``query``, ``aggregates``, ``changes``   SELECT and DML
``store``          rows, transactions, locks
``types``, ``variables``   column types and system variables
``answers``        packets
``partitions``     how tables are partitioned, and how a proxy is told
``direct``         statements of a test itself
``records``        servers, zones, tenants, statements
"""
