"""What a proxy costs: direct, HAProxy in TCP mode and odp_trio, measured in one run.

python -m benchmarks [--suite first|full|smoke] [--only PARTS] [--rounds N] [--json FILE [--resume]]

packets         the few packets that the server and the clients below need
canned_answers  what the canned server says
canned_server   an OBServer of prebuilt bytes
session         a blocking client: log in, ask, read a whole answer
load            the load client, a process of its own
open_loop       the open-loop client, a process of its own
processes       start, watch and end the processes of a run
ob20_frames     OB 2.0 frames of the canned server
compressed      compressed frames of the load client
trio_relay      the relay that anybody would write first
contenders      direct, HAProxy, the relay, odp_trio in several ways
rounds          what a part of a run is
parts           the parts, by name
runner          runs them
scenarios       what is measured over any back end
canned, live    the two back ends: the canned server, an OceanBase kernel with sysbench
sysbench        runs sysbench and reads what it says; warm.lua is its script
latency         latency against offered load
micro           pure functions alone
lane            the express lane alone, by kind of request, beside bare calls of the kernel
crowded         the whole proxy with many tables, and looked at
crowd, crowds   many sessions: logins, a storm of them, a crowd at rest
fairness        a session that asks now and then beside a flood; a busy crowd
scale           routing with more tables, tenants, OBServers
routing         facts, decisions, the router; how the number of tables matters
cold            statements on tables that nothing is known of yet
figures         samples, medians, the machine
report          the table and the JSON file
comparisons     contenders against each other, round by round
svg             draws panels of lines and bars
plots           the pictures of a full run
page            a full run as a part of docs/performance.md
"""
