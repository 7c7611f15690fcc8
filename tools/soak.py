"""A soak: the page under many clients at once, good, bad and hostile, whose every answer is held against the one given alone.

Clients talk as programs and browsers do, over plain HTTP, to `app.py` in a folder of its own.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import logging
import math
import os
import random
import re
import secrets
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import av
import httpx

from aia import console
from aia.errors import AIAError
from aia.hub.loading import available_models

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = ROOT / "assets" / "examples"
API = "/gradio_api/"
FILE = {"_type": "gradio.FileData"}
START_SECONDS = 120
KEEP_SECONDS = 60  # how long the page keeps what it was sent, during a soak
SWEEP_SECONDS = 65  # the page looks for what broken uploads left behind once a minute
TIMES = re.compile(r"\d+ ms ")
FULL = 503  # too many are waiting, which is an answer too
# kind of request -> how often it is chosen
MIX = {
    **{"classify": 6, "what if": 3, "page": 4, "inspect": 1, "compare": 1, "rank": 1, "lesson": 1},
    **{"odd clip": 3, "hostile clip": 4, "hostile request": 3, "leaves": 4},
}
LOUD = 10  # findings that are printed whole
MAX_CLIENTS = 1000

Answer = tuple[str, str]  # "answer", "refused" or "full", and what came back


@dataclass(frozen=True)
class Job:
    """One request.

    Attributes:
        kind: The row of the table.
        endpoint: Of the API, or "page" for what a browser does.
        clip: A file to upload first, or what is sent in its place.
        rest: The arguments after the clip; for "page" the models chosen one after the other.
    """

    kind: str
    endpoint: str
    clip: Any
    rest: tuple[Any, ...] = ()

    def __str__(self) -> str:
        clip = self.clip.name if isinstance(self.clip, Path) else self.clip
        return f"{self.kind}: {self.endpoint}({', '.join(repr(part)[:60] for part in (clip, *self.rest))})"


@dataclass
class Server:
    """A running page: its process, its address, the folder of its files, and what it tells a browser about itself."""

    process: subprocess.Popen
    address: str
    folder: Path
    config: dict[str, Any]

    def files(self) -> dict[Path, int]:
        """Every temporary file and its size."""
        found = {}
        for path in self.folder.rglob("*"):
            with suppress(OSError):  # it may be gone by now
                if path.is_file():
                    found[path] = path.stat().st_size
        return found

    def megabytes(self) -> float:
        """Resident memory of the server and its children; not a number where there is no /proc."""
        return sum(_resident(pid) for pid in [self.process.pid, *children(self.process.pid)]) / 2**20


@dataclass
class Report:
    """What a soak found.

    Attributes:
        counts: Kind of request -> how often each outcome came.
        seconds: Kind of request -> how long each took, from the upload on.
        findings: Wrong answers and unexplained errors, in words.
        state: When -> memory in MB, temporary files, and MB of them.
        left: Temporary files that stay after their time.
    """

    counts: dict[str, Counter] = field(default_factory=lambda: defaultdict(Counter))
    seconds: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    findings: list[str] = field(default_factory=list)
    state: dict[str, tuple[float, int, float]] = field(default_factory=dict)
    left: list[str] = field(default_factory=list)

    @property
    def sound(self) -> bool:
        """Whether nothing was wrong, unexplained or left behind."""
        return not self.findings and not self.left

    def to_markdown(self) -> str:
        """Two tables, and the findings."""
        outcomes = ("right", "refused as alone", "full", "left", "wrong", "unexplained")
        rows = [["request", "all", *outcomes, "50 % within s", "95 %", "99 %"]]
        kinds = {kind: (self.counts[kind], self.seconds[kind]) for kind in sorted(self.counts)}
        kinds["all"] = (sum(self.counts.values(), Counter()), [one for times in self.seconds.values() for one in times])
        for kind, (counts, times) in kinds.items():
            shares = [f"{_percentile(times, share):.2f}" if times else "" for share in (50, 95, 99)]
            rows.append([kind, str(counts.total()), *(str(counts[one]) for one in outcomes), *shares])
        states = [["when", "memory, MB", "temporary files", "MB of them"]]
        states += [[when, f"{mb:.0f}", str(files), f"{size:.1f}"] for when, (mb, files, size) in self.state.items()]
        words = [f"* {finding}" for finding in self.findings[:LOUD]] + [f"* left behind: {one}" for one in self.left]
        return "\n\n".join(filter(None, [_table(rows), _table(states), "\n".join(words)]))


# ---------------------------------------------------------------- the page


@contextmanager
def serve(folder: Path, *arguments: str, **environment: str) -> Iterator[Server]:
    """Runs `app.py` until the block ends, with all its temporary files in a folder.

    Args:
        folder: May hold what a page before it left.
        arguments: Of `app.py`.
        environment: Variables of its own.

    Raises:
        AIAError: It does not start.
    """
    logging.getLogger("httpx").setLevel(logging.WARNING)  # it names every request
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    place = folder / "temporary"
    place.mkdir(parents=True, exist_ok=True)
    inherited = {name: value for name, value in os.environ.items() if name != "GRADIO_TEMP_DIR"}
    own = {"TMPDIR": str(place), "GRADIO_ANALYTICS_ENABLED": "False"}
    command = [sys.executable, str(ROOT / "app.py"), *arguments, "--port", str(port)]
    with (folder / "log").open("ab") as log:
        process = subprocess.Popen(
            command, cwd=ROOT, env={**inherited, **own, **environment}, stdout=log, stderr=subprocess.STDOUT
        )
    try:
        address = f"http://127.0.0.1:{port}"
        yield Server(process, address, place, _config(address, process))
    finally:
        process.terminate()
        process.wait(60)


def _config(address: str, process: subprocess.Popen) -> dict[str, Any]:
    deadline = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        with suppress(httpx.HTTPError):
            return httpx.get(f"{address}/config", timeout=10).raise_for_status().json()
        time.sleep(0.1)
    raise AIAError("The page does not start; run `python app.py` to see why.")


def children(pid: int) -> list[int]:
    """The processes that a process started, and theirs; none where there is no /proc."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
    found = [pid]
    for one in found:  # grows on the way
        found += [child for child, parent in parents.items() if parent == one]
    return found[1:]


