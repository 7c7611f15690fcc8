"""Work stops when the client disconnects."""

from __future__ import annotations

import logging

from aia import AIAError
from app import gradio_internals

log = logging.getLogger(__name__)


class Left(AIAError):
    """The client has disconnected."""


def raise_if_disconnected(stage: str) -> None:
    """Ends a request between two of its stages if its client has disconnected: the page was closed, the connection was lost.

    Gradio removes a waiting request of such a client from the queue. It only marks a running one.

    Args:
        stage: The stage that would come next, for the log.

    Raises:
        Left: The client has disconnected.
    """
    if gradio_internals.client_has_left():
        log.info("a visitor left: stopped before %s", stage)
        raise Left("The visitor has left.")
