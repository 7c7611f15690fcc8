"""Which models the page offers, and each of them loaded once."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from threading import Lock

import aia
from aia.cli import DEFAULT_MODEL

MODELS_IN_MEMORY = 6  # as many as are shipped
WARM_UP_CLIP = Path(__file__).resolve().parents[1] / "assets" / "examples" / "swipe-left.mp4"
log = logging.getLogger(__name__)
_loading = Lock()


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


def get(name: str) -> aia.AIANet:
    """The loaded model of a name; one thread loads while the others wait, so that nothing is downloaded twice."""
    with _loading:
        return _load(name)


def warm(name: str) -> None:
    """Loads a model and, on a CPU, runs it once, so that the first visitor waits no longer than the second.

    Not on a GPU: on ZeroGPU there is one only while a request runs.
    """
    try:
        model = get(name)
        if model.device.type == "cpu":
            aia.inspect(model, aia.read_clip(WARM_UP_CLIP, model.config.num_segments))
    except aia.AIAError as error:  # a visitor who chooses it is told
        log.warning("%s", error)


@lru_cache(maxsize=MODELS_IN_MEMORY)
def _load(name: str) -> aia.AIANet:
    return aia.load(name, optimize=True)


def config(name: str) -> aia.AIAConfig | None:
    """What a model is, without loading its weights; None where only loading would tell."""
    for folder in (Path(name), aia.hub.CHECKPOINTS / name):
        if (folder / aia.hub.CONFIG).is_file():
            try:
                return aia.AIAConfig.from_file(folder / aia.hub.CONFIG)
            except aia.AIAError:  # a visitor who chooses it is told
                return None
    return None


def labels(name: str) -> tuple[str, ...]:
    """The labels a model knows; empty where only loading would tell."""
    known = config(name)
    return known.labels if known else ()
