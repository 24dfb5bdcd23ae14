"""Several processes that are one proxy: how they ask one another, through their parent.

asking      what is asked, who answers it, what must be done by all or by none
member      a worker's end of the channel
hub         the parent's end: it passes questions on and gathers answers
tally       what all count together, in memory that they share
frames      the messages of the channel
"""
