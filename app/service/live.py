"""Live: what a model says of the last seconds of a visitor's camera, and one block's gates, again and again.

A session holds the frames of one window, in memory alone. It ends when it is closed, when no frames come any more, and
after `LIVE_SECONDS`.
"""

from __future__ import annotations

import io
import json
import math
import secrets
import struct
import time
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from PIL import Image

import aia
from aia import limits
from aia.hub import ALL_MODELS
from aia.visualization import render, web
from app import text
from app.live import SECONDS
from app.service import models, references, requests
from app.service.models import LoadedModel
from app.service.turns import turn

if TYPE_CHECKING:
    from aia.inspection.batch import Classified

IDLE_SECONDS = 20  # without frames, until a session ends; a browser in use sends some every second
MAX_FRAMES = 16  # in one request
MAX_BODY_BYTES = MAX_FRAMES * (limits.MAX_LIVE_FRAME_BYTES + 16)
ASK_EVERY = 3  # windows; each time one more group is asked
MAX_MOMENTS = 50  # files that one session may ask for
MOMENT = "moment.webm"  # the name of such a file
START_OF_SCAN = b"\xff\xda"  # compressed data never hold these two bytes
FRAME_HEAD = struct.Struct("<dI")  # before each frame of a request: its time in seconds, and the length of its JPEG
ANSWER_HEAD = struct.Struct("<I")  # before an answer: the length of its JSON; the rest are the bytes of the maps


class Gone(aia.AIAError):
    """A session that has ended."""


class Full(aia.AIAError):
    """There are too many sessions."""


class Asked(NamedTuple):
    """What a browser wants to see of a window.

    Attributes:
        model: A name, or `ALL_MODELS` for one model of each group.
        task: The group whose gates are shown, if all are asked.
        block: A block; any other name stands for the model's first.
        seconds: Length of the window.
    """

    model: str
    task: str
    block: str
    seconds: float

    @classmethod
    def from_query(cls, query: Mapping[str, str]) -> Asked:
        """Reads query parameters, which may be anything. Their models are checked by `Session.prepare`."""
        try:
            seconds = float(query.get("seconds", ""))
        except ValueError:
            seconds = math.nan
        seconds = min(max(seconds, SECONDS[0]), SECONDS[2]) if math.isfinite(seconds) else SECONDS[1]
        return cls(query.get("model", ""), query.get("task", ""), query.get("block", ""), seconds)


