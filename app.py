"""Starts the page: `python app.py`, and the entry point of a Hugging Face Space."""

import argparse
import logging
import threading

from app import models
from app.studio import build, launch_options


def main() -> None:
    """Reads the options and serves until it is stopped."""
    parser = argparse.ArgumentParser(description="AIA Studio: see what attention lets through in a video network.")
    parser.add_argument(
        "--model", action="append", default=[], help="a folder or user/repo to offer as well (repeatable)"
    )
    parser.add_argument("--host", help="address to listen on; this machine only by default")
    parser.add_argument("--port", type=int, help="7860 or the next free one by default")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    page = build(options.model)
    if names := models.offered(options.model):
        threading.Thread(target=models.warm, args=(names[0],), daemon=True).start()
    page.launch(server_name=options.host, server_port=options.port, **launch_options())


if __name__ == "__main__":
    main()
