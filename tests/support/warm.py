"""Starts programs of the project from a process that has imported torch and Gradio already, which takes seconds every time.

The program's own modules are not among what is imported: it loads them from its folder, as a new interpreter would.
"""

from __future__ import annotations

import multiprocessing
import os
import runpy
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from multiprocessing import forkserver
from pathlib import Path
from unittest.mock import patch

ROOT = Path(__file__).resolve().parents[2]
LIBRARIES = ["torch", "torchvision", "gradio", "cv2", "av", "matplotlib.figure"]
WITHOUT_A_HUB = {"HF_HUB_OFFLINE": "1"}
READ_AT_START = ("PYTHON", "HF_", "OMP_")  # by the interpreter, or when a library is imported


class Forked:
    """A program that was started warm; the methods are those of subprocess.Popen."""

    def __init__(self, process: multiprocessing.Process):
        self._process = process
        self.pid = process.pid

    def poll(self) -> int | None:
        return self._process.exitcode

    def wait(self) -> int | None:
        self._process.join()
        return self._process.exitcode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)


def start(
    program: Path, arguments: Sequence[str], variables: Mapping[str, str], log: Path
) -> Forked | subprocess.Popen:
    """Starts a Python file in its folder, warm where that makes no difference to it.

    Args:
        program: The file.
        arguments: Of its command line.
        variables: What is different in its environment.
        log: The file that what it says is appended to.
    """
    environment = {**os.environ, **WITHOUT_A_HUB, **variables}
    known = {**os.environ, **WITHOUT_A_HUB}.items()
    if sys.platform != "linux" or any(one[0].startswith(READ_AT_START) for one in environment.items() - known):
        with log.open("a") as said:
            command = [sys.executable, program.name, *arguments]
            return subprocess.Popen(command, cwd=program.parent, env=environment, stdout=said, stderr=said)
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(LIBRARIES)
    with patch.dict(os.environ, WITHOUT_A_HUB):
        forkserver.ensure_running()
    process = context.Process(target=_run, args=(str(program), [*arguments], environment, str(log)))
    process.start()
    return Forked(process)


def _run(program: str, arguments: list[str], environment: dict[str, str], log: str) -> None:
    said = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(said, 1)
    os.dup2(said, 2)
    folder = str(Path(program).parent)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    tempfile.tempdir = None  # TMPDIR may be another
    sys.argv = [program, *arguments]
    sys.path[:] = [folder, *(path for path in sys.path if "site-packages" in path or not path.startswith(str(ROOT)))]
    runpy.run_path(program, run_name="__main__")
