"""The page as visitors and programs meet it: a real server, the real client, a real browser."""

import dataclasses
import json
import os
import re
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from browser import FLAGS, find_chromium
from conftest import clip_of, moving_frames, small_net
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from playwright.sync_api import expect, sync_playwright

import aia
from aia.cli import DEFAULT_MODEL
from app import models, text

ROOT = Path(__file__).resolve().parents[1]
EXAMPLE = ROOT / "assets" / "examples" / "swipe-left.mp4"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """`python app.py` with four small models beside the shipped ones; yields its address and the models' folders.

    They are TSM with CinST, TSM with STinC, TSN without AIA, and one that never knows a clip.
    """
    home = tmp_path_factory.mktemp("page")
    folders = []
    for attention, temporal in (("cinst", "tsm"), ("stinc", "tsm"), ("none", "tsn"), ("cinst", "tsm")):
        net = small_net(attention, temporal)
        folder = home / (f"small-{attention}" if len(folders) < 3 else "careful")
        net.save_pretrained(folder, config=dataclasses.replace(net.config, threshold=0.999 * (len(folders) == 3)))
        folders.append(str(folder))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    environment = {
        **os.environ,
        "AIA_MODELS": ", ".join(folders[1:]),
        "GRADIO_TEMP_DIR": str(home / "uploads"),
        "GRADIO_ANALYTICS_ENABLED": "False",
        "HF_HUB_OFFLINE": "1",
    }
    log = (home / "log").open("w")
    command = [sys.executable, "app.py", "--model", folders[0], "--port", str(port)]
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=subprocess.STDOUT)
    try:
        deadline = time.monotonic() + 120
        while True:
            try:
                urllib.request.urlopen(address, timeout=5).read()
                break
            except OSError:
                assert process.poll() is None and time.monotonic() < deadline, (home / "log").read_text()
                time.sleep(0.3)
        yield address, folders
        assert process.poll() is None, "the server must outlive every test"
    finally:
        process.terminate()
        process.wait(20)
        log.close()


@pytest.fixture(scope="module")
def client(server):
    return Client(server[0], verbose=False)


@pytest.fixture
def not_a_video(tmp_path):
    path = tmp_path / "holiday.mp4"
    path.write_bytes(b"this is text, not a film" * 50)
    return path


# ---- programs


def test_classify_answers_with_label_scores_model_and_frames(client, server):
    answer = client.predict(video=handle_file(str(EXAMPLE)), model=server[1][0], api_name="/classify")
    assert set(answer) == {"label", "sure", "scores", "model", "frames"}
    clip = aia.read_clip(EXAMPLE)
    seen = aia.inspect(aia.load(server[1][0], device="cpu"), clip)
    assert (answer["label"], answer["sure"], answer["model"]) == (seen.label, True, server[1][0])
    assert answer["frames"] == clip.indices.tolist()
    assert answer["scores"] == pytest.approx(seen.scores, abs=1e-4)


def test_inspect_answers_with_a_summary_the_gates_and_a_film(client, server):
    summary, npz, mp4 = client.predict(
        video=handle_file(str(EXAMPLE)), model=server[1][1], block="layer2.0", api_name="/inspect"
    )
    seen = aia.inspect(aia.load(server[1][1], device="cpu"), aia.read_clip(EXAMPLE))
    assert summary["label"] == seen.label and summary["drawn_block"] == "layer2.0"
    with np.load(npz) as arrays:
        assert np.allclose(arrays["layer2.0/C"], seen.block("layer2.0").gates["C"], atol=1e-4)
    assert aia.read_clip(mp4).num_frames == 8


def test_programs_are_told_when_the_model_does_not_know(client, server):
    clip = handle_file(str(EXAMPLE))
    answer = client.predict(video=clip, model=server[1][3], api_name="/classify")
    summary, _, _ = client.predict(video=clip, model=server[1][3], block="", api_name="/inspect")
    assert answer["sure"] is summary["sure"] is False
    assert answer["label"] == summary["label"] == max(answer["scores"], key=answer["scores"].get), "still the closest"


