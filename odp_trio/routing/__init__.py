"""From facts, session state and topology to an OBServer; pure.

partition  which partition a statement's key values lie in
ldc        how far each server is from us
policy     route policies as tiers of letters
view       one tenant at one moment, as the rules read it
request    one question, and the possible answers
locate     from the first table to its location
rules      the rules in their order
decide     asking them, and explaining
choice     what a user's own rule is shown, and may answer
own_rules  functions of users, asked among the rules
feedback   what a server's answer says about a location
"""
