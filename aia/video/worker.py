"""Read clips in a process apart, so that a file which hangs, floods or breaks a decoder takes nothing else with it.

The child is this Python with PyAV, numpy and `aia.video` and no more: no torch, no token, no open file of the server. It is
kept warm and reads one clip at a time: a line of JSON comes in, a line of JSON and the bytes of the pictures go out. The
parent takes nothing on trust: nothing is unpickled, every size and number is checked before it is used, a child that does
not answer in time is killed, and a dead one is replaced. The two share a pair of pipes and nothing else, so nothing is left
behind whichever of them is killed, and a child whose parent is gone ends.
"""

from __future__ import annotations

import json
import logging
import os
import queue
import random
import signal
import subprocess
import sys
import threading
import time
import traceback
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from aia import limits
from aia.errors import AIAError
from aia.video import reader
from aia.video.reader import Clip

try:
    import resource
except ImportError:  # Windows has none of these limits; the deadline holds there too
    resource = None

log = logging.getLogger(__name__)

PATIENCE_SECONDS = 2  # beyond a child's own limit, for it to say by itself that a file takes too long
MAX_HEAD_BYTES = 1 << 16  # of the line before the pictures
MAX_WARNINGS, MAX_WORDS = 10, 1000  # sentences in it, and characters of each
PIPE_BYTES = 1 << 20  # the most that Linux gives to everyone
CORES = 4  # for one child: a decoder takes memory for every thread, and one thread for every core
READY = b"ready\n"
START = "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from aia.video import worker; worker.serve()"
# Of the environment the child gets what its libraries need to load. Threads and arenas would take of its memory limit; and
# glibc wipes what it hands out (to zero), or the parts that a damaged file leaves open would show the visitor's before.
KEPT = ("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "SYSTEMROOT", *(limit.variable for limit in limits.LIMITS))
OWN = {"OPENBLAS_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "2", "MALLOC_PERTURB_": "255"}


def read_clip(path: str | Path, num_segments: int = 8, *, max_side: int | None = None) -> Clip:
    """Read a clip as `aia.read_clip` does, in a process apart: `limits.DECODERS` at a time, more have to wait.

    Raises:
        AIAError: As in `aia.read_clip`, or the file broke the decoder.
    """
    source = reader._Source(Path(path))
    source.check_file()
    child = _children.get()
    try:
        child = child if child and child.alive else _Worker()
        return child.read(source, num_segments, max_side)
    finally:
        _children.put(child)


def warm() -> None:
    """Start a child without waiting for it, so that the first clip will not wait either."""
    child = _children.get()
    _children.put(child or _Worker())


def running() -> list[int]:
    """The ids of the children that wait for work."""
    return [child._process.pid for child in _children.queue if child and child.alive]


# ---------------------------------------------------------------- the parent's end


class _Worker:
    """A process that reads clips, one at a time."""

    def __init__(self) -> None:
        own = Path(__file__).resolve().parents[2]
        folders = [str(own), *(str(Path(folder).absolute()) for folder in sys.path)]
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-X", "utf8", "-c", START, json.dumps(folders)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={name: os.environ[name] for name in KEPT if name in os.environ} | OWN,
            pipesize=PIPE_BYTES,
        )
        self._ready = self._late = False

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def read(self, source: reader._Source, num_segments: int, max_side: int | None) -> Clip:
        watch = threading.Timer(limits.MAX_DECODE_SECONDS + PATIENCE_SECONDS, self._give_up)
        watch.start()
        try:
            self._ready = self._ready or self._line() == READY
            request = {"path": str(source.path.absolute()), "num_segments": num_segments, "max_side": max_side}
            self._process.stdin.write(json.dumps(request, default=int).encode() + b"\n")
            self._process.stdin.flush()
            head = json.loads(self._line())
            clip = self._clip(head, num_segments) if "size" in head else None
            said = str(head.get("refused", ""))[:MAX_WORDS]
        except BaseException as error:  # of a wrong answer too: what follows it would belong to nothing
            self._kill()
            if not isinstance(error, Exception):
                raise
            if not self._ready:
                raise RuntimeError("the process that reads videos does not start") from error
            if self._late:
                raise source.too_late() from None
            log.warning("a file broke the decoder: %r", error)
            raise source.error("could not be decoded: it broke the decoder; save it again as H.264 MP4.") from None
        finally:
            watch.cancel()
        if clip:
            return clip
        raise AIAError(said) if said else RuntimeError(head.get("bug"))

    def _line(self) -> bytes:
        line = self._process.stdout.readline(MAX_HEAD_BYTES)
        if not line.endswith(b"\n"):
            raise EOFError("no whole line")
        return line

    def _clip(self, head: dict[str, Any], count: int) -> Clip:
        """The clip that a head announces; any exception means that no sound child wrote it."""
        height, width = map(int, head["size"])
        size = count * height * width * 3
        if not (
            min(height, width) > 0 and height * width <= limits.MAX_FRAME_PIXELS and size <= limits.MAX_PICTURE_BYTES
        ):
            raise ValueError(f"{count} pictures of {width} x {height}")
        indices, times = np.array(head["indices"], np.int64), np.array(head["times"], np.float64)
        fps, duration, num_frames = float(head["fps"]), float(head["duration"]), int(head["num_frames"])
        if not (
            indices.shape == times.shape == (count,)
            and ((indices >= 0) & (indices < num_frames)).all()
            and np.isfinite([*times, fps, duration]).all()
        ):
            raise ValueError("wrong numbers")
        frames = np.empty((count, height, width, 3), np.uint8)
        if self._process.stdout.readinto(memoryview(frames).cast("B")) != size:
            raise EOFError("pictures cut short")
        warnings = tuple(str(words)[:MAX_WORDS] for words in head["warnings"][:MAX_WARNINGS])
        return Clip(frames, indices, times, fps, duration, num_frames, warnings)

    def _give_up(self) -> None:
        self._late = True
        self._process.kill()

    def _kill(self) -> None:
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            with suppress(OSError):
                pipe.close()


_children: queue.LifoQueue[_Worker | None] = queue.LifoQueue()  # the warm ones come out first
for _ in range(limits.DECODERS):
    _children.put(None)


# ---------------------------------------------------------------- the child's end


def serve() -> None:
    """What the child does: answer requests until the parent is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C at a terminal is for the parent, whose end is ours
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # nothing that a library prints can pass for an answer
    requests: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(requests,), daemon=True).start()
    _confine()
    answers.write(READY)
    answers.flush()
    while True:
        _limit_cpu()
        head, pictures = _answer(json.loads(requests.get()))
        answers.write(json.dumps(head).encode() + b"\n")
        answers.write(pictures)
        answers.flush()


def _listen(requests: queue.SimpleQueue[bytes]) -> None:
    """Passes requests on; in a thread, so that the parent's end is seen in the middle of a request too."""
    for line in sys.stdin.buffer:
        requests.put(line)
    os._exit(0)


def _confine() -> None:
    """Takes from this process what it does not need, as far as the system can."""
    with suppress(OSError):  # where memory ends all the same, this process shall go and not the server
        Path("/proc/self/oom_score_adj").write_text("1000")
    if hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, random.sample(cores, min(CORES, len(cores))))
    if resource:
        data = limits.MAX_DECODER_BYTES
        for what, most in ((resource.RLIMIT_CORE, 0), (resource.RLIMIT_FSIZE, 0), (resource.RLIMIT_DATA, data)):
            with suppress(OSError, ValueError):
                resource.setrlimit(what, (most, most))


def _limit_cpu() -> None:
    """Ends this process should one request take more time of the processors than any may."""
    if resource:
        most = time.process_time() + (limits.MAX_DECODE_SECONDS + PATIENCE_SECONDS) * (os.cpu_count() or 1)
        resource.setrlimit(resource.RLIMIT_CPU, (int(most) + 1, resource.getrlimit(resource.RLIMIT_CPU)[1]))


def _answer(request: dict[str, Any]) -> tuple[dict[str, Any], memoryview | bytes]:
    try:
        clip = reader.read_clip(request["path"], request["num_segments"], max_side=request["max_side"])
    except AIAError as error:
        return {"refused": str(error)}, b""
    except Exception:
        return {"bug": traceback.format_exc()[-MAX_HEAD_BYTES // 4 :]}, b""
    head = {
        "size": clip.frames.shape[1:3],
        "indices": clip.indices.tolist(),
        "times": clip.times.tolist(),
        "fps": clip.fps,
        "duration": clip.duration,
        "num_frames": clip.num_frames,
        "warnings": clip.warnings,
    }
    return head, memoryview(np.ascontiguousarray(clip.frames)).cast("B")