def test_a_model_without_gates_is_inspected_too(client, server):
    summary, npz, mp4 = client.predict(
        video=handle_file(str(EXAMPLE)), model=server[1][2], block="", api_name="/inspect"
    )
    assert summary["blocks"] == [] and summary["drawn_block"] is None and summary["sure"] is True
    with np.load(npz) as arrays:
        assert set(arrays) == {"logits", "times", "indices"}
    assert aia.read_clip(mp4).num_frames == 8


def test_the_endpoints_describe_themselves(client, server):
    described = json.load(urllib.request.urlopen(f"{server[0]}/gradio_api/info"))["named_endpoints"]
    assert set(described) == {"/classify", "/inspect"}, "events of the page are no endpoints"
    assert [p["parameter_name"] for p in described["/classify"]["parameters"]] == ["video", "model"]
    assert "probability" in described["/classify"]["description"] and "gates" in described["/inspect"]["description"]


def test_bad_input_gets_one_sentence_and_the_server_lives(client, server, not_a_video):
    for arguments, named in (
        ({"video": handle_file(str(not_a_video)), "model": server[1][0]}, "holiday.mp4"),
        ({"video": handle_file(str(EXAMPLE)), "model": "someone/else"}, "someone/else"),
        ({"video": None, "model": server[1][0]}, "no clip"),
    ):
        with pytest.raises(AppError) as error:
            client.predict(**arguments, api_name="/classify")
        said = str(error.value)
        assert named in said and "Traceback" not in said and "\n" not in said.strip()
    assert client.predict(video=handle_file(str(EXAMPLE)), model=server[1][2], api_name="/classify")["label"]


def test_a_file_on_the_server_cannot_be_named_as_a_clip(server, video):
    data = {"data": [{"path": str(video), "meta": {"_type": "gradio.FileData"}}, server[1][0]]}
    call = f"{server[0]}/gradio_api/call/classify"
    headers = {"Content-Type": "application/json"}
    asked = urllib.request.urlopen(urllib.request.Request(call, json.dumps(data).encode(), headers))
    answer = urllib.request.urlopen(f"{call}/{json.load(asked)['event_id']}", timeout=60).read().decode()
    assert "event: error" in answer and "scores" not in answer


def test_nobody_gets_around_the_queue(server):
    request = urllib.request.Request(
        f"{server[0]}/gradio_api/run/classify", b'{"data": [null, ""]}', {"Content-Type": "application/json"}
    )
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request, timeout=30)
    assert refused.value.code in (401, 403, 404)


def test_visitors_at_the_same_time_each_get_their_own_result(server):
    jobs = [
        (ROOT / "assets" / "examples" / f"{clip}.mp4", model) for clip in ("star", "square") for model in server[1][:2]
    ]

    def ask(job):
        file, model = job
        answer = Client(server[0], verbose=False).predict(
            video=handle_file(str(file)), model=model, api_name="/classify"
        )
        return answer["model"], answer["scores"]

    alone = [ask(job) for job in jobs]
    with ThreadPoolExecutor(len(jobs)) as pool:
        together = list(pool.map(ask, jobs * 2))
    assert together == alone * 2
    assert len({tuple(scores.values()) for _, scores in alone}) == len(jobs), "the jobs must differ to tell them apart"


# ---- words


def seen_as(probabilities, threshold, labels=("swipe left", "star", "no gesture")) -> aia.Inspection:
    """An inspection of a real clip with other probabilities, labels and threshold."""
    seen = aia.inspect(small_net(), clip_of(moving_frames(8)))
    config = dataclasses.replace(seen.config, labels=labels, threshold=threshold)
    return dataclasses.replace(seen, config=config, probabilities=np.array(probabilities, np.float32))


