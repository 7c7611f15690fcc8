"""Middleware in front of Gradio: few of its routes, requests of bounded size, no results that nobody fetches."""

from __future__ import annotations

import ipaddress
import json
import logging
import re
import shutil
import time
from collections.abc import Container, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import gradio as gr
from anyio.to_thread import run_sync
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from aia.limits import DELETE_AFTER_SECONDS, MAX_REQUEST_BYTES, MAX_TOOL_BYTES, MAX_UPLOAD_BYTES
from app import errors, gradio_internals, text
from app.server.tool_calls import tidied_call

log = logging.getLogger(__name__)
API = "/gradio_api/"
# Routes that the page, programs and tools use. Gradio has more: a proxy, screen recordings, an editor, runs on the Hub, links
# to a visitor's state, servers of components, addresses that it would fetch.
OPEN = re.compile(
    r"/|/config/?|/(assets|static)/.*|/(theme\.css|favicon\.ico|robots\.txt|manifest\.json)"
    rf"|{API}(info/?|openapi\.json|theme\.css|app_id/?|startup-events|upload|upload_progress|cancel|reset/?|queue/(join|data))"
    rf"|{API}((call|run|heartbeat)/.*|file=(?!https?:).*|mcp(/.*)?)",
    re.DOTALL,
)
# A POST to these asks for work. "run/" passes the queue: the page uses it for its few functions without queue.
WORK = re.compile(rf"{API}(queue/join|(call/(v2/)?|(?P<direct>run/))(?P<name>[^/]*)/?)")
TOOLS = re.compile(rf"{API}mcp(/http)?/?")
# How headers begin that proxies add.
FORWARDED = (
    *("forwarded", "via", "x-forwarded-", "x-original-", "x-real-ip", "x-client-ip", "x-cluster-", "x-envoy-"),
    *("cf-", "true-client-ip", "fly-", "fastly-"),
)
ORIGIN = re.compile(r"https?://[\w.:\[\]-]+")  # the start of a page's address
ANSWER = re.compile(rf"{API}call/(v2/)?[^/]*/(?P<event>[^/]*)/?")  # a GET of this fetches an answer
SESSION = re.compile(r"[\w-]{1,64}")
MULTIPART_BYTES = 2**16  # an upload's parts besides the file
MAX_QUERY_BYTES = 4096
SWEEP_SECONDS = 60
UNREAD, UNREAD_SECONDS = 64, 300  # number of unfetched results, and seconds for which they are kept


