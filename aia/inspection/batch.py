"""Many files through one network: some threads read ahead while it works, and it takes several clips at a time."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from aia.errors import AIAError
from aia.inspection.inspection import Prediction, probabilities
from aia.modeling.config import AIAConfig
from aia.modeling.network import AIANet
from aia.modeling.preprocess import preprocess
from aia.video.reader import read_clip

BATCH = 4  # clips at a time: larger ones are no quicker on a CPU
READERS = 2  # files read at a time, each of which holds its frames at full size and may use several cores


@dataclass(frozen=True, eq=False)
class Classified(Prediction):
    """What a network said about one file.

    Attributes:
        model, config, logits, probabilities: As of every `Answer`.
        indices: Which frames it saw, int64 `[T]`.
        warnings: Sentences about the file; see `aia.Clip`.
    """

    indices: np.ndarray
    warnings: tuple[str, ...]


def classify(model: AIANet, files: Iterable[str | Path], *, batch: int = BATCH) -> Iterator[Classified | AIAError]:
    """Classifies files, in their order. Of each only the network's input is kept, and of no more than a few batches.

    Args:
        model: From `aia.load`.
        files: Videos.
        batch: How many clips go through the network together, 1 or more.

    Yields:
        For each file what the network said, or why it could not be read or classified.
    """
    cancelled = threading.Event()
    pool = ThreadPoolExecutor(READERS, thread_name_prefix="reader")
    coming = (pool.submit(_prepare, file, model.config, cancelled) for file in files)  # submits only what is asked for
    ahead: deque[Future[_Prepared | AIAError]] = deque()
    try:
        ahead.extend(islice(coming, 2 * batch))
        while ahead:
            clips = [ahead.popleft().result() for _ in range(min(batch, len(ahead)))]
            ahead.extend(islice(coming, len(clips)))  # are read while the network works
            yield from _answers(model, clips)
    finally:
        cancelled.set()  # a file may take long
        pool.shutdown(cancel_futures=True)


@dataclass(frozen=True, eq=False)
class _Prepared:
    """A clip as the network takes it, `[1, T, 3, S, S]`, and what is told about it."""

    x: Tensor
    indices: np.ndarray
    warnings: tuple[str, ...]


def _prepare(path: str | Path, config: AIAConfig, cancelled: threading.Event) -> _Prepared | AIAError:
    try:
        clip = read_clip(path, config.num_segments, cancelled=cancelled, display_name=str(path))
        return _Prepared(preprocess(clip.frames, config), clip.indices, clip.warnings)
    except AIAError as error:
        return error


def _answers(model: AIANet, clips: list[_Prepared | AIAError]) -> Iterator[Classified | AIAError]:
    sound = [clip for clip in clips if isinstance(clip, _Prepared)]
    logits = iter(())
    if sound:
        with torch.inference_mode():
            logits = iter(model(torch.cat([clip.x for clip in sound]).to(model.device)).float().cpu())
    for clip in clips:
        yield clip if isinstance(clip, AIAError) else _answer(model, clip, next(logits))


def _answer(model: AIANet, clip: _Prepared, logits: Tensor) -> Classified | AIAError:
    try:
        return Classified(
            model.name, model.config, logits.numpy(), probabilities(model, logits), clip.indices, clip.warnings
        )
    except AIAError as error:
        return error
