"""What comes with the project: the models, their cards, the examples, the benchmark."""

import json

import pytest
from conftest import ROOT
from huggingface_hub import ModelCard

import aia
from aia.evaluation.calibration import calibrate
from aia.evaluation.evaluate import RESULTS, read_results
from aia.evaluation.report import SHIPPED, tables
from aia.evaluation.shipped import folds, shipped
from aia.hub import DEFAULT_MODEL
from aia.hub.loading import CHECKPOINTS
from benchmarks.__main__ import main as benchmark
from tools import markdown, report

EXAMPLES = ROOT / "assets" / "examples"
KNOWN = {  # file -> label
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


def test_the_family_comes_with_the_project():
    family = {f"{temporal}-mobilenetv2-{attention}" for temporal, attention in SHIPPED}
    assert family <= set(aia.available_models()) and DEFAULT_MODEL in family


@pytest.mark.slow
@pytest.mark.parametrize("name", aia.available_models())
def test_a_shipped_model_is_small_documented_and_right_on_the_examples(name):
    assert (CHECKPOINTS / name / "model.safetensors").stat().st_size < 10e6
    card = ModelCard.load(CHECKPOINTS / name / "README.md")
    assert card.data.pipeline_tag == "video-classification"
    assert "EgoGestAR" in card.text and "licence" in card.text and "seed" in card.text
    assert "Not stated." not in card.text and "None stated." not in card.text
    model = aia.load(name, device="cpu")
    if model.config.blind_to_order:
        return  # it cannot know them, and the page says so
    wrong = {}
    for file, label in KNOWN.items():
        seen = aia.inspect(model, aia.read_clip(EXAMPLES / f"{file}.mp4", model.config.num_segments))
        if seen.label != label:
            wrong[file] = seen.label
    assert len(wrong) <= 1, wrong


@pytest.mark.skipif(not RESULTS.is_file(), reason="no results file yet")
def test_the_readme_and_the_cards_say_what_the_stored_logits_say():
    runs = read_results()
    assert tables(runs) in markdown.README.read_text(encoding="utf-8"), "python -m tools.release update"
    for name in shipped():
        assert report.card(name, runs) == (CHECKPOINTS / name / "README.md").read_text(encoding="utf-8"), name


@pytest.mark.skipif(not RESULTS.is_file(), reason="no results file yet")
@pytest.mark.parametrize("name", shipped())
def test_a_shipped_model_answers_as_it_was_calibrated(name):
    runs, config = read_results(), aia.AIAConfig.from_file(CHECKPOINTS / name / "config.json")
    found = calibrate(folds(runs, (config.temporal, config.attention)))
    assert (config.temperature, config.threshold) == (found.temperature, found.threshold)


@pytest.mark.slow
@pytest.mark.server
def test_the_benchmark_prints_its_tables(capsys, tmp_path, monkeypatch):
    monkeypatch.setattr("benchmarks.batch.FILES", 2)  # sixteen are for measuring
    clip = str(markdown.README.parent / "assets" / "examples" / "swipe-left.mp4")
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
