"""Evaluation: what logits are worth, the file that keeps them, calibration, the tables and the shipped models."""

import csv
import dataclasses
import json
import re

import numpy as np
import pytest
import torch
from conftest import moving_frames
from huggingface_hub import ModelCard

import aia
from aia import AIAConfig, AIAError, AIANet
from aia.cli import main
from aia.evaluation import metrics, report, task_report
from aia.evaluation.calibration import CHOSEN_ON, Calibration, calibrate, cross_fit
from aia.evaluation.evaluate import (
    Logits,
    Run,
    _run_to,
    differences,
    evaluate,
    measure,
    read_results,
    recipe_of,
    run_name,
    write_results,
)
from aia.evaluation.shipped import check
from aia.evaluation.task_report import results_file
from aia.locations import PACKAGE
from aia.modeling.config import none_label
from aia.synthetic.trajectories import LABELS
from aia.training.recipe import Recipe
from aia.visualization.render import write_mp4
from tools import release
from tools import report as writing

ACTIONS, CAMERA = (
    tuple(Recipe.from_file(PACKAGE / "training" / "configs" / f"{task}.json").classes.values())
    for task in ("actions", "camera")
)
NETWORK = {"arch": "mobilenet_v2", "num_segments": 2, "input_size": 32, "resize": [32, 32]}
KINDS = (*CHOSEN_ON, "film")
SHIPPED = (("tsm", "cinst"), ("tsm", "stinc"))


def logits_of(answers, classes, margin=4.0):
    return np.eye(classes)[answers] * margin


def test_accuracy_confusion_and_f1_count_what_was_answered():
    targets, logits = np.array([0, 0, 1, 1]), logits_of([0, 1, 1, 2], 4)
    assert metrics.top1(logits, targets) == 0.5
    assert metrics.confusion_matrix(logits, targets).tolist() == [[1, 1, 0, 0], [0, 1, 1, 0], [0] * 4, [0] * 4]
    assert metrics.macro_f1(logits, targets) == pytest.approx((2 / 3 + 2 / 4) / 2), "only classes that are there"


def test_order_pairs_are_measured_among_all_labels_and_between_the_two():
    logits = np.array([[2.0, 1, 3, 0], [2, 1, 0, 0], [0, 0, 9, 0]])
    assert metrics.pair_accuracy(logits, np.array([0, 1, 2]), [(0, 1)]) == (0.0, 0.5, 2)


def test_the_calibration_error_is_the_mean_gap_between_confidence_and_accuracy():
    probabilities = np.array([[0.9, 0.1]] * 4 + [[0.4, 0.6]] * 4)
    targets = np.array([0, 0, 0, 1, 1, 1, 1, 1])  # 0.9 sure and 0.75 right; 0.6 sure and all right
    assert metrics.calibration_error(probabilities, targets) == pytest.approx((0.15 + 0.4) / 2)
    assert metrics.calibration_error(np.eye(3), np.arange(3)) == 0


def test_few_clips_show_a_calibration_error_even_of_a_perfect_model():
    rng = np.random.default_rng(7)
    confidence = rng.uniform(0.5, 1, 20_000)
    probabilities = np.stack([confidence, 1 - confidence], 1)
    many, few = metrics.calibration_noise(probabilities, draws=20), metrics.calibration_noise(probabilities[:80])
    assert many[0] < 0.01 < 0.05 < few[0] < few[1]
    targets = np.where(rng.random(80) < confidence[:80], 0, 1)  # a perfect model's own clips
    assert metrics.calibration_error(probabilities[:80], targets) < 1.5 * few[1]


def test_seeds_that_answer_a_clip_alike_are_no_more_clips():
    confidence = np.random.default_rng(7).uniform(0.5, 1, 80)
    once = np.stack([confidence, 1 - confidence], 1)
    thrice = np.concatenate([once] * 3)
    assert metrics.calibration_noise(thrice, [*range(80)] * 3) == pytest.approx(metrics.calibration_noise(once))
    others = metrics.calibration_noise(thrice, range(240))
    assert others == metrics.calibration_noise(thrice) and others[0] < 0.7 * metrics.calibration_noise(once)[0]


