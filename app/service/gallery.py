"""The Hub's models that the page's menu lists for visitors who may name any model."""

from __future__ import annotations

import logging
import time
from threading import Lock

from aia import AIAError
from aia.hub.gallery import HubModel, hub_models

log = logging.getLogger(__name__)
KEPT_SECONDS, RETRY_SECONDS = 600, 60  # to the next question, after an answer and after a failure

_lock = Lock()
_listed: tuple[HubModel, ...] = ()
_ask_again_at = 0.0


def listed() -> tuple[HubModel, ...]:
    """The list, not older than `KEPT_SECONDS` if the Hub answers; empty if it has never answered.

    One request asks, at most for `aia.hub.gallery.SECONDS`; the others wait for its answer.
    """
    global _listed, _ask_again_at
    with _lock:
        if time.monotonic() >= _ask_again_at:
            try:
                _listed, kept = hub_models(), KEPT_SECONDS
            except AIAError as error:
                log.warning("%s", error)
                kept = RETRY_SECONDS
            _ask_again_at = time.monotonic() + kept
        return _listed
