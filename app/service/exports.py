"""What a result can be saved as: a folder for its files, and the program that makes its view again."""

from __future__ import annotations

import tempfile
import threading
from pathlib import Path

from aia.visualization import snippet
from aia.visualization.view import View
from app.result import Result
from app.service import requests

EXPORT_SECONDS = 60


def program(side: Result, view: View) -> str:
    """A program that makes a view again; an example by its path in the project, a visitor's own by its name alone."""
    example = requests.example_of(side.video)
    name = f"assets/examples/{example}.mp4" if example else Path(side.video).name
    return snippet.as_python(
        side.model, name, view, switches=side.switches, backwards=side.backwards, precision=side.seen.precision
    )


def export_folder() -> Path:
    """A folder that lives a minute: long enough for Gradio to copy the files to its own cache, which it empties."""
    folder = tempfile.TemporaryDirectory(prefix="aia-export-")
    timer = threading.Timer(EXPORT_SECONDS, folder.cleanup)
    timer.daemon = True
    timer.start()
    return Path(folder.name)
