"""Exports of a result: a temporary folder for its files, and a script that reproduces its view."""

from __future__ import annotations

import tempfile
import threading
from pathlib import Path

from aia.locations import ASSETS
from aia.visualization import snippet
from aia.visualization.view import View
from app.result import Result
from app.service import references, requests

EXPORT_SECONDS = 60


def script(result: Result, view: View) -> str:
    """A script that reproduces a view. It names an example by its path in the project, a visitor's clip by its file name."""
    example = requests.example_of(result.video)
    file = requests.example_file(example).relative_to(ASSETS.parent).as_posix() if example else Path(result.video).name
    return snippet.as_python(
        result.model,
        file,
        view,
        switches=result.switches,
        backwards=result.backwards,
        precision=result.inspection.precision,
        reference_clips="assets/examples" if _is_by_examples(result) else "",
    )


def _is_by_examples(result: Result) -> bool:
    """Whether the page has made the model's reference by itself, so that a script has to make it too."""
    reference = result.inspection.reference
    return reference is not None and reference.kind == references.EXAMPLES_KIND


def export_folder() -> Path:
    """A folder that is deleted after a minute. By then Gradio has copied its files to the upload folder."""
    folder = tempfile.TemporaryDirectory(prefix="aia-export-")
    timer = threading.Timer(EXPORT_SECONDS, folder.cleanup)
    timer.daemon = True
    timer.start()
    return Path(folder.name)