@pytest.mark.parametrize("temperature", [0.6, 1.0, 2.5])
def test_the_temperature_that_made_the_labels_is_found(temperature):
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 3, (20_000, 5))
    probabilities = metrics.softmax(logits, temperature)
    targets = (probabilities.cumsum(1) > rng.random((len(logits), 1))).argmax(1)
    assert metrics.fit_temperature(logits, targets) == pytest.approx(temperature, rel=0.05)


def test_the_temperature_claims_no_certainty_even_if_all_clips_are_right():
    logits = np.eye(4)[np.arange(20) % 4] * 8 + np.random.default_rng(0).normal(0, 1, (20, 4))
    targets = np.arange(20) % 4
    assert (logits.argmax(1) == targets).all()
    confidence = metrics.softmax(logits, metrics.fit_temperature(logits, targets)).max(1).mean()
    assert 0.9 < confidence < 0.99, "about (N + 1) / (N + 2)"


def test_a_threshold_catches_enough_and_never_loses_too_many_gestures():
    gestures = np.column_stack([np.linspace(0.5, 1, 101), np.linspace(0.5, 0, 101), np.zeros(101)])
    faint = np.array([[0.52, 0.48, 0]] * 9 + [[0.99, 0.01, 0]])
    threshold = metrics.choose_threshold(gestures, [faint], none=2)
    assert threshold == pytest.approx(0.521), "the smallest that catches nine of ten"
    sure = np.array([[0.9, 0.1, 0]] * 10)
    threshold = metrics.choose_threshold(gestures, [sure], none=2)
    lost = metrics.unanswered(gestures, threshold, none=2).mean()
    assert 0.04 < lost <= 0.05, "they cannot be caught, and gestures are not given up for them"
    named = np.array([[0.1, 0, 0.9]] * 10)
    assert metrics.choose_threshold(gestures, [named], none=2) == 0, "their own label catches them"


def test_a_difference_comes_with_an_interval_over_clips():
    rng = np.random.default_rng(1)
    a, b = rng.random((3, 40)) < 0.9, rng.random((2, 40)) < 0.6
    gain, low, high = metrics.bootstrap_difference(a, b)
    assert gain == pytest.approx(a.mean() - b.mean()) and low < gain < high
    assert 0.05 < high - low < 0.4
    assert metrics.bootstrap_difference(a, b) == (gain, low, high), "the same seed"
    assert metrics.bootstrap_difference(a, a) == (0, 0, 0), "paired"


@pytest.mark.slow
def test_clips_of_a_class_that_the_model_lacks_are_told_and_left_out(tmp_path, caplog):
    for place in ("val/a", "val/b", "val/c", "test/c"):
        (tmp_path / place).mkdir(parents=True)
        write_mp4(tmp_path / place / "0.mp4", moving_frames(6, 40, 56), 10)
    net, recipe = AIANet(AIAConfig(("a", "b"), **NETWORK)).eval(), Recipe(NETWORK, {"a": "a", "b": "b"})
    for split in ("val", "held-out"):
        assert evaluate(net, tmp_path, recipe, split)["clips"] == 2
        assert f"The model lacks the class 'c': clips of it that are left out of {split}: 1." in caplog.text
    with pytest.raises(AIAError, match="no clip of the model's classes in the split 'test'"):
        evaluate(net, tmp_path, recipe, "test")
    torch.nn.init.constant_(net.head.weight, torch.nan)
    with pytest.raises(AIAError, match="logits are not finite"):
        evaluate(net, tmp_path, recipe, "val")


