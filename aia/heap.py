"""Keeps freed memory in the process; a forward pass would spend a third of its time on getting it from the system again."""

from __future__ import annotations

import ctypes
import sys

_TRIM_THRESHOLD, _MMAP_THRESHOLD, _MMAP_MAX, _ARENA_MAX = -1, -3, -4, -8  # parameters of mallopt, from glibc's malloc.h
_library = ctypes.CDLL(None) if sys.platform == "linux" else None
_glibc = _library if hasattr(_library, "mallopt") else None  # other systems have other heaps


def keep_freed(most: int | None = None, largest: int | None = None) -> None:
    """Sets up the heap of a process; does nothing where it is not glibc's. Call it before any thread starts.

    All threads use one heap: several would each keep their own part of what is freed.

    Args:
        most: Bytes that stay at the end of the heap; all by default.
        largest: Freed blocks larger than this, in bytes, go back to the system at once; none do by default.
    """
    if _glibc is None:
        return
    _glibc.mallopt(_ARENA_MAX, 1)
    _glibc.mallopt(_TRIM_THRESHOLD, -1 if most is None else most)
    _glibc.mallopt(*((_MMAP_MAX, 0) if largest is None else (_MMAP_THRESHOLD, largest)))


def trim() -> bool:
    """Returns unused memory to the system, which takes a few milliseconds. Returns whether the system supports this."""
    if _glibc is not None:
        _glibc.malloc_trim(0)
    return _glibc is not None
