"""Memory of the running page: after its start, with the largest clip, and after hundreds of visitors."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np

from aia import limits
from aia.errors import AIAError
from benchmarks.page import ROOT, served
from benchmarks.table import Options, Table

EXAMPLE = ROOT / "assets" / "examples" / "swipe-left.mp4"
VISITS = (50, 100, 250, 500)  # numbers of visitors after which memory is read
BASELINE = "import torch, torchvision, gradio"


def tables(options: Options) -> Iterator[Table]:
    """Reads the memory of the page's process and its decoders, against the memory of their imports alone.

    Every visitor is a new one. The page keeps the results of the last `limits.SESSIONS` visitors.

    Raises:
        AIAError: This is not Linux, or the page refuses a clip.
    """
    if not Path("/proc/self/status").is_file():
        raise AIAError("Memory is read from /proc, which only Linux has: run this part there.")
    video = options.video or EXAMPLE
    read = [sys.executable, "-c", f"{BASELINE}; print(open('/proc/self/status').read())"]
    bare = _of_status(subprocess.run(read, capture_output=True, text=True, check=True).stdout, "VmRSS")
    rows = [{"when": BASELINE, "MiB": bare, f"over {BASELINE}": 1.0, "at most": bare, "decoding": 0.0}]
    with tempfile.TemporaryDirectory() as folder, served(options) as page:

        def note(when: str) -> None:
            rows.append({"when": when, **_memory(page.pid, bare)})

        note("page served")
        page.visit(video)
        note("model loaded, one clip answered")
        page.visit(_largest_clip(Path(folder) / "largest.mp4"))
        note("the largest clip that is allowed")
        for visit in range(1, VISITS[-1] + 1):
            page.visit(video)
            if visit in VISITS:
                note(f"{visit} more visitors")
    yield Table("Memory of the page, MiB; at most: since the row above; decoding: the processes apart", rows)


def _memory(pid: int, bare: float) -> dict[str, Any]:
    """Current memory of a process, and peak memory of it and its children since the last call."""
    process = Path("/proc", str(pid))
    status = process.joinpath("status").read_text()
    children = {child for task in process.glob("task/*/children") for child in task.read_text().split()}
    decoding = sum(_of_status(Path("/proc", child, "status").read_text(), "VmHWM") for child in children)
    for measured in (process, *(Path("/proc", child) for child in children)):
        measured.joinpath("clear_refs").write_text("5")  # resets the peak
    now = _of_status(status, "VmRSS")
    most = _of_status(status, "VmHWM")
    return {"MiB": now, f"over {BASELINE}": now / bare, "at most": most, "decoding": decoding}


def _of_status(status: str, name: str) -> float:
    """A field of /proc/PID/status in MiB."""
    return next(int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith(name))


def _largest_clip(path: Path) -> Path:
    """A clip at every limit: pictures of noise, and as many frames as the file size allows."""
    width = 4096
    height = limits.MAX_FRAME_PIXELS // width // 2 * 2
    noise = np.random.default_rng(0)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=1, options={"preset": "ultrafast", "g": "1", "crf": "18"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        pictures = [noise.integers(0, 256, (height, width, 3), np.uint8) for _ in range(2)]
        packets = [
            p for picture in pictures for p in stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24"))
        ]
        packets += stream.encode()
        data = [bytes(packet) for packet in packets]
        count = int(0.95 * limits.MAX_UPLOAD_BYTES / max(map(len, data)))
        for number in range(count):
            packet = av.Packet(data[number % 2])
            packet.stream, packet.time_base, packet.is_keyframe = stream, packets[0].time_base, True
            packet.pts = packet.dts = round(number * limits.MAX_SECONDS / count / packet.time_base)
            container.mux(packet)
    return path
