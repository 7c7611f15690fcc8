"""The prepared examples: what the page paints first is what the default model says."""

import base64
import json

import numpy as np
import pytest
from packed import unpacked_gate

from aia import AIAError
from app import text
from app.service import models, requests
from app.ui import examples, handlers


@pytest.mark.slow
@pytest.mark.parametrize("example", requests.EXAMPLES)
def test_a_prepared_answer_is_its_groups_best_models(example):
    best = examples.best_model(example)
    found = examples.first_paint(example, best)
    prepared, side = json.loads(found["viewer"]["answer"]), examples.of_example(example, best)
    seen = side.inspection
    assert seen.label in prepared["says"] and prepared["link"]["example"] == example
    for block, said in zip(seen.blocks, prepared["blocks"], strict=True):
        for unit, gate in block.gates.items():
            got = unpacked_gate(said["maps"][unit], base64.b64decode(prepared["data"]))
            assert np.abs(got - gate.mean(axis=1, keepdims=True)).max() < 5e-3
    assert text.headline(seen)[0] in found["summary"]


def test_an_answer_that_is_missing_for_now_is_asked_for_again(monkeypatch):
    said = [{"camera": AIAError("There is not enough memory.")}, {"camera": "pan left"}]
    monkeypatch.setattr(requests, "classify_all", lambda video, models: said.pop(0))
    examples._asked.cache_clear()
    try:
        assert isinstance(examples.asked("star", {"camera": "model"})["camera"], AIAError)
        for _ in range(2):
            assert examples.asked("star", {"camera": "model"}) == {"camera": "pan left"}
    finally:
        examples._asked.cache_clear()


def test_nothing_is_prepared_for_another_model():
    assert examples.first_paint("swipe-left", "tsn-mobilenetv2-none") == {}


def test_a_link_to_a_model_without_a_prepared_answer_does_not_keep_the_one_of_another():
    names = models.offered()
    best = models.asked_models(names)
    for example in requests.EXAMPLES:
        found = handlers.load_link({"model": "tsm-mobilenetv2-none", "example": example}, names, best)
        assert (found["model"], found["summary"]) == ("tsm-mobilenetv2-none", "")
    assert "star" in handlers.load_link({"example": "star"}, names, best)["summary"]
