"""A headless Chromium: CHROMIUM, the system's, Playwright's own, and as a last resort Playwright's download."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from aia.errors import AIAError

if TYPE_CHECKING:
    from playwright.sync_api import Browser

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "msedge")
# A shell has no windows, menus and tabs to draw, and opens a page for half of what a whole browser needs.
SHELLS = ("chromium-headless-shell", "chrome-headless-shell")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
]


@contextmanager
def chromium(*flags: str) -> Iterator[Browser]:
    """A running one.

    Raises:
        AIAError: Playwright is missing, or there is no Chromium here and it cannot be downloaded.
    """
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        raise AIAError("This needs Playwright; install it: python -m pip install -r requirements-dev.txt") from None
    path, reason = find_chromium(whole=True)
    if path is None:
        raise AIAError(f"This needs a Chromium, on Debian from `apt-get install chromium`: {reason}.")
    with (
        sync_playwright() as playwright,
        playwright.chromium.launch(executable_path=path, args=[*FLAGS, *flags]) as browser,
    ):
        yield browser


def find_chromium(*, whole: bool = False) -> tuple[str | None, str]:
    """The path of a browser, or None and the reason why there is none.

    Args:
        whole: Not a shell if there is a whole browser: a shell's camera does not always start.
    """
    if chosen := os.environ.get("CHROMIUM"):
        return (chosen, "") if Path(chosen).is_file() else (None, f"CHROMIUM={chosen} is no file")
    for name in (*NAMES, *SHELLS) if whole else (*SHELLS, *NAMES):
        if found := shutil.which(name):
            return found, ""
    if own := _playwrights_own():
        return own, ""
    install = [sys.executable, "-m", "playwright", "install", "chromium"]
    try:
        answer = subprocess.run(install, capture_output=True, text=True, timeout=240, check=False)
        said = " ".join((answer.stderr or answer.stdout).strip().splitlines()[-1:])
    except subprocess.TimeoutExpired:
        said = "it took more than four minutes"
    if own := _playwrights_own():
        return own, ""
    return None, f"no Chromium on this machine, and `playwright install chromium` failed: {said}"


def _playwrights_own() -> str | None:
    from playwright.sync_api import Error, sync_playwright

    try:
        with sync_playwright() as playwright:
            path = playwright.chromium.executable_path
    except Error:
        return None
    return path if path and Path(path).is_file() else None
