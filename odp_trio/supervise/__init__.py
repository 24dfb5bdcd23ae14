"""Children that may be born again.

A nursery supervises already: whatever fails in it ends all of it.  This adds
one thing: a child whose bug ends only itself, and which is started again.
Failures that are expected are no affair of a supervisor: ``every`` meets them
inside the child.

    restart      when, and whether, to try again (pure)
    supervisor   the loop, in Trio
    statistics   what may be known of it at one moment
    periodic     a step again and again, and what it does about expected failures
"""
