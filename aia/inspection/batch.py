"""Classifies many files: threads read ahead while the network works on several clips at a time."""

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

BATCH = 4  # clips at a time; more are no faster on a CPU
READERS = 2  # files read at a time; each holds its frames at full size and may use several cores


@dataclass(frozen=True, eq=False, repr=False)
class Classified(Prediction):
    """A network's prediction for one file.

    Attributes:
        model, config, logits, probabilities: See `aia.inspection.inspection.Prediction`.
        indices: The numbers of the frames that the network saw, int64 `[T]`.
        warnings: Sentences about the file; see `aia.Clip`.
    """

    indices: np.ndarray
    warnings: tuple[str, ...]


def classify(model: AIANet, files: Iterable[str | Path], *, batch: int = BATCH) -> Iterator[Classified | AIAError]:
    """Classifies files in their order. It keeps only the network's input of each file, for a few batches at most.

    Args:
        model: From `aia.load`.
        files: Videos.
        batch: How many clips go through the network together, 1 or more.

    Yields:
        For each file the prediction, or the error that says why it could not be read or classified.
    """
    cancelled = threading.Event()
    pool = ThreadPoolExecutor(READERS, thread_name_prefix="reader")
    submitted = (pool.submit(_prepare, file, model.config, cancelled) for file in files)  # a generator: on demand
    pending: deque[Future[_Prepared | AIAError]] = deque()
    try:
        pending.extend(islice(submitted, 2 * batch))
        while pending:
            clips = [pending.popleft().result() for _ in range(min(batch, len(pending)))]
            pending.extend(islice(submitted, len(clips)))  # are read while the network works
            yield from _predictions(model, clips)
    finally:
        cancelled.set()  # reading a file may take long
        pool.shutdown(cancel_futures=True)


@dataclass(frozen=True, eq=False)
class _Prepared:
    """The network's input for a clip, `[1, T, 3, S, S]`, and what is reported about the clip."""

    x: Tensor
    indices: np.ndarray
    warnings: tuple[str, ...]


def _prepare(path: str | Path, config: AIAConfig, cancelled: threading.Event) -> _Prepared | AIAError:
    try:
        clip = read_clip(path, config.num_segments, cancelled=cancelled, display_name=str(path))
        return _Prepared(preprocess(clip.frames, config), clip.indices, clip.warnings)
    except AIAError as error:
        return error


def _predictions(model: AIANet, clips: list[_Prepared | AIAError]) -> Iterator[Classified | AIAError]:
    readable = [clip for clip in clips if isinstance(clip, _Prepared)]
    logits: Iterator[Tensor] = iter(())
    if readable:
        with torch.inference_mode():
            logits = iter(model(torch.cat([clip.x for clip in readable]).to(model.device)).float().cpu())
    for clip in clips:
        yield clip if isinstance(clip, AIAError) else _prediction(model, clip, next(logits))


def _prediction(model: AIANet, clip: _Prepared, logits: Tensor) -> Classified | AIAError:
    try:
        return Classified(
            model.name, model.config, logits.numpy(), probabilities(model, logits), clip.indices, clip.warnings
        )
    except AIAError as error:
        return error
