"""Sockets: the reactor, connecting, listening.

reactor   one epoll for every session socket, slept in inside Trio's own wait
leg       one socket of a session: what is owed to it, what it is watched for
channel   whole packets on a non-blocking socket, for what may wait
connect   connections to OBServers
listener  the accept loop: a slot first, a client second
"""
