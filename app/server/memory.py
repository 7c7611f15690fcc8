"""Memory of a process that serves for weeks: limits fragmentation and garbage-collection cost."""

from __future__ import annotations

import ctypes
import gc
import sys
import time

TRIM_SECONDS = 30
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_ARENA_MAX = -1, -3, -8  # parameters of mallopt, from glibc's malloc.h
_library = ctypes.CDLL(None) if sys.platform == "linux" else None
_glibc = _library if hasattr(_library, "mallopt") else None  # other systems have other heaps


def prepare() -> None:
    """Sets up the heap. Call it first: before large imports, and before any thread.

    All threads use one heap: several would be fragmented by what is kept of visitors. Up to 256 MiB that a request frees stay
    for the next request, since new memory from the system costs more time than packing an answer.
    """
    gc.disable()  # imported objects stay: garbage collection among them takes a tenth of the start
    if _glibc:
        _glibc.mallopt(M_ARENA_MAX, 1)
        _glibc.mallopt(M_TRIM_THRESHOLD, 256 << 20)
        _glibc.mallopt(M_MMAP_THRESHOLD, 32 << 20)


def settle() -> None:
    """Excludes all imported objects, half a million, from garbage collection. Call it once everything is imported."""
    gc.freeze()
    gc.enable()


def trim_forever() -> None:
    """Returns unused memory to the system every 30 s; it takes a few milliseconds."""
    while _glibc:
        time.sleep(TRIM_SECONDS)
        _glibc.malloc_trim(0)
