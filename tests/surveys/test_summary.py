"""The summary of a survey whose answers are known."""

import json
import math
import shutil

import made_survey
import numpy as np
import pytest

from aia import AIAError
from aia.surveys import parts
from aia.surveys import summary as summaries
from aia.surveys.columns import read_rows
from aia.surveys.summary import summarize

FAILED = {"path": "left/broken.mp4", "label": "left", "error": "left/broken.mp4 is no video."}


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    return read_rows(str(made_survey.write(tmp_path_factory.mktemp("survey"), [*made_survey.made_rows(), FAILED])))


@pytest.fixture(scope="module")
def summary(rows):
    return summarize(rows, permutations=499)


def test_rows_are_arrays_in_the_order_of_the_paths_without_the_errors(rows):
    assert len(rows.clips) == 60 and rows.clips == sorted(rows.clips) and rows.errors == 1
    wanted = {row["path"]: row for row in made_survey.made_rows()}
    for i in (0, 17, 59):
        own = wanted[rows.clips[i]]
        assert (rows.labels[i], rows.answers[i], rows.groups[i]) == (own["label"], own["answer"], own["group"])
        gate = own["gates"][2]
        assert rows.blocks["layer2.0"].channels[i] == pytest.approx(gate["channels"], abs=1e-6)
        assert rows.blocks["layer2.0"].profiles[i] == pytest.approx(gate["profile"], abs=1e-6)
    assert rows.ablated["layer2.0", "*", "mean"].tolist() == [0] * 60  # "left"


def test_accuracy_with_and_without_a_blocks_gates(summary):
    assert summary.accuracy.value == pytest.approx(0.9) and summary.accuracy.low < 0.9 < summary.accuracy.high
    first, second = summary.blocks
    unchanged = first.without["mean"]
    assert unchanged.change.value == unchanged.flips.value == 0 and unchanged.flipped is None
    assert math.isnan(unchanged.change.low) and math.isnan(unchanged.flips.high), (
        "no clip changed: nothing has a spread"
    )
    assert second.without["shuffle"].accuracy.value == pytest.approx(1 / 3)
    assert second.without["shuffle"].change.high < -0.4
    assert [round(each.value, 2) for each in second.without["mean"].by_class] == [0.1, -0.9, -0.9]
    assert summary.clips[second.without["mean"].flipped].split("/")[0] != "left"


def test_gates_without_which_there_is_no_answer_count_as_wrong(tmp_path):
    rows = made_survey.made_rows(30)
    for row in rows[:3]:
        row["ablations"][3]["answer"] = None  # layer2.0 at its mean
    rows[4]["label"] = "none of the model's"
    found = summarize(read_rows(str(made_survey.write(tmp_path, rows))), permutations=19)
    without = found.blocks[1].without
    assert without["mean"].accuracy.value == pytest.approx(9 / 30)
    assert without["identity"].accuracy.value == pytest.approx(10 / 30)
    assert without["mean"].flips.value == pytest.approx(without["identity"].flips.value + 1 / 30)


def test_a_folder_may_be_named_like_a_pattern_and_no_clip_counts_twice(tmp_path):
    folder = made_survey.write(tmp_path / "run[1]*", made_survey.made_rows(30))
    assert len(read_rows(str(folder)).clips) == 30
    assert len(parts.surveyed(str(folder), made_survey.about())[0]) == 30
    shutil.copy(folder / "part-00000.parquet", folder / "part-00002.parquet")
    with pytest.raises(AIAError, match="several rows of one clip"):
        read_rows(str(folder))


def test_only_the_channel_that_was_made_to_differ_separates_the_classes(summary):
    first, second = summary.blocks
    assert (first.q > 0.05).all() and np.flatnonzero(second.q <= 0.05).tolist() == [3]
    assert second.order[0] == 3 and second.eta[3] > 0.8 and second.chance[3] == pytest.approx(2 / 59, rel=0.3)
    assert second.means[:, 3] == pytest.approx([0.5, 0.6, 0.7], abs=0.02)


def test_profiles_margins_and_the_clips_at_both_ends(summary, rows):
    block = summary.blocks[1]
    rise = block.profiles[:, -1] - block.profiles[:, 0]
    assert rise == pytest.approx([0, 0.1, 0], abs=0.015) and (block.margins > 0).all() and block.margins.max() < 0.01
    means = rows.blocks["layer2.0"].means
    assert block.lowest[0] == (means.argmin(), pytest.approx(means.min(), abs=1e-6)) and len(block.highest) == 5
    assert block.highest[0][0] == means.argmax()
    assert [summary.classes.index(rows.labels[clip]) for clip in block.typical] == [0, 1, 2]


def test_the_json_is_strict_bounded_and_the_same_again(summary, rows):
    text = summary.to_json()
    content = json.loads(text, parse_constant=lambda name: pytest.fail(name))
    assert text == summarize(rows, permutations=499).to_json()
    assert content["format"] == "aia-survey-summary" and content["num_groups"] == 10 and content["errors"] == 1
    block = content["blocks"][1]
    assert block["separating"] == 1 and block["channels"][0]["channel"] == 3
    assert (
        content["clips"][block["without"]["mean"]["flipped"]]
        == summary.clips[summary.blocks[1].without["mean"].flipped]
    )


@pytest.mark.slow
def test_many_long_classes_are_left_out_until_the_file_is_small(tmp_path):
    labels = [f"class {i:03} {'long ' * 25}" for i in range(120)]
    many = made_survey.made_rows(600, labels, groups=0)
    rows = read_rows(str(made_survey.write(tmp_path, many, made_survey.about(labels))))
    found = summarize(rows, permutations=19, resamples=50)
    assert not found.has_groups and len(found.classes) == 120
    content = json.loads(found.to_json())
    assert len(content["classes"]) + content["classes_left_out"] == 120 and len(content["classes"]) <= 24
    assert len(found.to_json().encode()) <= summaries.MAX_BYTES


def test_without_labels_the_answers_are_the_classes_and_nothing_is_right_or_wrong(tmp_path):
    unlabelled = [row | {"label": None, "group": None, "ablations": None} for row in made_survey.made_rows(30)]
    found = summarize(read_rows(str(made_survey.write(tmp_path, unlabelled))), permutations=19)
    assert found.accuracy is None and not found.are_labels and found.classes == list(made_survey.LABELS)
    block = json.loads(found.to_json())["blocks"][1]
    assert block["without"] == {} and block["right"] is None and len(block["profiles"]) == 3


def test_one_clip_has_means_and_no_intervals(tmp_path):
    found = summarize(read_rows(str(made_survey.write(tmp_path, made_survey.made_rows(1), parts=1))), permutations=19)
    assert found.accuracy.value == 1 and math.isnan(found.accuracy.low)
    assert json.loads(found.to_json())["accuracy"] == [1, None, None]


def test_a_survey_without_a_readable_clip_is_one_sentence(tmp_path):
    made_survey.write(tmp_path, [FAILED], parts=1)
    with pytest.raises(AIAError, match="No clip of the survey"):
        read_rows(str(tmp_path))
