"""``python -m odp_trio``."""

from odp_trio.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
