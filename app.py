"""Starts the page: `python app.py`, and the entry point of a Hugging Face Space."""

import argparse
import ctypes
import gc
import logging
import os
import sys
import tempfile
import threading
from types import ModuleType

# One heap for all threads, which keeps up to 256 MiB of what a request frees for the next one: in many heaps the gates and
# pictures of visitors leave holes, and memory that is fetched anew costs more time than packing an answer. Of glibc's
# malloc.h: M_ARENA_MAX, M_TRIM_THRESHOLD and M_MMAP_THRESHOLD.
HEAP = ((-8, 1), (-1, 256 << 20), (-3, 32 << 20))


def main() -> None:
    """Reads the options and serves until it is stopped."""
    parser = argparse.ArgumentParser(description="AIA Studio: see what attention lets through in a video network.")
    parser.add_argument(
        "--model", action="append", default=[], help="a folder or user/repo to offer as well (repeatable)"
    )
    parser.add_argument("--host", help="address to listen on; this machine only by default")
    parser.add_argument("--port", type=int, help="7860 or the next free one by default")
    options = parser.parse_args()
    _set_heap()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    with tempfile.TemporaryDirectory(
        prefix="aia-studio-"
    ) as uploads:  # apart from those of other pages on this machine
        os.environ.setdefault("GRADIO_TEMP_DIR", uploads)
        _serve(options)


def _set_heap() -> None:
    """Only where glibc is: other systems have other allocators."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    for setting in HEAP if mallopt else ():
        mallopt(*setting)


def _serve(options: argparse.Namespace) -> None:
    gc.disable()  # what is imported stays: looking for garbage in it takes a tenth of the start
    from app import models
    from app.studio import build, launch_options

    page = build(options.model, free=models.any_may_be_named(options.host))
    page.launch(server_name=options.host, server_port=options.port, prevent_thread_lock=True, **launch_options())
    # Only now: torch takes seconds to import, and the page is there without.
    threading.Thread(target=_warm, args=(models, options.model), daemon=True).start()
    page.block_thread()


def _warm(models: ModuleType, extra: list[str]) -> None:
    try:
        if names := models.offered(extra):
            models.warm(names[0])
    finally:
        gc.freeze()  # half a million objects that every search for garbage would go through while a visitor waits
        gc.enable()


if __name__ == "__main__":
    main()
