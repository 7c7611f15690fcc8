"""Lists the models on the Hub that carry this project's tag."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from threading import Thread
from typing import Any

from huggingface_hub import constants
from huggingface_hub.errors import OfflineModeIsEnabled
from huggingface_hub.utils import build_hf_headers, get_session  # type: ignore[attr-defined]  # not exported by its types

from aia.errors import AIAError
from aia.hub.files import is_repository

TAG = "attention-in-attention"
MAX_MODELS = 100  # the most liked ones
SECONDS, MAX_BYTES = 10, 2**20  # for the whole answer; a hundred models have 40 kB
_TASK = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")
_FIELDS = ("likes", "pipeline_tag", "safetensors", "gated", "private", "disabled")


@dataclass(frozen=True)
class HubModel:
    """A model on the Hub, as its repository describes it; nobody has checked that it can be loaded.

    Attributes:
        name: "user/repo", for `load`.
        likes: On the Hub.
        task: As the Hub names it, such as "video-classification"; "" if unknown.
        parameters: Numbers in its weights; 0 if unknown.
    """

    name: str
    likes: int = 0
    task: str = ""
    parameters: int = 0


def hub_models() -> tuple[HubModel, ...]:
    """The public models on the Hub with the tag "attention-in-attention", the most liked ones first.

    Repositories whose name, size or task is not plain are left out or shown without it. The request carries no token.

    Raises:
        AIAError: The Hub cannot be reached, does not answer in time, or gives something other than a list of models.
    """
    answer: Future[list[Any]] = Future()
    Thread(target=_ask, args=(answer,), daemon=True).start()  # the client has no time limit for a whole answer
    try:
        listed = answer.result(SECONDS)
    except Exception as error:  # the types depend on huggingface_hub's version
        raise AIAError(_why(error)) from None
    return tuple(sorted(_models(listed), key=lambda model: (-model.likes, model.name)))


def _ask(answer: Future[list[Any]]) -> None:
    try:
        answer.set_result(_listed())
    except Exception as error:
        answer.set_exception(error)


def _listed() -> list[Any]:
    """One page of the Hub's list. `HfApi.list_models` reads answers of any size and follows any number of pages."""
    end = time.monotonic() + SECONDS
    parameters = {"filter": TAG, "sort": "likes", "direction": "-1", "limit": str(MAX_MODELS), "expand": [*_FIELDS]}
    headers = {**build_hf_headers(token=False), "accept-encoding": "identity"}
    content = b""
    with get_session().stream(
        "GET",
        f"{constants.ENDPOINT}/api/models",
        params=parameters,
        headers=headers,
        timeout=SECONDS,
        follow_redirects=False,
    ) as response:
        if response.status_code != 200:
            raise ValueError
        for part in response.iter_raw():
            content += part
            if len(content) > MAX_BYTES or time.monotonic() > end:
                raise ValueError
    listed = json.loads(content)
    if not isinstance(listed, list):
        raise ValueError
    return listed


def _models(listed: list[Any]) -> Iterator[HubModel]:
    known: set[str] = set()
    for entry in listed[:MAX_MODELS]:
        name = entry.get("id") if isinstance(entry, dict) else None
        if not isinstance(name, str) or not is_repository(name) or name in known:
            continue
        if any(entry.get(closed) for closed in ("gated", "private", "disabled")):
            continue
        known.add(name)
        task, weights = entry.get("pipeline_tag"), entry.get("safetensors")
        yield HubModel(
            name,
            likes=_count(entry.get("likes")),
            task=task if isinstance(task, str) and _TASK.fullmatch(task) else "",
            parameters=_count(weights.get("total") if isinstance(weights, dict) else 0),
        )


def _count(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 10**12 else 0


def _why(error: BaseException) -> str:
    if isinstance(error, OfflineModeIsEnabled):
        return "HF_HUB_OFFLINE is set, so the Hub's models cannot be listed; unset it."
    return "The Hub's models cannot be listed now; check the connection and try again."
