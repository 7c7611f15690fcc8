"""Live on the server: its answers are those of a clip, what is sent is not trusted, and nothing stays."""

import io
import json
import struct
import threading
from types import SimpleNamespace

import httpx
import numpy as np
import pytest
from conftest import moving_frames, serving, small_net, until
from PIL import Image
from starlette.applications import Starlette
from starlette.testclient import TestClient

import aia
from aia import limits
from aia.video.reader import read_clip
from aia.visualization import web
from app import text
from app.server.live import Live
from app.service import live, turns
from app.service.models import LoadedModel
from app.service.turns import turn

ASKED = live.Asked("small", "", "layer3.0", 2.0)


def jpeg(frame: np.ndarray, **options) -> bytes:
    file = io.BytesIO()
    Image.fromarray(frame).save(file, "JPEG", **{"quality": 90, **options})
    return file.getvalue()


def body(*frames: tuple[float, bytes]) -> bytes:
    return b"".join(live.FRAME_HEAD.pack(time, len(data)) + data for time, data in frames)


def opened(answer: bytes) -> tuple[dict, bytes]:
    (length,) = live.ANSWER_HEAD.unpack_from(answer)
    start = live.ANSWER_HEAD.size
    return json.loads(answer[start : start + length]), answer[start + length :]


@pytest.fixture(scope="module")
def net():
    return small_net("cinst")


@pytest.fixture(scope="module")
def model(net):
    return LoadedModel("small", net)


@pytest.fixture(scope="module")
def streamed(model):
    """A session after 25 frames in 2.4 s, its last answer, and the frames as the server has them."""
    session, frames = live.Session(), [jpeg(frame) for frame in moving_frames(25)]
    for i, frame in enumerate(frames):
        answer = session.answer([(100 + i / 10, live.decode(frame))], model, {}, ASKED)
    return session, answer, [live.decode(frame) for frame in frames]


def test_an_answer_is_what_the_inspection_of_the_window_says_of_one_block(streamed, net):
    session, answer, frames = streamed
    head, data = opened(answer)
    clip = session.stream.clip()
    inspection = aia.inspect(net, clip)
    assert (head["label"], head["probability"]) == (inspection.label, pytest.approx(inspection.probabilities.max()))
    for place, frame in zip(head["places"], clip.frames, strict=True):
        assert (frames[-place] == frame).all(), "the browser can tell which of its frames the network saw"
    whole, _ = web.pack(inspection, channels=False)
    (block,) = head["view"]["blocks"]
    expected = next(one for one in whole["blocks"] if one["name"] == "layer3.0")
    assert block["channel_mean"] == expected["channel_mean"] and block["shape"] == expected["shape"]
    assert {u: m["low"] for u, m in block["maps"].items()} == {u: m["low"] for u, m in expected["maps"].items()}
    assert len(answer) < 30_000 and data


def test_a_saved_moment_is_seen_as_the_window_was(streamed, net, tmp_path):
    session, *_ = streamed
    clip = read_clip(session.save(tmp_path), 8)
    assert (clip.frames == session.stream.clip().frames).all(), "to the last digit"
    assert aia.inspect(net, clip).scores == aia.inspect(net, session.stream.clip()).scores
    session.moments = live.MAX_MOMENTS
    with pytest.raises(aia.AIAError, match="as many moments"):
        session.save(tmp_path)


@pytest.mark.long
def test_groups_that_are_not_looked_into_take_turns_also_after_the_visitor_has_turned_to_another(model):
    session = live.Session()
    nets = dict.fromkeys("gca", model)
    asked = {}
    for i in range(40):
        frame = live.decode(jpeg(moving_frames(40)[i]))
        others = {name: one for name, one in nets.items() if name != ("g" if i < 28 else "c")}
        session.answer([(i / 10, frame)], model, others, ASKED)
        for name, answer in session.others.items():
            if asked.get(name, (0, None))[1] is not answer:
                asked[name] = (i, answer)
    assert min(asked["g"][0], asked["a"][0]) >= 34, "both are asked again and again"


@pytest.mark.long
def test_what_has_an_answer_can_be_kept_however_unevenly_frames_come(model):
    session, chance = live.Session(), np.random.default_rng(0)
    now, frames = 0.0, [live.decode(jpeg(frame)) for frame in moving_frames(8)]
    for i in range(120):
        now += 0.3 if chance.random() < 0.1 else 0.066
        head, _ = opened(session.answer([(now, frames[i % 8])], model, {}, ASKED))
        assert head.get("waiting") or session.stream.clip(56) is not None


def test_sessions_are_few_and_end_by_themselves(monkeypatch):
    now = 1000.0
    monkeypatch.setattr(live, "time", SimpleNamespace(monotonic=lambda: now))
    sessions = live.Sessions()
    kept, *others = [sessions.open() for _ in range(limits.LIVE_SESSIONS)]
    with pytest.raises(live.Full):
        sessions.open()
    now += live.IDLE_SECONDS - 1
    assert sessions.get(kept.key) is kept
    now += 2  # nobody sends frames to the others any more
    others[1].under_way.add("window")  # but its answer is under way
    with pytest.raises(live.Gone, match="has ended this session"):
        sessions.get(others[0].key)
    assert sessions.expire() == 2
    others[1].under_way.clear()
    assert sessions.expire() == 1
    while now <= 1000 + limits.LIVE_SECONDS - 10:
        now += 10
        sessions.get(kept.key)
    now += 10
    with pytest.raises(live.Gone, match="ends after"):
        sessions.get(kept.key)
    assert sessions.expire() == 0


