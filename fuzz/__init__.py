"""Fuzzing: every parser of the proxy is given bytes that nobody thought of.

    harnesses   one module for each group of parsers: ``one_input(data)`` and the seeds of its corpus
    corpus      what is kept: a small input for everything that was reached
    cutting     the same bytes whole and in pieces
    child       one process of atheris with one harness
    runs        starting those processes, reading what they say
    figures     what the runs have found, as JSON and as a page
    __main__    ``python -m fuzz``: runs, merges, writes docs/fuzzing.md

A harness has no mercy: what it raises is a finding.  ``tests/fuzz`` replays every corpus without atheris.
"""
