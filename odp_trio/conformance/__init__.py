"""The conformance suite: does a proxy before an OceanBase behave as ODP does?

needs      what a check needs of its target, and why a target may not have it
registry   the checks: ids, groups, what they prove
sentences  the sentences of the requirement, numbered, and which checks prove them
notes      what a check asked and what it saw
session    a client's connection that writes down what it asks
record     where a statement ran: the test bed's record, the server's audit view
target     what is asked: connections, faults, proxies of one's own
processes  proxies of ours as processes of their own
targets    targets of ours: the embedded kernel, fake OBServers; behind our proxy, another, or none
anywhere   targets of somebody's: any OceanBase, any proxy
views      what the servers' own views tell of where statements run
raw        connections that keep every packet; statements for a certain server
expect     what a check expects of an answer, and the message when it is another one
certificate  a certificate for a proxy that a check starts
normalise  what may differ in two answers to the same command, by name
compare    the same commands round the proxy and through it, packet by packet
runner     runs checks on a target, one after the other
results    what came of it
recording  what passed between clients and a target while checks ran
differ     where two proxies differ, answer by answer
differ_command  ``odp-trio conformance --differ``
corpus     the statements they are compared by
reports    JUnit and JSON
page       the report as a page for people
terminal   the report in a terminal, with progress
options    what the command and the plugin can be told
command    ``odp-trio conformance``
plugin     the pytest plugin
suite      the name by which pytest finds the checks
groups     the checks themselves
"""