def _resident(pid: int) -> float:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0.0 if Path("/proc/self").exists() else math.nan


# ---------------------------------------------------------------- a client


class Client:
    """One visitor, who asks and waits, or leaves."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.http = httpx.Client(base_url=server.address, timeout=120)

    def ask(self, job: Job) -> Answer:
        """A job's answer; files in it as sums of what they hold."""
        clip = job.clip
        if isinstance(clip, Path):
            sent = self.http.post(f"{API}upload", files={"files": (clip.name, clip.read_bytes())})
            if sent.status_code != 200:
                return self._refusal(sent)
            clip = {"path": sent.json()[0], "meta": FILE}
        if job.endpoint == "page":
            return self._page(clip, job.rest)
        asked = self.http.post(f"{API}call/{job.endpoint}", json={"data": [clip, *job.rest]})
        if asked.status_code != 200:
            return self._refusal(asked)
        kind, found = "error", {"error": "the stream ended without an answer"}
        with self.http.stream("GET", f"{API}call/{job.endpoint}/{asked.json()['event_id']}") as lines:
            for line in lines.iter_lines():
                name, _, value = line.partition(": ")
                if name == "event":
                    kind = value
                elif name == "data" and kind in ("complete", "error"):
                    found = json.loads(value)
        if kind == "complete":
            return "answer", self._settled(found)
        return "refused", str(found.get("error") if isinstance(found, dict) else found)

    def _page(self, clip: dict[str, Any], models: Sequence[str]) -> Answer:
        """What a browser does: the clip is given, and then shown once more with each of the other models."""
        parts = {part["props"].get("elem_id"): part["id"] for part in self.server.config["components"]}
        session, found = secrets.token_hex(8), []
        with self.http.stream("GET", f"{API}heartbeat/{session}"):  # its end tells the page that the visitor has left
            for number, model in enumerate(models):
                trigger = [parts["run"], "click"] if number else [parts["clip"], "upload"]
                events = self.server.config["dependencies"]
                event = next(one for one in events if trigger in one["targets"] and one["backend_fn"])
                given = {parts["clip"]: clip, parts["model"]: model}
                data = {"data": [given.get(one) for one in event["inputs"]], "fn_index": event["id"]}
                asked = self.http.post(f"{API}queue/join", json={**data, "session_hash": session})
                if asked.status_code != 200:
                    return self._refusal(asked)
                done = self._completed(session)
                if "data" not in done:
                    return "refused", str(done.get("error"))
                shown = dict(zip(event["outputs"], done["data"], strict=True))
                problem = shown.pop(parts["problem"])
                if problem.get("value"):
                    return "refused", problem["value"]
                found.append(shown)
        return "answer", self._settled(found)

    def _completed(self, session: str) -> dict[str, Any]:
        with self.http.stream("GET", f"{API}queue/data", params={"session_hash": session}) as lines:
            for line in lines.iter_lines():
                message = json.loads(line[5:]) if line.startswith("data:") else {}
                if message.get("msg") == "process_completed":
                    return message["output"]
        return {"error": "the stream ended without an answer"}

    def _settled(self, found: Any) -> str:
        """An answer in one text, with sums in place of files and their addresses, and without the time that it took."""

        def settle(value: Any) -> Any:
            if isinstance(value, list):
                return [settle(one) for one in value]
            if not isinstance(value, dict):
                return value
            if value.get("url") and "path" in value:
                return hashlib.sha256(self.http.get(value["url"]).raise_for_status().content).hexdigest()
            return {key: settle(one) for key, one in value.items() if key != "seconds"}

        return TIMES.sub("", json.dumps(settle(found), sort_keys=True))

    @staticmethod
    def _refusal(answer: httpx.Response) -> Answer:
        return "full" if answer.status_code == FULL else "refused", f"{answer.status_code} {answer.text}"

    def leave(self, job: Job, chance: random.Random) -> None:
        """Asks for a job and goes: in the middle of the upload, while it waits or runs, or without ever coming for it."""
        way = chance.choice(("upload", "waiting", "never"))
        if way == "upload":
            head = b'--B\r\nContent-Disposition: form-data; name="files"; filename="a.mp4"\r\n\r\n'
            url = httpx.URL(self.server.address)
            with socket.create_connection((url.host, url.port), timeout=60) as line:
                about = f"POST {API}upload HTTP/1.1\r\nHost: {url.netloc.decode()}\r\nContent-Length: 9000000\r\n"
                line.sendall(about.encode() + b"Content-Type: multipart/form-data; boundary=B\r\n\r\n" + head)
                line.sendall(bytes(chance.randrange(1, 500_000)))
            return
        sent = self.http.post(f"{API}upload", files={"files": (job.clip.name, job.clip.read_bytes())})
        data = {"data": [{"path": sent.json()[0], "meta": FILE}, *job.rest]}
        asked = self.http.post(f"{API}call/{job.endpoint}", json=data)
        if way == "waiting" and asked.status_code == 200:
            with self.http.stream("GET", f"{API}call/{job.endpoint}/{asked.json()['event_id']}"):
                time.sleep(chance.uniform(0, 0.5))


