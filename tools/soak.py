"""A soak test: many clients use the page at once, and each answer must equal the one given to a single client.

The requests are good, odd and hostile. `soak_jobs.py` makes them, and `soak_client.py` sends them to the page.
"""

from __future__ import annotations

import argparse
import logging
import math
import random
import tempfile
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import httpx

from aia import console
from aia.errors import AIAError
from aia.hub.files import available_models
from tools.page_server import Server, serve
from tools.soak_client import API, Answer, Client, Job
from tools.soak_jobs import jobs

KEEP_SECONDS = 60  # that the page keeps uploads during a soak
SWEEP_SECONDS = 65  # the page looks for remains of broken uploads once a minute
# kind of request -> its weight
MIX = {
    **{"classify": 6, "what if": 3, "page": 4, "inspect": 1, "compare": 1, "rank": 1, "lesson": 1},
    **{"odd clip": 3, "hostile clip": 4, "hostile request": 3, "leaves": 4},
}
LIVE_CLIENTS = 2  # in addition to the others; each has its camera on all the time
MAX_FINDINGS = 10  # printed
MAX_CLIENTS = 1000


@dataclass
class Report:
    """The result of a soak.

    Attributes:
        counts: Kind of request -> number of each outcome.
        seconds: Kind of request -> durations, including the upload.
        findings: Wrong answers and unexplained errors, as sentences.
        state: Moment -> memory in MB, temporary files, and MB of them.
        left: Temporary files that were not deleted in time.
    """

    counts: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
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
        kinds["all"] = (
            sum(self.counts.values(), Counter[str]()),
            [seconds for times in self.seconds.values() for seconds in times],
        )
        for kind, (counts, times) in kinds.items():
            shares = [f"{_percentile(times, share):.2f}" if times else "" for share in (50, 95, 99)]
            rows.append([kind, str(counts.total()), *(str(counts[outcome]) for outcome in outcomes), *shares])
        states = [["when", "memory, MB", "temporary files", "MB of them"]]
        states += [[when, f"{mb:.0f}", str(files), f"{size:.1f}"] for when, (mb, files, size) in self.state.items()]
        words = [f"* {finding}" for finding in self.findings[:MAX_FINDINGS]] + [
            f"* left behind: {path}" for path in self.left
        ]
        return "\n\n".join(filter(None, [_table(rows), _table(states), "\n".join(words)]))


def soak(
    *,
    minutes: float,
    clients: int,
    seed: int = 0,
    models: Sequence[str] | None = None,
    keep: int = KEEP_SECONDS,
    requests: int | None = None,
) -> Report:
    """Lets many clients use a page at once, and compares every answer with the one given to a single client.

    Args:
        minutes: Duration, without the start, the answers to a single client, and the wait for files to be deleted.
        clients: Number of clients at a time.
        seed: Of their choices.
        models: Shipped models; all by default.
        keep: Seconds after which the page deletes uploads.
        requests: Largest number per client; by default limited by time only.

    Raises:
        AIAError: The page does not start, or a number is out of range.
    """
    if not 0 < minutes < math.inf or not 1 <= clients <= MAX_CLIENTS or keep < 1:
        raise AIAError(f"A soak needs more than 0 minutes, and 1 to {MAX_CLIENTS} clients.")
    report = Report()
    with tempfile.TemporaryDirectory(prefix="aia-soak-") as name:
        folder, clips = Path(name), Path(name) / "clips"
        clips.mkdir()
        with serve(folder, AIA_DELETE_AFTER_SECONDS=str(keep), HF_HUB_OFFLINE="1") as server:
            before = set(server.files())  # the page's own examples
            _note(report, server, "started")
            requested = jobs(clips, list(models or available_models()))
            alone = _alone(server, requested, report)
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


def _alone(server: Server, requested: Sequence[Job], report: Report) -> list[tuple[Job, Answer]]:
    """The page's answers to a single client. Answers that no client should get are findings."""
    client, alone = Client(server), []
    for job in requested:
        kind, content = client.ask(job)
        alone.append((job, (kind, content)))
        expected = {"odd clip": kind, "hostile clip": "refused", "hostile request": "refused"}.get(job.kind, "answer")
        leaks = len(content) >= 1000 or "Traceback" in content or "report number" in content
        if kind != expected or (kind != "answer" and leaks):
            report.findings.append(f"alone, {job}: {kind}: {content[:300]}")
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
    """Runs all clients at once, until the time is over or each has made its requests."""
    of_kind: dict[str, list[tuple[Job, Answer]]] = defaultdict(list)
    for job, answer in alone:
        of_kind[job.kind].append((job, answer))
    lock, end = threading.Lock(), time.monotonic() + seconds

    def client(number: int) -> None:
        chance, visitor = random.Random(f"{seed} {number}"), Client(server)
        for number_of_requests in count():
            if number_of_requests == requests or time.monotonic() >= end:
                break
            (kind,) = chance.choices(list(MIX), list(MIX.values())) if number < clients else ("live",)
            job, expected = chance.choice(of_kind["classify" if kind == "leaves" else kind])
            begin, finding = time.monotonic(), ""
            try:
                if kind == "leaves":
                    visitor.leave(job, chance)
                    outcome = "left"
                else:
                    outcome, finding = _compared(visitor.ask(job), expected)
            except Exception as error:  # a dropped connection, an answer of another shape, ...
                outcome, finding = "unexplained", repr(error)
            with lock:
                report.counts[kind][outcome] += 1
                if kind != "leaves":
                    report.seconds[kind].append(time.monotonic() - begin)
                if outcome in ("wrong", "unexplained"):
                    report.findings.append(f"{outcome}, {job}: {finding}")

    threads = [threading.Thread(target=client, args=(number,), daemon=True) for number in range(clients + LIVE_CLIENTS)]
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
    """Waits for all threads, but no longer than `seconds`."""
    end = time.monotonic() + seconds
    for thread in threads:
        thread.join(max(0, end - time.monotonic()))


def _compared(got: Answer, expected: Answer) -> tuple[str, str]:
    """The outcome of an answer compared with the expected one, and their first difference."""
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
    """Waits until only the page's own files exist, or until they should have been deleted."""
    end = time.monotonic() + 2 * keep + SWEEP_SECONDS
    while set(server.files()) - before and time.monotonic() < end:
        time.sleep(2)
        httpx.post(f"{server.address}{API}upload")  # an upload makes the page look for remains of broken ones


def _percentile(values: Sequence[float], share: int) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, len(ordered) * share // 100)]


def _table(rows: Sequence[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([lines[0], "|---" * len(rows[0]) + "|", *lines[1:]])


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a soak and prints its report. The exit status is 1 after a wrong answer, an unexplained error or a file left."""
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