def made_run(temporal, attention, seed, *, labels=LABELS, splits=("held-out", "unknown", "test")) -> Run:
    """A run that says the truth and noise."""
    rng = np.random.default_rng([seed, len(attention), len(temporal)])
    none = labels.index(none_label(labels))

    def say(names, targets):
        logits = rng.normal(0, 1.5, (len(targets), len(labels))) + logits_of(targets, len(labels))
        return Logits(tuple(names), np.array(targets), logits.round(3))

    known = [i for i in range(len(labels)) if i != none]
    every = {
        "held-out": say([f"held-{seed}-{i}" for i in range(3 * len(labels))], [*known * 3, none, none, none]),
        "unknown": say([f"{kind}/{i}" for i in range(6) for kind in KINDS], [none] * 30),
        "test": say([f"test-{i}" for i in range(4 * len(known))], known * 4),
    }
    trained = dict.fromkeys(labels, 9)
    return Run(temporal, attention, seed, labels, trained, {split: every[split] for split in splits})


@pytest.fixture(scope="module")
def runs():
    made = [made_run(*setting, seed) for setting in report.SHIPPED for seed in range(3)]
    made += [made_run(*setting, 0) for setting in report.TSN if setting not in report.SHIPPED]
    return {run.name: run for run in made}


@pytest.fixture
def checkpoints(tmp_path):
    """Folders like the shipped models', without weights."""
    for temporal, attention in SHIPPED:
        folder = tmp_path / "checkpoints" / f"{temporal}-mobilenetv2-{attention}"
        folder.mkdir(parents=True)
        recipe = Recipe(
            {**NETWORK, "temporal": temporal, "attention": attention}, dict(zip(LABELS, LABELS, strict=True)), seed=1
        )
        (folder / "recipe.json").write_text(recipe.to_json())
        (folder / "config.json").write_text(json.dumps(recipe.config.to_dict()))
    return tmp_path / "checkpoints"


def test_results_are_kept_and_a_run_is_replaced_whole(tmp_path, runs):
    file = tmp_path / "results.json"
    write_results(runs.values(), file)
    kept = read_results(file)
    assert kept.keys() == runs.keys() and "tsn-st-to-c-s0" in kept and "tsn-c-plus-st-s0" in kept
    for name, run in runs.items():
        assert kept[name].splits.keys() == run.splits.keys()
        for split, said in run.splits.items():
            assert kept[name].splits[split].clips == said.clips
            assert np.array_equal(kept[name].splits[split].targets, said.targets)
            assert np.array_equal(kept[name].splits[split].logits, said.logits)
    write_results([made_run("tsm", "cinst", 2, splits=("held-out",))], file)
    again = read_results(file)
    assert set(again["tsm-cinst-s2"].splits) == {"held-out"}, "no test logits of older weights stay"
    assert again.keys() == runs.keys()


@pytest.mark.parametrize("content", ["", "[]", '{"a": 1}', '{"a": {"splits": {}}}'])
def test_a_file_that_holds_no_results_is_refused(tmp_path, content):
    (tmp_path / "r.json").write_text(content)
    with pytest.raises(AIAError, match=r"r\.json"):
        read_results(tmp_path / "r.json")
    with pytest.raises(AIAError, match=r"gone\.json"):
        read_results(tmp_path / "gone.json")


def test_runs_of_other_labels_never_share_a_file(tmp_path, runs):
    file = tmp_path / "results.json"
    write_results(runs.values(), file)
    before = file.read_bytes()
    other = dataclasses.replace(runs["tsm-cinst-s0"], labels=("archery", "none of these"))
    with pytest.raises(AIAError, match=r"results\.json holds runs with other labels; give another file"):
        write_results([other], file)
    assert file.read_bytes() == before
    with pytest.raises(AIAError, match="gestures of EgoGestAR, and the results file is about other labels"):
        report.tables({**runs, "mixed": other})


