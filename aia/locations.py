"""Where the project's own files are: beside the package in a checkout, inside the package in an installed wheel."""

from pathlib import Path

PACKAGE = Path(__file__).resolve().parent
ROOT = PACKAGE.parent if (PACKAGE.parent / "checkpoints").is_dir() else PACKAGE
CHECKPOINTS, ASSETS = ROOT / "checkpoints", ROOT / "assets"
