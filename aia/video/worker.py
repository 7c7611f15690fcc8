"""Read clips in a separate process, so that a file that hangs or breaks a decoder harms nothing else.

The worker is this Python with PyAV, numpy and `aia.video` only: no torch, no token, no open file of the server. It is kept
warm and reads one clip at a time: a line of JSON comes in, a line of JSON and the bytes of the pictures go out. The parent
does not trust it: nothing is unpickled, every size and number is checked before use, a worker that does not reply in time
is killed, and a dead one is replaced. The two share only a pair of pipes, so nothing is left behind if either is killed. A
worker whose parent has ended ends too.
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
from io import BufferedReader, BufferedWriter
from pathlib import Path
from typing import Any, cast

import numpy as np

from aia import limits
from aia.errors import AIAError
from aia.video import reader
from aia.video.clip import Clip
from aia.video.source import Source

try:
    import resource
except ImportError:  # Windows has none of these limits; the deadline holds there too
    resource = None  # type: ignore[assignment]  # the usual sign of a missing module

log = logging.getLogger(__name__)

GRACE_SECONDS = 2  # after a worker's own deadline, in which it can report that a file takes too long
MAX_HEADER_BYTES = 1 << 16  # of the line before the pictures
MAX_WARNINGS, MAX_SENTENCE_CHARACTERS = 10, 1000  # in that line
PIPE_BYTES = 1 << 20  # the most that Linux gives to any user
CORES = 4  # for one worker: a decoder starts a thread for every core, and each thread takes memory
READY = b"ready\n"
START = "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from aia.video import worker; worker.serve()"
# A worker inherits only the variables that its libraries need to load.
INHERITED_VARIABLES = (
    "PATH",
    "LD_LIBRARY_PATH",
    "DYLD_LIBRARY_PATH",
    "SYSTEMROOT",
    *(limit.variable for limit in limits.LIMITS),
)
# Threads and arenas would use up its memory limit. glibc sets new memory to zero: otherwise the missing parts of a damaged
# picture could show the previous visitor's.
WORKER_VARIABLES = {"OPENBLAS_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "2", "MALLOC_PERTURB_": "255"}


def read_clip(path: str | Path, num_segments: int = 8, *, max_side: int | None = None, display_name: str = "") -> Clip:
    """Read a clip as `aia.read_clip` does, in a separate process; up to `limits.DECODERS` at a time, others wait.

    Raises:
        AIAError: As in `aia.read_clip`, or the file broke the decoder.
    """
    source = Source(Path(path), display_name=display_name)
    source.check_file()
    worker = _workers.get()
    try:
        worker = worker if worker and worker.alive else _Worker()
        return worker.read(source, num_segments, max_side)
    finally:
        _workers.put(worker)


def warm() -> None:
    """Start a worker in the background, so that the first clip does not wait for it."""
    worker = _workers.get()
    _workers.put(worker or _Worker())


def running() -> list[int]:
    """Return the process ids of the idle workers."""
    return [worker.pid for worker in _workers.queue if worker and worker.alive]


# ---------------------------------------------------------------- in the parent


class _Worker:
    """A process that reads clips, one at a time."""

    def __init__(self) -> None:
        root = Path(__file__).resolve().parents[2]
        folders = [str(root), *(str(Path(folder).absolute()) for folder in sys.path)]
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-X", "utf8", "-c", START, json.dumps(folders)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={name: os.environ[name] for name in INHERITED_VARIABLES if name in os.environ} | WORKER_VARIABLES,
            pipesize=PIPE_BYTES,
        )
        self._requests = cast(BufferedWriter, self._process.stdin)
        self._replies = cast(BufferedReader, self._process.stdout)
        self._ready = self._timed_out = False

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def read(self, source: Source, num_segments: int, max_side: int | None) -> Clip:
        timer = threading.Timer(limits.MAX_DECODE_SECONDS + GRACE_SECONDS, self._time_out)
        timer.start()
        try:
            self._ready = self._ready or self._line() == READY
            request = {
                "path": str(source.path.absolute()),
                "num_segments": num_segments,
                "max_side": max_side,
                "display_name": source.display_name,
            }
            self._requests.write(json.dumps(request, default=int).encode() + b"\n")
            self._requests.flush()
            header = json.loads(self._line())
            clip = self._clip(header, num_segments) if "size" in header else None
            refusal = str(header.get("refused", ""))[:MAX_SENTENCE_CHARACTERS]
        except BaseException as error:  # after an invalid reply too, the pipe is out of step
            self._kill()
            if not isinstance(error, Exception):
                raise
            if not self._ready:
                raise RuntimeError("the process that reads videos does not start") from error
            if self._timed_out:
                raise source.too_late() from None
            log.warning("a file broke the decoder: %r", error)
            raise source.error("could not be decoded: it broke the decoder; save it again as H.264 MP4.") from None
        finally:
            timer.cancel()
        if clip:
            return clip
        raise AIAError(refusal) if refusal else RuntimeError(header.get("bug"))

    def _line(self) -> bytes:
        line = self._replies.readline(MAX_HEADER_BYTES)
        if not line.endswith(b"\n"):
            raise EOFError("incomplete line")
        return line

    def _clip(self, header: dict[str, Any], count: int) -> Clip:
        """Read the clip that a header announces; any exception means that the worker cannot be trusted."""
        height, width = map(int, header["size"])
        size = count * height * width * 3
        if not (
            min(height, width) > 0 and height * width <= limits.MAX_FRAME_PIXELS and size <= limits.MAX_PICTURE_BYTES
        ):
            raise ValueError(f"{count} pictures of {width} x {height}")
        indices, times = np.array(header["indices"], np.int64), np.array(header["times"], np.float64)
        fps, duration, num_frames = float(header["fps"]), float(header["duration"]), int(header["num_frames"])
        if not (
            indices.shape == times.shape == (count,)
            and ((indices >= 0) & (indices < num_frames)).all()
            and np.isfinite([*times, fps, duration]).all()
        ):
            raise ValueError("wrong numbers")
        frames = np.empty((count, height, width, 3), np.uint8)
        if self._replies.readinto(frames.data.cast("B")) != size:
            raise EOFError("incomplete pictures")
        warnings = tuple(str(sentence)[:MAX_SENTENCE_CHARACTERS] for sentence in header["warnings"][:MAX_WARNINGS])
        return Clip(frames, indices, times, fps, duration, num_frames, warnings)

    def _time_out(self) -> None:
        self._timed_out = True
        self._process.kill()

    def _kill(self) -> None:
        self._process.kill()
        self._process.wait()
        for pipe in (self._requests, self._replies):
            with suppress(OSError):
                pipe.close()


_workers: queue.LifoQueue[_Worker | None] = queue.LifoQueue()  # warm workers are taken first
for _ in range(limits.DECODERS):
    _workers.put(None)


# ---------------------------------------------------------------- in the worker


def serve() -> None:
    """Reply to requests until the parent ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C at a terminal ends the parent, and that ends the worker
    replies = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # nothing that a library prints is taken for a reply
    requests: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(requests,), daemon=True).start()
    _confine()
    replies.write(READY)
    replies.flush()
    while True:
        _limit_cpu()
        header, pictures = _reply(json.loads(requests.get()))
        replies.write(json.dumps(header).encode() + b"\n")
        replies.write(pictures)
        replies.flush()