class Session:
    """One visitor's camera."""

    def __init__(self) -> None:
        self.key = secrets.token_urlsafe(16)
        self.begun = self.used = time.monotonic()
        self.stream: aia.Stream | None = None
        self.others: dict[str, Classified | aia.AIAError] = {}  # last answers of the groups that are not shown
        self.windows = self.moments = 0
        self.under_way: set[str] = set()  # kinds of requests; `app.server.live` refuses a second one of a kind
        self.lock = Lock()

    def touch(self) -> None:
        """Keeps the session from ending as idle."""
        self.used = time.monotonic()

    def prepare(
        self, body: bytes, asked: Asked, offered: Sequence[str], best: Mapping[str, str]
    ) -> tuple[list[tuple[float, np.ndarray]], LoadedModel, dict[str, LoadedModel]]:
        """Decodes the frames of a request, and gets the models.

        Returns:
            Frames with their times, the model that is shown, and the models of the other groups by their task.

        Raises:
            AIAError: The frames are no frames, or this visitor may not use the model.
        """
        frames = [(moment, decode(jpeg)) for moment, jpeg in split(body)]
        if asked.model != ALL_MODELS or not best:
            requests.checked("camera", asked.model, offered)
            return frames, loaded(asked.model), {}
        task = asked.task if asked.task in best else next(iter(best))
        others = {name: one for name, model in best.items() if name != task and (one := _loaded_or_none(model))}
        return frames, loaded(best[task]), others

    def answer(
        self,
        frames: Sequence[tuple[float, np.ndarray]],
        shown: LoadedModel,
        others: Mapping[str, LoadedModel],
        asked: Asked,
    ) -> bytes:
        """Adds frames to the window, and says what the model makes of it.

        Raises:
            AIAError: The frames are not in the order of their times, or the model gives no numbers.
        """
        with self.lock, turn():
            if self.stream is None:
                self.stream = aia.Stream(shown.network, asked.seconds)
            stream = self.stream
            stream.model, stream.seconds = shown.network, asked.seconds
            for moment, frame in frames:
                stream.add(frame, moment)
            inspection = shown.run(stream.inspect)
            if inspection is not None and (self.windows % ASK_EVERY == 0 or others.keys() - self.others.keys()):
                self._ask_another(stream, others)
            self.windows += inspection is not None
        if inspection is None:
            return packed({"waiting": True}, b"")
        says = {task: text.card(answer) for task, answer in self.others.items() if task in others}
        view, data = web.pack_block(inspection, asked.block)
        title, probability, known = text.card(inspection)
        head = {
            "says": title,
            "label": inspection.label,
            "probability": float(inspection.probabilities.max()),
            "percent": probability,
            "known": known,
            "next": text.runner_up(inspection),
            "others": says,
            "places": (inspection.clip.num_frames - inspection.clip.indices).tolist(),
            "milliseconds": round(1000 * inspection.seconds["forward"], 1),
            "view": view | {"reference": references.link(inspection)},
        }
        return packed(head, data)

    def _ask_another(self, stream: aia.Stream, others: Mapping[str, LoadedModel]) -> None:
        """Asks one of the other groups. They take turns, since each costs as much as the shown one."""
        if not others:
            return
        from aia.inspection.batch import Inputs, predict  # imports torch; the page starts without it

        never = [name for name in others if name not in self.others]
        task = next(iter([*never, *(name for name in self.others if name in others)]))  # the oldest answer stands first
        model = others[task]
        config = model.network.config
        clip = stream.clip(config.num_segments)
        if clip is None:
            return
        inputs = [Inputs([config], lambda _: clip)]
        self.others.pop(task, None)
        try:
            self.others[task] = model.run(lambda network: predict(network, inputs)[0])
        except aia.AIAError as error:  # there is not enough memory for this one
            self.others[task] = error

    def save(self, folder: Path) -> Path:
        """Writes the window as a video that a browser plays, and returns its path.

        The file is lossless, and the network sees the same frames in it as in the window: of its 56 frames `read_clip` takes
        the 8 in the middle of the window's parts.

        Raises:
            AIAError: There is no window yet, or there were too many files.
        """
        with self.lock:
            if self.stream is None:
                raise aia.AIAError(text.NO_MOMENT)
            if self.moments >= MAX_MOMENTS:
                raise aia.AIAError(text.TOO_MANY_MOMENTS)
            segments = self.stream.model.config.num_segments
            times = max(1, limits.MAX_SEGMENTS // segments)
            clip = self.stream.clip(segments * (times - 1 + times % 2))
            self.moments += 1
        if clip is None:
            raise aia.AIAError(text.NO_MOMENT)
        path = folder / secrets.token_hex(16) / MOMENT
        path.parent.mkdir(parents=True)
        render.write_lossless(path, clip.frames, len(clip.frames) / clip.duration)
        return path


class Sessions:
    """The sessions of a page."""

    def __init__(self) -> None:
        self._sessions: dict[str, Session] = {}
        self._lock = Lock()

    def open(self) -> Session:
        """Begins a session.

        Raises:
            Full: There are too many.
        """
        with self._lock:
            self._expire()
            if len(self._sessions) >= limits.LIVE_SESSIONS:
                raise Full(text.LIVE_FULL)
            session = Session()
            self._sessions[session.key] = session
            return session

    def get(self, key: str) -> Session:
        """A session.

        Raises:
            Gone: It has ended.
        """
        with self._lock:
            session = self._sessions.get(key)
            self._expire()
            if session is None or key not in self._sessions:
                over = session and time.monotonic() - session.begun > limits.LIVE_SECONDS
                raise Gone(text.LIVE_OVER if over else text.LIVE_GONE)
            session.touch()
            return session

    def close(self, key: str) -> None:
        """Ends a session, if there is one."""
        with self._lock:
            self._sessions.pop(key, None)

    def expire(self) -> int:
        """Ends the sessions whose time is over, and returns how many are left."""
        with self._lock:
            self._expire()
            return len(self._sessions)

    def _expire(self) -> None:
        now = time.monotonic()
        for key, session in list(self._sessions.items()):
            is_idle = not session.under_way and now - session.used > IDLE_SECONDS
            if is_idle or now - session.begun > limits.LIVE_SECONDS:
                del self._sessions[key]


def loaded(name: str) -> LoadedModel:
    """A model. On ZeroGPU, where each call of the GPU costs quota, live windows run on the CPU."""
    return _on_cpu(name) if requests.ZERO_GPU else models.get(name)


def _loaded_or_none(name: str) -> LoadedModel | None:
    """The model of a group that is not shown; None if it cannot be loaded."""
    try:
        return loaded(name)
    except aia.AIAError:
        return None


@lru_cache(maxsize=limits.MODELS_IN_MEMORY)
def _on_cpu(name: str) -> LoadedModel:
    models.download(name, 0)
    return LoadedModel(name, aia.load(name, device="cpu"))


def split(body: bytes) -> list[tuple[float, bytes]]:
    """The frames of a request, each with its time.

    Raises:
        AIAError: It holds anything else, or too much.
    """
    found: list[tuple[float, bytes]] = []
    at = 0
    while at < len(body):
        if len(found) == MAX_FRAMES or at + FRAME_HEAD.size > len(body):
            raise aia.AIAError(text.BAD_FRAMES)
        moment, length = FRAME_HEAD.unpack_from(body, at)
        at += FRAME_HEAD.size
        if not math.isfinite(moment) or length > limits.MAX_LIVE_FRAME_BYTES or at + length > len(body):
            raise aia.AIAError(text.BAD_FRAMES)
        found.append((moment, body[at : at + length]))
        at += length
    return found


def decode(jpeg: bytes) -> np.ndarray:
    """The pixels of a JPEG, RGB uint8 `[H, W, 3]`. Its size is known before anything is decoded.

    Raises:
        AIAError: It is no JPEG that a browser's canvas would write, or too large.
    """
    try:
        picture = Image.open(io.BytesIO(jpeg), formats=["JPEG"])
        # A canvas writes one scan. Thousands fit into a small file, and each costs as much as a picture.
        if max(picture.size) <= limits.MAX_LIVE_SIDE and picture.mode == "RGB" and jpeg.count(START_OF_SCAN) == 1:
            return np.asarray(picture)
    except Exception as error:  # a damaged file may raise anything
        raise aia.AIAError(text.BAD_FRAMES) from error
    raise aia.AIAError(text.BAD_FRAMES)


def packed(head: Mapping[str, Any], data: bytes) -> bytes:
    """An answer: the length of the JSON, the JSON, and the bytes of the maps."""
    encoded = json.dumps(head, separators=(",", ":")).encode()
    return ANSWER_HEAD.pack(len(encoded)) + encoded + data
