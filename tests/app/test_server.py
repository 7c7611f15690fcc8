"""The server facing strangers: what it accepts, what it answers, who is served, and what still works when something fails."""

import ast
import asyncio
import http.client
import json
import os
import re
import signal
import sys
import threading
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import gradio as gr
import pytest
import torch
from conftest import ROOT, small_net, until
from hub_server import Fault, HubServer
from playwright.sync_api import expect
from video_files import slow_clip

import aia
from aia.hub import DEFAULT_MODEL
from app import errors, text
from app.server import blocks, guard, temp_folder
from app.service import models
from app.ui import layout
from tools.page_server import children, serve

EXAMPLES = ROOT / "assets" / "examples"
EXAMPLE = EXAMPLES / "swipe-left.mp4"
WEIGHTS = "model.safetensors"
JSON = {"Content-Type": "application/json"}
FILE = {"_type": "gradio.FileData"}


# ---- a client that does as it likes


def send(address: str, path: str, body: bytes | None = None, **headers: str) -> tuple[int, str, dict]:
    """Sends one request exactly as it is given."""
    asked = urllib.request.Request(address + path, body, {k.replace("_", "-"): v for k, v in headers.items()})
    try:
        with urllib.request.urlopen(asked, timeout=300) as answer:
            return answer.status, answer.read().decode("utf-8", "replace"), dict(answer.headers)
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode("utf-8", "replace"), dict(error.headers)


def upload(address: str, data: bytes, name: str | bytes = "clip.mp4") -> tuple[int, str, dict]:
    name = name.encode("utf-8", "surrogateescape") if isinstance(name, str) else name
    head = b'--B\r\nContent-Disposition: form-data; name="files"; filename="' + name + b'"\r\n\r\n'
    body = head + data + b"\r\n--B--\r\n"
    return send(address, "/gradio_api/upload", body, Content_Type="multipart/form-data; boundary=B")


def uploaded(address: str, file: Path) -> dict:
    """A file's place on the server, as an argument."""
    return {"path": json.loads(upload(address, file.read_bytes(), file.name)[1])[0], "meta": FILE}


def ask(address: str, endpoint: str, *data, full: int = 200) -> str | None:
    """The id of an event that was asked for; None where the answer has the status `full`."""
    status, said, _ = send(address, f"/gradio_api/call/{endpoint}", json.dumps({"data": data}).encode(), **JSON)
    assert status in (200, full), said
    return json.loads(said)["event_id"] if status == 200 else None


def wait_for(address: str, endpoint: str, event: str) -> http.client.HTTPResponse:
    """The stream of an event's answer; closing it disconnects the client."""
    connection = http.client.HTTPConnection(address.removeprefix("http://"), timeout=300)
    connection.request("GET", f"/gradio_api/call/{endpoint}/{event}")
    answer = connection.getresponse()
    answer.leave = lambda: (answer.close(), connection.close())
    return answer


def call(address: str, endpoint: str, *data) -> tuple[str, object]:
    """ "complete" or "error", and what came back."""
    return answered(wait_for(address, endpoint, ask(address, endpoint, *data)))


def answered(stream: http.client.HTTPResponse) -> tuple[str, object]:
    kind, found = re.findall(r"event: (complete|error)\ndata: (.*)", stream.read().decode())[-1]
    return kind, json.loads(found)


def sentence(answer: tuple[str, object]) -> str:
    """What an error says, held to the rule for errors."""
    kind, found = answer
    assert kind == "error", found
    return plain(found["error"])


def plain(said: str) -> str:
    """A sentence for a stranger: one line, no path of this server, no trace, no class of an error."""
    assert said and "\n" not in said and len(said) < 500, said
    assert not re.search(r"Traceback|File \"|Error\b|/tmp/|/home/|/root/|site-packages|\.py\b", said), said
    return said


