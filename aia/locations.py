"""Where the project's own files are: beside the package in a checkout, inside the package in an installed wheel."""

from pathlib import Path

PACKAGE = Path(__file__).resolve().parent
ROOT = PACKAGE.parent if (PACKAGE.parent / "checkpoints").is_dir() else PACKAGE
CHECKPOINTS, ASSETS = ROOT / "checkpoints", ROOT / "assets"


def example_clips(task: str) -> list[Path]:
    """The drawn clips of a checkout for trying a model of a task: those of gestures, or all for any other task."""
    examples = ASSETS / "examples"
    return sorted(examples.glob("*.mp4") if task in ("", "gestures") else examples.rglob("*.mp4"))
