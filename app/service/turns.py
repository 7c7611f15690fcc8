"""Who runs a network next: requests and live windows take turns, in the order in which they came."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Lock

_lock = Lock()
_waiting: deque[Event] = deque()  # the first one has its turn


@contextmanager
def turn() -> Iterator[None]:
    """Waits until all who came before are done. A turn within a turn would wait forever."""
    own = Event()
    with _lock:
        _waiting.append(own)
        if _waiting[0] is own:
            own.set()
    try:
        own.wait()
        yield
    finally:
        with _lock:
            _waiting.remove(own)
            if _waiting:
                _waiting[0].set()
