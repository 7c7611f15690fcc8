"""The page, served in a process of its own, and a visitor who gives it clips as a browser does."""

from __future__ import annotations

import json
import logging
import os
import secrets
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aia.errors import AIAError

ROOT = Path(__file__).resolve().parents[1]
START_SECONDS = 120


@dataclass
class Page:
    """A running page.

    Attributes:
        client: Of httpx, with the page's address.
        config: What the page tells a browser about itself.
        pid: Its process.
    """

    client: Any
    config: dict[str, Any]
    pid: int

    def visit(self, clip: Path) -> None:
        """A new visitor uploads a clip and waits for everything that the viewer draws of it.

        Raises:
            AIAError: The page refuses the clip.
        """
        _visit(self.client, self.config, clip)


@contextmanager
def served(model: str) -> Iterator[Page]:
    """Starts `app.py` with a model as its first, and waits until the page has been served.

    Raises:
        AIAError: The page does not start.
    """
    import httpx  # Gradio's, which the rest of the benchmarks does without

    logging.getLogger("httpx").setLevel(logging.WARNING)  # it names every request
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with (
        tempfile.TemporaryDirectory() as uploads,
        httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client,
    ):
        own = {"GRADIO_TEMP_DIR": uploads, "GRADIO_ANALYTICS_ENABLED": "False"}
        command = [sys.executable, str(ROOT / "app.py"), "--model", model, "--port", str(port)]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        process = subprocess.Popen(command, cwd=ROOT, env={**os.environ, **own}, **quiet)
        try:
            yield Page(client, _config(client, process), process.pid)
        finally:
            process.kill()  # at once: how long it takes to end is not what is measured
            process.wait()


def _config(client, process: subprocess.Popen) -> dict:
    """What the page tells a browser about itself, once it has been served."""
    import httpx

    deadline = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        try:
            client.get("/").raise_for_status()
            return client.get("/config").raise_for_status().json()
        except httpx.HTTPError:
            time.sleep(0.02)
    raise AIAError("The page does not start; run `python app.py` to see why.")


def _visit(client, config: dict, clip: Path) -> None:
    parts = {part["id"]: part["props"] for part in config["components"]}
    box = next(number for number, props in parts.items() if props.get("elem_id") == "clip")
    event = next(e for e in config["dependencies"] if [box, "upload"] in e["targets"] and e["backend_fn"])
    with clip.open("rb") as file:
        path = client.post("/gradio_api/upload", files={"files": file}).raise_for_status().json()[0]
    given = {"path": path, "meta": {"_type": "gradio.FileData"}}
    data = [given if number == box else parts[number].get("value") for number in event["inputs"]]
    session = {"session_hash": secrets.token_hex(8)}
    client.post("/gradio_api/queue/join", json={"data": data, "fn_index": event["id"], **session}).raise_for_status()
    with client.stream("GET", "/gradio_api/queue/data", params=session) as lines:
        messages = (json.loads(line[5:]) for line in lines.iter_lines() if line.startswith("data:"))
        done = next(message for message in messages if message["msg"] == "process_completed")
    values = [one.get("value") for one in done["output"].get("data", []) if isinstance(one, dict)]
    files = [value["channels"] for value in values if isinstance(value, dict) and "channels" in value]
    if not files:
        raise AIAError(f"The page did not answer with a result for {clip.name!r}.")
    for file in filter(None, files):
        client.get(file["url"]).raise_for_status()
