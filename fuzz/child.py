"""``python -m fuzz.child HARNESS [options of libFuzzer]``: one process of atheris, which ends as libFuzzer ends."""

from __future__ import annotations

import sys

import atheris

with atheris.instrument_imports(include=["odp_trio"], enable_loader_override=False):
    from fuzz.harnesses import harness


def main() -> None:
    """Run the harness that the first argument names."""
    name, arguments = sys.argv[1], sys.argv[2:]
    with atheris.instrument_imports(include=["odp_trio"], enable_loader_override=False):
        one_input = harness(name).one_input
    atheris.Setup([sys.argv[0], *arguments], one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