def finish(coroutine):
    """Its result, from a thread of its own: the browser's tests have an event loop in this one."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, coroutine).result()


@pytest.fixture(scope="module")
def space_server(tmp_path_factory):
    """The page as on a Space, with a queue of three and two models of a Hub on this machine: server, Hub, folder."""
    home = tmp_path_factory.mktemp("space")
    small_net().save_pretrained(home / "model")
    files = {name: (home / "model" / name).read_bytes() for name in ("config.json", WEIGHTS)}
    clean = {"HF_HUB_OFFLINE": "0", "HF_HUB_DISABLE_XET": "1", "HF_HOME": str(home / "hub"), "HF_TOKEN": "hf_SECRET"}
    clean |= {"HF_HUB_ETAG_TIMEOUT": "5", "HF_HUB_DOWNLOAD_TIMEOUT": "60", "no_proxy": "127.0.0.1"}
    own = {"SPACE_ID": "someone/space", "AIA_QUEUE": "3", "AIA_MODELS": "user/new, user/other"}
    own |= {"AIA_MAX_UPLOAD_BYTES": str(48 * 2**20), "AIA_SESSIONS": "20", "AIA_MAX_DECODE_SECONDS": "600"}
    with HubServer() as hub:
        for name in ("user/new", "user/other", "user/unlisted"):
            hub.commit(name, files)
        with serve(home, **clean, **own, HF_ENDPOINT=hub.url) as server:
            yield server, hub, home
            assert server.process.poll() is None, "the server must outlive every test"


@pytest.fixture
def space(space_server):
    """Its address, Hub and folder."""
    server, hub, home = space_server
    return server.address, hub, home


# ---- routes


@pytest.mark.parametrize(
    "path",
    [
        *("/monitoring", "/monitoring/summary", "/monitoring/key", "/login", "/logout", "/openapi.json", "/docs"),
        *("/pwa_icon", "/svelte/x", "/gradio_api/proxy=http://127.0.0.1:1/x", "/gradio_api/proxy=https://a.hf.space/"),
        *("/gradio_api/file=http://127.0.0.1:1/x", "/gradio_api/file=https://example.org/x.mp4", "/gradio_api/file/x"),
        *("/gradio_api/token", "/gradio_api/user", "/gradio_api/dev/reload", "/gradio_api/deep_link?session_hash=x"),
        *("/gradio_api/runs", "/gradio_api/run-history/buckets", "/gradio_api/run-history/records"),
        *(
            "/gradio_api/custom_component/x/client/y/z",
            "/gradio_api/stream/a/b/1/playlist.m3u8",
            "/gradio_api/vibe-code",
        ),
        *("/gradio_api/profiling/summary", "/gradio_api/queue/status", "/gradio_api/nothing", "/nothing"),
    ],
)
def test_a_route_that_nothing_needs_is_closed(server, path):
    status, said, _ = send(server[0], path)
    assert (status, said) == (404, '{"detail":"Not Found"}')


@pytest.mark.parametrize("path", ["component_server", "process_recording", "vibe-edit", "api/classify", "stream/x"])
def test_nothing_can_be_sent_to_a_closed_route(server, path):
    assert send(server[0], f"/gradio_api/{path}", b'{"data": []}', **JSON)[0] == 404


@pytest.mark.parametrize(
    "path",
    [
        *(
            "/etc/passwd",
            "../../../etc/passwd",
            str(ROOT / "app.py"),
            "app.py",
            "checkpoints/results.json",
            ".git/config",
        ),
        *(
            "assets/examples/star.mp4",
            "%2e%2e/%2e%2e/etc/passwd",
            "/proc/self/environ",
            "C:/windows/win.ini",
            "\0",
            "x" * 3000,
        ),
    ],
)
def test_no_file_of_the_server_can_be_fetched(server, path):
    path = urllib.request.quote(path, safe="/%.")
    status, said, _ = send(server[0], f"/gradio_api/file={path}")
    assert status in (400, 403, 404) and "root:" not in said and "Traceback" not in said


def test_files_are_served_as_what_they_are_and_nothing_else(server):
    page_of_html = upload(server[0], b"<script>alert(1)</script>", "clip.html")
    path = json.loads(page_of_html[1])[0]
    status, _, headers = send(server[0], f"/gradio_api/file={path}")
    assert status == 200 and headers["content-disposition"].startswith("attachment")
    for place in (f"/gradio_api/file={path}", "/", "/config", "/gradio_api/info"):
        assert send(server[0], place)[2]["x-content-type-options"] == "nosniff"
    assert "x-frame-options" not in send(server[0], "/")[2], "a Space shows the page in a frame"


def test_what_gradio_could_tell_others_or_keep_is_off(server):
    config = json.loads(send(server[0], "/config")[1])
    assert config["analytics_enabled"] is False and config["run_history"] is False and config["vibe_mode"] is False
    assert config["max_file_size"] == aia.limits.MAX_UPLOAD_BYTES
    built = layout.build()
    options = layout.launch_options(built)
    assert not {"allowed_paths", "auth", "debug"} & set(options) and options["share"] is False
    assert options["enable_monitoring"] is options["show_error"] is options["run_history"] is False
    assert built.delete_cache == (600, aia.limits.DELETE_AFTER_SECONDS) and built.analytics_enabled is False
    assert built._queue.max_size == aia.limits.QUEUE and not built.api_open


# ---- what is sent


BODIES = {
    "no JSON": b"hello",
    "nothing": b"",
    "a list": b"[]",
    "not UTF-8": b'{"data": ["\xff\xfe"]}',
    "very deep": b"[" * 200_000,
    "deep values": b'{"data": ' + b"[" * 500 + b"]" * 500 + b"}",
    "too few values": b'{"data": []}',
    "too many values": b'{"data": [null, "x", 1, 2, 3, 4]}',
    "a number for a list": b'{"data": 5}',
    "a file without its mark": b'{"data": [{"path": "x.mp4"}, "m"]}',
    "a file whose mark is no object": b'{"data": [{"path": "x.mp4", "meta": 1}, "m"]}',
    "a file on the server": b'{"data": [{"path": "/etc/passwd", "meta": {"_type": "gradio.FileData"}}, "m"]}',
    "a stream on the server": b'{"data": [{"path": "/etc/x", "is_stream": true, "meta": {"_type": "gradio.FileData"}}, "m"]}',
    "a file above the uploads": b'{"data": [{"path": "../../x", "meta": {"_type": "gradio.FileData"}}, "m"]}',
    "a number for a file": b'{"data": [7, "m"]}',
    "text for a file": b'{"data": ["/etc/passwd", "m"]}',
    "an object for a model": b'{"data": [null, {"a": 1}]}',
    "a name as long as a book": b'{"data": [null, "' + b"x" * 500_000 + b'"]}',
    "a number that is none": b'{"data": [null, NaN]}',
    "a visitor without end": b'{"data": [null, "x"], "session_hash": "' + b"x" * 500_000 + b'"}',
    "a visitor of another kind": b'{"data": [null, "x"], "session_hash": "../../x"}',
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_whatever_is_sent_gets_a_plain_answer(server, body):
    address = server[0]
    status, said, _ = send(address, "/gradio_api/call/classify", body, **JSON)
    if status == 200:
        stream = wait_for(address, "classify", json.loads(said)["event_id"]).read().decode()
        plain(json.loads(re.findall(r"event: error\ndata: (.*)", stream)[-1])["error"])
    else:
        assert status in (400, 422) and "Traceback" not in said and str(ROOT) not in said
    for path in ("queue/join", "run/predict", "call/nothing", "call/v2/classify", "cancel", "reset"):
        status, said, _ = send(address, f"/gradio_api/{path}", body, **JSON)
        assert status in (200, 400, 404, 422), (path, status, said)
        assert "Traceback" not in said and str(ROOT) not in said
    assert send(address, "/robots.txt")[0] == 200


def test_a_body_without_end_is_not_read(server):
    connection = http.client.HTTPConnection(server[0].removeprefix("http://"), timeout=300)
    for path, most in (("call/classify", 2**20), ("upload", aia.limits.MAX_UPLOAD_BYTES), ("mcp/", 16 * 2**20)):
        connection.putrequest("POST", f"/gradio_api/{path}")
        connection.putheader("Content-Type", "application/json")
        connection.putheader("Content-Length", str(2 * most + 10**6))
        connection.endheaders()  # and no byte of the body
        answer = connection.getresponse()
        assert answer.status == 413 and "too large" in plain(json.loads(answer.read())["detail"])
        connection.close()
    chunks = (b'{"data": [null, "' + b"x" * 2**18 for _ in range(8))  # no length is announced
    connection.request("POST", "/gradio_api/call/classify", chunks, JSON, encode_chunked=True)
    assert connection.getresponse().status == 413
    connection.close()


@pytest.mark.parametrize(
    "name",
    [
        *("../../../../tmp/escaped.mp4", "/etc/cron.d/x.mp4", "..\\..\\x.mp4", "..", ".", "", " ", "a\tb.mp4"),
        *(
            "x" * 5000 + ".mp4",
            "ü中🎬.mp4",
            "%2e%2e%2fx.mp4",
            "<img src=x>.mp4",
            "$(touch x).mp4",
            "a\0b.mp4",
            "\udcff.mp4",
        ),
    ],
)
def test_an_upload_lands_among_the_uploads_whatever_it_is_called(server, name):
    uploads = Path(server[1][0]).parent / "uploads" / "aia-studio"
    status, said, _ = upload(server[0], EXAMPLE.read_bytes(), name)
    if status != 200:
        assert status in (400, 413) and len(said) < 300 and str(uploads) not in said and "Traceback" not in said
        return
    (path,) = json.loads(said)
    assert Path(path).resolve().parent.parent == uploads.resolve()
    assert call(server[0], "classify", {"path": path, "meta": FILE}, server[1][2])[0] == "complete"


def test_what_broken_uploads_left_behind_is_deleted_after_a_while(server):
    uploads = Path(server[1][0]).parent / "uploads" / "aia-studio"
    connection = http.client.HTTPConnection(server[0].removeprefix("http://"), timeout=300)
    before = set(uploads.iterdir())
    connection.putrequest("POST", "/gradio_api/upload")
    connection.putheader("Content-Type", "multipart/form-data; boundary=B")
    connection.putheader("Content-Length", "10000000")
    connection.endheaders()
    connection.send(b'--B\r\nContent-Disposition: form-data; name="files"; filename="a.mp4"\r\n\r\n' + b"x" * 10**6)
    until(lambda: any(file.is_file() and file not in before for file in uploads.iterdir()))
    (left,) = (
        file for file in uploads.iterdir() if file.is_file() and file not in before and file.name.startswith("tmp")
    )
    connection.close()
    new = Path(json.loads(upload(server[0], b"another")[1])[0])
    for folder in ("example", "lost", "emptied"):
        (uploads / folder).mkdir()
    for file in (uploads / "example/clip.mp4", uploads / "lost/clip.mp4"):
        file.write_bytes(b"clip")
    guard.sweep(uploads, {uploads / "example"})
    assert left.exists(), "somebody may still be sending it"
    long_ago = time.time() - 2 * aia.limits.DELETE_AFTER_SECONDS - 60
    lost = (left, *(uploads / name for name in ("lost/clip.mp4", "lost", "emptied", "example/clip.mp4", "example")))
    for path in (*lost, new.parent):  # of the last one only the folder is old
        os.utime(path, (long_ago, long_ago))

    def is_swept():
        if left.exists():  # the server may still write the last bytes that it received
            os.utime(left, (long_ago, long_ago))
        guard.sweep(uploads, {uploads / "example"})
        return not left.exists()

    until(is_swept)
    assert [path.exists() for path in lost] == [False, False, False, False, True, True] and new.exists()


def test_where_gradio_was_given_a_folder_only_a_folder_apart_is_swept(monkeypatch, tmp_path):
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "shared"))
    assert temp_folder.uploads(tmp_path / "own").parent == tmp_path / "shared"
    for given in ("", None):
        monkeypatch.setenv("GRADIO_TEMP_DIR", "") if given == "" else monkeypatch.delenv("GRADIO_TEMP_DIR")
        assert temp_folder.uploads(tmp_path / "own").parent == tmp_path / "own"


# ---- addresses


@pytest.fixture
def elsewhere():
    """A server that counts who asks it."""
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(EXAMPLE.read_bytes())

        def log_message(self, *args):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http_server:
        threading.Thread(target=http_server.serve_forever, args=(0.05,), daemon=True).start()
        yield f"http://127.0.0.1:{http_server.server_port}", asked
        http_server.shutdown()


def test_no_address_is_fetched_wherever_it_is_put(server, elsewhere):
    address, names = server
    own, asked = elsewhere
    good = uploaded(address, EXAMPLE)
    for host in (own, "https://example.org", "HTTP://example.org"):  # the second would pass Gradio's own check
        file = {"path": f"{host}/clip.mp4", "url": f"{host}/clip.mp4", "meta": FILE}
        for endpoint, data in (
            ("classify", [file, names[0]]),
            ("classify", [good, file]),  # in the place of a model's name
            ("as_python", [good, names[0], {"view": [{"deep": file}]}]),
            ("as_python", [good, names[0], {"path": "outer", "inner": file}]),
            ("compare", [good, names[0], "", {**file, "path": f"{host}/x/gradio_api/file={host}/clip.mp4"}, False]),
        ):
            assert "fetches no clips from addresses" in sentence(call(address, endpoint, *data)), (host, endpoint)
    only_url = {**good, "url": f"{own}/clip.mp4"}  # the browser sends one, of this page
    assert call(address, "classify", only_url, names[0])[0] == "complete"
    assert asked == []


def test_tools_are_told_how_to_give_a_clip_and_their_own_uploads_are_taken(server, elsewhere):
    from mcp import ClientSession
    from mcp.client.streamable_http import streamable_http_client

    address, names = server
    own, asked = elsewhere
    path = uploaded(address, EXAMPLE)["path"]
    outside = str(ROOT / "assets" / "examples" / "star.mp4")

    async def answers():
        async with streamable_http_client(f"{address}/gradio_api/mcp/") as (read, write, _):
            async with ClientSession(read, write) as session:
                await session.initialize()
                clips = (f"{address}/gradio_api/file={path}", f"{own}/clip.mp4", f"{address}/gradio_api/file={outside}")
                for clip in clips:
                    yield await session.call_tool("classify", {"video": clip, "model": names[0]})

    async def gathered():
        return [answer async for answer in answers()]

    taken, fetched, stolen = finish(gathered())
    assert not taken.isError and ast.literal_eval(taken.content[0].text)["label"] in ("left", "right", "still")
    assert fetched.isError and "post the file to /gradio_api/upload" in fetched.content[0].text
    assert (
        stolen.isError and "no longer on the server" in stolen.content[0].text and outside not in stolen.content[0].text
    )
    assert asked == []


def test_an_address_is_this_pages_own_upload_or_it_is_refused():
    good = {"path": "http://any.host/gradio_api/file=/tmp/gradio/a%20b.mp4", "url": "u", "meta": FILE}
    assert blocks.uploaded([good])[0]["path"] == "/tmp/gradio/a b.mp4"
    for bad in ("http://a/b.mp4", "https://a/gradio_api/file=", "http://a/gradio_api/file=http%3A//b/c", " https://a/"):
        with pytest.raises(aia.AIAError, match="fetches no clips"):
            blocks.uploaded({"a": [{"path": bad}]})


# ---- errors


def test_a_bug_is_logged_with_a_number_and_the_visitor_is_told_only_that(caplog):
    told = plain(errors.sentence(FileNotFoundError("/home/somebody/secret.mp4")))
    (number,) = re.findall(r"report number ([0-9a-f]{8})", told)
    (record,) = caplog.records
    assert number in record.getMessage() and record.exc_info and "secret" not in told


def test_a_bug_anywhere_in_gradio_or_behind_it_is_told_the_same_way(caplog):
    def broken():
        raise KeyError("/home/somebody/secret.mp4")

    with blocks.Page() as built:
        gr.Button().click(broken, None, None)
    (function,) = built.fns.values()
    with pytest.raises(gr.Error) as error:
        finish(built.process_api(function, []))
    (number,) = re.findall(r"report number ([0-9a-f]{8})", plain(error.value.message))
    assert number in caplog.text and "secret.mp4" in caplog.text


# ---- many visitors


@pytest.mark.long
def test_visitors_with_other_clips_models_and_switches_get_what_they_would_get_alone(server):
    address, names = server
    clips = [uploaded(address, EXAMPLES / f"{name}.mp4") for name in ("star", "square", "circle")]
    jobs = [
        *(("classify", clip, model) for clip in clips for model in (names[0], names[1], names[4])),
        *(
            ("what_if", clips[i], names[i % 2], mode, "*", "C,T")
            for i, mode in enumerate(("mean", "identity", "shuffle"))
        ),
        *(("rank_blocks", clip, names[1], "mean") for clip in clips[:2]),
        *(("compare", clips[0], names[0], names[1], clips[1], backwards) for backwards in (True, False)),
        *(("as_python", clips[2], names[0], {"gate": gate}) for gate in "CT"),
        ("lesson", clips[1], names[0], "layer2.0", "T"),
    ]

    def answer(job):
        endpoint, *data = job
        return call(address, endpoint, *data)

    alone = [answer(job) for job in jobs]
    assert [found for kind, found in alone if kind != "complete"] == []
    assert len({json.dumps(found) for _, found in alone}) == len(jobs), "the jobs must differ to tell them apart"
    mixed = [*range(len(jobs)), *reversed(range(len(jobs)))]
    with ThreadPoolExecutor(10) as pool:
        together = list(pool.map(lambda i: answer(jobs[i]), mixed))
    assert together == [alone[i] for i in mixed], "to the last bit"


def decoders_are(number: signal.Signals, server) -> None:
    """Stops the processes that read the server's clips, or lets them go on."""
    for pid in children(server.process.pid):
        os.kill(pid, number)


