"""What `aia live` promises: an answer for each window of a file or camera, as lines of JSON or in a window."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from conftest import moving_frames, small_net

import aia
from aia.cli import live, main
from aia.inspection.stream import MAX_SIDE
from aia.video.reader import iterate_frames, read_frames
from aia.visualization.render import write_mp4

HEADLESS = bool(live._window_obstacle())


@pytest.fixture(scope="module")
def folder(net, tmp_path_factory):
    """A model, and a video of 3 s whose frames are larger than a stream keeps."""
    path = tmp_path_factory.mktemp("live")
    net.save_pretrained(path / "small", config=net.config)
    write_mp4(path / "walk.mp4", moving_frames(30, 240, 400), 10)
    return path


@pytest.fixture
def inside(folder, monkeypatch):
    monkeypatch.chdir(folder)
    return folder


def lines(capsys, *arguments: str) -> list[dict]:
    assert main(["live", *arguments, "--model", "small", "--device", "cpu", "--json"]) == 0
    said = capsys.readouterr()
    assert said.err == ""
    return [json.loads(line) for line in said.out.splitlines()]


@pytest.mark.slow
def test_the_frames_of_a_file_come_in_order_with_their_times(folder):
    frames, whole = list(iterate_frames(folder / "walk.mp4", max_side=MAX_SIDE)), read_frames(folder / "walk.mp4")
    assert [time for time, _ in frames] == pytest.approx(whole.times.tolist())
    assert {picture.shape for _, picture in frames} == {(192, MAX_SIDE, 3)}
    full = [picture for _, picture in iterate_frames(folder / "walk.mp4")]
    assert np.array_equal(np.stack(full), whole.frames)


@pytest.mark.slow
@pytest.mark.parametrize("mirror", [False, True])
def test_a_file_as_fast_as_possible_gives_the_answers_of_a_stream(mirror, inside, capsys):
    said = lines(capsys, "walk.mp4", "--fast", "--seconds", "2", "--interval", "0.3", *["--mirror"] * mirror)
    stream = aia.Stream(aia.load("small", device="cpu"), 2, interval=0.3)
    wanted = []
    for time, picture in iterate_frames("walk.mp4", max_side=MAX_SIDE):
        if inspection := stream.push(picture[:, ::-1] if mirror else picture, time):
            wanted.append(
                (pytest.approx(time), inspection.label, pytest.approx(inspection.probabilities.max(), abs=1e-4))
            )
    assert len(wanted) == 4
    assert [(line["time"], line["label"], line["confidence"]) for line in said] == wanted
    assert all(line["sure"] is True and line["model"] == "small" and line["fps"] >= 0 for line in said)


@pytest.mark.long
def test_a_file_in_real_time_is_answered_for_once_a_window_has_passed(inside, capsys):
    said = lines(capsys, "walk.mp4", "--seconds", "1")
    times = [line["time"] for line in said]
    assert times == sorted(times) and 0.9 <= times[0] <= times[-1] <= 2.9


@pytest.mark.slow
def test_several_models_look_at_the_same_window(net, inside, capsys):
    models = [net, small_net("stinc", seed=1)]
    models[1].name = "other"
    live.run(models, live.open_source("walk.mp4", fast=True), live.print_line, seconds=2.5, interval=9)
    (line,) = map(json.loads, capsys.readouterr().out.splitlines())
    assert line.keys() == {"time", "answers", "fps"} and line["answers"].keys() == {"small", "other"}


def test_a_window_shows_frame_map_and_answer_and_ends_the_command(net, inside):
    shown: list[live.Answer | live.Frame | None] = []

    def show(what: live.Answer | live.Frame | None) -> bool:
        shown.append(what)
        return not isinstance(what, live.Answer)

    live.run([net], live.open_source("walk.mp4", fast=True), show, seconds=2.5, interval=0)
    answer = shown.pop()
    assert all(isinstance(frame, live.Frame) for frame in shown)  # what is seen until the first window is full
    picture = live._picture(answer)
    gates = aia.visualization.figure.frame_picture(answer.inspections[0], aia.View(frame=7))
    assert np.array_equal(picture[: len(gates)], gates) and len(picture) > len(gates) and np.ptp(picture[len(gates) :])


def test_between_answers_a_window_is_asked_whether_to_end(net, inside):
    shown: list[live.Answer | live.Frame | None] = []

    def show(what: live.Answer | live.Frame | None) -> bool:
        shown.append(what)
        return what is not None

    live.run([net], live.open_source("walk.mp4", fast=True), show, seconds=1, interval=60)
    *_, answer, nothing_new = shown
    assert isinstance(answer, live.Answer) and nothing_new is None, "the frame after the answer"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nothing.mp4"], "“nothing.mp4” was not found: check the name."),
        (["small/config.json"], "could not be opened as a video"),
        pytest.param(
            ["97"], "Camera 97 cannot be used", marks=pytest.mark.skipif(Path("/dev/video97").exists(), reason="it can")
        ),
        (["0", "--fast"], "A camera has its own speed"),
        (["walk.mp4", "--task", "camera"], "give one of them"),
        (["walk.mp4", "--window", "--json"], "give --window or --json"),
        (["walk.mp4", "--fast", "--seconds", "9"], "give a smaller number of --seconds"),
        (["walk.mp4", "--fast", "--seconds", "0"], "0.01 to 120 seconds"),
        (["walk.mp4", "--fast", "--interval", "-1"], "0 or more seconds"),
        pytest.param(
            ["walk.mp4", "--window"], "or use --json", marks=pytest.mark.skipif(not HEADLESS, reason="a window opens")
        ),
    ],
)
def test_what_cannot_be_done_is_one_sentence(arguments, said, inside, capfd):
    assert main(["live", *arguments, "--model", "small", "--device", "cpu"]) == 1
    heard = capfd.readouterr()
    assert heard.out == "" and said in heard.err and heard.err.endswith(".\n") and heard.err.count("\n") == 1


@pytest.mark.skipif("GUI:                           NONE" not in cv2.getBuildInformation(), reason="it has windows")
def test_an_opencv_without_windows_is_told_from_a_missing_display(monkeypatch):
    monkeypatch.setenv("DISPLAY", ":97")
    assert "opencv-python-headless" in live._window_obstacle()
