import dataclasses
import json

import numpy as np
import pytest
import torch

from aia import AIAConfig, AIAError, AIANet
from aia.modeling.config import ARCHS

GOOD = {"labels": ["a", "b"]}


def test_a_configuration_survives_json():
    config = AIAConfig(("a", "b"), arch="mobilenet_v2", attention="stinc->cinst", resize=128, input_size=112)
    config = dataclasses.replace(config, temperature=0.7, threshold=0.6, default_block="features.12", task="camera")
    assert AIAConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


def test_numbers_of_numpy_survive_json():
    third = np.float32(1 / 3)
    config = AIAConfig(("a", "b"), temperature=third, threshold=third, mean=(third,) * 3, std=(third,) * 3)
    assert AIAConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


def test_a_configuration_from_before_thresholds_always_answers_and_is_not_tempered():
    config = AIAConfig.from_dict(GOOD)
    assert (config.temperature, config.threshold, config.default_block, config.task) == (1, 0, "", "")


@pytest.mark.slow
@pytest.mark.parametrize("arch", ARCHS)
def test_the_blocks_that_can_be_named_are_those_of_the_network(arch):
    config = AIAConfig(("a", "b"), arch=arch)
    with torch.device("meta"):
        assert AIANet(config).block_names == config.blocks
    for block in config.blocks:
        assert dataclasses.replace(config, default_block=block, attention="none").default_block == block


def test_it_cannot_be_changed_once_checked():
    with pytest.raises(dataclasses.FrozenInstanceError):
        AIAConfig(("a",)).arch = "vgg"


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"arch": "vgg16"}, "arch"),
        ({"temporal": None}, "temporal"),
        ({"attention": ["cinst"]}, "attention"),
        ({"num_segments": 0}, "num_segments"),
        ({"num_segments": True}, "num_segments"),
        ({"num_segments": 8.0}, "num_segments"),
        ({"input_size": 31}, "input_size"),
        ({"input_size": 10**9}, "input_size"),
        ({"resize": 100}, "resizes"),
        ({"resize": [240]}, "resize"),
        ({"resize": [240, "320"]}, "resize"),
        ({"resize": {"height": 240}}, "resize"),
        ({"mean": [0.5, 0.5]}, "mean"),
        ({"mean": [0.5, 0.5, float("nan")]}, "mean"),
        ({"std": [0, 1, 1]}, "std"),
        ({"std": "111"}, "std"),
        ({"labels": []}, "labels"),
        ({"labels": "ab"}, "labels"),
        ({"labels": ["a", ""]}, "label"),
        ({"labels": ["a", 1]}, "label"),
        ({"labels": ["a", "a"]}, "labels"),
        ({"labels": ["a", "b" * 1000]}, "label"),
        ({"dropout": 0.5}, "dropout"),
        ({"temperature": 0.04}, "temperature"),
        ({"temperature": 21}, "temperature"),
        ({"temperature": float("nan")}, "temperature"),
        ({"temperature": "1"}, "temperature"),
        ({"temperature": True}, "temperature"),
        ({"threshold": -0.1}, "threshold"),
        ({"threshold": 1}, "threshold"),
        ({"threshold": None}, "threshold"),
        ({"default_block": "features.12"}, "default_block"),
        ({"default_block": None}, "default_block"),
        ({"default_block": ["layer1.0"]}, "default_block"),
        ({"task": None}, "task"),
        ({"task": "t" * 31}, "task"),
        ({"task": "two\nlines"}, "task"),
        ({"task": ["camera"]}, "task"),
        ({"arch": "resnet101", "default_block": "layer3.1"}, "default_block"),
    ],
)
def test_a_wrong_field_is_named_in_one_sentence(change, named):
    with pytest.raises(AIAError) as error:
        AIAConfig.from_dict({**GOOD, **change})
    assert named in str(error.value) and "\n" not in str(error.value) and len(str(error.value)) < 250


@pytest.mark.parametrize(
    ("labels", "none"),
    [(("a", "no gesture"), "no gesture"), (("none of these", "a"), "none of these"), (("a", "b"), "")],
)
def test_the_label_that_refuses_a_clip_is_known(labels, none):
    assert AIAConfig(labels).none_label == none


@pytest.mark.parametrize("data", [None, [], "x", 3, {}])
def test_what_is_no_configuration_is_refused(data):
    with pytest.raises(AIAError):
        AIAConfig.from_dict(data)


@pytest.mark.parametrize("content", ["", "{", "[" * 100_000, "\xff", '{"labels": ["a"], "arch": "x"}'])
def test_a_damaged_file_is_refused(tmp_path, content):
    (tmp_path / "config.json").write_text(content, encoding="latin-1")
    with pytest.raises(AIAError):
        AIAConfig.from_file(tmp_path / "config.json")
