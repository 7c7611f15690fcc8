"""What the page says of a result, and in which order it offers the models."""

import dataclasses
import json

import numpy as np
import pytest
from conftest import clip_of, moving_frames, small_net

import aia
from aia.hub import DEFAULT_MODEL
from aia.inspection.ablation import BlockEffect, Ranking
from app import text
from app.result import Result
from app.service import models


def seen_as(probabilities, threshold, labels=("swipe left", "star", "no gesture")) -> aia.Inspection:
    """An inspection of a real clip with other probabilities, labels and threshold."""
    seen = aia.inspect(small_net(), clip_of(moving_frames(8)))
    config = dataclasses.replace(seen.config, labels=labels, threshold=threshold)
    return dataclasses.replace(seen, config=config, probabilities=np.array(probabilities, np.float32))


@pytest.mark.slow
def test_the_headline_is_the_label_an_answer_or_that_the_model_does_not_know():
    assert text.headline(seen_as((0.8, 0.1, 0.1), 0.6)) == (
        "swipe left",
        "80.0 % confident (below 60.0 % it says that it does not know)",
    )
    label, sentence = text.headline(seen_as((0.1, 0.1, 0.8), 0.6))
    assert label == "no gesture" and "An answer, not an error" in sentence and "The gates still work" in sentence
    plain = dataclasses.replace(seen_as((0.1, 0.1, 0.8), 0.6), blocks=())
    assert "gates" not in text.headline(plain)[1]
    label, sentence = text.headline(seen_as((0.2, 0.5, 0.3), 0.6))
    assert label == text.UNKNOWN and "none of its gestures. The closest is “star”: 50.0 %" in sentence
    label, sentence = text.headline(seen_as((0.2, 0.3, 0.5), 0.6))
    assert label == text.UNKNOWN and "cannot tell whether the clip shows one of its gestures" in sentence
    label, sentence = text.headline(seen_as((0.2, 0.5, 0.3), 0.6, ("open", "shut", "push")))
    assert label == text.UNKNOWN and "none of its labels" in sentence


@pytest.mark.slow
def test_the_headline_of_a_group_names_what_it_knows():
    for probabilities, said in (
        ((0.1, 0.1, 0.8), "shows none of this model's 2 camera movements"),
        ((0.2, 0.3, 0.5), "cannot tell whether the clip shows one of its camera movements"),
        ((0.2, 0.5, 0.3), "none of its camera movements. The closest is “static”"),
    ):
        seen = seen_as(probabilities, 0.6, ("pan left", "static", "none of these"))
        label, sentence = text.headline(
            dataclasses.replace(seen, config=dataclasses.replace(seen.config, task="camera"))
        )
        assert said in sentence and label in (text.UNKNOWN, "none of these")


@pytest.mark.slow
def test_without_a_threshold_nothing_is_claimed_about_how_sure_the_model_is():
    for best in (0.4, 0.99):
        label, sentence = text.headline(seen_as((best, 1 - best - 0.01, 0.01), 0.0, ("open", "shut", "push")))
        assert label in ("open", "shut") and "no measured threshold" in sentence and "sure" not in sentence.split()


def test_the_menu_has_the_default_first_then_gates_before_none_and_says_what_each_is_good_for(tmp_path, monkeypatch):
    monkeypatch.setattr(aia.hub.files, "CHECKPOINTS", tmp_path)
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
    assert [label for label, _ in models.choices(names)] == [
        "TSN + STinC: the gates decide",
        "TSN + CinST: the gates decide",
        "TSM + CinST: the gates change little",
        "TSM + STinC: the gates change little",
        "TSN, no gates: blind to the order of frames",
        "TSM, no gates: sees the order of frames",
    ]
    assert models.without_gates("tsm-mobilenetv2-stinc") == "tsm-mobilenetv2-none"
    assert models.without_gates("tsm-mobilenetv2-none") == models.without_gates("user/repo") == ""
    assert models.offered(["user/repo"])[0] == models.title("user/repo") == "user/repo"


def side(seen: aia.Inspection, model="m", **changes) -> Result:
    return Result(
        **{"video": "v.mp4", "model": model, "backwards": False, "switches": (), "inspection": seen, **changes}
    )


@pytest.mark.slow
def test_forwards_and_backwards_are_told_as_they_are():
    left, star = seen_as((0.8, 0.1, 0.1), 0.6), seen_as((0.1, 0.8, 0.1), 0.6)
    unsure = seen_as((0.2, 0.5, 0.3), 0.6)
    blind = dataclasses.replace(left, config=dataclasses.replace(left.config, temporal="tsn", attention="none"))
    backwards = {"backwards": True}
    assert "notices the order" in text.compared(side(left), side(star, **backwards))
    assert "same backwards, or it missed the order" in text.compared(side(left), side(left, **backwards))
    assert "blind to their order" in text.compared(side(blind), side(blind, **backwards))
    assert text.compared(side(left), side(star, "n")) == "A says “swipe left”, B says “star”."
    assert text.compared(side(left), side(unsure, "n")).endswith("B says that it does not know (closest: “star”).")
    assert text.compared(side(left), side(star, "n", **backwards)).endswith("change one at a time to see its effect.")
    other = seen_as((0.8, 0.1, 0.1), 0.6, ("open", "shut", "push"))
    assert "cannot be compared" in text.compared(side(left), side(other, "n"))


