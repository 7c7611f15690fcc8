"""Memory of a process that serves for weeks: a heap without holes, and no search for garbage in what stays."""

from __future__ import annotations

import ctypes
import gc
import sys
import time

TRIM_SECONDS = 30
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_ARENA_MAX = -1, -3, -8  # of mallopt, in glibc's malloc.h
_library = ctypes.CDLL(None) if sys.platform == "linux" else None
_glibc = _library if hasattr(_library, "mallopt") else None  # other systems have other heaps


def prepare() -> None:
    """To be called first: before anything large is imported, and before any thread.

    All threads get one heap: in several, what is kept of visitors leaves holes. What a request frees stays for the next one,
    up to 256 MiB, since memory that is fetched anew costs more time than packing an answer.
    """
    gc.disable()  # what is imported stays: looking for garbage in it takes a tenth of the start
    if _glibc:
        _glibc.mallopt(M_ARENA_MAX, 1)
        _glibc.mallopt(M_TRIM_THRESHOLD, 256 << 20)
        _glibc.mallopt(M_MMAP_THRESHOLD, 32 << 20)


def settle() -> None:
    """To be called once everything is imported: no later search for garbage goes through its half a million objects."""
    gc.freeze()
    gc.enable()


def trim_forever() -> None:
    """Gives what nobody has needed for a while back to the system, again and again; a few milliseconds each time."""
    while _glibc:
        time.sleep(TRIM_SECONDS)
        _glibc.malloc_trim(0)
