"""Where things are, and of what kind."""

from pathlib import Path

import pytest

from odp_trio.wire import response

ROOT = Path(__file__).parents[1]
DATA = ROOT / "tests" / "data"
breaks_the_code = pytest.mark.skipif(
    not str(response.__file__).endswith(".py"), reason="functions of compiled modules cannot be replaced"
)
"""For a test that puts a bug into one of the modules that may be compiled."""
