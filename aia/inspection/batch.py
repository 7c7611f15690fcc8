"""Classifies many files without recording gates, also with several networks that share the frames they read."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from aia.errors import AIAError
from aia.inspection.inspection import Prediction, probabilities
from aia.modeling.config import AIAConfig
from aia.modeling.network import AIANet
from aia.modeling.preprocess import preprocess
from aia.video.clip import Clip
from aia.video.reader import read_clip

BATCH = 4  # clips at a time; more are no faster on a CPU
READERS = 2  # files read at a time; each holds its frames at full size and may use several cores

_Item = TypeVar("_Item")
_Read = TypeVar("_Read")


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
    """Classifies files in order. It keeps only the network's input of each file, for a few batches at most.

    Args:
        model: From `aia.load`.
        files: Videos.
        batch: How many clips go through the network together, 1 or more.

    Yields:
        For each file the prediction, or the error that says why it could not be read or classified.
    """
    for answers in classify_all([model], files, batch=batch):
        yield answers if isinstance(answers, AIAError) else answers[0]


def classify_all(
    models: Sequence[AIANet], files: Iterable[str | Path], *, batch: int = BATCH
) -> Iterator[list[Classified | AIAError] | AIAError]:
    """Classifies files with several networks; see `classify`. Each file is read once for all that take equally many frames.

    Args:
        models: From `aia.load`.
        files: Videos.
        batch: How many clips go through a network together, 1 or more.

    Yields:
        For each file each model's prediction, in the order of the models, or why the file could not be read.
    """
    configs = [model.config for model in models]
    for clips in read_ahead(lambda file, cancelled: _prepare(file, configs, cancelled), files, batch):
        readable = [clip for clip in clips if isinstance(clip, Inputs)]
        answers = iter(list(zip(*(predict(model, readable) for model in models), strict=True)))
        for clip in clips:
            yield clip if isinstance(clip, AIAError) else list(next(answers))


def read_ahead(
    prepare: Callable[[_Item, threading.Event], _Read],
    items: Iterable[_Item],
    batch: int,
    *,
    readers: int = READERS,
    each: Callable[[], None] | None = None,
) -> Generator[list[_Read], None, None]:
    """Prepares items in threads while the caller works on earlier ones; only a few are prepared ahead.

    Args:
        prepare: Takes an item, and an event that is set when the item is no longer wanted.
        items: In order; taken on demand.
        batch: How many are yielded at a time.
        readers: Threads.
        each: Called by each thread when it starts.
    """
    cancelled = threading.Event()
    pool = ThreadPoolExecutor(readers, thread_name_prefix="reader", initializer=each)
    submitted = (pool.submit(prepare, item, cancelled) for item in items)  # a generator: on demand
    pending: deque[Future[_Read]] = deque()
    try:
        pending.extend(islice(submitted, max(2 * batch, readers + 1)))
        while pending:
            clips = [pending.popleft().result() for _ in range(min(batch, len(pending)))]
            pending.extend(islice(submitted, len(clips)))  # are read while the networks work
            yield clips
    finally:
        cancelled.set()  # reading a file may take long
        pool.shutdown(cancel_futures=True)


@dataclass(frozen=True, eq=False)
class _Prepared:
    """A network's input for a clip, `[1, T, 3, S, S]`, and what is reported about the clip."""

    x: Tensor
    indices: np.ndarray
    warnings: tuple[str, ...]


class Inputs:
    """The inputs of several networks for one clip. Networks with the same preprocessing share one tensor."""

    def __init__(self, configs: Iterable[AIAConfig], read: Callable[[int], Clip]) -> None:
        """Reads and prepares a clip.

        Args:
            configs: Of the networks.
            read: Number of frames -> the clip. It is called once for each number.

        Raises:
            AIAError: The clip cannot be read.
        """
        clips: dict[int, Clip] = {}
        self._prepared: dict[tuple[object, ...], _Prepared] = {}
        for config in configs:
            if (key := _preprocessing(config)) not in self._prepared:
                clip = clips.get(config.num_segments) or clips.setdefault(
                    config.num_segments, read(config.num_segments)
                )
                self._prepared[key] = _Prepared(preprocess(clip.frames, config), clip.indices, clip.warnings)

    def of(self, config: AIAConfig) -> _Prepared:
        """The input of a network with this configuration."""
        return self._prepared[_preprocessing(config)]


def _preprocessing(config: AIAConfig) -> tuple[object, ...]:
    """Everything that a network's input depends on."""
    return config.num_segments, config.input_size, config.resize, config.mean, config.std


def _prepare(path: str | Path, configs: Iterable[AIAConfig], cancelled: threading.Event) -> Inputs | AIAError:
    try:
        return Inputs(configs, lambda segments: read_clip(path, segments, cancelled=cancelled, display_name=str(path)))
    except AIAError as error:
        return error


def predict(model: AIANet, clips: Sequence[Inputs]) -> list[Classified | AIAError]:
    """Classifies prepared clips in one forward pass, or one by one if logits are not finite: an overflow may spread.

    Returns:
        For each clip the prediction, or an error if the logits are not finite.
    """
    prepared = [clip.of(model.config) for clip in clips]
    if not prepared:
        return []
    with torch.inference_mode():
        logits = model(torch.cat([clip.x for clip in prepared]).to(model.device)).float().cpu()
    if len(clips) > 1 and not logits.isfinite().all():
        return [answer for clip in clips for answer in predict(model, [clip])]
    return [_prediction(model, clip, row) for clip, row in zip(prepared, logits, strict=True)]


def _prediction(model: AIANet, clip: _Prepared, logits: Tensor) -> Classified | AIAError:
    try:
        return Classified(
            model.name, model.config, logits.numpy(), probabilities(model, logits), clip.indices, clip.warnings
        )
    except AIAError as error:
        return error
