"""Runs the page in a process of its own, with a client that uploads clips as a browser does."""

from __future__ import annotations

import json
import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aia.errors import AIAError
from benchmarks.table import Options

ROOT = Path(__file__).resolve().parents[1]


@dataclass
class Page:
    """A running page.

    Attributes:
        client: An `httpx.Client` with the page's address.
        config: The page's Gradio configuration.
        pid: Of its process.
    """

    client: Any
    config: dict[str, Any]
    pid: int

    def visit(self, clip: Path) -> None:
        """Uploads a clip in a new session and downloads everything that the viewer draws.

        Raises:
            AIAError: The page refuses the clip.
        """
        _visit(self.client, self.config, clip)


@contextmanager
def served(options: Options) -> Iterator[Page]:
    """Runs the page with the model as its first, with the precision of the options, and on the CPU if they say so.

    Raises:
        AIAError: The page does not start.
    """
    import httpx  # Gradio's, which the other benchmarks do not need

    from tools.page_server import serve

    chosen = {"AIA_PRECISION": options.precision} | ({"CUDA_VISIBLE_DEVICES": ""} if options.device == "cpu" else {})
    with (
        tempfile.TemporaryDirectory() as folder,
        serve(Path(folder), "--model", options.model, **chosen) as server,
        httpx.Client(base_url=server.address, timeout=60) as client,
    ):
        try:
            yield Page(client, server.config, server.process.pid)
        finally:
            server.process.kill()  # at once, since the time to end is not measured


def _visit(client: Any, config: dict[str, Any], clip: Path) -> None:
    parts = {part["id"]: part["props"] for part in config["components"]}
    box = next(number for number, props in parts.items() if props.get("elem_id") == "clip")
    event = next(e for e in config["dependencies"] if [box, "upload"] in e["targets"] and e["backend_fn"])
    with clip.open("rb") as file:
        path = client.post("/gradio_api/upload", files={"files": file}).raise_for_status().json()[0]
    upload = {"path": path, "meta": {"_type": "gradio.FileData"}}
    data = [upload if number == box else parts[number].get("value") for number in event["inputs"]]
    session = {"session_hash": secrets.token_hex(8)}
    client.post("/gradio_api/queue/join", json={"data": data, "fn_index": event["id"], **session}).raise_for_status()
    with client.stream("GET", "/gradio_api/queue/data", params=session) as lines:
        messages = (json.loads(line[5:]) for line in lines.iter_lines() if line.startswith("data:"))
        done = next(message for message in messages if message["msg"] == "process_completed")
    values = [update.get("value") for update in done["output"].get("data", []) if isinstance(update, dict)]
    files = [value["channels"] for value in values if isinstance(value, dict) and "channels" in value]
    if not files:
        raise AIAError(f"The page did not answer with a result for {clip.name!r}.")
    for file in filter(None, files):
        client.get(file["url"]).raise_for_status()