@pytest.mark.long
def test_a_full_queue_says_so_and_who_leaves_frees_the_place(space_server, browser, tmp_path):
    server, _, home = space_server
    address = server.address
    stops = sys.platform == "linux"  # elsewhere nobody finds the decoders, and the clip is long
    quick = uploaded(address, EXAMPLE)
    slow = quick if stops else uploaded(address, slow_clip(tmp_path / "slow.mp4"))
    visitor = browser.new_page()
    visitor.goto(address)
    visitor.wait_for_function("document.querySelector('.viewer')?.viewer?.answers.length === 1")
    expect(visitor.locator("#summary")).to_contain_text(re.compile("on the (CPU|GPU|Apple GPU)"))
    expect(visitor.locator(".card.waiting")).to_have_count(0)  # it has all its answers and asks for nothing more
    assert call(address, "classify", quick, DEFAULT_MODEL)[0] == "complete"

    def asks():
        return wait_for(address, "classify", until(lambda: ask(address, "classify", slow, DEFAULT_MODEL, full=503)))

    if stops:
        decoders_are(signal.SIGSTOP, server)
    try:
        first, *waiting = [asks() for _ in range(4)]  # three can wait: when the fourth is let in, the first runs
        first.leave()  # which nobody else gains by, as it runs already
        status, said, _ = send(address, "/gradio_api/call/classify", json.dumps({"data": [slow, ""]}).encode(), **JSON)
        assert status == 503 and "Too many visitors are waiting" in plain(json.loads(said)["detail"])
        visitor.get_by_text("star", exact=True).first.click()
        expect(visitor.locator("body")).to_contain_text("This application is currently busy. Please try again.")
        visitor.close()
        for one in waiting:
            one.leave()
        event = until(lambda: ask(address, "classify", quick, DEFAULT_MODEL, full=503))
    finally:
        if stops:
            decoders_are(signal.SIGCONT, server)
    kind, found = answered(wait_for(address, "classify", event))
    assert kind == "complete" and found[0]["label"] == "swipe left"
    log = (home / "log").read_text()
    assert log.count("a visitor left: stopped before the network") == 1, "the others had never begun"


