"""What comes with the project: the models, their cards, the examples, the benchmark."""

import json

import numpy as np
import pytest
from conftest import ROOT, others_long
from huggingface_hub import ModelCard

import aia
from aia.evaluation.calibration import calibrate
from aia.evaluation.evaluate import RESULTS, read_results
from aia.evaluation.report import SHIPPED, tables
from aia.evaluation.shipped import folds, of_setting, shipped
from aia.evaluation.task_report import TASKS, calibrate_task, results_file, task_tables
from aia.hub import DEFAULT_MODEL
from aia.hub.groups import ASKED
from aia.hub.loading import CHECKPOINTS
from aia.training.camera import LABELS
from benchmarks.__main__ import main as benchmark
from tools import markdown, report, task_cards

EXAMPLES = ROOT / "assets" / "examples"
CAMERA = {
    "pan-left": "pan left",
    "pan-right": "pan right",
    "tilt-up": "tilt up",
    "zoom-in": "zoom in",
    "zoom-out": "zoom out",
    "roll-clockwise": "roll clockwise",
}
GESTURES = {  # file -> label
    "swipe-up": "swipe up",
    "swipe-down": "swipe down",
    "swipe-left": "swipe left",
    "swipe-right": "swipe right",
    "square": "square",
    "circle": "circle (counter-clockwise)",
    "check-mark": "check mark",
    "caret": "caret",
    "cross": "cross (X)",
    "star": "star",
    "no-gesture-waving": "no gesture",
    "no-gesture-wandering": "no gesture",
}
KNOWN = {"gestures": GESTURES, "camera": CAMERA}  # task -> file -> label
SOURCES = {"gestures": "EgoGestAR", "camera": "UCF101", "actions": "UCF101"}


def test_the_family_comes_with_the_project():
    family = {f"{temporal}-mobilenetv2-{attention}" for temporal, attention in SHIPPED}
    assert family <= set(aia.available_models()) and DEFAULT_MODEL in family


@pytest.mark.slow
@pytest.mark.parametrize("name", others_long(aia.available_models(), *ASKED.values()))
def test_a_shipped_model_is_small_documented_and_right_on_the_examples(name):
    assert (CHECKPOINTS / name / "model.safetensors").stat().st_size < 10e6
    card = ModelCard.load(CHECKPOINTS / name / "README.md")
    assert card.data.pipeline_tag == "video-classification"
    task = aia.AIAConfig.from_file(CHECKPOINTS / name / "config.json").task
    assert SOURCES[task] in card.text and "licence" in card.text and "seed" in card.text
    assert "Not stated." not in card.text and "None stated." not in card.text
    model = aia.load(name, device="cpu")
    if model.config.blind_to_order:
        return  # it cannot know them, and the page says so
    wrong, folder = {}, EXAMPLES / "camera" if task == "camera" else EXAMPLES
    for file, label in KNOWN.get(task, {}).items():
        seen = aia.inspect(model, aia.read_clip(folder / f"{file}.mp4", model.config.num_segments))
        if seen.label != label:
            wrong[file] = seen.label
    assert len(wrong) <= 1, wrong


@pytest.mark.slow
@pytest.mark.skipif(not RESULTS.is_file(), reason="no results file yet")
def test_the_readme_and_the_cards_say_what_the_stored_logits_say():
    runs = read_results()
    assert tables(runs) in report.RESULTS_PAGE.read_text(encoding="utf-8"), "python -m tools.release update"
    for name in shipped():
        assert report.card(name, runs) == (CHECKPOINTS / name / "README.md").read_text(encoding="utf-8"), name


@pytest.mark.skipif(not RESULTS.is_file(), reason="no results file yet")
@pytest.mark.parametrize("name", shipped())
def test_a_shipped_model_answers_as_it_was_calibrated(name):
    runs, config = read_results(), aia.AIAConfig.from_file(CHECKPOINTS / name / "config.json")
    found = calibrate(folds(runs, (config.temporal, config.attention)))
    assert (config.temperature, config.threshold) == (found.temperature, found.threshold)


@pytest.mark.slow
@pytest.mark.parametrize("task", others_long(TASKS, "actions"))
def test_docs_cards_and_configs_of_a_task_say_what_the_stored_logits_say(task):
    assert task_tables(task) in task_cards.DOCUMENT.read_text(encoding="utf-8"), "python -m tools.task_cards"
    runs = read_results(results_file(task))
    for name in shipped(task=task):
        assert task_cards.card(name, task) == (CHECKPOINTS / name / "README.md").read_text(encoding="utf-8"), name
        config = aia.AIAConfig.from_file(CHECKPOINTS / name / "config.json")
        assert config.task == task
        found = calibrate_task(of_setting(runs, (config.temporal, config.attention)))
        assert (config.temperature, config.threshold) == (found.temperature, found.threshold), name


def test_gates_tell_a_plain_network_the_order_of_frames():
    """The claim of docs/camera-and-actions.md, from the stored logits of all seeds."""
    runs = read_results(results_file("camera"))
    with_gates, without = (
        [run.splits["rendered"] for run in of_setting(runs, ("tsn", attention))] for attention in ("cinst", "none")
    )
    assert len(with_gates) >= 3
    assert all(directions(split) < 0.6 for split in without)
    assert min(map(directions, with_gates)) > max(map(directions, without)) + 0.3


def directions(split):
    moving = (split.targets > 0) & (split.targets < len(LABELS) - 1)
    targets, logits = split.targets[moving], split.logits[moving]
    rival = np.where(targets % 2, targets + 1, targets - 1)
    rows = np.arange(len(targets))
    return (logits[rows, targets] > logits[rows, rival]).mean()


@pytest.mark.long
@pytest.mark.server
def test_the_benchmark_prints_its_tables(capsys, tmp_path, monkeypatch):
    monkeypatch.setattr("benchmarks.batch.FILES", 2)  # sixteen are for measuring
    clip = str(markdown.DOCS.parent / "assets" / "examples" / "swipe-left.mp4")
    told = ["--video", clip, "--repeats", "1", "--json", str(tmp_path / "bench.json")]
    assert benchmark(["request", "batch", *told]) == 0
    out = capsys.readouterr().out
    kept = json.loads((tmp_path / "bench.json").read_text())
    assert [table["part"] for table in kept] == ["request", "batch"]
    for table in kept:
        assert table["machine"] and table["title"] in out
        assert all(f"| {next(iter(row.values()))} |" in out for row in table["rows"])
    assert any("whole request" in row["part"] for row in kept[0]["rows"])
    assert benchmark(["--repeats", "0"]) == benchmark(["everything"]) == 1
