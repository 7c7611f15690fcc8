"""The requests of a soak: good, odd and hostile clips for every endpoint."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

import av

from aia.hub import ALL_MODELS
from tools.page_server import EXAMPLES
from tools.soak_client import FILE, Job


def jobs(folder: Path, models: Sequence[str]) -> list[Job]:
    """Every request of a soak. Odd and hostile clips are written into a folder."""
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
        *(
            Job("live", "live", clip, (name,))
            for clip, name in zip(good, (gated[0], models[-1], ALL_MODELS), strict=False)
        ),
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
    """Damaged or unusual files that still get an answer."""
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
    _one_color(folder / "tiny.gif", "gif", "rgb8", [0])
    return [whole, cut, half, folder / "scratched.ts", folder / "tiny.gif"]


def _hostile_clips(folder: Path) -> list[Path]:
    """Files that must be refused."""
    contents = {
        "empty.mp4": b"",
        "text.mp4": b"this is text, not a film" * 50,
        "no-head.mp4": (EXAMPLES / "star.mp4").read_bytes()[5_000:],
        "noise.webm": random.Random(0).randbytes(100_000),
        "giant.gif": b"GIF89a" + b"\xff" * 4 + b"\x80\0\0" + bytes(6) + b"," + bytes(4) + b"\xff" * 4 + b"\0\2\2D\1\0;",
        "playlist.mp4": b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n/etc/passwd\n#EXT-X-ENDLIST\n",
        "list.mp4": b"ffconcat version 1.0\nfile /etc/passwd\n",
        "<img src=x>.mp4": b"\0\0\0\x18ftypisom" + bytes(99),
    }
    for name, data in contents.items():
        (folder / name).write_bytes(data)
    _one_color(folder / "ten-hours.mkv", "mpeg4", "yuv420p", [0, 36_000])
    return [*(folder / name for name in contents), folder / "ten-hours.mkv"]


def _one_color(path: Path, codec: str, pix_fmt: str, seconds: Sequence[int]) -> None:
    with av.open(str(path), "w") as output:
        stream = output.add_stream(codec, rate=1)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = 16, 16, pix_fmt
        for pts in seconds:
            frame = av.VideoFrame(16, 16, pix_fmt)
            frame.pts = pts
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
