"""What one client session and each of its server sessions hold; pure.

client    database, variables and their versions, what binds the session to a server
prepared  prepared statements: the client's ids and the servers'
sync      what a server session must be told before the next statement
"""