# ---------------------------------------------------------------- what they ask for


def jobs(folder: Path, models: Sequence[str]) -> list[Job]:
    """Every request of a soak; the clips that no example is are drawn into a folder."""
    gated = [name for name in models if not name.endswith("-none")]
    good = [EXAMPLES / f"{name}.mp4" for name in ("swipe-left", "circle", "star", "no-gesture-waving")]
    first, odd, hostile = good[0], _odd_clips(folder), _hostile_clips(folder)
    stranger = {"meta": FILE}
    return [
        *(Job("classify", "classify", clip, (name,)) for clip in good for name in models),
        *(
            Job("what if", "what_if", clip, (name, mode, "*", units))
            for name in gated
            for clip, mode, units in zip(good, ("mean", "identity", "shuffle"), ("C,T", "C,T,H,W", "H"), strict=False)
        ),
        *(Job("page", "page", clip, (models[i % len(models)], models[-1])) for i, clip in enumerate(good)),
        *(Job("inspect", "inspect", clip, (gated[-1], "")) for clip in good[:2]),
        *(
            Job("compare", "compare", clip, (models[0], models[-1], None, back))
            for clip in good[:2]
            for back in (False, True)
        ),
        *(Job("rank", "rank_blocks", first, (name, "mean")) for name in gated[:2]),
        *(Job("lesson", "lesson", good[1], (gated[0], "", unit)) for unit in "CT"),
        *(Job("odd clip", "classify", clip, (name,)) for clip in odd for name in models[:2]),
        *(Job("hostile clip", "classify", clip, (models[0],)) for clip in hostile),
        *(Job("hostile clip", "page", clip, (models[0],)) for clip in hostile),
        *(Job("hostile request", "classify", first, (name,)) for name in ("../../etc", "", "x" * 100_000, {"a": [1]})),
        *(
            Job("hostile request", "classify", stranger | {"path": path}, (models[0],))
            for path in ("/etc/passwd", str(first), "http://127.0.0.1:1/clip.mp4")
        ),
        Job("hostile request", "classify", None, (models[0],)),
        Job("hostile request", "nothing", first, (models[0],)),
        Job("hostile request", "what_if", first, (gated[0], "explode", "*", "C")),
        Job("hostile request", "what_if", first, (gated[0], "mean", "no.such", "C")),
    ]


