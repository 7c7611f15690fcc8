"""What a request of the page does with its model and its clip."""

import importlib.util
import pickle
import re
import sys
from functools import wraps
from types import SimpleNamespace

import gradio as gr
import pytest
from conftest import ROOT, clip_of, moving_frames, small_net

import aia
from aia.hub import DEFAULT_MODEL
from aia.visualization.view import View
from app import text
from app.result import Result
from app.service import exports, models, requests
from app.ui import events, layout

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


def test_the_script_of_an_example_names_its_file_in_the_project():
    seen = aia.inspect(small_net(), clip_of(moving_frames(8)))
    for example in ("star", "pan-left"):
        result = Result(str(requests.example_file(example)), "user/repo", False, (), seen)
        (file,) = re.findall(r"read_clip\('(.*?)'", exports.script(result, View(seen.first_block)))
        assert (ROOT / file).samefile(requests.example_file(example)), file


def test_the_first_example_never_replaces_what_the_visitor_chose_meanwhile():
    functions = {function.name: function for function in layout.build().fns.values()}
    first = functions["run_first_example"]
    assert [type(one) for one in first.inputs] == [gr.State]
    (update,) = first.fn("a result", SimpleNamespace(query_params={})).values()
    assert update == gr.skip()
    for name in ("make_file", "python"):  # after results that were asked for earlier, before those of later
        assert functions[name].concurrency_id == events.MODEL_QUEUE["concurrency_id"]


def test_on_zero_gpu_a_sentence_and_a_bug_arrive_from_the_other_process_and_a_missing_gpu_is_a_sentence(monkeypatch):
    free = [True]

    def gpu(duration):
        def lent(function):
            @wraps(function)
            def elsewhere(*arguments):
                if not free[0]:
                    raise gr.Error("No GPU is available")
                try:
                    return pickle.loads(pickle.dumps(function(*arguments)))
                except Exception as error:  # only its name arrives
                    raise gr.Error(type(error).__name__) from None

            return elsewhere

        return lent

    monkeypatch.setitem(sys.modules, "spaces", SimpleNamespace(GPU=gpu))
    spec = importlib.util.spec_from_file_location("requests_on_zero_gpu", requests.__file__)
    on_zero_gpu = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(on_zero_gpu)
    assert on_zero_gpu.ZERO_GPU

    @on_zero_gpu.on_gpu
    def divided(number):
        if number < 0:
            raise aia.AIAError("The number is negative.")
        return 1 / number

    assert divided(2) == 0.5
    with pytest.raises(aia.AIAError, match="The number is negative"):
        divided(-1)
    with pytest.raises(RuntimeError, match="ZeroDivisionError: division by zero"):
        divided(0)
    free[0] = False
    with pytest.raises(aia.AIAError, match=re.escape(text.NO_GPU)):
        divided(2)
