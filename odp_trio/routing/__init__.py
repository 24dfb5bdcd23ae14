"""From facts, session state and topology to an OBServer; pure.

partition  which partition a statement's key values lie in
located    what comes of that: partitions, or why they cannot be told
shortcuts  the same for the commonest statements, in a microsecond
compiled   a table's partitions made ready for finding
levels     HASH, KEY, RANGE and LIST: from values of the key columns to partitions
conditions from conditions to values of the key columns
generated  key columns that are computed from others
expressions, date_functions  what PARTITION BY computes
columns, types  what a value becomes in a column of each type, and its hash
values     what one execution brings along
operands   how the operands of conditions get their values
scalars, temporal, functions, text_functions  values of SQL, dates and times, functions over constants
collation, murmur  how strings compare, and how they are hashed
ldc        how far each server is from us
policy     route policies as tiers of letters
view       one tenant at one moment, as the rules read it
request    one question, and the possible answers
locate     from the first table to its location
consistency  how fresh the data must be, and which policy follows
rules      the rules in their order
decide     asking them, and explaining
render     rules and policies as tables for the documentation
choice     what a user's own rule is shown, and may answer
own_rules  functions of users, asked among the rules
feedback   what a server's answer says about a location
"""
