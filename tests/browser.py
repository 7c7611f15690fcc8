"""Finds a Chromium: CHROMIUM, the system's, Playwright's own, and as a last resort Playwright's download."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from playwright.sync_api import Error, expect, sync_playwright

expect.set_options(timeout=60_000)  # milliseconds: a busy machine is slow, not wrong
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "msedge")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
]


def find_chromium() -> tuple[str | None, str]:
    """The path of a browser, or None and the reason why there is none."""
    if chosen := os.environ.get("CHROMIUM"):
        return (chosen, "") if Path(chosen).is_file() else (None, f"CHROMIUM={chosen} is no file")
    for name in NAMES:
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
