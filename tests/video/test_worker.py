"""What reading in a separate process promises: whatever happens to that process, the page gets frames or one sentence."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT, until
from video_files import number_of, write_video

import aia
from aia import limits
from aia.video import reader, worker

linux = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
posix = pytest.mark.skipif(os.name != "posix", reason="sends signals")


@pytest.fixture
def fresh(monkeypatch):
    """No child yet, and room for two."""
    places = queue.LifoQueue()
    places.put(None)
    places.put(None)
    monkeypatch.setattr(worker, "_workers", places)
    yield
    for pid in worker.running():
        os.kill(pid, signal.SIGTERM)


@pytest.fixture
def clip(tmp_path):
    return write_video(tmp_path / "clip.mp4", 12)


def warm_child(clip) -> int:
    worker.read_clip(clip)
    (pid,) = worker.running()
    return pid


def begun(clip, pid) -> tuple[threading.Thread, list]:
    """A request that has reached a child which stands still."""
    os.kill(pid, signal.SIGSTOP)
    said = []

    def ask():
        try:
            said.append(worker.read_clip(clip))
        except aia.AIAError as error:
            said.append(str(error))

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    until(lambda: not worker.running())  # it is in use
    return thread, said


# ---------------------------------------------------------------- the same as in this process


@pytest.mark.parametrize("how", [{}, {"max_side": 48}, {"num_segments": 1}, {"num_segments": np.int64(16)}])
def test_a_clip_is_the_same_as_in_this_process(clip, how):
    here, apart = (read(clip, **how) for read in (reader.read_clip, worker.read_clip))
    for name in ("frames", "indices", "times"):
        assert np.array_equal(getattr(here, name), getattr(apart, name))
        assert getattr(here, name).dtype == getattr(apart, name).dtype
    assert (here.fps, here.duration, here.num_frames, here.warnings) == (apart.fps, apart.duration, 12, apart.warnings)
    apart.frames[:] = 0  # they are the caller's own


@pytest.mark.parametrize("how", [{"num_segments": 0}, {"num_segments": 2.5}, {"num_segments": None}, {"max_side": 0}])
def test_wrong_arguments_get_the_same_sentence(clip, how):
    said = []
    for read in (reader.read_clip, worker.read_clip):
        with pytest.raises(aia.AIAError) as caught:
            read(clip, **how)
        said.append(str(caught.value))
    assert said[0] == said[1]


def test_a_relative_path_is_one_of_this_process(clip, monkeypatch):
    monkeypatch.chdir(clip.parent)
    assert worker.read_clip("clip.mp4").num_frames == 12
    for missing in ("", "none.mp4", "."):
        with pytest.raises(aia.AIAError) as caught:
            worker.read_clip(missing)
        assert str(clip.parent) not in str(caught.value) and clip.parent.name not in str(caught.value)


@pytest.mark.slow
def test_several_at_a_time_wait_for_each_other(fresh, tmp_path):
    paths = [write_video(tmp_path / f"{i}.mp4", 12, start=i * 20) for i in range(12)]
    with ThreadPoolExecutor(6) as pool:
        clips = list(pool.map(worker.read_clip, paths))
    assert [number_of(clip.frames[0]) for clip in clips] == [i * 20 for i in range(12)]
    assert 1 <= len(worker.running()) <= 2


def test_a_child_is_started_before_anyone_asks(fresh, clip):
    worker.warm()
    (pid,) = worker.running()
    worker.read_clip(clip)
    worker.warm()
    assert worker.running() == [pid]


# ---------------------------------------------------------------- when the child goes wrong


@pytest.mark.slow
@posix
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSEGV, signal.SIGXCPU])
def test_a_child_that_dies_in_the_middle_costs_one_sentence(fresh, clip, how, tmp_path_factory, monkeypatch):
    temporary = tmp_path_factory.mktemp("temporary")
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    pid = warm_child(clip)
    thread, said = begun(clip, pid)
    os.kill(pid, how)
    os.kill(pid, signal.SIGCONT)
    thread.join()
    assert said == ["“clip.mp4” could not be decoded: it broke the decoder; save it again as H.264 MP4."]
    assert worker.read_clip(clip).num_frames == 12
    assert worker.running() and pid not in worker.running()
    assert list(temporary.iterdir()) == []


@pytest.mark.slow
@posix
def test_a_child_that_died_meanwhile_costs_nothing(fresh, clip):
    pid = warm_child(clip)
    os.kill(pid, signal.SIGKILL)
    until(lambda: not worker.running())
    assert worker.read_clip(clip).num_frames == 12


@pytest.mark.slow
@posix
def test_a_child_that_hangs_is_killed(fresh, clip, monkeypatch):
    pid = warm_child(clip)
    with monkeypatch.context() as short:
        short.setattr(limits, "MAX_DECODE_SECONDS", 1)
        thread, said = begun(clip, pid)
        thread.join()
    assert said == ["“clip.mp4” takes too long to read: shorten it or save it with smaller pictures."]
    assert worker.read_clip(clip).num_frames == 12


@pytest.mark.long
@linux
def test_a_file_that_needs_too_much_memory_is_refused_and_the_child_goes_on(fresh, tmp_path, monkeypatch, clip):
    monkeypatch.setenv("AIA_MAX_DECODER_BYTES", str(200 * 2**20))
    large = write_video(tmp_path / "large.avi", 2, codec="mjpeg", pix_fmt="yuvj444p", size=(4000, 2000))
    pid = warm_child(clip)
    with pytest.raises(aia.AIAError, match=r"“large\.avi” needs more memory than there is"):
        worker.read_clip(large)
    assert worker.read_clip(clip).num_frames == 12 and worker.running() == [pid]


def test_the_limits_of_the_environment_hold_in_the_child_too(fresh, tmp_path, monkeypatch):
    monkeypatch.setenv("AIA_MAX_SECONDS", "1")
    with pytest.raises(aia.AIAError, match="longer than 1 s"):
        worker.read_clip(write_video(tmp_path / "two.mp4", 50))


@pytest.mark.slow
@posix
def test_a_child_whose_parent_is_killed_in_the_middle_ends(clip):
    program = (
        "import os, signal, sys, threading; from aia.video import worker;"
        "worker.read_clip(sys.argv[1]); (pid,) = worker.running(); os.kill(pid, signal.SIGSTOP); print(pid, flush=True);"
        "worker.read_clip(sys.argv[1])"
    )
    parent = subprocess.Popen([sys.executable, "-c", program, str(clip)], cwd=ROOT, stdout=subprocess.PIPE)
    child = int(parent.stdout.readline())
    time.sleep(0.2)  # for the request to be under way
    parent.kill()
    parent.wait()
    os.kill(child, signal.SIGCONT)
    until(lambda: not ended_not(child))


def ended_not(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        state = Path(f"/proc/{pid}/stat")  # its new parent may not have waited for it yet
        return not (state.exists() and state.read_text().rpartition(")")[2].split()[0] == "Z")
    except OSError:
        return False


# ---------------------------------------------------------------- what it must not be trusted with, and cannot do

SOUND = {
    "size": [4, 4],
    "indices": [0] * 8,
    "times": [0] * 8,
    "fps": 25,
    "duration": 1,
    "num_frames": 1,
    "warnings": [],
}
LIES = {
    "nothing": b"",
    "noise": b"\x80\x04\x95 not an answer\n",
    "an endless line": b"[" * 100_000,
    "depth": b"[" * 60_000 + b"\n",
    "a list": b"[]\n",
    "an empty object": b'{"size": []}\n',
    "no sides": {"size": [0, 4]},
    "negative sides": {"size": [-4, -4]},
    "words for sides": {"size": ["four", 4]},
    "more pixels than any picture has": {"size": [10**6, 10**6]},
    "a frame that is not there": {"indices": [1] * 8},
    "a frame before the first": {"indices": [-1] * 8},
    "fewer frames": {"indices": [0] * 7},
    "words for frames": {"indices": ["zero"] * 8},
    "no number": {"times": [float("nan")] * 8},
    "no end": {"duration": float("inf")},
    "words for times": {"times": "now"},
    "a word for the warnings": {"warnings": 5},
    "pictures cut short": {"size": [5, 5]},
}


@pytest.mark.slow
@pytest.mark.parametrize("lie", LIES)
def test_an_answer_that_no_sound_child_gives_is_not_believed(fresh, clip, monkeypatch, lie):
    told, answer = LIES[lie], clip.with_name("answer")
    head = told if isinstance(told, bytes) else json.dumps(SOUND | told).encode() + b"\n"
    answer.write_bytes(head + bytes(8 * 4 * 4 * 3))
    program = (
        "import sys; print('ready', flush=True); sys.stdin.readline(); sys.stdout.buffer.write(open({!r}, 'rb').read())"
    )
    monkeypatch.setattr(worker, "START", program.format(str(answer)))
    with pytest.raises(aia.AIAError, match=r"“clip\.mp4” could not be decoded: it broke the decoder"):
        worker.read_clip(clip)


def test_a_child_that_does_not_start_is_no_fault_of_the_file(fresh, clip, monkeypatch):
    monkeypatch.setattr(worker, "START", "raise SystemExit(3)")
    with pytest.raises(RuntimeError, match="does not start"):
        worker.read_clip(clip)


@linux
def test_the_child_has_no_torch_no_token_and_no_file_of_ours(fresh, clip, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    with clip.open("rb") as held:
        os.set_inheritable(held.fileno(), True)
        pid = warm_child(clip)
        open_files = [entry.resolve() for entry in Path(f"/proc/{pid}/fd").iterdir()]
    proc = Path(f"/proc/{pid}")
    assert "torch" not in (proc / "maps").read_text() and "gradio" not in (proc / "maps").read_text()
    assert b"hf_secret" not in (proc / "environ").read_bytes()
    assert len(open_files) >= 4 and clip.resolve() not in open_files
    of = {line[:26].strip(): line[26:].split()[:2] for line in (proc / "limits").read_text().splitlines()[1:]}
    assert of["Max core file size"] == of["Max file size"] == ["0", "0"]
    assert of["Max data size"] == [str(limits.MAX_DECODER_BYTES)] * 2
