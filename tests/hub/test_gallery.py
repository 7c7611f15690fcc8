"""The Hub's list of models: what is plain in it, and one sentence for a Hub that does not answer as it should."""

from __future__ import annotations

import pytest
from hub_server import LIST, Fault, HubServer
from huggingface_hub import constants

import aia
from aia.hub import gallery
from aia.hub.gallery import HubModel, hub_models
from app import text

GOOD = {"id": "user/good", "likes": 12, "pipeline_tag": "video-classification", "safetensors": {"total": 2_300_000}}
ODD = [
    {"id": "user/plain"},
    {"id": "user/liked", "likes": 10**30, "pipeline_tag": "<b>x</b>", "safetensors": {"total": -1}},
    {"id": "user/typed", "likes": "many", "pipeline_tag": ["x"], "safetensors": "big"},
    GOOD,
    GOOD,
    {"id": "user/gated", "gated": "auto"},
    {"id": "user/private", "private": True},
    *(
        {"id": name}
        for name in ("../../etc", "user/a\u202eb", "user/line\nbreak", "/root", "no-user", "x" * 5000, 7, None, [])
    ),
    *(None, 3, "user/text", []),
]


@pytest.fixture
def server(monkeypatch):
    with HubServer() as running:
        monkeypatch.setattr(constants, "ENDPOINT", running.url)
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setenv("HF_TOKEN", "hf_OfThisTestAlone")
        yield running


def test_models_with_the_tag_are_listed_with_what_is_plain_of_them_and_the_others_left_out(server):
    server.listed = ODD
    models = hub_models()
    good = HubModel("user/good", 12, "video-classification", 2_300_000)
    assert models == (good, HubModel("user/liked"), HubModel("user/plain"), HubModel("user/typed"))
    assert text.hub_entry(good) == "Hub · user/good (video-classification, 2.3 million parameters, 12 likes)"
    assert text.hub_entry(HubModel("user/plain", 1)) == "Hub · user/plain (1 like)"
    (request,) = server.requests
    assert "filter=attention-in-attention" in request.path and not request.token
    shipped = aia.available_models()
    assert aia.available_models(hub=True) == (*shipped, *(model.name for model in models))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("listed", "fault"),
    [
        (b"[" + b" " * gallery.MAX_BYTES + b"]", Fault()),
        (b"[" * 100_000, Fault()),
        (b'{"error": "no list"}', Fault()),
        (b"<html>", Fault()),
        (b"\xff", Fault()),
        ([GOOD], Fault(cut=5)),
        ([GOOD], Fault(status=500)),
        ([GOOD], Fault(status=302, headers={"Location": "http://127.0.0.1:1/"})),
        ([GOOD], Fault(hang=True)),
    ],
    ids=["huge", "deep", "object", "html", "bytes", "cut", "error", "elsewhere", "silent"],
)
def test_an_odd_answer_is_one_sentence_and_never_a_wait(server, monkeypatch, listed, fault):
    monkeypatch.setattr(gallery, "SECONDS", 2)
    server.listed, server.faults[LIST] = listed, fault
    with pytest.raises(aia.AIAError, match="cannot be listed now; check the connection"):
        hub_models()
