"""Gradio's own words in the language of all the others."""

from __future__ import annotations

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEAD = b"<head>"
SCRIPT = b'<script>Object.defineProperty(navigator, "language", { value: "en" });</script>'


class English:
    """ASGI middleware: on the page, Gradio's front end finds a browser whose language is English.

    It would translate its own words, and call the language of the whole page that of the browser: a screen reader would then
    read English words as if they were, say, German.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hands a request on; the page gets one more script."""
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
