"""Films the page on an example, for the top of the README: `python -m tools.film_page assets/page.webp`."""

from __future__ import annotations

import argparse
import io
import tempfile
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from aia import console, files
from tools.chromium import chromium
from tools.page_server import serve

EXAMPLE = "swipe-right"
SIZE = 1440, 860  # of the window
WIDTH = 1080  # of the film
FRAME_MILLISECONDS = 420
READY = "document.querySelector('.viewer')?.viewer?.answers[0]?.channelBytes?.length"


def film(path: str | Path, example: str = EXAMPLE) -> int:
    """Writes an animated WebP of the page: every frame of an example, drawn by the viewer.

    Returns:
        Its size in bytes.

    Raises:
        AIAError: There is no Chromium here, or the page does not start.
    """
    with tempfile.TemporaryDirectory() as folder, serve(Path(folder)) as server, chromium() as browser:
        page = browser.new_page(viewport={"width": SIZE[0], "height": SIZE[1]})
        page.set_default_timeout(120_000)
        page.goto(f"{server.address}/?example={example}&frame=0")
        page.wait_for_function(READY)
        pictures = []
        for frame in range(page.evaluate("document.querySelector('.viewer').viewer.frames")):
            page.evaluate("(frame) => document.querySelector('.viewer').viewer.set({ frame })", frame)
            page.wait_for_timeout(200)  # for the screen to be drawn
            picture = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
            pictures.append(picture.resize((WIDTH, round(WIDTH * SIZE[1] / SIZE[0])), Image.Resampling.LANCZOS))
    first, *others = pictures
    with files.writing(path) as part:
        first.save(
            part,
            format="webp",
            save_all=True,
            append_images=others,
            duration=[FRAME_MILLISECONDS] * len(others) + [3 * FRAME_MILLISECONDS],
            loop=0,
            quality=82,
            method=6,
        )
    return Path(path).stat().st_size


def main(arguments: Sequence[str] | None = None) -> int:
    """Films the page."""
    parser = argparse.ArgumentParser("python -m tools.film_page", description="A film of the page for the README.")
    parser.add_argument("path", metavar="FILE.webp")
    parser.add_argument("--example", default=EXAMPLE, metavar="NAME")
    options = parser.parse_args(arguments)
    return console.run(lambda: print(f"{options.path}: {film(options.path, options.example) / 1e6:.2f} MB"))


if __name__ == "__main__":
    raise SystemExit(main())