class Guard:
    """ASGI middleware around Gradio's application."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self.swept = 0.0
        self.unread: dict[str, float] = {}  # unfetched results: event -> time when it was first noticed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers a request, or passes it on."""
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        scope, path = rooted(scope)
        if path.rstrip("/") == API + "info":
            scope = described(scope)
        started = False

        async def answer(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                message["headers"] = [*message.get("headers", ()), (b"x-content-type-options", b"nosniff")]
            await send(message)

        try:
            receive = await self.checked(scope, receive, path)
            await self.app(scope, receive, answer)
        except Exception as error:
            if not started:
                status, sentence = _status_and_sentence(error, path)
                await JSONResponse({"detail": sentence}, status)(scope, receive, answer)
            else:  # a stream that has begun can only be ended
                log.info("a stream ended early: %.200r", error)
                await send({"type": "http.response.body", "body": b""})

    async def checked(self, scope: Scope, receive: Receive, path: str) -> Receive:
        """Checks a request and returns the function that reads its body.

        Raises:
            HTTPException: The request is refused.
        """
        headers = Headers(scope=scope)
        if not OPEN.fullmatch(path):
            raise HTTPException(404, "Not Found")
        if TOOLS.fullmatch(path) and scope["method"] == "GET" and "text/event-stream" not in headers.get("accept", ""):
            raise HTTPException(406, text.FOR_TOOLS)  # Gradio's page there would guess its own address from the headers
        if len(scope["query_string"]) > MAX_QUERY_BYTES:
            raise HTTPException(414, text.TOO_LONG)
        if scope["method"] not in ("POST", "PUT", "PATCH", "DELETE"):
            if answer := ANSWER.fullmatch(path):
                self.check_answer(answer["event"], gradio_internals.page_of(scope["app"]))
            return receive
        page = gradio_internals.page_of(scope["app"])
        if path == API + "upload":
            await self.make_room(gradio_internals.upload_folder(), page)
            return counted_body(receive, headers, MAX_UPLOAD_BYTES + MULTIPART_BYTES, text.TOO_LARGE_CLIP)
        tool = path.startswith(API + "mcp")  # a tool's clip may come within the request
        receive = counted_body(receive, headers, MAX_TOOL_BYTES if tool else MAX_REQUEST_BYTES, text.TOO_LONG)
        if TOOLS.fullmatch(path):
            return _replay(tidied_call(await read_body(receive)), receive)
        work = WORK.fullmatch(path)
        if not work:
            return receive
        body = await read_body(receive)
        self.check_work(body, work["name"], page)
        if not work["direct"]:
            await self.check_queue(page)
        return _replay(body, receive)

    @staticmethod
    def check_work(body: bytes, name: str | None, page: gr.Blocks) -> None:
        """Refuses work for an unknown endpoint or with a malformed session.

        Raises:
            HTTPException: The request is refused.
        """
        try:
            request = json.loads(body)
        except (ValueError, RecursionError):
            raise HTTPException(400, text.BAD_INPUT) from None
        request = request if isinstance(request, dict) else {}
        session = request.get("session_hash")
        if not gradio_internals.has_function(page, request.get("fn_index"), name):
            raise HTTPException(404, text.NO_ENDPOINT)
        if session is not None and not (isinstance(session, str) and SESSION.fullmatch(session)):
            raise HTTPException(400, text.BAD_INPUT)

    @staticmethod
    def check_answer(event: str, page: gr.Blocks) -> None:
        """Refuses to fetch an answer that does not exist or no longer exists.

        Raises:
            HTTPException: The request is refused.
        """
        if not gradio_internals.has_request(page, event):
            raise HTTPException(404, text.ANSWER_GONE)

    async def check_queue(self, page: gr.Blocks) -> None:
        """Drops empty sessions, and results that nobody fetches: Gradio keeps those of two thousand visitors, some MB each.

        Raises:
            HTTPException: The queue is full.
        """
        now, results = time.monotonic(), gradio_internals.unfetched_results(page)
        self.unread = {event: self.unread.get(event, now) for event in results}
        # The oldest go first: visitors who left must not displace those who wait.
        oldest = sorted(results, key=lambda event: self.unread[event])[: max(0, len(results) - UNREAD)]
        expired = [event for event in results if now - self.unread[event] > UNREAD_SECONDS]
        sessions = {results[event] for event in (*oldest, *expired)}
        for session in sessions | gradio_internals.sessions_without_messages(page):
            for event in await gradio_internals.forget_session(page, session):
                self.unread.pop(event, None)
        gradio_internals.forget_sessions_without_state(page)
        if gradio_internals.queue_is_full(page):
            raise HTTPException(503, text.FULL)

    async def make_room(self, folder: Path, page: gr.Blocks) -> None:
        """Deletes leftovers, and refuses an upload if the disk is nearly full.

        Raises:
            HTTPException: The disk is nearly full.
        """
        folder.mkdir(parents=True, exist_ok=True)
        if time.monotonic() - self.swept > SWEEP_SECONDS:
            self.swept = time.monotonic()
            kept = {file.parent for file in gradio_internals.permanent_files(page)}
            await run_sync(sweep, folder, kept)
        check_disk(folder)


def check_disk(folder: Path) -> None:
    """Refuses to write more if the disk is nearly full.

    Raises:
        HTTPException: The disk is nearly full.
    """
    if shutil.disk_usage(folder).free < 2 * MAX_UPLOAD_BYTES:
        raise HTTPException(507, text.NO_DISK)


def is_from_elsewhere(headers: Mapping[str, str]) -> bool:
    """Whether headers tell of a proxy, of another site, or of a host name that another site may own.

    Use it only to take a permission away: the absence of such headers proves nothing.
    """
    host = headers.get("host", "")
    try:
        name = urlsplit(f"//{host}").hostname or ""
        pages = {urlsplit(headers.get(header, f"//{host}")).netloc for header in ("origin", "referer")}
        if name != "localhost":
            ipaddress.ip_address(name)  # another site's name can resolve to this machine, a number cannot
    except ValueError:
        return True
    fetched = headers.get("sec-fetch-site", "same-origin") in ("same-origin", "none")
    return pages != {host} or not fetched or any(header.lower().startswith(FORWARDED) for header in headers)


def rooted(scope: Scope) -> tuple[Scope, str]:
    """A request whose path begins with GRADIO_ROOT_PATH, which a proxy may have removed, and its path without it.

    A router removes that prefix again; what is mounted on the router (MCP) expects it.
    """
    root = urlsplit(scope.get("root_path", "")).path.rstrip("/")
    path = scope["path"]
    if path.startswith(f"{root}/"):
        path = path.removeprefix(root)
    return {**scope, "root_path": root, "path": root + path}, path


def described(scope: Scope) -> Scope:
    """A request for the endpoints' descriptions, changed so that its answer is not shared with other visitors.

    Example programs in the answer hold the page's address. Without `page`, Gradio caches the answer with the address that the
    first visitor used: one visitor could choose the address for all. The referer holds the address that the browser opened,
    while a proxy may pass on a host without the port, or no https.
    """
    scope = {**scope, "query_string": scope["query_string"] + b"&page="}
    origin = ORIGIN.match(Headers(scope=scope).get("referer", ""))
    if origin:
        address_headers = (b"x-forwarded-host", b"x-forwarded-proto", gradio_internals.ADDRESS_HEADER)
        others = [(name, value) for name, value in scope["headers"] if name not in address_headers]
        scope["headers"] = [*others, (gradio_internals.ADDRESS_HEADER, origin[0].encode())]
    return scope


def sweep(folder: Path, kept: Container[Path]) -> None:
    """Deletes what Gradio does not track: parts of broken uploads, clips within tools' requests, empty folders.

    Args:
        folder: The upload folder; it holds nothing else.
        kept: Folders in it that stay.
    """
    old = time.time() - 2 * DELETE_AFTER_SECONDS  # Gradio deletes files that it tracks after half that time
    for entry in folder.iterdir():
        with suppress(OSError):  # Gradio may have deleted it meanwhile
            newest = max(path.stat().st_mtime for path in (entry, *(entry.iterdir() if entry.is_dir() else ())))
            if newest < old and entry not in kept:
                shutil.rmtree(entry) if entry.is_dir() else entry.unlink()


def _status_and_sentence(error: Exception, path: str) -> tuple[int, str]:
    """What a client is told about a request that failed."""
    if isinstance(error, HTTPException):
        return error.status_code, error.detail
    if isinstance(error, ClientDisconnect):
        return 400, text.BAD_INPUT
    if WORK.fullmatch(path) or path.startswith((API + "cancel", API + "reset")):  # none of our code has run yet
        log.info("refused what was sent to %.100r: %.200r", path, error)
        return 400, text.BAD_INPUT
    return 500, errors.sentence(error)


def counted_body(receive: Receive, headers: Headers, most: int, sentence: str) -> Receive:
    """Limits the size of a body. A body that announces more is refused before it is read."""
    announced = headers.get("content-length", "")
    if announced.isdecimal() and int(announced) > most:
        raise HTTPException(413, sentence)
    size = 0

    async def counted() -> Message:
        nonlocal size
        message = await receive()
        size += len(message.get("body", b""))
        if size > most:
            raise HTTPException(413, sentence)
        return message

    return counted


async def read_body(receive: Receive) -> bytes:
    """A whole body. Bound its size by `counted_body` before."""
    parts, more = [], True
    while more:
        message = await receive()
        parts.append(message.get("body", b""))
        more = message["type"] == "http.request" and message.get("more_body", False)
    return b"".join(parts)


def _replay(body: bytes, receive: Receive) -> Receive:
    """A `receive` that yields a body that was already read, then everything after it."""
    messages: list[dict[str, Any]] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replayed() -> Message:
        return messages.pop() if messages else await receive()

    return replayed
