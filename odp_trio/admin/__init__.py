"""What operators read and say.

start     what a start is given: file, environment, -o, flags, what was kept
follow    what must be told when settings change
configuration  layers, what is in force, changes at run time
status    one frozen record of everything, read off the tables
census    what all sessions come to, walked in slices
clients   how many there are, against how many there may be
tls       what is in force, who uses it
tree      supervised tasks, as they hang together
metrics   the records as Prometheus exposition
metric_table  every family of metrics: one table
metric_families  the same as prometheus_client has them
measurements  what was measured, as records
measured_metrics  the same as Prometheus metrics
congestion  the lists of servers, as records
congestion_metrics  the same as Prometheus metrics
routes    how statements fared, by tenant and by table
http      /health, /ready, /metrics, /api/…, the console
api       the operations of /api: one table
api_types  what they ask and answer
access    who may ask what over HTTP
openapi   the OpenAPI document
operate   what an operator does: kill, restart, drain
session_list  the sessions of clients, as records
slow_statements  the last slow ones, masked
live      what the console shows, one record
live_socket  the same over a WebSocket
top       what the verb top shows
top_command  the verb top
console_pages  the files of the console, which are in console/
explain_answer  the answer of /api/explain, as a type
explain   where a statement would go and why, of a running proxy or a snapshot
taking    takes a snapshot of a running proxy
what_if   changed copies of what routing reads
explain_command  the verbs explain and snapshot of the command line
explain_text     an explanation for people
check_config  the verb check-config
cache_command    the verb check-cache
proxysys  a login to the proxy itself, and commands for it in other sessions
commands  those commands: a package
across    several workers seen as one: a package
"""
