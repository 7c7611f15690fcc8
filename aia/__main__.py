"""`python -m aia`."""

from aia.cli import main

raise SystemExit(main())
