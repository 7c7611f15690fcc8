"""Middleware that serves what is typical for the models' gates, for browsers to keep."""

from __future__ import annotations

import re

from anyio.to_thread import run_sync
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from app.server.guard import rooted
from app.service import references

PATH = re.compile(
    rf"/reference/(?P<key>[0-9a-f]{{32}})/(?P<name>{re.escape(references.MAPS)}|{re.escape(references.CHANNELS)})"
)
HEADERS = {"cache-control": "public, max-age=31536000, immutable", "x-content-type-options": "nosniff"}


class References:
    """ASGI middleware: answers GET /reference/KEY/FILE, and passes all else on."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers a request, or passes it on."""
        match = (
            PATH.fullmatch(rooted(scope)[1]) if scope["type"] == "http" and scope["method"] in ("GET", "HEAD") else None
        )
        if not match:
            return await self.app(scope, receive, send)
        content = await run_sync(references.file, match["key"], match["name"])
        if content is None:
            response = Response(status_code=404, headers={"cache-control": "no-store"})
        else:
            kind = "application/json" if match["name"] == references.MAPS else "application/octet-stream"
            response = Response(content, media_type=kind, headers=HEADERS)
        await response(scope, receive, send)
