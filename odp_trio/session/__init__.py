"""One client: from its first byte to the reason why it ended.

ids           connection ids
login         greeting, credentials, the server's answer
upstream      logging in to OBServers on behalf of a client
lane          the express lane: everything that can be done without waiting
conversation  the parked task: what must wait
sessions      the table of sessions: isolation, limit, drain
"""