def test_a_session_has_one_request_of_a_kind_under_way():
    middleware = Live(Starlette())
    client = TestClient(middleware)
    key = client.post("/live").json()["session"]
    session = middleware.sessions.get(key)
    session.under_way.add("window")
    refused = client.post(f"/live/{key}", content=b"frames")
    assert (refused.status_code, refused.json()["detail"]) == (429, text.LIVE_BUSY)
    session.under_way.clear()
    assert client.post(f"/live/{key}/moment").status_code == 400 and not session.under_way, "an error frees the place"


def test_those_who_want_a_network_take_turns_in_the_order_in_which_they_came():
    order = []

    def work(name: str) -> None:
        with turn():
            order.append(name)

    with turn():
        threads = []
        for name in "abc":
            threads.append(threading.Thread(target=work, args=(name,)))
            threads[-1].start()
            until(lambda: len(turns._waiting) == 1 + len(threads))  # the holder, and all who wait
        assert order == []
    for thread in threads:
        thread.join()
    assert order == list("abc")
    with pytest.raises(ZeroDivisionError), turn():
        raise ZeroDivisionError
    assert not turns._waiting, "an error gives the turn back"


@pytest.fixture(scope="module")
def live_page(tmp_path_factory):
    """A page that two visitors may watch; yields its address, its first model and the folder of its files."""
    home = tmp_path_factory.mktemp("live")
    small_net("cinst").save_pretrained(home / "small")
    arguments = ("--model", str(home / "small"))
    with serving(home, *arguments, AIA_LIVE_SESSIONS="2", AIA_PRECISION="float32") as address:
        yield address, str(home / "small"), home / "uploads" / "aia-studio"


def test_strangers_get_one_sentence_and_no_file_is_written(live_page):
    address, model, folder = live_page
    client = httpx.Client(base_url=address, timeout=120)
    before = {path for path in folder.rglob("*") if path.is_file()}
    key = client.post("/live").raise_for_status().json()["session"]
    small = jpeg(moving_frames(1)[0])
    scans = jpeg(moving_frames(1)[0], progressive=True)
    repeated = small[:-2] + small[small.index(live.START_OF_SCAN) :]  # a second scan, in a file that is not progressive
    wide = jpeg(np.zeros((8, limits.MAX_LIVE_SIDE + 1, 3), np.uint8))
    png = io.BytesIO()
    Image.fromarray(moving_frames(1)[0]).save(png, "PNG")

    def said(sent: bytes, at: str = f"/live/{key}", **query) -> tuple[int, str]:
        answer = client.post(at, params={"model": model, **query}, content=sent)
        return answer.status_code, answer.json()["detail"]

    bad = (400, text.BAD_FRAMES)
    for name, sent in {
        "no frames": b"what is this?",
        "cut": body((1.0, small))[:-1],
        "no time": body((float("nan"), small)),
        "many": body(*[(1.0, small)] * (live.MAX_FRAMES + 1)),
        "long": struct.pack("<dI", 1.0, 2**32 - 1) + small,
        "too many bytes": body((1.0, bytes(limits.MAX_LIVE_FRAME_BYTES + 1))),
        "PNG": body((1.0, png.getvalue())),
        "progressive": body((1.0, scans)),
        "many scans": body((1.0, repeated)),
        "wide": body((1.0, wide)),
        "half a picture": body((1.0, small[: len(small) // 2])),
        "noise": body((1.0, np.random.default_rng(0).bytes(2000))),
    }.items():
        assert said(sent) == bad, name
    assert said(bytes(live.MAX_BODY_BYTES + 1)) == (413, text.BAD_FRAMES)
    assert said(body((5.0, small), (4.0, small)))[0] == 400, "back in time"
    for other in ("/etc", "user/repo", ""):
        assert said(b"", model=other) == (400, text.UNKNOWN_MODEL.format(name=other))
    assert said(b"", at="/live/nobody") == (404, text.LIVE_GONE)
    assert client.post("/live", headers={"sec-fetch-site": "cross-site"}).status_code == 403
    assert client.get("/live").status_code == client.post(f"/live/{key}/other").status_code == 404

    for i in range(25):  # still in order, and of use
        answer = client.post(
            f"/live/{key}", params={"model": model, "seconds": "1e999"}, content=body((10 + i / 8, small))
        )
        head, _ = opened(answer.raise_for_status().content)
    assert head["view"]["blocks"] and {path for path in folder.rglob("*") if path.is_file()} == before

    assert client.post("/live").status_code == 200
    assert (full := client.post("/live")).status_code == 503 and full.json()["detail"].startswith("All 2 places")
    assert client.post(f"/live/{key}/close").status_code == 204
    assert said(b"") == (404, text.LIVE_GONE)
    assert client.post("/live").status_code == 200, "the place is free again"