def test_results_that_nobody_fetches_are_not_kept(monkeypatch):
    built = layout.build()
    queue, watch = built._queue, guard.Guard(built)
    for number in range(guard.UNREAD + 1):
        queue.pending_event_ids_session[f"visitor{number}"] = {f"event{number}"}
        queue.pending_messages_per_session[f"visitor{number}"] = asyncio.Queue()
    queue.pending_event_ids_session["gone"] = {"event"}  # left while it ran: nothing waits for it

    def asked():
        finish(watch.check_queue(built))

    asked()
    assert "gone" not in queue.pending_event_ids_session
    kept = list(queue.pending_messages_per_session)
    assert guard.UNREAD - 2 <= len(kept) <= guard.UNREAD, "somebody may still come for them"
    assert kept[-1] == f"visitor{guard.UNREAD}" and "visitor0" not in kept, "the oldest make room, nobody is shut out"
    monkeypatch.setattr(guard, "UNREAD_SECONDS", -1)
    asked()
    assert not queue.pending_event_ids_session and not queue.pending_messages_per_session and not watch.unread


def test_a_disk_that_is_full_takes_no_more_clips(monkeypatch, tmp_path):
    watch = guard.Guard(None)
    finish(watch.make_room(tmp_path, gr.Blocks()))
    monkeypatch.setattr(guard.shutil, "disk_usage", lambda folder: SimpleNamespace(free=10**6))
    with pytest.raises(guard.HTTPException) as refused:
        finish(watch.make_room(tmp_path, gr.Blocks()))
    assert refused.value.status_code == 507 and "no room" in plain(refused.value.detail)


