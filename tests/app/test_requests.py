"""What a request of the page does with its model and its clip."""

import pickle

import pytest

from aia.hub import DEFAULT_MODEL
from app.service import models, requests

CLIP = str(requests.EXAMPLES_FOLDER / "swipe-left.mp4")


@pytest.mark.long
@pytest.mark.parametrize(
    "request_result",
    [
        lambda: requests.inspect_video(CLIP, DEFAULT_MODEL, [DEFAULT_MODEL]),
        lambda: requests.rank_blocks(CLIP, DEFAULT_MODEL, [DEFAULT_MODEL], "mean"),
        lambda: requests.trace_block(CLIP, DEFAULT_MODEL, [DEFAULT_MODEL], "", ""),
    ],
    ids=["inspect_video", "rank_blocks", "trace_block"],
)
def test_a_request_fetches_its_model_once(monkeypatch, request_result):
    names, get = [], models.get
    monkeypatch.setattr(models, "get", lambda name: names.append(name) or get(name))
    assert request_result()
    assert names == [DEFAULT_MODEL]


def test_a_model_travels_to_another_process_by_its_name():
    model = models.get(DEFAULT_MODEL)
    sent = pickle.dumps(model)
    assert len(sent) < 200
    assert pickle.loads(sent).network is model.network, "the process that has it loads it no second time"
