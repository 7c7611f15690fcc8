"""Runs the page (`app.py`) in a process of its own, on a free port, with all its temporary files in one folder."""

from __future__ import annotations

import logging
import math
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from aia.errors import AIAError

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = ROOT / "assets" / "examples"
START_SECONDS = 120


@dataclass
class Server:
    """A running page: its process, address, folder of temporary files, and Gradio configuration."""

    process: subprocess.Popen[bytes]
    address: str
    folder: Path
    config: dict[str, Any]

    def files(self) -> dict[Path, int]:
        """Every temporary file and its size."""
        sizes = {}
        for path in self.folder.rglob("*"):
            with suppress(OSError):  # it may be deleted meanwhile
                if path.is_file():
                    sizes[path] = path.stat().st_size
        return sizes

    def megabytes(self) -> float:
        """Resident memory of the server and its children; NaN without /proc."""
        return sum(_resident(pid) for pid in [self.process.pid, *children(self.process.pid)]) / 2**20


@contextmanager
def serve(folder: Path, *arguments: str, **environment: str) -> Iterator[Server]:
    """Runs `app.py` until the block ends.

    Args:
        folder: Of the log and the temporary files. Files of an earlier page may be in it.
        arguments: Of `app.py`.
        environment: Additional variables.

    Raises:
        AIAError: The page does not start.
    """
    logging.getLogger("httpx").setLevel(logging.WARNING)  # it logs every request
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    temporary = folder / "temporary"
    temporary.mkdir(parents=True, exist_ok=True)
    inherited = {name: value for name, value in os.environ.items() if name != "GRADIO_TEMP_DIR"}
    own = {"TMPDIR": str(temporary), "GRADIO_ANALYTICS_ENABLED": "False"}
    command = [sys.executable, str(ROOT / "app.py"), *arguments, "--port", str(port)]
    with (folder / "log").open("ab") as log:
        process = subprocess.Popen(
            command, cwd=ROOT, env={**inherited, **own, **environment}, stdout=log, stderr=subprocess.STDOUT
        )
    try:
        address = f"http://127.0.0.1:{port}"
        yield Server(process, address, temporary, _config(address, process))
    finally:
        process.terminate()
        process.wait(60)


def _config(address: str, process: subprocess.Popen[bytes]) -> dict[str, Any]:
    deadline = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        with suppress(httpx.HTTPError):
            httpx.get(address, timeout=10).raise_for_status()
            config: dict[str, Any] = httpx.get(f"{address}/config", timeout=10).raise_for_status().json()
            return config
        time.sleep(0.02)
    raise AIAError("The page does not start; run `python app.py` to see why.")


def children(pid: int) -> list[int]:
    """All descendants of a process; none without /proc."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
    family = [pid]
    for member in family:  # grows during the loop
        family += [child for child, parent in parents.items() if parent == member]
    return family[1:]


def _resident(pid: int) -> float:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0.0 if Path("/proc/self").exists() else math.nan
