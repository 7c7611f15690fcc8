"""`python -m aia`."""

import signal
import sys

from aia.cli import main

signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))  # temporary files are removed then too
raise SystemExit(main())
