"""The models that the page offers. Each is downloaded and loaded once."""

from __future__ import annotations

import logging
import os
import re
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import Future, wait
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from threading import Lock, Semaphore, Thread
from typing import Any, NamedTuple, TypeVar

import aia
from aia import limits
from aia.hub import ALL_MODELS, files, groups, loading
from aia.locations import ASSETS
from aia.video import worker
from app import text
from app.service import disconnect, gallery, references

WARM_UP_CLIP = ASSETS / "examples" / "swipe-left.mp4"
LACK_OF_MEMORY = re.compile("out of memory|allocate memory|ALLOC_FAILED")  # of torch, of the CPU, of CUDA's libraries
log = logging.getLogger(__name__)
RETRY_SECONDS = 30  # from a failed download to the next try
_load_lock, _downloads_lock = Lock(), Lock()
_download_slots = Semaphore(2)  # downloads at a time
_downloads: dict[str, Future[_Download]] = {}
T = TypeVar("T")


class _Download(NamedTuple):
    """How a download ended: the sentence of an error, "" for none, and the monotonic time of the next try."""

    problem: str
    retry_at: float


@dataclass(frozen=True, eq=False)
class LoadedModel:
    """A model of the page: its name and the network.

    Pickled, it is only its name: ZeroGPU sends arguments to another process, which loads the network by itself.
    """

    name: str
    network: aia.AIANet

    def __reduce__(self) -> tuple[Callable[[str], LoadedModel], tuple[str]]:
        return get, (self.name,)

    def run(self, function: Callable[[aia.AIANet], T]) -> T:
        """Calls a function with the network, or with a copy on the CPU if the memory of the GPU is full.

        Raises:
            AIAError: There is not enough memory on the CPU either.
        """
        try:
            return function(self.network)
        except (RuntimeError, MemoryError) as error:
            if not _is_lack_of_memory(error):
                raise
            log.warning("no memory left on %s for %s", self.network.device, self.name)
        # Outside of the except block: the error holds every tensor of the failed pass.
        if self.network.device.type == "cpu":
            raise aia.AIAError(text.NO_MEMORY)
        import torch

        torch.cuda.empty_cache()
        try:
            return function(aia.load(self.name, device="cpu"))
        except (RuntimeError, MemoryError) as error:
            if not _is_lack_of_memory(error):
                raise
        raise aia.AIAError(text.NO_MEMORY)


def _is_lack_of_memory(error: Exception) -> bool:
    return isinstance(error, MemoryError) or bool(LACK_OF_MEMORY.search(str(error)))


def offered(extra: Sequence[str] = ()) -> list[str]:
    """Names to choose from: `extra`, the shipped models, and the models in the environment variable AIA_MODELS.

    The default is the first of the shipped models. Each group begins with the model that answers for it; AIA comes before no
    AIA, and TSN, where the gates decide, before TSM.

    AIA_MODELS holds folders and Hub repositories, separated by commas or white space.
    """
    from_environment = [name for name in re.split(r"[,\s]+", os.environ.get("AIA_MODELS", "")) if name]
    shipped = sorted(aia.available_models(), key=_rank)
    return list(dict.fromkeys([*extra, *shipped, *from_environment]))


def _rank(name: str) -> tuple:
    model = config(name)
    network = (model.attention == "none", model.temporal != "tsn") if model else (True, True)
    return _place(group(name)), name not in groups.ASKED.values(), *network, name


def group(name: str) -> str:
    """The task of a model's group; "" for a model of no group."""
    model = config(name)
    return model.task if model and model.task in groups.ASKED else ""


def _place(task: str) -> int:
    return [*groups.ASKED, ""].index(task)


def asked_models(names: Sequence[str]) -> dict[str, str]:
    """The model that answers for each group of some models, by the group's task; see `aia.hub.groups`."""
    return groups.asked_models({name: group(name) for name in names})


def title(name: str) -> str:
    """The paper's name for the network of a shipped model, a folder's name without its path."""
    if name in aia.available_models() and (model := config(name)):
        return model.title
    return (Path(name).name or name) if Path(name).is_dir() else name


def choices(names: Sequence[str]) -> list[tuple[str, str]]:
    """Entries of a menu of models: what it shows, and the model's name. Where there are several groups, each has its own."""
    entries = _entries(names)
    if not asks_all(names):
        return [(entries[name], name) for name in names]
    ordered = sorted(names, key=lambda name: _place(group(name)))
    return [(text.entry_of_group(group(name), entries[name]), name) for name in ordered]


