"""Finds a Chromium: CHROMIUM, the system's, Playwright's own, and as a last resort Playwright's download; and its windows."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Error, Page, ViewportSize, expect, sync_playwright

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
PATIENCE = 180_000  # ms: a page answers soon, unless the machine is busy
SIZES = {"desktop": (1440, 900), "phone": (390, 844)}
desktop, phone = (pytest.mark.parametrize("page", [size], indirect=True) for size in SIZES)


def patient(browser: Browser) -> Browser:
    """The browser, whose pages and expectations wait long before they fail.

    Pages that ask for nothing but a viewport share one context: its cache spares most of them the compiling of Gradio's
    scripts, which is two thirds of what opening a page costs.
    """
    expect.set_options(timeout=PATIENCE)
    opened, shared = browser.new_page, []

    def new_page(viewport: ViewportSize | None = None, **options) -> Page:
        if options:
            page = opened(viewport=viewport, **options) if viewport else opened(**options)
        else:
            shared[:] = shared or [browser.new_context(reduced_motion="reduce")]  # the film stands still
            page = shared[0].new_page()
            page.set_viewport_size(viewport or {"width": 1280, "height": 720})
        page.set_default_timeout(PATIENCE)
        return page

    browser.new_page = new_page
    return browser


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
    try:
        with sync_playwright() as playwright:
            path = playwright.chromium.executable_path
    except Error:
        return None
    return path if path and Path(path).is_file() else None
