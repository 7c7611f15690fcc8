"""What reaches Gradio at all: few of its routes, requests of a bounded size, results that somebody fetches."""

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
from app import errors, text

log = logging.getLogger(__name__)
API = "/gradio_api/"
# What the page, programs and tools use. Gradio has more: a proxy, screen recordings, an editor, its runs on the Hub, links
# to a visitor's state, servers of components, addresses that it would fetch.
OPEN = re.compile(
    r"/|/config/?|/(assets|static)/.*|/(theme\.css|favicon\.ico|robots\.txt|manifest\.json)"
    rf"|{API}(info/?|openapi\.json|theme\.css|app_id/?|startup-events|upload|upload_progress|cancel|reset/?|queue/(join|data))"
    rf"|{API}((call|run|heartbeat)/.*|file=(?!https?:).*|mcp(/.*)?)",
    re.DOTALL,
)
# A POST there asks for work; directly, past the queue, only for the little that the page does without it.
ASKS = re.compile(rf"{API}(queue/join|(call/(v2/)?|(?P<direct>run/))(?P<name>[^/]*)/?)")
TOOLS = re.compile(rf"{API}mcp(/http)?/?")
FORWARDED = ("forwarded", "via", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip")
OPENED = re.compile(r"https?://[\w.:\[\]-]+")  # the start of a page's address
ANSWER = re.compile(rf"{API}call/(v2/)?[^/]*/(?P<event>[^/]*)/?")  # a GET there fetches one
SESSION = re.compile(r"[\w-]{1,64}")
MULTIPART_BYTES = 2**16  # of an upload, around the file
MAX_QUERY_BYTES = 4096
SWEEP_SECONDS = 60
UNREAD, UNREAD_SECONDS = 64, 300  # results that nobody has fetched, and how long they are kept


class Guard:
    """ASGI middleware around Gradio's application."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self.swept = 0.0
        self.unread: dict[str, float] = {}  # results that nobody has fetched yet, and since when

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers a request, or hands it on."""
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
                status, sentence = _said(error, path)
                await JSONResponse({"detail": sentence}, status)(scope, receive, answer)
            else:  # of a stream the end is all that can still be said
                log.info("a stream ended early: %.200r", error)
                await send({"type": "http.response.body", "body": b""})

    async def checked(self, scope: Scope, receive: Receive, path: str) -> Receive:
        """Where the body of a request that may pass is to be read from.

        Raises:
            HTTPException: It may not pass.
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
                self.check_answer(answer["event"], scope["app"].get_blocks()._queue)
            return receive
        if path == API + "upload":
            await self.make_room(Path(scope["app"].uploaded_file_dir), scope["app"].get_blocks())
            return _counted(receive, headers, MAX_UPLOAD_BYTES + MULTIPART_BYTES, text.TOO_LARGE_CLIP)
        tool = path.startswith(API + "mcp")  # its clips may come within the request
        receive = _counted(receive, headers, MAX_TOOL_BYTES if tool else MAX_REQUEST_BYTES, text.TOO_LONG)
        asks = ASKS.fullmatch(path)
        if not asks:
            return receive
        body = await _whole(receive)
        self.check_work(body, asks["name"], scope["app"].get_blocks())
        if not asks["direct"]:
            await self.check_queue(scope["app"].get_blocks()._queue)
        return _again(body, receive)

    @staticmethod
    def check_work(body: bytes, name: str | None, page: gr.Blocks) -> None:
        """Refuses work for an endpoint that is not there, or for a visitor who cannot be.

        Raises:
            HTTPException: The sentence that says so.
        """
        try:
            asked = json.loads(body)
        except (ValueError, RecursionError):
            raise HTTPException(400, text.BAD_INPUT) from None
        asked = asked if isinstance(asked, dict) else {}
        number, session = asked.get("fn_index"), asked.get("session_hash")
        if (number is None or number not in page.fns) and name not in {fn.api_name for fn in page.fns.values()}:
            raise HTTPException(404, text.NO_ENDPOINT)
        if session is not None and not (isinstance(session, str) and SESSION.fullmatch(session)):
            raise HTTPException(400, text.BAD_INPUT)

    @staticmethod
    def check_answer(event: str, queue: gr.queueing.Queue) -> None:
        """Refuses to fetch an answer that is not there, or no longer.

        Raises:
            HTTPException: The sentence that says so.
        """
        waiting = (queue.event_ids_to_events, *queue.pending_event_ids_session.values())
        if not any(event in some for some in waiting):
            raise HTTPException(404, text.ANSWER_GONE)

    async def check_queue(self, queue: gr.queueing.Queue) -> None:
        """Drops what nobody came to fetch: Gradio keeps the results of two thousand visitors, some MB each.

        Raises:
            HTTPException: The queue is full.
        """
        now, sessions = time.monotonic(), queue.pending_event_ids_session
        done = {
            event: session
            for session, events in sessions.items()
            for event in events
            if event not in queue.event_ids_to_events
        }
        self.unread = {event: self.unread.get(event, now) for event in done}
        # The oldest go first, so that those who left without an answer never shut out those who wait for one.
        spare = sorted(done, key=self.unread.get)[: max(0, len(done) - UNREAD)]
        old = {session for event, session in done.items() if now - self.unread[event] > UNREAD_SECONDS}
        old |= {done[event] for event in spare}
        for session in old | (sessions.keys() - queue.pending_messages_per_session.keys()):
            await queue.clean_events(session_hash=session)
            queue.pending_messages_per_session.pop(session, None)
            for event in sessions.pop(session, ()):
                self.unread.pop(event, None)
        if len(queue) >= queue.max_size:
            raise HTTPException(503, text.FULL)

    async def make_room(self, folder: Path, page: gr.Blocks) -> None:
        """Sees to it that there is room for one more upload.

        Raises:
            HTTPException: The disk is nearly full.
        """
        folder.mkdir(parents=True, exist_ok=True)
        if time.monotonic() - self.swept > SWEEP_SECONDS:
            self.swept = time.monotonic()
            kept = {Path(file).parent for block in page.blocks.values() for file in block.keep_in_cache}
            await run_sync(sweep, folder, kept)
        if shutil.disk_usage(folder).free < 2 * MAX_UPLOAD_BYTES:
            raise HTTPException(507, text.NO_DISK)


def is_from_elsewhere(headers: Mapping[str, str]) -> bool:
    """Whether a request speaks of a proxy, of another site, or calls this machine by a name that another site may own.

    This may only take a permission away: a request that says nothing of the kind proves nothing.
    """
    host = headers.get("host", "")
    try:
        name, origin = urlsplit(f"//{host}").hostname or "", urlsplit(headers.get("origin", f"//{host}")).netloc
        if name != "localhost":
            ipaddress.ip_address(name)  # another site's name can lead here, a number cannot
    except ValueError:
        return True
    fetched = headers.get("sec-fetch-site", "same-origin") in ("same-origin", "none")
    return origin != host or not fetched or any(header in headers for header in FORWARDED)


def rooted(scope: Scope) -> tuple[Scope, str]:
    """A request with the path of GRADIO_ROOT_PATH in front, which a proxy may have taken off, and its path without.

    A router strips that path again wherever it is; what is mounted on the router (MCP) looks for it in front.
    """
    root = urlsplit(scope.get("root_path", "")).path.rstrip("/")
    path = scope["path"]
    if path.startswith(f"{root}/"):
        path = path.removeprefix(root)
    return {**scope, "root_path": root, "path": root + path}, path


def described(scope: Scope) -> Scope:
    """A request for the endpoints' descriptions, whose programs hold the page's whole address, answered for itself alone.

    Gradio keeps what it answers without `page`, with the address of whoever asked first: any visitor could choose everybody's.
    A browser says where it has opened the page, while a proxy may pass on a host without the port, or no https.
    """
    scope = {**scope, "query_string": scope["query_string"] + b"&page="}
    opened = OPENED.match(Headers(scope=scope).get("referer", ""))
    if opened:
        said = (b"x-forwarded-host", b"x-forwarded-proto", b"x-gradio-server")
        kept = [(name, value) for name, value in scope["headers"] if name not in said]
        scope["headers"] = [*kept, (b"x-gradio-server", opened[0].encode())]  # Gradio's own header for this
    return scope


def sweep(folder: Path, kept: Container[Path]) -> None:
    """Deletes what Gradio has lost sight of: parts of broken uploads, clips within tools' requests, emptied folders.

    Args:
        folder: Of the uploads, and of nothing else.
        kept: Folders in it that stay.
    """
    old = time.time() - 2 * DELETE_AFTER_SECONDS  # what Gradio knows of it deletes after once that long
    for one in folder.iterdir():
        with suppress(OSError):  # somebody else may have deleted it
            newest = max(path.stat().st_mtime for path in (one, *(one.iterdir() if one.is_dir() else ())))
            if newest < old and one not in kept:
                shutil.rmtree(one) if one.is_dir() else one.unlink()


def _said(error: Exception, path: str) -> tuple[int, str]:
    """What a caller is told about a request that came to nothing."""
    if isinstance(error, HTTPException):
        return error.status_code, error.detail
    if isinstance(error, ClientDisconnect):
        return 400, text.BAD_INPUT
    if ASKS.fullmatch(path) or path.startswith((API + "cancel", API + "reset")):  # nothing of ours has run yet
        log.info("refused what was sent to %.100r: %.200r", path, error)
        return 400, text.BAD_INPUT
    return 500, errors.sentence(error)


def _counted(receive: Receive, headers: Headers, most: int, sentence: str) -> Receive:
    """Reads a body up to a limit; one that announces more is refused before it is read."""
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


async def _whole(receive: Receive) -> bytes:
    parts, more = [], True
    while more:
        message = await receive()
        parts.append(message.get("body", b""))
        more = message["type"] == "http.request" and message.get("more_body", False)
    return b"".join(parts)


def _again(body: bytes, receive: Receive) -> Receive:
    """The body once more, and what comes after it."""
    waiting: list[dict[str, Any]] = [{"type": "http.request", "body": body, "more_body": False}]

    async def again() -> Message:
        return waiting.pop() if waiting else await receive()

    return again