def _listen(requests: queue.SimpleQueue[bytes]) -> None:
    """Pass requests on. This runs in a thread, so that the worker also ends with its parent during a request."""
    for line in sys.stdin.buffer:
        requests.put(line)
    os._exit(0)


def _confine() -> None:
    """Take away from this process what it does not need, as far as the system can."""
    with suppress(OSError):  # if the machine runs out of memory, this process is killed instead of the server
        Path("/proc/self/oom_score_adj").write_text("1000")
    if hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, random.sample(cores, min(CORES, len(cores))))
    if resource:
        memory = limits.MAX_DECODER_BYTES
        bounds = {resource.RLIMIT_CORE: 0, resource.RLIMIT_FSIZE: 0, resource.RLIMIT_DATA: memory}
        for kind, bound in bounds.items():
            with suppress(OSError, ValueError):
                resource.setrlimit(kind, (bound, bound))


def _limit_cpu() -> None:
    """Let the system end this process if the next request takes more processor time than any may."""
    if resource:
        seconds = time.process_time() + (limits.MAX_DECODE_SECONDS + GRACE_SECONDS) * (os.cpu_count() or 1)
        resource.setrlimit(resource.RLIMIT_CPU, (int(seconds) + 1, resource.getrlimit(resource.RLIMIT_CPU)[1]))


def _reply(request: dict[str, Any]) -> tuple[dict[str, Any], memoryview | bytes]:
    try:
        clip = reader.read_clip(request.pop("path"), **request)
    except AIAError as error:
        return {"refused": str(error)}, b""
    except Exception:
        return {"bug": traceback.format_exc()[-MAX_HEADER_BYTES // 4 :]}, b""
    header = {
        "size": clip.frames.shape[1:3],
        "indices": clip.indices.tolist(),
        "times": clip.times.tolist(),
        "fps": clip.fps,
        "duration": clip.duration,
        "num_frames": clip.num_frames,
        "warnings": clip.warnings,
    }
    return header, np.ascontiguousarray(clip.frames).data.cast("B")
