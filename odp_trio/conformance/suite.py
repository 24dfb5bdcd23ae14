"""Named to pytest, it collects the checks: ``pytest --pyargs odp_trio.conformance.suite``."""
