"""Middleware that serves the surveys' files of numbers."""

from __future__ import annotations

import re

from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from app.server.guard import rooted
from app.service import surveys

PATH = re.compile(r"/survey/(?P<key>[\w-]{1,60})\.json")
HEADERS = {"cache-control": "no-cache", "x-content-type-options": "nosniff"}


class Surveys:
    """ASGI middleware: answers GET /survey/KEY.json, and passes all else on."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers a request, or passes it on."""
        is_read = scope["type"] == "http" and scope["method"] in ("GET", "HEAD")
        match = PATH.fullmatch(rooted(scope)[1]) if is_read else None
        if not match:
            return await self.app(scope, receive, send)
        content = surveys.content(match["key"])
        if content is None:
            return await Response(status_code=404, headers={"cache-control": "no-store"})(scope, receive, send)
        await Response(content, media_type="application/json", headers=HEADERS)(scope, receive, send)
