"""From facts, session state and topology to an OBServer; pure.

partition  which partition a statement's key values lie in
policy     route policies as tiers of letters
ldc        how far each server is from us
"""