@pytest.mark.parametrize("task", ["gestures", "camera", "actions"])
def test_results_that_a_task_has_no_tables_for_are_told_in_a_sentence(task, tmp_path, capsys):
    file = str(tmp_path / "mine.json")
    for labels in (ACTIONS, CAMERA, LABELS, ("wave", "none of these"), ("wave", "clap")):
        fits = labels == {"gestures": LABELS, "camera": CAMERA, "actions": ACTIONS}[task]
        test = Logits(("a.mp4",), np.array([0]), np.eye(len(labels))[:1])
        write_results([Run("tsn", "none", 0, labels, {}, {} if fits else {"test": test})], file)
        assert main(["evaluate", "--task", task, "--results", file]) == int(not fits)
        said = capsys.readouterr()
        assert fits or "the results file is about other labels; choose other tables with --task" in said.err
        assert len(said.err.splitlines()) == int(not fits)
        (tmp_path / "mine.json").unlink()
    (tmp_path / "mine.json").write_text("{}")
    assert main(["evaluate", "--task", task, "--results", file]) == 1
    said = capsys.readouterr()
    assert "holds no run" in said.err and not said.out, "and not the shipped tables"


def test_runs_without_unknown_or_without_clips_have_tables_too(tmp_path, runs, checkpoints):
    kept = {name: made_run(*run.setting, run.seed, splits=("held-out", "test")) for name, run in runs.items()}
    assert "| TSM with CinST |" in report.tables(kept, checkpoints) and calibrate([*kept.values()][:1]).temperature > 0
    content = {name: _run_to(run) for name, run in kept.items()}
    for run in content.values():
        run["splits"]["test"] = {"clips": [], "targets": [], "logits": []}
    (tmp_path / "results.json").write_text(json.dumps(content))
    read = read_results(tmp_path / "results.json")
    assert all({*run.splits} == {"held-out"} for run in read.values()) and report.tables(read, checkpoints)


def test_networks_that_saw_other_test_clips_are_not_compared(runs, checkpoints):
    gain = "| TSM with CinST − TSM with no AIA | –"
    assert gain not in report.tables(runs, checkpoints)
    test = runs["tsm-none-s0"].splits["test"]
    fewer = test.where(np.arange(len(test.clips)) > 0)
    renamed = dataclasses.replace(test, clips=("another", *test.clips[1:]))
    for changed in (fewer, renamed):
        run = dataclasses.replace(runs["tsm-none-s0"], splits={"test": changed})
        assert f"{gain} | – | – |" in report.tables({**runs, run.name: run}, checkpoints)


def test_one_group_has_a_mean_and_no_interval():
    alone, two = (metrics.intervals(np.array([[1.0], [0], [1]]), [*groups], 0)[0] for groups in ("aaa", "aab"))
    assert alone.text(".2f") == "0.67" and re.fullmatch(r"0\.67 \(0\.50 to 1\.00\)", two.text(".2f"))


def test_cross_fitting_never_uses_the_clips_that_it_answers(runs):
    held = [runs[run_name("tsm", "cinst", seed)] for seed in range(3)]
    part = held[0].splits["held-out"]
    wrong = dataclasses.replace(part, targets=np.roll(part.targets, 1))
    changed = dataclasses.replace(held[0], splits={**held[0].splits, "held-out": wrong})
    before, after = cross_fit(held), cross_fit([changed, *held[1:]])
    own = len(part.clips)
    assert np.array_equal(before.scaled[:own], after.scaled[:own])
    assert not np.array_equal(before.scaled[own:], after.scaled[own:]), "the other runs are fitted on them"


