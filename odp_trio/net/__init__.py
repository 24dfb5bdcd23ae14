"""Sockets: the reactor, connecting, listening.

reactor   one epoll for every session socket, slept in inside Trio's own wait
stream    what a session reads and writes: a socket, or what codes around one
coded     a stream that codes what goes through another one, by a pure codec
tls       a stream: TLS around a socket
certificates  what TLS needs on each leg, read again when the files change
leg       one stream of a session: what is owed to it, what it is watched for
ob20_stream  OB 2.0 around a stream to an OBServer
channel   whole packets on a stream, for what may wait
connect   connections to OBServers
loop_lag  how late the event loop is
waiting   for a stream, in a task
network   what the proxy asks of the machine: the kernel's sockets by default
memory_events  which of those are ready: the reactor's part without epoll
memory    sockets within the process
memory_stream  such a socket as a Trio stream
pace      how much of a turn of the loop goes to what can wait
listener  the accept loop: a slot first, a client second
"""
