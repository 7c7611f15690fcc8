"""Every limit of the project, with its unit and what it bounds.

Each is read once, on the first import, from the environment variable with its name after `AIA_`: `AIA_MAX_SECONDS=30`.
"""

from __future__ import annotations

import os
from typing import NamedTuple

from aia.errors import AIAError

PREFIX = "AIA_"
MAX_FACTOR = 1000  # times the default; a larger value is taken for a typing error


class BadLimit(AIAError, SystemExit):
    """A variable with an unusable value. If nobody catches it, Python prints the sentence and exits without a traceback."""

    def __init__(self, sentence: str) -> None:
        super().__init__(sentence)
        self.code = sentence


class Limit(NamedTuple):
    """One limit and its documentation."""

    name: str
    default: int
    unit: str
    meaning: str

    @property
    def variable(self) -> str:
        """The environment variable that changes it."""
        return PREFIX + self.name


LIMITS: list[Limit] = []


def _limit(name: str, default: int, unit: str, meaning: str) -> int:
    """Registers a limit and returns its value.

    Raises:
        BadLimit: The variable is not a whole number from 1 to `MAX_FACTOR` times the default.
    """
    limit = Limit(name, default, unit, meaning)
    LIMITS.append(limit)
    text = os.environ.get(limit.variable, "").strip()
    if not text:
        return default
    try:
        value = int(text)
    except ValueError:
        value = 0
    if not 1 <= value <= MAX_FACTOR * default:
        raise BadLimit(
            f"{limit.variable} is {text[:40]!r}, but must be a whole number of {unit} from 1 to {MAX_FACTOR * default}: "
            f"change it, or remove it for the default of {default}."
        )
    return value


def table() -> str:
    """All limits as a Markdown table, the one in docs/limits.md."""
    rows = [f"| `{limit.variable}` | {limit.default:,} | {limit.unit} | {limit.meaning} |" for limit in LIMITS]
    return "\n".join(["| variable | default | unit | what it bounds |", "| --- | ---: | --- | --- |", *rows])


# ---------------------------------------------------------------- a video file

MAX_UPLOAD_BYTES = _limit(
    "MAX_UPLOAD_BYTES", 200 * 2**20, "bytes", "a video file, and what is kept of one while it is read"
)
MAX_SECONDS = _limit("MAX_SECONDS", 120, "seconds", "the length of a video, by the times of its frames")
MAX_FRAME_PIXELS = _limit(
    "MAX_FRAME_PIXELS", 4096 * 2304, "pixels", "a picture's area (4K, either way up), in the header and in every frame"
)
MAX_ASPECT = _limit(
    "MAX_ASPECT",
    32,
    "times",
    "a picture's longer side over its shorter one: a thin one grows gigantic when it is resized",
)
MAX_STREAMS = _limit("MAX_STREAMS", 200, "streams", "pictures, sounds, subtitles and attachments in one file")
MAX_PACKETS = _limit(
    "MAX_PACKETS",
    100_000,
    "packets",
    "all streams of a file: 120 s at 240 frames a second with ten sound tracks have fewer",
)
MAX_SCAN_SECONDS = _limit("MAX_SCAN_SECONDS", 20, "seconds", "opening a file, and then listing its packets")
MAX_DECODE_SECONDS = _limit("MAX_DECODE_SECONDS", 60, "seconds", "reading one clip, everything included")
MAX_SEGMENTS = _limit("MAX_SEGMENTS", 64, "frames", "a clip, as the network sees it")
MAX_PICTURE_BYTES = _limit("MAX_PICTURE_BYTES", 2 * 2**30, "bytes", "the RGB pictures of one read, in memory at once")

# ---------------------------------------------------------------- a model

MAX_CHECKPOINT_BYTES = _limit(
    "MAX_CHECKPOINT_BYTES", 2**30, "bytes", "a safetensors file (a ResNet-101 with AIA has 170 MB)"
)
MAX_REFERENCE_BYTES = _limit(
    "MAX_REFERENCE_BYTES", 128 * 2**20, "bytes", "what is typical for a model's gates (a ResNet-50 at 224 px has 6 MB)"
)
MAX_HEADER_BYTES = _limit(
    "MAX_HEADER_BYTES", 2**20, "bytes", "a safetensors file's list of tensors (a ResNet-101 with AIA has 120 kB)"
)
MAX_CONFIG_BYTES = _limit("MAX_CONFIG_BYTES", 8 * 2**20, "bytes", "a config.json (ten thousand long labels have 2 MB)")
MAX_INPUT_SIZE = _limit("MAX_INPUT_SIZE", 1024, "pixels", "the side of a network's input")
MAX_LABELS = _limit("MAX_LABELS", 10_000, "classes", "one network")
MAX_LABEL_LENGTH = _limit("MAX_LABEL_LENGTH", 200, "characters", "one label")

# ---------------------------------------------------------------- the page

DECODERS = _limit("DECODERS", 2, "processes", "that read videos at a time, apart from the server")
MAX_DECODER_BYTES = _limit("MAX_DECODER_BYTES", 1280 * 2**20, "bytes", "the memory of one such process (on Linux)")
MAX_CHANNEL_BYTES = _limit(
    "MAX_CHANNEL_BYTES",
    12 * 2**20,
    "bytes",
    "the channels' own gates in one answer: beyond it the largest blocks send means only",
)
MAX_REQUEST_BYTES = _limit("MAX_REQUEST_BYTES", 2**20, "bytes", "what a program or the page sends, except uploads")
MAX_TOOL_BYTES = _limit("MAX_TOOL_BYTES", 16 * 2**20, "bytes", "what a tool's client sends (MCP), including its clip")
MAX_DOWNLOAD_SECONDS = _limit(
    "MAX_DOWNLOAD_SECONDS",
    600,
    "seconds",
    "that the start waits for a model from the Hub; a visitor waits 20",
)
MODELS_IN_MEMORY = _limit("MODELS_IN_MEMORY", 14, "models", "loaded at a time, as many as are shipped")
EXAMPLES_IN_MEMORY = _limit("EXAMPLES_IN_MEMORY", 16, "results", "of examples, kept for the next visitor, some MB each")
SESSIONS = _limit("SESSIONS", 60, "visitors", "whose last results are kept: about 9 MB a side with 8 frames")
QUEUE = _limit("QUEUE", 32, "visitors", "who may wait; the next one is told that the page is full")
LIVE_SESSIONS = _limit("LIVE_SESSIONS", 8, "visitors", "whose cameras are watched at a time, in the tab Live")
LIVE_SECONDS = _limit("LIVE_SECONDS", 600, "seconds", "that one visitor's camera is watched without a new start")
MAX_LIVE_SIDE = _limit("MAX_LIVE_SIDE", 320, "pixels", "the longer side of a camera's frame in Live")
MAX_LIVE_FRAME_BYTES = _limit("MAX_LIVE_FRAME_BYTES", 64 * 2**10, "bytes", "such a frame as a JPEG")
DELETE_AFTER_SECONDS = _limit("DELETE_AFTER_SECONDS", 3600, "seconds", "that uploads and results are kept")
