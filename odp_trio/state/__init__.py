"""What one client session and each of its server sessions hold; pure.

client          database, variables and their versions, what binds the session to a server
prepared        prepared statements: the client's ids and the servers'
prepared_texts  what is known of texts that clients prepare, shared by all sessions
session_info    parts of the state that servers hand each other unread (OB 2.0)
login_answers   what logins told of variables, and how a further one differs from the first
user_variables  expressions that have the value and the type of a user variable
sync            what a server session must be told before the next statement
weight          how much memory what is kept of a session takes
"""