def test_a_source_video_is_never_calibrated_on_and_answered_at_once(runs, tmp_path, monkeypatch):
    """Clips of one video are alike, and all seeds hold out the same ones, so the folds are made of videos."""
    names = [f"v_Surfing_g{video:02}_c{clip:02}.mp4" for video in range(8) for clip in range(5)]
    held = Logits(tuple(names), np.arange(40) % 2, logits_of(np.arange(40) % 2, len(ACTIONS)))
    used = []

    def calibrate(parts):
        assert len(parts) == 2, "both seeds"
        used.append({clip.rpartition("_")[0] for part in parts for clip in part.splits["held-out"].clips})
        return Calibration(1.0, 0.5)

    seeds = (dataclasses.replace(run, labels=ACTIONS, splits={"held-out": held}) for run in runs.values())
    write_results([run for run in seeds if run.setting == ("tsm", "cinst")][:2], results_file("actions", tmp_path))
    monkeypatch.setattr(task_report, "calibrate_task", calibrate)
    said = task_report.task_tables("actions", tmp_path)
    videos = {name.rpartition("_")[0] for name in names}
    assert len(used) == task_report.FOLDS and all(videos - seen for seen in used)
    assert sorted(video for seen in used for video in videos - seen) == sorted(videos), "each is answered once"
    assert "| 0 of 80 |" in said, "all clips of both seeds"


def test_the_gain_of_aia_is_over_all_seeds_and_its_interval_over_source_videos(tmp_path):
    names = tuple(f"v_Surfing_g{video:02}_c{clip:02}.mp4" for video in range(8) for clip in range(5))
    right = np.arange(40) % 2
    wrong = np.where(np.arange(40) < 5, 1 - right, right)  # the first video

    def with_test(setting, seed, answers):
        test = Logits(names, right, logits_of(answers, len(ACTIONS)))
        run = made_run(*setting, seed, labels=ACTIONS)
        return dataclasses.replace(run, splits={"held-out": run.splits["held-out"], "test": test})

    made = [with_test(("tsm", "none"), seed, right) for seed in range(3)]
    made += [with_test(("tsm", "cinst"), 0, wrong), with_test(("tsm", "cinst"), 1, right)]
    write_results(made, results_file("actions", tmp_path))
    tables = task_report.task_tables("actions", tmp_path)
    gain = r"(\S+) \((\S+) to (\S+)\)"
    found = re.search(rf"\| TSM with CinST \| TSM with no AIA \| 2 and 3 \| {gain} \|", tables)
    mean, low, high = map(float, found.groups())
    assert mean == -0.062 and high == 0, "half of an eighth; a draw may leave the video out"
    assert low == pytest.approx(-0.19, abs=0.07), "or hold it several times"
    assert "trained on" not in tables.lower()
    write_results([with_test(("tsm", "none"), 0, wrong)], task_report.control_file(tmp_path))
    tables = task_report.task_tables("actions", tmp_path)
    found = re.search(rf"\| TSM with CinST \| TSM with no AIA, trained on \| 2 and 1 \| {gain} \|", tables)
    assert float(found[1]) == 0.062, "and against networks that were trained on without gates"
    assert re.search(r"\| TSM with no AIA, trained on \| 1 \| 0.875 \|", tables)
    assert "Trained on: for as long" in tables
    own = {run.name: run for run in made}
    given = task_report.task_tables("actions", tmp_path, own)
    assert "| TSM with CinST | TSM with no AIA |" in given and "trained on" not in given.lower()
    assert task_report.task_tables("actions", tmp_path / "nothing shipped", own) == given
    assert task_report.task_tables("actions", tmp_path / "nothing shipped") == ""


def test_clips_that_all_seeds_hold_out_are_drawn_once_and_rendered_ones_of_other_stills_are_others():
    held = made_run("tsn", "none", 0, labels=ACTIONS).splits["held-out"]

    def noise(split, seeds):
        """The last column of the table of refused clips."""
        runs = [Run("tsn", "none", seed, ACTIONS, {}, {split: held}) for seed in range(seeds)]
        table = task_report.task_tables("actions", runs={run.name: run for run in runs})
        return float(re.search(r"\| TSN with no AIA \|[^|]*\|[^|]*\|[^|]*\| (\S+) \(95 %", table)[1])

    assert noise("held-out", 3) == pytest.approx(noise("held-out", 1), rel=0.1)
    assert noise("rendered", 3) < 0.7 * noise("rendered", 1)