def test_without_memory_on_the_gpu_the_cpu_answers_and_others_keep_their_model(monkeypatch):
    """The meta device stands for a GPU that is full: it is another device than the CPU, and its memory holds nothing."""
    name = DEFAULT_MODEL
    full, clip = aia.load(name, device="meta", optimize=False), aia.read_clip(EXAMPLE)

    def no_memory(*args):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has 1.00 GiB free.")

    monkeypatch.setattr(full, "forward", no_memory)
    monkeypatch.setattr(models, "_load", lambda name: full)
    seen = models.get(name).run(lambda net: aia.inspect(net, clip))

    def no_memory_anywhere(net):
        raise RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`")

    with pytest.raises(aia.AIAError, match="not enough memory"):
        models.get(name).run(no_memory_anywhere)
    assert (seen.label, seen.device) == ("swipe left", "cpu") and full.device.type == "meta"
    own = aia.load(name, device="cpu", optimize=False)
    monkeypatch.setattr(own, "forward", no_memory)
    monkeypatch.setattr(models, "_load", lambda name: own)
    with pytest.raises(aia.AIAError, match="not enough memory"):
        models.get(name).run(lambda net: aia.inspect(net, clip))

    def bug(net):
        raise RuntimeError("an illegal memory access was encountered")

    with pytest.raises(RuntimeError, match="illegal"):
        models.get(name).run(bug)


# ---- models of the Hub


@pytest.mark.long
def test_a_slow_hub_keeps_nobody_waiting_and_a_model_is_downloaded_once(space, browser):
    address, hub, home = space
    delivers = threading.Event()
    hub.faults[WEIGHTS] = Fault(wait=delivers, methods=("GET",))
    clip = uploaded(address, EXAMPLE)
    visitor = browser.new_page()
    visitor.goto(address)
    visitor.wait_for_function("document.querySelector('.viewer')?.viewer?.answers[0]?.channelBytes?.length")

    def choose():
        visitor.locator("#model input").click()
        visitor.get_by_role("option", name="user/new").click()

    choose()
    expect(visitor.locator("#summary")).to_contain_text(text.STEP_MODEL)
    until(lambda: hub.asked(WEIGHTS))
    with ThreadPoolExecutor(2) as pool:
        told = list(pool.map(lambda _: sentence(call(address, "classify", clip, "user/new")), range(2)))
    assert all("user/new is being downloaded" in said for said in told)
    for name in (DEFAULT_MODEL, "tsn-mobilenetv2-stinc"):
        assert call(address, "classify", clip, name)[0] == "complete"
    assert not list((home / "hub").rglob(WEIGHTS)), "all that while the Hub had not delivered"
    toast = visitor.get_by_test_id("toast-body").first
    expect(toast).to_contain_text("user/new is being downloaded")  # waiting choices have few places, which others need
    delivers.set()
    until(lambda: list((home / "hub").rglob(WEIGHTS)))
    choose()
    visitor.wait_for_function("document.querySelector('.viewer').viewer.answers[0].link.model === 'user/new'")
    expect(visitor.locator("body")).to_contain_text("This model knows 3 labels: left, right, still")
    visitor.close()
    assert call(address, "classify", clip, "user/new")[0] == "complete"
    (listed,) = (one for one in call(address, "list_models")[1][0] if one["name"] == "user/new")
    assert listed["labels"] == ["left", "right", "still"]
    assert [request.method for request in hub.asked(WEIGHTS)].count("GET") == 1


@pytest.mark.long
def test_without_the_hub_a_sentence_says_so_and_the_shipped_models_go_on(space):
    address, hub, _ = space
    clip = uploaded(address, EXAMPLE)
    hub.stop()
    try:
        until(lambda: "The download of user/other failed" in sentence(call(address, "classify", clip, "user/other")))
        assert call(address, "classify", clip, DEFAULT_MODEL)[0] == "complete"
    finally:
        hub.start()
    assert "user/other failed" in sentence(call(address, "classify", clip, "user/other")), (
        "it is not asked again at once"
    )


@pytest.mark.long
def test_a_space_offers_its_list_and_nothing_else(space, browser):
    address, hub, home = space
    clip = uploaded(address, EXAMPLE)
    for name in (
        "user/unlisted",
        str(home / "model"),
        "/etc",
        "",
        ".",
        f"../{home.name}",
        "checkpoints/tsn-mobilenetv2-none",
    ):
        for answer in (
            call(address, "classify", clip, name),
            call(address, "compare", clip, DEFAULT_MODEL, name or "/", None, False),
        ):
            assert answer[0] == "error" and "There is no model" in answer[1]["error"]
    config = json.loads(send(address, "/config")[1])
    assert not any(part["props"].get("allow_custom_value") for part in config["components"])
    assert "is not valid" in chosen(address, config, str(home / "model"))
    visitor = browser.new_page()
    visitor.goto(f"{address}/?model=user/unlisted")
    expect(visitor.locator("#problem")).to_contain_text("the model 'user/unlisted', which this page does not have")
    visitor.close()
    assert not [request for request in hub.everything if "unlisted" in request.path]


@pytest.mark.long
def test_the_token_stays_between_the_server_and_its_hub(space):
    address, hub, home = space
    clip = uploaded(address, EXAMPLE)
    until(lambda: call(address, "classify", clip, "user/new")[0] == "complete")  # the first call begins the download
    assert {request.token for request in hub.everything} == {"hf_SECRET"}
    assert "hf_SECRET" not in (home / "log").read_text()


def chosen(address: str, config: dict, name: str, **headers: str) -> str:
    """What the page is told when a model is chosen that way."""
    (menu,) = (part["id"] for part in config["components"] if part["props"].get("elem_id") == "model")
    (event,) = (one for one in config["dependencies"] if [menu, "input"] in one["targets"])
    session = f"chooses{time.monotonic_ns()}"
    data = [name, *[None] * (len(event["inputs"]) - 1)]
    body = json.dumps({"data": data, "fn_index": event["id"], "session_hash": session}).encode()
    status, said, _ = send(address, "/gradio_api/queue/join", body, **JSON, **headers)
    assert status == 200, said
    stream = send(address, f"/gradio_api/queue/data?session_hash={session}")[1]
    (done,) = (line for line in stream.splitlines() if "process_completed" in line)
    return json.loads(done.removeprefix("data: "))["output"].get("error") or "chosen"
