"""One client: from its first byte to the reason why it ended.

ids           connection ids
login         greeting, credentials, where a login goes
compression   the compressed protocol for clients
retry         what may be tried again (pure)
server_tls    TLS towards an OBServer: asked for between its greeting and the login
upstream      logging in to OBServers on behalf of a client
beside        what travels beside the packets in OB 2.0
request_flags  what a server is told about a request in OB 2.0 (pure)
tracing       full-link tracing: the spans of statements (OB 2.0)
attempt       one attempt to log in to a server, which may be broken off
server_set    the server sessions of one client
lane          the express lane: everything that can be done without waiting
beginning     a held BEGIN on a lane, and the statement behind it
ending        how a lane ends, how a statement on it fails
events        what a lane tells its task
reasons       why sessions and server sessions end: the closed lists
ledger        the last ends
recording     writing ends down
measuring     what statements took, and records of those that somebody wants
kill_elsewhere  KILL of a client of another worker
kill          KILL: who may, whom it reaches, how a statement is interrupted
own_answers   what the session's task answers itself: KILL, the process list, EXPLAIN ROUTE
answering     what answers mean for the session; the base of router
held_begin    a BEGIN that was held back; between answering and router
repeating     a statement like one before it; between held_begin and router
router        which server session takes a command, without waiting
ports         what routing is lent, as protocols
internal_routing  transactions whose statements may run on several servers
failover      a statement failed: what is learnt from it, where it goes next
statements    prepared statements on their way: ids, types, parameters, long data
copies        what servers have of prepared statements
named_statements  those made by PREPARE ... FROM
views         what sessions are lent for routing: views of tenants, look-ups, feedback
asking        commands of our own on an idle server session
replaying     bringing a server session to the state of the client
preparing     bringing prepared statements to further servers
placing       finding a server session for a command when that needs waiting
explaining    EXPLAIN ROUTE in a session
services      what every session is lent
first_server  as whom a client is logged in to servers, and to which one first
entrance      the login in callbacks, as long as nothing has to be waited for
conversation  the login in a task, from wherever callbacks have left it
unattended    a logged-in session without a task
forwarding    the logged-in session: the task that is parked while the lane works
refusing      the last packet of a session that may not go on
change_user   COM_CHANGE_USER
limit_table   every limit of a session, for docs/limits.md
time_limits   time-outs of statements and of clients
resting       which sessions are looked at, and which rest until they can be due
server_loss   what sessions say of servers when somebody looks, how one is left
account       what is kept for a session, against its bound
admission     how many clients there may be: of the proxy, a tenant, a user
idle          which client has been idle for longest
sessions      the table of sessions: isolation, limit, drain
"""
