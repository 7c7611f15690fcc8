"""Which models the page offers, and each of them downloaded and loaded once."""

from __future__ import annotations

import logging
import os
import re
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, wait
from functools import lru_cache
from pathlib import Path
from threading import Lock, Semaphore, Thread
from typing import TypeVar

import aia
from aia import limits
from aia.hub import DEFAULT_MODEL, loading
from aia.locations import ASSETS
from aia.video import worker
from app import text
from app.service import disconnect

WARM_UP_CLIP = ASSETS / "examples" / "swipe-left.mp4"
log = logging.getLogger(__name__)
RETRY_SECONDS = 30  # until a download that failed is tried again: a page that asks at once would only ask the same
_loading, _asking = Lock(), Lock()
_downloads = Semaphore(2)  # at a time; what else is asked for has to wait
_coming: dict[str, Future[tuple[str, float]]] = {}
Result = TypeVar("Result")


def offered(extra: Sequence[str] = ()) -> list[str]:
    """Names to choose from: `extra`, the shipped models, and those of the environment's AIA_MODELS.

    Of the shipped ones the default comes first, then TSM before TSN, each with AIA before without.

    AIA_MODELS holds folders and Hub repositories, separated by commas or white space.
    """
    from_environment = [name for name in re.split(r"[,\s]+", os.environ.get("AIA_MODELS", "")) if name]
    shipped = sorted(aia.available_models(), key=_rank)
    return list(dict.fromkeys([*extra, *shipped, *from_environment]))


def _rank(name: str) -> tuple:
    known = config(name)
    plain = (known.temporal != "tsm", known.attention == "none") if known else (True, True)
    return name != DEFAULT_MODEL, *plain, name


def title(name: str) -> str:
    """What the menu shows: a shipped model's network in the paper's words, a folder without the path to it."""
    if name in aia.available_models() and (known := config(name)):
        return known.title
    return Path(name).name if Path(name).is_dir() else name


def choices(names: Sequence[str]) -> list[tuple[str, str]]:
    """What a menu of models shows, and the name behind it."""
    return [(title(name), name) for name in names]


def get(name: str) -> aia.AIANet:
    """The loaded model of a name; one thread loads while the others wait.

    Raises:
        AIAError: It cannot be loaded, or has still to be downloaded: then that goes on, apart from this request.
    """
    bring(name, 0)
    with _loading:
        return _load(name)


def bring(name: str, seconds: float = limits.MAX_DOWNLOAD_SECONDS) -> None:
    """Waits until a model lies on this machine; it is downloaded once, however many wait for it.

    Raises:
        AIAError: That failed, takes longer, or the visitor has left.
    """
    if loading.is_here(name):
        return
    with _asking:
        coming = _coming.get(name)
        if coming is None or (coming.done() and time.monotonic() >= coming.result()[1]):
            coming = _coming[name] = Future()
            Thread(target=_download, args=(name, coming), daemon=True).start()
    end = time.monotonic() + seconds
    while not wait([coming], min(1, max(0, end - time.monotonic()))).done:
        disconnect.raise_if_disconnected("the download")
        if time.monotonic() >= end:
            raise aia.AIAError(text.DOWNLOADING.format(name=name))
    if sentence := coming.result()[0]:
        raise aia.AIAError(sentence)


def _download(name: str, coming: Future[tuple[str, float]]) -> None:
    """Says at last what went wrong, "" for nothing, and until when it is not tried again."""
    said = text.NOT_DOWNLOADED.format(name=name)
    try:
        with _downloads:
            loading.download(name)
        said = ""
    except aia.AIAError as error:
        said = str(error)
    finally:
        coming.set_result((said, time.monotonic() + RETRY_SECONDS if said else 0.0))


def run(function: Callable[[aia.AIANet], Result], name: str) -> Result:
    """Gives a function the model of a name, and once more a copy on the CPU where the memory of a GPU is full.

    Raises:
        AIAError: The CPU's memory does not do either.
    """
    model = get(name)
    try:
        return function(model)
    except (RuntimeError, MemoryError) as error:
        if not isinstance(error, MemoryError) and not re.search("out of memory|allocate memory", str(error)):
            raise
        log.warning("no memory left on %s for %s", model.device, name)
    # Only here has the error, and with it every tensor of the failed pass, been let go.
    if model.device.type == "cpu":
        raise aia.AIAError(text.NO_MEMORY)
    import torch

    torch.cuda.empty_cache()
    return function(aia.load(name, device="cpu"))


def warm(name: str) -> None:
    """Loads a model and, on a CPU, runs it once, so that the first visitor waits no longer than the second.

    Not on a GPU: on ZeroGPU there is one only while a request runs.
    """
    worker.warm()
    try:
        bring(name)
        model = get(name)
        if model.device.type == "cpu":
            aia.inspect(model, worker.read_clip(WARM_UP_CLIP, model.config.num_segments))
    except aia.AIAError as error:  # a visitor who chooses it is told
        log.warning("%s", error)


@lru_cache(maxsize=limits.MODELS_IN_MEMORY)
def _load(name: str) -> aia.AIANet:
    return aia.load(name, precision=os.environ.get("AIA_PRECISION", "auto"))


def config(name: str) -> aia.AIAConfig | None:
    """What a model is, without loading its weights; None where only loading would tell."""
    for folder in (Path(name), loading.CHECKPOINTS / name):
        if (folder / loading.CONFIG).is_file():
            try:
                return aia.AIAConfig.from_file(folder / loading.CONFIG)
            except aia.AIAError:  # a visitor who chooses it is told
                return None
    return None


def labels(name: str) -> tuple[str, ...]:
    """The labels a model knows; empty where only loading would tell."""
    known = config(name)
    return known.labels if known else ()
