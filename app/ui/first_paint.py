"""The page's HTML as the server sends it: a sketch of the page is drawn while Gradio's scripts load, and English throughout."""

from __future__ import annotations

from pathlib import Path

from starlette.datastructures import MutableHeaders
from starlette.middleware.gzip import GZipMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app import text
from app.server.guard import rooted

HEAD = b"<head>"
# Otherwise Gradio translates its own words and declares the browser's language for the whole page: a screen reader would
# read English words as, for example, German.
ENGLISH = b'<script>Object.defineProperty(navigator, "language", { value: "en" });</script>'
# Gradio puts its configuration, most of the page's bytes, into the head. The body begins before it: a browser draws what it
# has of a body, and the later tags of head and body add only their attributes.
CONFIG = b"<script>window.gradio_config"
SKETCH = (
    Path(__file__)
    .with_suffix(".html")
    .read_text(encoding="utf-8")
    .replace("{title}", text.TITLE)
    .replace("{tagline}", text.TAGLINE)
    .replace("{tabs}", "".join(f"<span>{name}</span>" for name in text.TABS.values()))
)
BODY = b"</head><body>" + SKETCH.encode()


class FirstPaint:
    """ASGI middleware that adds to the page's HTML what a browser needs first, and compresses it."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self.page = GZipMiddleware(self._page, compresslevel=6)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes a request on; a request for the page by way of `_page`."""
        is_page = scope["type"] == "http" and rooted(scope)[1] == "/"
        await (self.page if is_page else self.app)(scope, receive, send)

    async def _page(self, scope: Scope, receive: Receive, send: Send) -> None:
        start: Message = {}

        async def answer(message: Message) -> None:
            nonlocal start
            if message["type"] == "http.response.start":
                start = message
                return
            if start:
                body = message.get("body", b"")
                message["body"] = body.replace(HEAD, HEAD + ENGLISH, 1).replace(CONFIG, BODY + CONFIG, 1)
                headers = MutableHeaders(raw=start["headers"])
                if "content-length" in headers:
                    headers["content-length"] = str(int(headers["content-length"]) + len(message["body"]) - len(body))
                await send(start)
                start = {}
            await send(message)

        await self.app(scope, receive, answer)
