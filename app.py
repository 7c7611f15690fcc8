"""Starts the page: `python app.py`, and the entry point of a Hugging Face Space."""

import argparse
import logging
import os
import signal
import threading
from types import ModuleType

from aia import console
from aia.errors import AIAError
from app.server import address, memory, temp_folder


def main() -> None:
    """Reads the options and serves until it is stopped."""
    parser = argparse.ArgumentParser(description="AIA Studio: see what attention lets through in a video network.")
    parser.add_argument(
        "--model", action="append", default=[], help="a folder or user/repo to offer as well (repeatable)"
    )
    parser.add_argument(
        "--allow-any-model",
        action="store_true",
        help="let everybody who can reach the page type any model: any folder that this user can read and any Hub repository "
        "that HF_TOKEN opens; not for a page that strangers can reach, directly or through a proxy; off by default",
    )
    parser.add_argument(
        "--survey",
        action="append",
        default=[],
        metavar="FOLDER",
        help="a report of aia report to open in the tab Survey (repeatable); everybody who can reach the page sees its numbers "
        "and may look at its clips, if they are on this machine",
    )
    parser.add_argument("--host", help="address to listen on; this machine only by default")
    parser.add_argument("--port", type=int, help="7860 or the next free one by default")
    options = parser.parse_args()
    host, port = address.checked(options.host, options.port)
    memory.prepare()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    if options.allow_any_model:
        from app import text  # here: memory is prepared first

        if os.environ.get("SPACE_ID"):
            parser.error(text.NOT_ON_A_SPACE)
        logging.warning(text.ANY_MODEL_IS_ALLOWED)
    signal.signal(
        signal.SIGTERM, signal.default_int_handler
    )  # a service manager's stop works as Ctrl-C: files are deleted
    with temp_folder.folder() as folder:
        os.environ["GRADIO_TEMP_DIR"] = str(temp_folder.uploads(folder))
        _serve(options, host, port)


def _serve(options: argparse.Namespace, host: str, port: int | None) -> None:
    from app.service import models  # here: --help does not need it, and memory is prepared first
    from app.ui.layout import build, launch_options

    page = build(options.model, allow_custom=options.allow_any_model, survey_folders=options.survey)
    try:
        page.launch(server_name=host, server_port=port, prevent_thread_lock=True, **launch_options(page))
    except OSError as error:
        if error.errno is not None:
            raise
        raise AIAError(address.TAKEN_MEANWHILE) from None  # Gradio's own sentence has no number, and other advice
    # Only now: torch takes seconds to import, and the page starts without it.
    threading.Thread(target=_warm, args=(models, options.model), daemon=True).start()
    threading.Thread(target=memory.trim_forever, daemon=True).start()
    page.block_thread()


def _warm(models: ModuleType, extra: list[str]) -> None:
    try:
        names = models.offered(extra)
        others = models.asked_models(names).values() if models.asks_all(names) else ()
        for name in dict.fromkeys([*names[:1], *others]):
            models.warm(name)
    finally:
        memory.settle()


if __name__ == "__main__":
    status = console.run(main)
    # A thread may still be in torch, for a request or to warm a model: where Python's end cuts it off, the process aborts.
    logging.shutdown()
    os._exit(status)