def test_clips_that_should_be_refused_are_counted_by_kind():
    run = made_run("tsn", "none", 0, labels=ACTIONS)
    unknown = run.splits["unknown"]
    answers = np.array([0 if clip.startswith("noise/") else run.none for clip in unknown.clips])
    unknown = dataclasses.replace(unknown, logits=logits_of(answers, len(ACTIONS)))
    run = dataclasses.replace(run, splits={**run.splits, "unknown": unknown})
    tables = task_report.task_tables("actions", runs={run.name: run})
    assert "by kind of clip" in tables and "| noise | 0 of 6 |" in tables and "| idle hand | 6 of 6 |" in tables
    held_out_only = dataclasses.replace(run, splits={"held-out": run.splits["held-out"]})
    assert "by kind of clip" not in task_report.task_tables("actions", runs={run.name: held_out_only})


def test_results_without_held_out_clips_have_tables_too():
    run = made_run("tsn", "none", 0, labels=ACTIONS, splits=("test",))
    tables = task_report.task_tables("actions", runs={run.name: run})
    assert "| TSN with no AIA | 1 |" in tables and "Refusal" not in tables


def test_calibration_keeps_gestures_and_catches_what_is_none(runs):
    held = [runs[run_name("tsn", "stinc", seed)] for seed in range(3)]
    found = calibrate(held)
    gestures = np.concatenate([run.splits["held-out"].logits[:30] for run in held])
    others = np.concatenate([run.splits["unknown"].logits for run in held])
    plain = dataclasses.replace(found, threshold=0.0)
    assert found.threshold > 0 and found.unanswered(held[0], gestures).mean() <= 0.05
    assert found.unanswered(held[0], others).sum() > plain.unanswered(held[0], others).sum()


def test_the_tables_say_what_the_logits_say(runs, checkpoints):
    text = report.tables(runs, checkpoints)
    three = [runs[run_name("tsm", "stinc", seed)].splits["test"] for seed in range(3)]
    right = [np.mean(split.logits.argmax(1) == split.targets) for split in three]
    rows = [line for line in text.splitlines() if line.startswith("| TSM with STinC | 3 |")]
    assert len(rows) == 1 and f"| {np.mean(right):.3f} ± {np.std(right, ddof=1):.3f} |" in rows[0]
    assert rows[0].endswith(f"| {right[1]:.3f} |"), "the shipped seed"
    assert sum(line.startswith("| TSN with") and line.count("|") == 8 for line in text.splitlines()) == 11
    assert "| TSM with CinST − TSM with no AIA |" in text and "unknown, noise*: caught" in text
    assert "unknown, film: caught" in text, "not chosen on, so without a star"


def test_tables_without_test_clips_can_be_used_to_choose(runs, checkpoints):
    blind = {
        name: dataclasses.replace(run, splits={k: v for k, v in run.splits.items() if k != "test"})
        for name, run in runs.items()
    }
    text = report.tables(blind, checkpoints)
    row = next(line for line in text.splitlines() if line.startswith("| TSM with STinC | 3 |"))
    cells = [cell.strip() for cell in row.split("|")[1:-1]]
    assert cells[2] == cells[3] == "–" and "±" in cells[4]


