"""Whether the visitor whose request this thread serves is still there."""

from __future__ import annotations

import logging

from gradio.context import LocalContext

from aia import AIAError

log = logging.getLogger(__name__)


class Left(AIAError):
    """Nobody waits for the answer any more."""


def raise_if_disconnected(before: str) -> None:
    """Ends a request between two of its stages if its visitor has gone: the page was closed, the connection was lost.

    Gradio takes a waiting request of such a visitor out of the queue; a running one it only marks.

    Args:
        before: The stage that would come next, for the log.

    Raises:
        Left: The visitor has gone.
    """
    page, event = LocalContext.blocks.get(None), LocalContext.event_id.get(None)
    running = page and event and page._queue.event_ids_to_events.get(event)
    if running and not running.alive:
        log.info("a visitor left: stopped before %s", before)
        raise Left("The visitor has left.")
