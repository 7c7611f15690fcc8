"""`python -m aia`, and the command `aia`."""

import signal
import sys

from aia import cli, heap


def main() -> int:
    """Runs one command; a SIGTERM ends it as an error does, so that temporary files are removed."""
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    heap.keep_freed()
    return cli.main()


if __name__ == "__main__":
    raise SystemExit(main())
