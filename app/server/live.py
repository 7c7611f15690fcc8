"""Middleware for the tab Live: a visitor's camera sends frames, and gets the values to draw one view of their gates.

A request is one POST with binary frames, and its answer is binary. A browser has one request under way: it sends the next one
when the answer has come, with the newest frames. The rate therefore adapts to the server and to the connection, no window
waits in a queue, and a WebSocket or Gradio's stream of events would add a connection, a queue and base64 for nothing.
"""

from __future__ import annotations

import asyncio
import logging
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from anyio import CapacityLimiter
from anyio.to_thread import run_sync
from starlette.datastructures import Headers, QueryParams
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

import aia
from aia.limits import LIVE_SESSIONS
from app import errors, gradio_internals, text
from app.server.blocks import Page
from app.server.guard import MAX_QUERY_BYTES, check_disk, counted_body, read_body, rooted
from app.service import live, models

log = logging.getLogger(__name__)
PATH = re.compile(r"/live(?:/(?P<key>[\w-]{1,64})(?:/(?P<action>moment|close))?)?")
HEADERS = {"cache-control": "no-store", "x-content-type-options": "nosniff"}


class Live:
    """ASGI middleware: answers POST /live, /live/KEY, /live/KEY/moment and /live/KEY/close, and passes all else on."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self.sessions = live.Sessions()
        # One thread runs all windows, one after the other: sessions have at most one window each, so all get the same share.
        self.runner = ThreadPoolExecutor(1, thread_name_prefix="live")
        self.threads = CapacityLimiter(LIVE_SESSIONS)  # so that sessions take no threads of other requests
        self.timer: asyncio.TimerHandle | None = None  # the next call of `_expire`
        self.offered: tuple[str, ...] = ()
        self.best: dict[str, str] = {}  # group -> model, among `offered`

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers a request, or passes it on."""
        match = PATH.fullmatch(rooted(scope)[1]) if scope["type"] == "http" and scope["method"] == "POST" else None
        if not match:
            return await self.app(scope, receive, send)
        try:
            response = await self._answer(match["key"], match["action"], scope, receive)
        except HTTPException as error:
            response = _refusal(error.status_code, error.detail)
        except ClientDisconnect:
            return
        except Exception as error:
            response = _refusal(_status(error), errors.sentence(error))
        await response(scope, receive, send)

    async def _answer(self, key: str | None, action: str | None, scope: Scope, receive: Receive) -> Response:
        """Checks a request, and does what it asks for.

        Raises:
            HTTPException: The request is refused.
            AIAError: It cannot be done.
        """
        headers = Headers(scope=scope)
        if headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
            raise HTTPException(403, text.BAD_FRAMES)  # another site's page
        if len(scope["query_string"]) > MAX_QUERY_BYTES:
            raise HTTPException(414, text.TOO_LONG)
        receive = counted_body(receive, headers, live.MAX_BODY_BYTES, text.BAD_FRAMES)
        if key is None:
            session = self.sessions.open()
            self._expire()
            return JSONResponse({"session": session.key}, headers=HEADERS)
        if action == "close":
            self.sessions.close(key)
            return Response(status_code=204, headers=HEADERS)
        session = self.sessions.get(key)
        kind = action or "window"
        if kind in session.under_way:  # the page sends one at a time; more would only queue
            raise HTTPException(429, text.LIVE_BUSY)
        session.under_way.add(kind)
        try:
            if kind == "moment":
                path = await self._moment(session)
                gradio_internals.delete_in_time(gradio_internals.page_of(scope["app"]), path)
                return JSONResponse({"path": str(path)}, headers=HEADERS)
            answer = await self._window(session, scope, receive)
            return Response(answer, media_type="application/octet-stream", headers=HEADERS)
        finally:
            session.under_way.remove(kind)
            session.touch()

    async def _moment(self, session: live.Session) -> Path:
        folder = gradio_internals.upload_folder()
        folder.mkdir(parents=True, exist_ok=True)
        check_disk(folder)
        return await run_sync(session.save, folder, limiter=self.threads)

    async def _window(self, session: live.Session, scope: Scope, receive: Receive) -> bytes:
        asked = live.Asked.from_query(QueryParams(scope["query_string"]))
        self._look_up_models(gradio_internals.page_of(scope["app"]))
        body = await read_body(receive)
        prepared = await run_sync(session.prepare, body, asked, self.offered, self.best, limiter=self.threads)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self.runner, session.answer, *prepared, asked)

    def _look_up_models(self, page: Any) -> None:
        """Looks up which models the page offers. That reads files, so it is done once."""
        if isinstance(page, Page) and tuple(page.offered) != self.offered:
            self.best = models.asked_models(page.offered) if models.asks_all(page.offered) else {}
            self.offered = tuple(page.offered)

    def _expire(self) -> None:
        """Ends the sessions whose time is over, and checks again later as long as any are left."""
        if self.timer:
            self.timer.cancel()
        left = self.sessions.expire()
        self.timer = asyncio.get_running_loop().call_later(live.IDLE_SECONDS, self._expire) if left else None


def _status(error: Exception) -> int:
    if isinstance(error, live.Full):
        return 503
    if isinstance(error, live.Gone):
        return 404
    return 400 if isinstance(error, aia.AIAError) else 500


def _refusal(status: int, sentence: str) -> Response:
    return JSONResponse({"detail": sentence}, status, headers=HEADERS)
