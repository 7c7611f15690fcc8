"""Gradio's own words in English, as all other words of the page."""

from __future__ import annotations

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEAD = b"<head>"
SCRIPT = b'<script>Object.defineProperty(navigator, "language", { value: "en" });</script>'


class English:
    """ASGI middleware that makes Gradio's front end believe that the browser's language is English.

    Otherwise it translates its own words and declares the browser's language for the whole page: a screen reader would read
    English words as, for example, German.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes a request on, and adds a script to the page."""
        if scope["type"] != "http" or scope["path"] != "/":
            return await self.app(scope, receive, send)
        start: Message = {}

        async def answer(message: Message) -> None:
            nonlocal start
            if message["type"] == "http.response.start":
                start = message
                return
            if start:
                body = message.get("body", b"")
                message["body"] = body.replace(HEAD, HEAD + SCRIPT, 1)
                headers = MutableHeaders(raw=start["headers"])
                if "content-length" in headers:
                    headers["content-length"] = str(int(headers["content-length"]) + len(message["body"]) - len(body))
                await send(start)
                start = {}
            await send(message)

        await self.app(scope, receive, answer)