def _entries(names: Sequence[str]) -> dict[str, str]:
    shipped = {name: model for name in aia.available_models() if name in names and (model := config(name))}
    titles = {name: title(name) for name in names if name not in shipped}
    often = Counter(titles.values())  # folders of one name are told apart by their paths
    others = {name: name if often[title] > 1 else title for name, title in titles.items()}
    return {name: text.model_entry(model, name) for name, model in shipped.items()} | others


def menu(names: Sequence[str]) -> list[tuple[str, str]]:
    """Entries of the page's own menu: asking all groups, if there are several, and each model."""
    return [*([(text.ASK_ALL, ALL_MODELS)] if asks_all(names) else []), *choices(names)]


def menu_with_hub(names: Sequence[str]) -> list[tuple[str, str]]:
    """The page's own menu, and the Hub's models that carry this project's tag. Waits for the Hub for some seconds."""
    return [
        *menu(names),
        *((text.hub_entry(model), model.name) for model in gallery.listed() if model.name not in names),
    ]


def asks_all(names: Sequence[str]) -> bool:
    """Whether there are several groups to ask."""
    return len(asked_models(names)) > 1


def first_choice(names: Sequence[str]) -> str | None:
    """What the page's menu begins with: asking all, unless the first model was put before those of the groups."""
    if names and asks_all(names) and names[0] in asked_models(names).values():
        return ALL_MODELS
    return names[0] if names else None


def without_gates(name: str) -> str:
    """The offered model that differs from a model only by having no AIA; "" if there is none."""
    model = config(name)
    if model is None or model.attention == "none":
        return ""

    def trunk(of: aia.AIAConfig) -> tuple[Any, ...]:
        return of.arch, of.temporal, of.num_segments, of.labels

    others = ((other, config(other)) for other in offered())
    return next((other for other, of in others if of and of.attention == "none" and trunk(of) == trunk(model)), "")


def get(name: str) -> LoadedModel:
    """The loaded model of a name. One thread loads while the others wait.

    Raises:
        AIAError: It cannot be loaded, or is not downloaded yet. The download then continues in the background.
    """
    download(name, 0)
    with _load_lock:
        return LoadedModel(name, _load(name))


def download(name: str, seconds: float = limits.MAX_DOWNLOAD_SECONDS) -> None:
    """Waits until a model is on this machine. It is downloaded once, however many requests wait for it.

    Raises:
        AIAError: The download failed or takes longer, or the client has disconnected.
    """
    if loading.is_here(name):
        return
    with _downloads_lock:
        running = _downloads.get(name)
        if running is None or (running.done() and time.monotonic() >= running.result().retry_at):
            running = _downloads[name] = Future()
            Thread(target=_download, args=(name, running), daemon=True).start()
    end = time.monotonic() + seconds
    while not wait([running], min(1, max(0, end - time.monotonic()))).done:
        disconnect.raise_if_disconnected("the download")
        if time.monotonic() >= end:
            raise aia.AIAError(text.DOWNLOADING.format(name=name))
    if problem := running.result().problem:
        raise aia.AIAError(problem)


def _download(name: str, running: Future[_Download]) -> None:
    problem = text.NOT_DOWNLOADED.format(name=name)
    try:
        with _download_slots:
            loading.download(name)
        problem = ""
    except aia.AIAError as error:
        problem = str(error)
    finally:
        running.set_result(_Download(problem, time.monotonic() + RETRY_SECONDS if problem else 0.0))


def warm(name: str) -> None:
    """Loads a model and, on a CPU, runs it once: the first visitor waits no longer than the second.

    On a GPU it is only loaded: ZeroGPU has one only while a request runs.
    """
    worker.warm()
    try:
        download(name)
        network = get(name).network
        if network.device.type == "cpu":
            aia.inspect(network, worker.read_clip(WARM_UP_CLIP, network.config.num_segments))
    except aia.AIAError as error:  # a visitor who chooses the model gets this sentence
        log.warning("%s", error)


@lru_cache(maxsize=limits.MODELS_IN_MEMORY)
def _load(name: str) -> aia.AIANet:
    network = aia.load(name, precision=os.environ.get("AIA_PRECISION", "auto"))
    references.make_in_background(network)
    return network


def config(name: str) -> aia.AIAConfig | None:
    """The config of a model without loading its weights; None if it is not on this machine yet, or is broken."""
    try:
        for folder in (Path(name), loading.CHECKPOINTS / name):
            if (folder / loading.CONFIG).is_file():
                return aia.AIAConfig.from_file(folder / loading.CONFIG)
        return files.find_model(name, options=files.HubOptions(local_files_only=True))[0]
    except aia.AIAError:  # a visitor who chooses the model gets this sentence
        return None


def labels(name: str) -> tuple[str, ...]:
    """The labels of a model; empty if its config is unknown."""
    model = config(name)
    return model.labels if model else ()