def _odd_clips(folder: Path) -> list[Path]:
    """Files that are damaged or hardly a clip, and are answered all the same."""
    whole, cut, half = folder / "whole.ts", folder / "cut.ts", folder / "cut.mp4"
    half.write_bytes((EXAMPLES / "star.mp4").read_bytes()[:20_001])
    with av.open(str(EXAMPLES / "circle.mp4")) as source, av.open(str(whole), "w") as output:
        stream = output.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                output.mux(packet)
    data = whole.read_bytes()
    cut.write_bytes(data[: len(data) * 2 // 3 | 1])
    scratched = bytearray(data)
    scratched[len(data) // 2 : len(data) // 2 + 400] = bytes(400)
    (folder / "scratched.ts").write_bytes(scratched)
    _one_colour(folder / "tiny.gif", "gif", "rgb8", [0])
    return [whole, cut, half, folder / "scratched.ts", folder / "tiny.gif"]


def _hostile_clips(folder: Path) -> list[Path]:
    """Files that must be refused."""
    made = {
        "empty.mp4": b"",
        "text.mp4": b"this is text, not a film" * 50,
        "no-head.mp4": (EXAMPLES / "star.mp4").read_bytes()[5_000:],
        "noise.webm": random.Random(0).randbytes(100_000),
        "giant.gif": b"GIF89a" + b"\xff" * 4 + b"\x80\0\0" + bytes(6) + b"," + bytes(4) + b"\xff" * 4 + b"\0\2\2D\1\0;",
        "playlist.mp4": b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n/etc/passwd\n#EXT-X-ENDLIST\n",
        "list.mp4": b"ffconcat version 1.0\nfile /etc/passwd\n",
        "<img src=x>.mp4": b"\0\0\0\x18ftypisom" + bytes(99),
    }
    for name, data in made.items():
        (folder / name).write_bytes(data)
    _one_colour(folder / "ten-hours.mkv", "mpeg4", "yuv420p", [0, 36_000])
    return [*(folder / name for name in made), folder / "ten-hours.mkv"]


def _one_colour(path: Path, codec: str, pix_fmt: str, seconds: Sequence[int]) -> None:
    with av.open(str(path), "w") as output:
        stream = output.add_stream(codec, rate=1)
        stream.width, stream.height, stream.pix_fmt = 16, 16, pix_fmt
        for pts in seconds:
            frame = av.VideoFrame(16, 16, pix_fmt)
            frame.pts = pts
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))


# ---------------------------------------------------------------- the soak


def soak(
    *,
    minutes: float,
    clients: int,
    seed: int = 0,
    models: Sequence[str] | None = None,
    keep: int = KEEP_SECONDS,
    requests: int | None = None,
) -> Report:
    """Lets clients ask a page for everything at once, and compares every answer with the one that is given alone.

    Args:
        minutes: How long, apart from the start, the answers alone, and the wait for the temporary files to go.
        clients: How many ask at a time.
        seed: Of their choices.
        models: Of the shipped ones; all by default.
        keep: Seconds after which the page shall delete what it was sent.
        requests: Of each client at most; without, as many as there is time for.

    Raises:
        AIAError: The page does not start, or a number is out of range.
    """
    if not 0 < minutes < math.inf or not 1 <= clients <= MAX_CLIENTS or keep < 1:
        raise AIAError(f"A soak needs more than 0 minutes, and 1 to {MAX_CLIENTS} clients.")
    report = Report()
    with tempfile.TemporaryDirectory(prefix="aia-soak-") as name:
        folder, drawn = Path(name), Path(name) / "clips"
        drawn.mkdir()
        with serve(folder, AIA_DELETE_AFTER_SECONDS=str(keep), HF_HUB_OFFLINE="1") as server:
            before = set(server.files())  # the page's own examples
            _note(report, server, "started")
            asked = jobs(drawn, list(models or available_models()))
            alone = _alone(server, asked, report)
            _note(report, server, "every answer once, alone")
            _crowd(server, alone, report, minutes * 60, clients, seed, requests)
            _note(report, server, f"end, after {minutes:g} min with {clients} clients")
            _wait_until_clean(server, before, keep)
            _note(report, server, "once the files' time is over")
            report.left = sorted(str(path.relative_to(server.folder)) for path in set(server.files()) - before)
        log = (folder / "log").read_text(encoding="utf-8", errors="replace")
        if bugs := [line for line in log.splitlines() if "ERROR" in line or line.startswith("Traceback")]:
            report.findings.append(f"the server's log has {len(bugs)} errors, the first: {bugs[0][:300]}")
    return report


def _note(report: Report, server: Server, when: str) -> None:
    files = server.files()
    report.state[when] = (server.megabytes(), len(files), sum(files.values()) / 2**20)


def _alone(server: Server, asked: Sequence[Job], report: Report) -> list[tuple[Job, Answer]]:
    """The answers that the page gives to one client; those that no client should get are findings."""
    client, alone = Client(server), []
    for job in asked:
        kind, found = client.ask(job)
        alone.append((job, (kind, found)))
        meant = {"odd clip": kind, "hostile clip": "refused", "hostile request": "refused"}.get(job.kind, "answer")
        plain = kind == "answer" or (len(found) < 1000 and "Traceback" not in found and "report number" not in found)
        if kind != meant or not plain:
            report.findings.append(f"alone, {job}: {kind}: {found[:300]}")
    return alone


def _crowd(
    server: Server,
    alone: Sequence[tuple[Job, Answer]],
    report: Report,
    seconds: float,
    clients: int,
    seed: int,
    requests: int | None,
) -> None:
    """All clients at once, until the time is over or each has asked its requests."""
    of_kind = defaultdict(list)
    for job, answer in alone:
        of_kind[job.kind].append((job, answer))
    noted, end = threading.Lock(), time.monotonic() + seconds

    def client(number: int) -> None:
        chance, visitor = random.Random(f"{seed} {number}"), Client(server)
        for asked in count():
            if asked == requests or time.monotonic() >= end:
                break
            (kind,) = chance.choices(list(MIX), MIX.values())
            job, expected = chance.choice(of_kind["classify" if kind == "leaves" else kind])
            begun, said = time.monotonic(), ""
            try:
                if kind == "leaves":
                    visitor.leave(job, chance)
                    outcome = "left"
                else:
                    outcome, said = _compared(visitor.ask(job), expected)
            except Exception as error:  # a dropped connection, an answer of another shape: all of it is a finding
                outcome, said = "unexplained", repr(error)
            with noted:
                report.counts[kind][outcome] += 1
                if kind != "leaves":
                    report.seconds[kind].append(time.monotonic() - begun)
                if outcome in ("wrong", "unexplained"):
                    report.findings.append(f"{outcome}, {job}: {said}")

    threads = [threading.Thread(target=client, args=(number,), daemon=True) for number in range(clients)]
    for thread in threads:
        thread.start()
    _join(threads, min(60, seconds))
    if seconds > 60 and any(thread.is_alive() for thread in threads):
        _note(report, server, "after the first minute")
    _join(threads, end + 150 - time.monotonic())
    for thread in threads:
        if thread.is_alive():
            report.findings.append("unexplained: a client still waits for its answer")


def _join(threads: Sequence[threading.Thread], seconds: float) -> None:
    """Waits for all of them, or so long."""
    end = time.monotonic() + seconds
    for thread in threads:
        thread.join(max(0, end - time.monotonic()))


def _compared(got: Answer, expected: Answer) -> tuple[str, str]:
    """What an answer is beside the one alone, and where the two part."""
    if got == expected:
        return ("right" if got[0] == "answer" else "refused as alone"), ""
    if got[0] == "full":
        return "full", ""
    at = next((i for i, (a, b) in enumerate(zip(got[1], expected[1], strict=False)) if a != b), 0)
    words = (
        f"{got[0]} …{got[1][max(0, at - 40) : at + 150]}… not {expected[0]} …{expected[1][max(0, at - 40) : at + 150]}…"
    )
    return ("wrong" if got[0] == "answer" else "unexplained"), words


def _wait_until_clean(server: Server, before: set[Path], keep: int) -> None:
    """Until only the page's own files are there, or the time in which that was promised is over."""
    end = time.monotonic() + 2 * keep + SWEEP_SECONDS
    while set(server.files()) - before and time.monotonic() < end:
        time.sleep(2)
        httpx.post(f"{server.address}{API}upload")  # what broken uploads left is looked for when somebody uploads


def _percentile(values: Sequence[float], share: int) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, len(ordered) * share // 100)]


def _table(rows: Sequence[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([lines[0], "|---" * len(rows[0]) + "|", *lines[1:]])


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a soak and prints its report; the exit status is 1 for a wrong answer, an unexplained error or a file left."""
    parser = argparse.ArgumentParser("python -m tools.soak", description="Many clients at once, each answer checked.")
    parser.add_argument("--minutes", type=float, default=15)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)

    def run() -> int:
        logging.basicConfig(level=logging.INFO, format="%(message)s")
        report = soak(minutes=options.minutes, clients=options.clients, seed=options.seed)
        print(report.to_markdown())
        return int(not report.sound)

    return console.run(run)


if __name__ == "__main__":
    raise SystemExit(main())