def test_the_headline_is_the_label_an_answer_or_that_the_model_does_not_know():
    assert text.headline(seen_as((0.8, 0.1, 0.1), 0.6)) == (
        "swipe left",
        "It gets 80.0 %; this model answers from 60.0 % on.",
    )
    label, sentence = text.headline(seen_as((0.1, 0.1, 0.8), 0.6))
    assert label == "no gesture" and "An answer, not an error" in sentence
    label, sentence = text.headline(seen_as((0.2, 0.5, 0.3), 0.6))
    assert label == text.UNKNOWN and "none of its gestures: the closest, “star”, gets 50.0 %" in sentence
    label, sentence = text.headline(seen_as((0.2, 0.3, 0.5), 0.6))
    assert label == text.UNKNOWN and "cannot tell whether there is a gesture" in sentence
    label, sentence = text.headline(seen_as((0.2, 0.5, 0.3), 0.6, ("open", "shut", "push")))
    assert label == text.UNKNOWN and "none of its labels" in sentence


def test_without_a_threshold_nothing_is_claimed_about_how_sure_the_model_is():
    for best in (0.4, 0.99):
        label, sentence = text.headline(seen_as((best, 1 - best - 0.01, 0.01), 0.0, ("open", "shut", "push")))
        assert label in ("open", "shut") and "no measured threshold" in sentence and "sure" not in sentence.split()


def test_the_menu_has_the_default_first_then_tsm_before_tsn_and_gates_before_none(tmp_path, monkeypatch):
    monkeypatch.setattr(aia.hub, "CHECKPOINTS", tmp_path)
    monkeypatch.delenv("AIA_MODELS", raising=False)
    for temporal in ("tsn", "tsm"):
        for attention in ("none", "stinc", "cinst"):
            folder = tmp_path / f"{temporal}-mobilenetv2-{attention}"
            folder.mkdir()
            config = aia.AIAConfig(("a",), arch="mobilenet_v2", temporal=temporal, attention=attention)
            (folder / "config.json").write_text(json.dumps(config.to_dict()))
            (folder / "model.safetensors").touch()
    names = models.offered()
    assert names[0] == DEFAULT_MODEL
    assert [models.title(name) for name in names] == [
        f"{temporal} with {module}, mobilenet_v2"
        for temporal in ("TSM", "TSN")
        for module in ("CinST", "STinC", "no AIA")
    ]
    assert models.offered(["user/repo"])[0] == models.title("user/repo") == "user/repo"


# ---- visitors


@pytest.fixture(scope="module")
def browser():
    path, reason = find_chromium()
    if path is None:
        if os.environ.get("AIA_REQUIRE_BROWSER"):
            pytest.fail(f"The browser tests must run here: {reason}")
        warnings.warn(f"BROWSER TESTS LEFT OUT: {reason}", stacklevel=1)
        pytest.skip(f"BROWSER TESTS LEFT OUT: {reason}")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield started
        started.close()


@pytest.fixture(params=[(1440, 900), (390, 844)], ids=["desktop", "phone"])
def page(browser, server, request):
    width, height = request.param
    opened = browser.new_page(viewport={"width": width, "height": height})
    opened.set_default_timeout(60_000)
    problems = []
    opened.on("pageerror", lambda error: problems.append(str(error)))
    opened.goto(server[0])
    yield opened
    assert problems == []
    assert opened.evaluate("document.documentElement.scrollWidth") <= width, "no horizontal bar"
    opened.close()


def choose(page, dropdown: str, option: str) -> None:
    page.locator(f"{dropdown} input").click()
    page.get_by_role("option", name=re.compile(rf"^{re.escape(option)}( ·|$)")).click()


def chart_of(page) -> str:
    return page.locator("#channels svg").get_attribute("aria-label")


