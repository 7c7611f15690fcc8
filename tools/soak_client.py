"""A client of the page that talks plain HTTP, as programs and browsers do."""

from __future__ import annotations

import hashlib
import json
import random
import re
import secrets
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from tools.live_client import LiveClient, jpegs
from tools.page_server import Server

API = "/gradio_api/"
FILE = {"_type": "gradio.FileData"}
FULL = 503  # the page says that too many are waiting
# Of a clip in Live: how many frames are used, the step between those that are sent, and how many are sent a second.
LIVE_FRAMES, LIVE_STEP, LIVE_FPS = 44, 2, 10
TIMES = re.compile(r"\d+ ms ")

_NUMBER = re.compile(r' data-number="\d+"')
Answer = tuple[str, str]  # "answer", "refused" or "full", and its content


@dataclass(frozen=True)
class Job:
    """One request.

    Attributes:
        kind: The row of the table.
        endpoint: Of the API, or "page" for the requests of a browser.
        clip: A file to upload first, or a value to send instead.
        rest: The arguments after the clip; for "page", the models that are chosen in turn.
    """

    kind: str
    endpoint: str
    clip: Any
    rest: tuple[Any, ...] = ()

    def __str__(self) -> str:
        clip = self.clip.name if isinstance(self.clip, Path) else self.clip
        return f"{self.kind}: {self.endpoint}({', '.join(repr(part)[:60] for part in (clip, *self.rest))})"


class Client:
    """One client, which waits for its answers or disconnects."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.http = httpx.Client(base_url=server.address, timeout=120)

    def ask(self, job: Job) -> Answer:
        """A job's answer. Files in it are replaced by hashes of their content."""
        clip = job.clip
        if job.endpoint == "live":
            return self._live(clip, *job.rest)
        if isinstance(clip, Path):
            upload = self.http.post(f"{API}upload", files={"files": (clip.name, clip.read_bytes())})
            if upload.status_code != 200:
                return self._refusal(upload)
            clip = {"path": upload.json()[0], "meta": FILE}
        if job.endpoint == "page":
            return self._page(clip, job.rest)
        asked = self.http.post(f"{API}call/{job.endpoint}", json={"data": [clip, *job.rest]})
        if asked.status_code != 200:
            return self._refusal(asked)
        kind, result = "error", {"error": "the stream ended without an answer"}
        with self.http.stream("GET", f"{API}call/{job.endpoint}/{asked.json()['event_id']}") as lines:
            for line in lines.iter_lines():
                name, _, value = line.partition(": ")
                if name == "event":
                    kind = value
                elif name == "data" and kind in ("complete", "error"):
                    result = json.loads(value)
        if kind == "complete":
            return "answer", self._settled(result)
        return "refused", str(result.get("error") if isinstance(result, dict) else result)

    def _page(self, clip: dict[str, Any], models: Sequence[str]) -> Answer:
        """A browser's requests: the clip is uploaded, and then run with each of the other models."""
        parts = {part["props"].get("elem_id"): part["id"] for part in self.server.config["components"]}
        session, results = secrets.token_hex(8), []
        with self.http.stream(
            "GET", f"{API}heartbeat/{session}"
        ):  # its end tells the page that the client has disconnected
            for number, model in enumerate(models):
                trigger = [parts["run"], "click"] if number else [parts["clip"], "upload"]
                events = self.server.config["dependencies"]
                event = next(event for event in events if trigger in event["targets"] and event["backend_fn"])
                values = {parts["clip"]: clip, parts["model"]: model}
                data = {"data": [values.get(part) for part in event["inputs"]], "fn_index": event["id"]}
                asked = self.http.post(f"{API}queue/join", json={**data, "session_hash": session})
                if asked.status_code != 200:
                    return self._refusal(asked)
                done = self._completed(session)
                if "data" not in done:
                    return "refused", str(done.get("error"))
                shown = dict(zip(event["outputs"], done["data"], strict=True))
                problem = shown.pop(parts["problem"])
                if problem.get("value"):
                    return "refused", _NUMBER.sub("", problem["value"])  # each error has its own
                results.append(shown)
        return "answer", self._settled(results)

    def _live(self, clip: Path, model: str) -> Answer:
        """The requests of a browser whose camera sees a clip: at first several frames at once, then one by one."""
        frames = [(place / LIVE_FPS, jpeg) for place, jpeg in enumerate(jpegs(clip)[:LIVE_FRAMES:LIVE_STEP])]
        try:
            session = LiveClient(self.http)
            answers = [
                session.send(part, model=model, seconds=2) for part in (frames[:15], *([one] for one in frames[15:]))
            ]
            session.close()
        except httpx.HTTPStatusError as error:
            return self._refusal(error.response)
        return "answer", self._settled([[{**head, "milliseconds": 0}, data.hex()] for head, data in answers])

    def _completed(self, session: str) -> dict[str, Any]:
        with self.http.stream("GET", f"{API}queue/data", params={"session_hash": session}) as lines:
            for line in lines.iter_lines():
                message = json.loads(line[5:]) if line.startswith("data:") else {}
                if message.get("msg") == "process_completed":
                    output: dict[str, Any] = message["output"]
                    return output
        return {"error": "the stream ended without an answer"}

    def _settled(self, result: Any) -> str:
        """An answer as text, with hashes instead of files and without times, so that equal answers have equal texts."""

        def settle(value: Any) -> Any:
            if isinstance(value, list):
                return [settle(item) for item in value]
            if not isinstance(value, dict):
                return value
            if value.get("url") and "path" in value:
                return hashlib.sha256(self.http.get(value["url"]).raise_for_status().content).hexdigest()
            return {key: settle(item) for key, item in value.items() if key != "seconds"}

        return TIMES.sub("", json.dumps(settle(result), sort_keys=True))

    @staticmethod
    def _refusal(answer: httpx.Response) -> Answer:
        return "full" if answer.status_code == FULL else "refused", f"{answer.status_code} {answer.text}"

    def leave(self, job: Job, chance: random.Random) -> None:
        """Disconnects during the upload, or while a job waits or runs, or requests a job without reading its answer."""
        moment = chance.choice(("upload", "waiting", "never"))
        if moment == "upload":
            head = b'--B\r\nContent-Disposition: form-data; name="files"; filename="a.mp4"\r\n\r\n'
            url = httpx.URL(self.server.address)
            with socket.create_connection((url.host, url.port or 80), timeout=60) as connection:
                request = f"POST {API}upload HTTP/1.1\r\nHost: {url.netloc.decode()}\r\nContent-Length: 9000000\r\n"
                connection.sendall(request.encode() + b"Content-Type: multipart/form-data; boundary=B\r\n\r\n" + head)
                connection.sendall(bytes(chance.randrange(1, 500_000)))
            return
        upload = self.http.post(f"{API}upload", files={"files": (job.clip.name, job.clip.read_bytes())})
        data = {"data": [{"path": upload.json()[0], "meta": FILE}, *job.rest]}
        asked = self.http.post(f"{API}call/{job.endpoint}", json=data)
        if moment == "waiting" and asked.status_code == 200:
            with self.http.stream("GET", f"{API}call/{job.endpoint}/{asked.json()['event_id']}"):
                time.sleep(chance.uniform(0, 0.5))
