"""The page under many clients at once, and when it or a part of it is killed in the middle of a request."""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import threading
from collections import Counter
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from conftest import until
from video_files import slow_clip

from aia.errors import AIAError
from aia.hub import DEFAULT_MODEL
from app.server import temp_folder
from tools import soak
from tools.page_server import EXAMPLES, children, serve

EXAMPLE = EXAMPLES / "swipe-left.mp4"
MODEL = DEFAULT_MODEL
SHORT_SOAK = ("tsm-mobilenetv2-cinst", "tsn-mobilenetv2-none")
pytestmark = [pytest.mark.server, pytest.mark.slow]
linux = pytest.mark.skipif(sys.platform != "linux", reason="processes are looked up in /proc")


def good(server) -> dict:
    return soak.Client(server).ask(soak.Job("classify", "classify", EXAMPLE, (MODEL,)))


@pytest.mark.long
def test_many_clients_at_once_get_what_each_would_get_alone_and_nothing_stays():
    report = soak.soak(minutes=60, clients=4, requests=14, models=SHORT_SOAK, keep=30)
    assert report.sound, report.to_markdown()
    assert set(report.counts) == {*soak.MIX, "live"}
    assert sum(map(Counter.total, report.counts.values())) == (4 + soak.LIVE_CLIENTS) * 14
    assert report.counts["hostile clip"]["refused as alone"] + report.counts["hostile request"]["refused as alone"] > 3
    files = [count for _, count, _ in report.state.values()]
    assert files[0] == files[-1] < max(files), "there was something to delete"


def test_a_soak_tells_wrong_from_right():
    alone = ("answer", '{"label": "star"}')
    assert soak._compared(alone, alone)[0] == "right"
    assert soak._compared(("refused", "no"), ("refused", "no"))[0] == "refused as alone"
    assert soak._compared(("full", "503"), alone)[0] == "full"
    assert soak._compared(("answer", '{"label": "circle"}'), alone)[0] == "wrong"
    assert soak._compared(alone, ("refused", "no"))[0] == "wrong"
    assert soak._compared(("refused", "no"), alone)[0] == "unexplained"
    with pytest.raises(AIAError, match="more than 0 minutes"):
        soak.soak(minutes=0, clients=1)


# ---- kill -9


@pytest.fixture
def slow(tmp_path):
    return slow_clip(tmp_path / "slow.mp4")


def asked(server, clip) -> tuple[threading.Thread, list]:
    """A request for a clip that takes a while, whose reading has begun."""
    said = []

    def ask():
        try:
            said.append(soak.Client(server).ask(soak.Job("classify", "classify", clip, (MODEL,))))
        except httpx.HTTPError as error:
            said.append(error)

    thread = threading.Thread(target=ask, daemon=True)
    before = sum(map(cpu, children(server.process.pid)))
    thread.start()
    until(lambda: sum(map(cpu, children(server.process.pid))) > before + 20)  # hundredths of a second
    return thread, said


def cpu(pid: int) -> int:
    try:
        return sum(map(int, Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]))
    except OSError:
        return 0


@contextmanager
def ctrl_c_ignored():
    """Ctrl-C is ignored, as by what a shell starts in the background, and by all that this starts."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.mark.skipif(temp_folder.fcntl is None, reason="there are no such locks")
def test_only_folders_of_pages_that_are_gone_are_deleted(tmp_path, monkeypatch):
    others, kept = tmp_path / "aia-studio-gone", tmp_path / "own"
    for folder in (others, kept):
        folder.mkdir()
        (folder / "clip.mp4").write_bytes(b"clip")
    (tmp_path / "aia-studio-link").symlink_to(kept)
    (others / "link").symlink_to(kept)
    (tmp_path / "aia-studio-file").write_bytes(b"")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with temp_folder.folder() as first:
        assert not others.exists() and tempfile.gettempdir() == str(first) and first.stat().st_mode & 0o77 == 0
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
        with temp_folder.folder() as second:
            assert first.is_dir() and second != first
        assert not second.exists() and first.is_dir()
    assert not first.exists() and (kept / "clip.mp4").is_file()


@pytest.mark.long
@linux
def test_a_page_in_the_background_outlives_its_decoder_and_leaves_nothing_however_it_ends(tmp_path, slow):
    with ctrl_c_ignored():
        with serve(tmp_path / "page") as server:
            right = good(server)
            assert right[0] == "answer"
            thread, said = asked(server, slow)
            for pid in children(server.process.pid):
                os.kill(pid, signal.SIGKILL)
            thread.join()
            assert said == [
                ("refused", "“slow.mp4” could not be decoded: it broke the decoder; save it again as H.264 MP4.")
            ]
            assert good(server) == right

            soak.Client(server).ask(soak.Job("inspect", "inspect", EXAMPLE, (MODEL, "")))
            thread, said = asked(server, slow)
            left = children(server.process.pid)
            server.process.kill()
            server.process.wait()
            thread.join()
            assert left and isinstance(said[0], httpx.HTTPError)
            until(lambda: not any(cpu(pid) for pid in left))
            assert any(path.name == "slow.mp4" for path in server.files())
        with serve(tmp_path / "page") as server:
            assert good(server) == right
            names = {path.name for path in server.files()} - {path.name for path in EXAMPLES.rglob("*.mp4")}
            assert names == set(), "the page before it left a clip and files of its answers"
            assert len(list(server.folder.iterdir())) == 1
            asked(server, slow)  # and it is stopped in the middle
    assert server.process.returncode == 0, "by SIGTERM"
    assert list(server.folder.iterdir()) == [], "a page that is stopped takes its files along"