@pytest.mark.long
def test_update_writes_between_the_marks_and_the_cards_beside_the_models(runs, checkpoints, tmp_path):
    readme = tmp_path / "README.md"
    readme.write_text("before\n<!-- results:begin -->\nstale tables\n<!-- results:end -->\nafter\n")
    writing.update(runs, readme, checkpoints)
    once = readme.read_text()
    assert once.startswith("before\n") and once.endswith("\nafter\n") and "stale" not in once
    assert report.tables(runs, checkpoints) in once
    writing.update(runs, readme, checkpoints)
    assert readme.read_text() == once
    folder = checkpoints / "tsm-mobilenetv2-cinst"
    card = ModelCard.load(folder / "README.md")
    said = {result.metric_type: result.metric_value for result in card.data.eval_results}
    test = runs["tsm-cinst-s1"].splits["test"]
    assert said["accuracy"] == round(metrics.top1(test.logits, test.targets), 4)
    for word in ("EgoGestAR", "licence", "1904.09843", "seed 1", "GestARLite", "reliability.png", "first-person"):
        assert word in card.text, word
    assert (folder / "reliability.png").read_bytes().startswith(b"\x89PNG")
    readme.write_text("no marks")
    with pytest.raises(AIAError, match="results:begin"):
        writing.update(runs, readme, checkpoints)


def test_a_shipped_model_takes_its_settings_calibration(runs, checkpoints):
    release.calibrate_shipped(runs, checkpoints)
    for temporal, attention in SHIPPED:
        config = AIAConfig.from_file(checkpoints / f"{temporal}-mobilenetv2-{attention}" / "config.json")
        found = calibrate([runs[run_name(temporal, attention, seed)] for seed in range(3)])
        assert (config.temperature, config.threshold) == (found.temperature, found.threshold)
        assert (config.temporal, config.attention, config.labels) == (temporal, attention, LABELS), "the rest stays"


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    rows = []
    for i in range(8):
        write_mp4(folder / f"{i}.mp4", moving_frames(6, 40, 56, seed=i), 10)
        split = "test" if i > 5 else "train"
        rows.append({"file": f"{i}.mp4", "label": "r" if i % 2 else "l", "split": split, "scene": f"s{i // 2}"})
    with (folder / "clips.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    return folder


@pytest.fixture
def run_folder(tmp_path):
    """A run with random weights."""
    recipe = Recipe(NETWORK, {"l": "swipe left", "r": "swipe right"}, holdout=("s1",), seed=2)
    torch.manual_seed(0)
    folder = tmp_path / "run"
    AIANet(recipe.config).save_pretrained(folder)
    (folder / "recipe.json").write_text(recipe.to_json())
    return folder


@pytest.mark.long
def test_test_clips_are_only_seen_when_they_are_asked_for(data, run_folder, tmp_path, capsys):
    args = ["evaluate", str(run_folder), "--data", str(data)]
    assert main(args) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["split"], said["clips"]) == ("held-out", 2) and set(said["errors"]) <= {"2.mp4", "3.mp4"}
    file = tmp_path / "results.json"
    assert main([*args, "--write", str(file)]) == 0
    kept = read_results(file)["tsn-cinst-s2"]
    assert set(kept.splits) == {"held-out"} and kept.splits["held-out"].clips == ("2.mp4", "3.mp4")
    assert kept.trained == {"swipe left": 2, "swipe right": 2}
    assert main([*args, "--write", str(file), "--test"]) == 0
    assert read_results(file)["tsn-cinst-s2"].splits["test"].clips == ("6.mp4", "7.mp4")
    capsys.readouterr()
    assert main([*args, "--split", "test"]) == 0
    assert json.loads(capsys.readouterr().out)["clips"] == 2


@pytest.mark.slow
def test_a_network_sees_its_clips_as_its_own_config_says(data, run_folder):
    net = aia.load(run_folder, device="cpu")
    own = recipe_of(run_folder)
    other = dataclasses.replace(own, network={**NETWORK, "num_segments": 3, "input_size": 64, "resize": [64, 64]})
    a, b = (measure(net, data, recipe, ["test"]).splits["test"] for recipe in (own, other))
    assert a.clips == b.clips and np.array_equal(a.logits, b.logits)


def test_the_tables_of_a_task_are_printed_alone(capsys):
    assert main(["evaluate"]) == 0
    every = capsys.readouterr().out
    for task, other in (("camera", "macro-F1"), ("actions", "copies")):
        assert main(["evaluate", "--task", task]) == 0
        said = capsys.readouterr().out
        assert "| TSN with CinST | 3 |" in said and other not in said
        assert ("| TSN with no AIA, trained on | 3 |" in said) == (task == "actions") and said.strip() in every


