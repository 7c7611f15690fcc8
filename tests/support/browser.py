"""A browser whose pages wait long before a test fails, and the sizes of its windows."""

import pytest
from playwright.sync_api import Browser, Page, ViewportSize, expect

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
