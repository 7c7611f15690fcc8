"""Open a video file within the limits, choose its video stream, and word its errors."""

from __future__ import annotations

import os
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import av

from aia import limits
from aia.errors import AIAError
from aia.video import containers

# Plain containers only: a playlist, concat script or image sequence would open other files or the network.
# Sound formats are included so that a sound file gets the error "no video stream".
FORMATS = "mov,matroska,avi,mpegts,mpeg,mpegvideo,gif,apng,flv,ogg,asf,h264,hevc,m4v,mjpeg,av1,obu,ivf,mp3,wav,flac,aac"
FORMAT_NAMES = "MP4, MOV, WebM, MKV, AVI, TS, MPG, GIF, AVIF, FLV, OGV or WMV"  # as listed for users
PROBE_BYTES = 1 << 18  # that FFmpeg reads ahead for what the header omits; packets may be as small as one byte
# Threads of one decoder; several decoders may run. Each thread holds pictures, and more than four gain little.
DECODER_THREADS = min(4, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)
STILL = "is a still picture and could not be opened as a video: choose a clip, or an animation of several pictures."
WEBP = "is an animated WebP, which could not be opened as a video: save it as GIF or MP4."


def decoder_options() -> dict[str, str]:
    """Return options that make a decoder refuse a picture larger than the header says before it allocates memory."""
    return {"max_pixels": str(2 * limits.MAX_FRAME_PIXELS)}


@dataclass(frozen=True)
class Source:
    """One video file and the limits of reading it.

    Attributes:
        path: The file.
        deadline: When reading must be finished, in seconds of `time.monotonic`.
        cancelled: Another thread sets it to end the reading with an error.
        display_name: What messages call the file; its name without the folder by default.
    """

    path: Path
    deadline: float = field(default_factory=lambda: time.monotonic() + limits.MAX_DECODE_SECONDS)
    cancelled: threading.Event = field(default_factory=threading.Event)
    display_name: str = ""

    @property
    def name(self) -> str:
        """The file's name as valid text; the name of a file may be any bytes."""
        return (self.display_name or self.path.name).encode("utf-8", "replace").decode()

    def error(self, sentence: str) -> AIAError:
        """Return an error whose sentence begins with the file's name."""
        return AIAError(f"“{self.name}” {sentence}")

    def too_late(self) -> AIAError:
        """Return the error of a file that takes too long."""
        return self.error("takes too long to read: shorten it or save it with smaller pictures.")

    def check_time(self) -> None:
        """Refuse to go on after the deadline or a cancellation."""
        if time.monotonic() > self.deadline or self.cancelled.is_set():
            raise self.too_late()

    def check_picture(self, width: int, height: int) -> None:
        """Refuse pictures that are too large or too narrow."""
        if width * height > limits.MAX_FRAME_PIXELS:
            megapixels = limits.MAX_FRAME_PIXELS / 1e6
            size = f"{width} x {height} pixels, more than {megapixels:.1f} million"
            raise self.error(f"has pictures of {size}: save it with smaller ones.")
        if max(width, height) > limits.MAX_ASPECT * max(1, min(width, height)):
            raise self.error(f"has pictures of {width} x {height} pixels, too narrow to look at: crop them.")

    def check_length(self, seconds: float) -> None:
        """Refuse a video that lasts too long."""
        if seconds > limits.MAX_SECONDS:
            raise self.error(f"is longer than {limits.MAX_SECONDS} s: cut it to the part you want to look at.")

    def check_file(self) -> None:
        """Refuse a missing file, a folder or a file that is too large, before anything is opened."""
        try:
            size = self.path.stat().st_size
        except (OSError, ValueError):
            raise self.error("was not found: check the name.") from None
        if not self.path.is_file():
            raise self.error("is not a file: choose a video file.")
        if size > limits.MAX_UPLOAD_BYTES:
            megabytes = limits.MAX_UPLOAD_BYTES // 2**20
            raise self.error(f"is larger than {megabytes} MB: cut it or save it with a lower quality.")

    def open(self, *, probe: bool = True) -> av.container.InputContainer:
        """Open the file and nothing else: no other protocol, and no format that points elsewhere.

        With `probe`, FFmpeg decodes the first frames to learn what a header may omit. Planned decoding needs no probe:
        the plan is checked anyway, and decoding a large key frame takes longer than the rest of the opening.
        """
        self.check_file()
        try:
            return av.open(
                f"file:{self.path.absolute()}",  # so that no name is taken for a protocol or an option
                options={
                    "format_whitelist": FORMATS,
                    "protocol_whitelist": "file",
                    "max_streams": str(limits.MAX_STREAMS),
                    "probesize": str(PROBE_BYTES),
                    **decoder_options(),
                    **({} if probe else {"skip_frame": "all"}),
                },
                metadata_errors="replace",
                timeout=limits.MAX_SCAN_SECONDS,
            )
        except MemoryError:
            if containers.is_heif(containers.head(self.path)):  # a large photo has many tiles
                raise self.error(STILL) from None
            streams = f"more than {limits.MAX_STREAMS} streams"
            raise self.error(f"has {streams}, or too much in them: save it again as H.264 MP4.") from None
        except (av.FFmpegError, ValueError, OSError):
            head = containers.head(self.path)
            if containers.is_still(head):
                raise self.error(WEBP if containers.is_webp(head, animated=True) else STILL) from None
            raise self.error(f"could not be opened as a video: choose an intact {FORMAT_NAMES}.") from None

    def video_stream(self, container: av.container.InputContainer) -> av.VideoStream:
        """Return the main video stream, never cover art, ready to decode."""
        best = cast("av.VideoStream | None", container.streams.best("video"))
        candidates = [best, *container.streams.video] if best is not None else []
        cover = av.stream.Disposition.attached_pic
        stream = next((candidate for candidate in candidates if not candidate.disposition & cover), None)
        known = stream is not None and stream.codec_context is not None
        if not known and containers.is_truncated(self.path, container.format.name):
            raise self.error("is cut off, and what tells about its pictures is missing: export or download it again.")
        if stream is None:
            raise self.error("has no video stream, only sound or a cover: choose a file with moving pictures.")
        if stream.codec_context is None:
            raise self.error("is in a video format that cannot be decoded here: save it as H.264 MP4.")
        self.check_picture(stream.codec_context.width, stream.codec_context.height)
        stream.codec_context.options = decoder_options()
        stream.codec_context.thread_count = DECODER_THREADS
        return stream