def test_a_folder_of_training_clips_only_is_no_data_to_contrast(tmp_path, capsys):
    (tmp_path / "wave").mkdir()
    (tmp_path / "wave" / "a.mp4").touch()
    assert main(["contrast", "--data", str(tmp_path), "tsn-mobilenetv2-stinc"]) == 1
    assert "are for training; give a folder of videos" in capsys.readouterr().err


def test_what_is_missing_is_said(data, run_folder, capsys):
    assert main(["evaluate", str(run_folder)]) == 1
    assert "--data" in capsys.readouterr().err
    (run_folder / "recipe.json").unlink()
    assert main(["evaluate", str(run_folder), "--data", str(data)]) == 1
    assert "--recipe" in capsys.readouterr().err
    for rest in ([], [str(run_folder), "--data", str(data), "--robustness"]):
        assert main(["evaluate", *rest, "--write", "r.json"]) == 1
        assert "--write keeps the logits of models" in capsys.readouterr().err
    assert main(["evaluate", "--results", "gone.json"]) == 1
    assert "gone.json" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "option"),
    [
        (["m", "--clips", "0"], "--clips"),
        (["m", "--seed", "0"], "--seed"),
        (["m", "--block", "layer1.0"], "--block"),
        (["m", "--robustness", "--block", "layer1.0"], "--block"),
        (["m", "--results", "r.json"], "--results"),
        (["m", "--faithfulness", "--results", "r.json"], "--results"),
        (["m", "--write", "r.json", "--split", "test"], "--split"),
        (["--split", "test"], "--split"),
        (["m", "--test"], "--test"),
        (["m", "--task", "camera"], "--task"),
        (["--recipe", "r.json"], "--recipe"),
    ],
)
def test_an_option_that_would_do_nothing_is_refused(arguments, option, data, capsys):
    assert main(["evaluate", *arguments, "--data", str(data)]) == 1
    said = capsys.readouterr().err
    assert said.startswith(f"{option} goes with ") and len(said.splitlines()) == 1


@pytest.mark.slow
def test_a_run_is_shipped_in_half_precision_and_gives_the_same_answers(data, run_folder, tmp_path):
    release.ship(run_folder, "m", data, checkpoints=tmp_path / "c")
    folder = tmp_path / "c" / "m"
    assert {file.name for file in folder.iterdir()} == {"config.json", "model.safetensors", "recipe.json"}
    size = [(f / "model.safetensors").stat().st_size for f in (run_folder, folder)]
    assert size[1] < 0.6 * size[0]
    shipped = aia.load(folder, device="cpu")
    assert shipped.head.weight.dtype == torch.float32
    recipe = recipe_of(folder)
    stored = measure(aia.load(run_folder, device="cpu"), data, recipe)
    fresh = measure(shipped, data, recipe)
    assert "the same answers" in differences(stored, fresh)[0]
    assert check({stored.name: stored}, data, checkpoints=tmp_path / "c")[0].startswith("m, held-out, 2 clips")
    assert "lacks its run" in check({}, data, checkpoints=tmp_path / "c")[0]


@pytest.mark.long
def test_a_run_whose_answers_change_in_half_precision_is_shipped_whole(data, run_folder, tmp_path):
    model = aia.load(run_folder, device="cpu")
    with torch.no_grad():
        model.head.bias[:] = 0
        model.head.weight[:] = torch.tensor([[1.0], [1.0001]])  # the same number in half precision
    model.save_pretrained(run_folder)
    assert release.ship(run_folder, "m", data, checkpoints=tmp_path / "c") is None
    assert torch.equal(aia.load(tmp_path / "c" / "m", device="cpu").head.weight, model.head.weight)
