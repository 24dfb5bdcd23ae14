"""Several processes that are one proxy: how they ask one another, through their parent.

asking      what is asked, who answers it, what must be done by all or by none
"""