def test_a_visitor_uploads_looks_around_and_gives_a_bad_file(page, server, not_a_video):
    expect(page.locator("#summary")).to_contain_text("Nothing to show yet")
    expect(page.locator("body")).to_contain_text("This model knows 3 labels: left, right, still")

    page.locator("#clip input[type=file]").set_input_files(str(EXAMPLE))
    expect(page.locator("#label")).to_have_text(re.compile("^(left|right|still)$"), timeout=60_000)
    assert page.locator("#summary .scores li").count() == 3
    expect(page.locator("body")).to_contain_text("attention is not an explanation")

    film = page.locator("#overlay video")
    expect(film).to_be_visible()
    page.wait_for_function("document.querySelector('#overlay video').currentTime > 0.3")
    assert film.evaluate("v => [v.videoWidth, v.videoHeight, v.error]") == [320, 240, None]
    expect(page.locator("#overlay .legend")).to_contain_text("0 shut")
    expect(page.locator("#frames img")).to_have_count(8)
    expect(page.locator("#strip img")).to_have_count(8)
    expect(page.locator("#channels-named")).to_contain_text("Strongest:")

    film_before, chart_before = film.get_attribute("src"), chart_of(page)
    current = page.locator("#block input").input_value()
    other, width = ("layer1.1", 64) if current.startswith("layer2.1") else ("layer2.1", 128)
    choose(page, "#block", other)
    expect(page.locator("#channels svg")).not_to_have_attribute("aria-label", chart_before)
    assert film.get_attribute("src") != film_before
    expect(page.locator("#channels svg rect")).to_have_count(width)

    page.locator("#scale").get_by_text("this clip").click()
    expect(page.locator("#overlay")).to_contain_text("stretched to this block and clip")
    page.locator("#scale").get_by_text("0 to 1").click()
    expect(page.locator("#overlay .legend")).to_contain_text("0 shut")

    label = page.locator("#label").inner_text()
    page.locator("#clip").get_by_label("Clear").click()
    page.locator("#clip input[type=file]").set_input_files(str(not_a_video))
    expect(page.locator("#problem")).to_contain_text("“holiday.mp4” could not be opened as a video")
    assert page.locator("#label").inner_text() == label, "nothing is lost"
    assert "Traceback" not in page.locator("body").inner_text()


def test_an_example_a_model_with_another_gate_and_one_without(page, server):
    choose(page, "#model", Path(server[1][1]).name)
    page.wait_for_timeout(1500)
    expect(page.locator("#problem")).to_be_hidden()  # choosing a model before a clip is no mistake
    choose(page, "#model", Path(server[1][0]).name)
    page.get_by_text("swipe left", exact=True).click()
    expect(page.locator("#label")).to_be_visible(timeout=60_000)
    choose(page, "#model", Path(server[1][1]).name)
    expect(page.locator("#channels-named")).to_contain_text("They steer the gate", timeout=60_000)
    choose(page, "#model", Path(server[1][2]).name)
    expect(page.locator("#no-gates")).to_contain_text("choose a model with AIA", timeout=60_000)
    expect(page.locator("#summary .note")).to_contain_text("cannot tell a left swipe from a right one")
    expect(page.locator("#frames img")).to_have_count(8)
    expect(page.locator("#overlay")).to_be_hidden()
    choose(page, "#model", Path(server[1][3]).name)
    expect(page.locator("#label")).to_have_text(text.UNKNOWN, timeout=60_000)
    expect(page.locator("#summary")).to_contain_text("answers only from 99.9 % on")
    expect(page.locator("#summary .scores li")).to_have_count(3)
    expect(page.locator("#overlay")).to_be_visible()  # gates were there all the same
    expect(page.locator("#no-gates")).to_be_hidden()
    expect(page.locator("#summary .note")).to_have_count(0)


def test_the_button_without_a_clip_says_what_to_do(page):
    page.get_by_role("button", name="Show the gates").click()
    expect(page.locator("#problem")).to_contain_text("There is no clip yet")
