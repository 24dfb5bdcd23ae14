"""One client: from its first byte to the reason why it ended.

ids           connection ids
login         greeting, credentials, where a login goes
retry         what may be tried again (pure)
upstream      logging in to OBServers on behalf of a client
lane          the express lane: everything that can be done without waiting
events        what a lane tells its task; why sessions end
conversation  the parked task: what must wait
change_user   COM_CHANGE_USER
sessions      the table of sessions: isolation, limit, drain
"""
