"""Times the start of the page and of the command line, in fresh processes."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

from aia.errors import AIAError
from benchmarks.page import ROOT, served
from benchmarks.table import Options, Table, timed

REPEATS = 5  # each takes seconds
EXAMPLE = ROOT / "assets" / "examples" / "swipe-left.mp4"
PAGE, COMMAND_LINE = "import torch, gradio", "import torch, torchvision, av"


def tables(options: Options) -> Iterator[Table]:
    """Times both programs against the import of their main packages."""
    video = (options.video or EXAMPLE).absolute()

    def first_page() -> None:
        with served(options):
            pass

    def first_answer() -> None:
        with served(options) as page:
            page.visit(video)

    repeats = min(REPEATS, options.repeats)
    page = {
        PAGE: lambda: _run("-c", PAGE),
        "python app.py, until the page is served": first_page,
        "python app.py, until a clip is answered": first_answer,
    }
    yield timed("Start of the page, in a fresh process", page, baseline=PAGE, repeats=repeats)
    chosen = ["--model", options.model, "--precision", options.precision]
    chosen += ["--device", options.device] if options.device else []
    command_line = {
        COMMAND_LINE: lambda: _run("-c", COMMAND_LINE),
        "python -m aia --help": lambda: _run("-m", "aia", "--help"),
        "python -m aia classify": lambda: _run("-m", "aia", "classify", str(video), *chosen),
    }
    yield timed("Start of the command line, in a fresh process", command_line, baseline=COMMAND_LINE, repeats=repeats)


def _run(*arguments: str) -> None:
    process = subprocess.run([sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    if process.returncode:
        message = (process.stderr.strip() or "nothing").splitlines()[-1]
        raise AIAError(f"python {' '.join(arguments)} failed: {message}")