def test_a_side_says_what_was_run():
    seen = seen_as((0.8, 0.1, 0.1), 0.6)
    switched = (aia.Switch("identity", "layer1.0", "C"), aia.Switch("identity", "layer1.1", "C"))
    assert text.side_title(side(seen, switches=(aia.Switch("mean"),))) == "TSM + CinST, all gates held at their mean"
    assert text.side_title(side(seen, switches=switched)).endswith("C of layer1.0 to layer1.1 wide open")
    assert text.side_title(side(seen, backwards=True)).endswith(", backwards")


@pytest.mark.slow
def test_a_switch_is_told_to_have_changed_what_the_model_says_or_not():
    sure, less, unsure = (seen_as((p, 1 - p, 0.0), 0.6) for p in (0.9, 0.8, 0.55))
    assert text.what_changed(sure, less, "C") == (
        "C: it still says “swipe left”, with 80.0 % instead of 90.0 % for “swipe left”."
    )
    closest = "that it does not know (closest: “swipe left”)"
    assert text.what_changed(sure, unsure, "C") == f"C: it says {closest} instead of “swipe left”."
    assert text.what_changed(unsure, sure, "C") == f"C: it says “swipe left” instead of {closest}."
    assert text.what_changed(unsure, unsure, "C").startswith(f"C: it still says {closest}")


@pytest.mark.slow
def test_two_models_of_one_network_are_told_apart():
    def of(task: str, model: str, **changes) -> Result:
        seen = seen_as((0.8, 0.1, 0.1), 0.6)
        return side(
            dataclasses.replace(seen, config=dataclasses.replace(seen.config, task=task, **changes)), model=model
        )

    gesture, network = of("gestures", "g"), "TSM + CinST"
    assert text.side_titles(gesture, of("camera", "c")) == (f"Gestures · {network}", f"Camera · {network}")
    assert text.side_titles(of("", "/mine/a"), of("", "user/b")) == (f"a · {network}", f"b · {network}")
    assert text.side_titles(of("", "x/a"), of("", "y/a")) == (f"x/a · {network}", f"y/a · {network}")
    assert text.side_titles(gesture, of("gestures", "other", attention="none")) == (network, "TSM, no gates")
    assert text.side_titles(gesture, gesture) == (network, network), "the clips differ"


def test_folders_of_one_name_stand_in_the_menu_with_their_paths(tmp_path, monkeypatch):
    for folder in ("a/net", "b/net", "other"):
        (tmp_path / folder).mkdir(parents=True)
    names = [str(tmp_path / folder) for folder in ("a/net", "b/net", "other")]
    assert models.choices(names) == [(names[0], names[0]), (names[1], names[1]), ("other", names[2])]
    monkeypatch.chdir(tmp_path)
    assert models.choices(["."]) == [(".", ".")]


def test_a_model_of_the_hub_is_known_once_it_is_on_this_machine(tmp_path, monkeypatch):
    small_net().save_pretrained(tmp_path)
    paths = tmp_path / "config.json", tmp_path / "model.safetensors"
    assert models.labels("user/repo") == ()
    monkeypatch.setattr(aia.hub.files, "_cached", lambda *_: paths)
    assert models.labels("user/repo") == small_net().config.labels


def test_the_menu_of_places_has_all_blocks_those_of_one_size_and_each_alone():
    choices = text.where_choices(seen_as((0.8, 0.1, 0.1), 0.6))
    assert choices[0] == (text.ALL_BLOCKS, "*")
    assert ("12×12: layer1.0 to layer1.1", "layer1.0,layer1.1") in choices and ("layer4.1", "layer4.1") in choices


def test_a_ranking_names_the_blocks_that_change_the_answer():
    blocks = ("a", "b", "c", "d", "e", "f")
    for count, wanted in (
        (0, "No block alone changes the answer."),
        (1, "The answer changes at block 1 (a)."),
        (2, "The answer changes at blocks 1 (a) and 2 (b)."),
        (6, "The answer changes at blocks 1 (a), 2 (b), 3 (c), 4 (d) and 2 more."),
    ):
        labels = ["star"] * count + ["cross"] * (6 - count)
        effects = tuple(
            BlockEffect(block, np.zeros(2), -1.0, 0.1, label) for block, label in zip(blocks, labels, strict=True)
        )
        said = text.ranked(Ranking("cross", "mean", np.zeros(2), effects), {b: i for i, b in enumerate(blocks, 1)})
        assert said.endswith(f" {wanted}"), said
