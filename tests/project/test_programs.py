"""The programs of docs/endpoints.md, as they are printed there, against a real server; and what the endpoints answer."""

import asyncio
import json
import os
import re
import subprocess
import sys
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from conftest import ROOT
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError

import aia

EXAMPLE = ROOT / "assets" / "examples" / "swipe-left.mp4"
ENDPOINTS = {
    *("/list_models", "/classify", "/inspect", "/what_if", "/rank_blocks", "/compare", "/lesson", "/export_view"),
    "/as_python",
}


def printed(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", (ROOT / "docs" / "endpoints.md").read_text(encoding="utf-8"), re.S)


def run(command: list[str], server) -> str:
    done = subprocess.run(command, cwd=ROOT, env=os.environ, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.long
def test_the_printed_python_programs_run(server):
    client, mcp = (program.replace("http://127.0.0.1:7860", server[0]) for program in printed("python"))
    said = run([sys.executable, "-c", client], server).strip()
    assert "swipe left features." in said and said.endswith(".pdf")
    tools = run([sys.executable, "-c", mcp], server)
    assert "rank_blocks" in tools and "tsm-mobilenetv2-cinst" in tools


def test_the_printed_curl_program_runs(server):
    (program,) = printed("bash")
    said = run(["bash", "-c", program.replace("http://127.0.0.1:7860", server[0])], server)
    assert "event: complete" in said and '"label": "swipe left"' in said


def test_classify_answers_with_label_scores_model_and_frames(client, server):
    answer = client.predict(video=handle_file(str(EXAMPLE)), model=server[1][0], api_name="/classify")
    assert set(answer) == {"label", "sure", "scores", "model", "frames"}
    clip = aia.read_clip(EXAMPLE)
    seen = aia.inspect(aia.load(server[1][0], device="cpu"), clip)
    assert (answer["label"], answer["sure"], answer["model"]) == (seen.label, True, server[1][0])
    assert answer["frames"] == clip.indices.tolist()
    assert answer["scores"] == pytest.approx(seen.scores, abs=1e-4)


def test_inspect_answers_with_a_summary_the_gates_and_a_film(client, server):
    summary, npz, mp4 = client.predict(
        video=handle_file(str(EXAMPLE)), model=server[1][1], block="layer2.0", api_name="/inspect"
    )
    seen = aia.inspect(aia.load(server[1][1], device="cpu"), aia.read_clip(EXAMPLE))
    assert summary["label"] == seen.label and summary["drawn_block"] == "layer2.0"
    with np.load(npz) as arrays:
        assert np.allclose(arrays["layer2.0/C"], seen.block("layer2.0").gates["C"], atol=1e-4)
    assert aia.read_clip(mp4).num_frames == 8


@pytest.mark.long
def test_programs_are_told_when_the_model_does_not_know(client, server):
    clip = handle_file(str(EXAMPLE))
    answer = client.predict(video=clip, model=server[1][3], api_name="/classify")
    summary, _, _ = client.predict(video=clip, model=server[1][3], block="", api_name="/inspect")
    assert answer["sure"] is summary["sure"] is False
    assert answer["label"] == summary["label"] == max(answer["scores"], key=answer["scores"].get), "still the closest"


def test_a_model_without_gates_is_inspected_too(client, server):
    summary, npz, mp4 = client.predict(
        video=handle_file(str(EXAMPLE)), model=server[1][2], block="", api_name="/inspect"
    )
    assert summary["blocks"] == [] and summary["drawn_block"] is None and summary["sure"] is True
    with np.load(npz) as arrays:
        assert set(arrays) == {"logits", "times", "indices"}
    assert aia.read_clip(mp4).num_frames == 8


def test_the_endpoints_describe_themselves(client, server):
    described = json.load(urllib.request.urlopen(f"{server[0]}/gradio_api/info"))["named_endpoints"]
    assert set(described) == ENDPOINTS, "events of the page are no endpoints"
    assert [p["parameter_name"] for p in described["/classify"]["parameters"]] == ["video", "model"]
    assert "probability" in described["/classify"]["description"] and "gates" in described["/inspect"]["description"]
    assert all(len(endpoint["description"]) > 60 for endpoint in described.values())


def test_bad_input_gets_one_sentence_and_the_server_lives(client, server, not_a_video):
    for arguments, named in (
        ({"video": handle_file(str(not_a_video)), "model": server[1][0]}, "holiday.mp4"),
        ({"video": handle_file(str(EXAMPLE)), "model": "someone/else"}, "someone/else"),
        ({"video": None, "model": server[1][0]}, "no clip"),
    ):
        with pytest.raises(AppError) as error:
            client.predict(**arguments, api_name="/classify")
        said = str(error.value)
        assert named in said and "Traceback" not in said and "\n" not in said.strip()
    assert client.predict(video=handle_file(str(EXAMPLE)), model=server[1][2], api_name="/classify")["label"]


def test_a_file_on_the_server_cannot_be_named_as_a_clip(server, video):
    data = {"data": [{"path": str(video), "meta": {"_type": "gradio.FileData"}}, server[1][0]]}
    call = f"{server[0]}/gradio_api/call/classify"
    headers = {"Content-Type": "application/json"}
    asked = urllib.request.urlopen(urllib.request.Request(call, json.dumps(data).encode(), headers))
    answer = urllib.request.urlopen(f"{call}/{json.load(asked)['event_id']}").read().decode()
    assert "event: error" in answer and "scores" not in answer


def test_nobody_gets_around_the_queue(server):
    request = urllib.request.Request(
        f"{server[0]}/gradio_api/run/classify", b'{"data": [null, ""]}', {"Content-Type": "application/json"}
    )
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request)
    assert refused.value.code in (401, 403, 404)


@pytest.mark.long
def test_visitors_at_the_same_time_each_get_their_own_result(server):
    jobs = [
        (ROOT / "assets" / "examples" / f"{clip}.mp4", model) for clip in ("star", "square") for model in server[1][:2]
    ]

    def ask(job):
        file, model = job
        answer = Client(server[0], verbose=False).predict(
            video=handle_file(str(file)), model=model, api_name="/classify"
        )
        return answer["model"], answer["scores"]

    alone = [ask(job) for job in jobs]
    with ThreadPoolExecutor(len(jobs)) as pool:
        together = list(pool.map(ask, jobs * 2))
    assert together == alone * 2
    assert len({tuple(scores.values()) for _, scores in alone}) == len(jobs), "the jobs must differ to tell them apart"


@pytest.mark.long
def test_what_if_ranking_and_comparison_are_the_librarys(client, server):
    clip, net = handle_file(str(EXAMPLE)), aia.load(server[1][0], device="cpu")
    own = aia.read_clip(EXAMPLE)
    answer = client.predict(
        video=clip, model=server[1][0], mode="identity", blocks="layer1.0, layer2.0", units="C, T", api_name="/what_if"
    )
    switches = [aia.Switch("identity", block, unit) for block in ("layer1.0", "layer2.0") for unit in "CT"]
    before, after = aia.inspect(net, own), aia.inspect(net, own, switches=switches)
    moved = dict(zip(before.labels, (after.logits - before.logits).tolist(), strict=True))
    assert answer["change_of_logits"] == pytest.approx(moved, abs=1e-4)

    ranking = client.predict(video=clip, model=server[1][0], mode="shuffle", api_name="/rank_blocks")
    wanted = aia.rank_blocks(net, own, mode="shuffle")
    assert [row["block"] for row in ranking["blocks"]] == [effect.block for effect in wanted.effects]

    both = client.predict(
        video=clip, model=server[1][0], other_model=server[1][2], other_video=None, backwards=True, api_name="/compare"
    )
    assert both["a"]["frames"] == both["b"]["frames"][::-1] and both["b"]["model"] == server[1][2]
    backwards = aia.inspect(aia.load(server[1][2], device="cpu"), own.backwards())
    assert both["b"]["scores"] == pytest.approx(backwards.scores, abs=1e-4)


def test_a_lesson_files_and_a_program_come_from_endpoints_too(client, server):
    clip, model = handle_file(str(EXAMPLE)), server[1][0]
    lesson = client.predict(video=clip, model=model, block="layer2.0", unit="T", api_name="/lesson")
    assert "layer2.0" in json.dumps(lesson)
    view = {"block": "layer2.0", "gate": "T", "channel": 3, "scale": "block"}
    file = client.predict(video=clip, model=model, format="values.csv", view=view, api_name="/export_view")
    numbers = np.genfromtxt(file, delimiter=",", names=True)["value"]
    seen = aia.inspect(aia.load(model, device="cpu"), aia.read_clip(EXAMPLE))
    gate = np.broadcast_to(seen.block("layer2.0").gates["T"][:, 3], (8, *seen.block("layer2.0").shape[2:]))
    assert numbers == pytest.approx(gate.ravel(), abs=1e-4)
    program = client.predict(video=clip, model=model, view=view, api_name="/as_python")
    assert "aia.View('layer2.0', gate='T'" in program and compile(program, "view", "exec")


@pytest.mark.parametrize(
    ("arguments", "endpoint", "named"),
    [
        ({"mode": "sideways"}, "/what_if", "sideways"),
        ({"blocks": "layer9.9"}, "/what_if", "layer9.9"),
        ({"view": {"scale": [10**400, 1]}}, "/as_python", "scale"),
        ({"view": {"scale": [1, 0]}}, "/as_python", "lower first"),
        ({"units": "Q"}, "/what_if", "choose at least one of C, H, T, W"),
        ({"mode": "scale"}, "/what_if", "scale"),
        ({"mode": "off"}, "/rank_blocks", "off"),
        ({"format": "../../etc/passwd"}, "/export_view", "frame.png"),
        ({"format": "frame.png", "view": {"frame": 99}}, "/export_view", "99"),
        ({"view": {"gate": "<script>"}}, "/as_python", "gate"),
        ({"block": "layer9.9"}, "/lesson", "layer9.9"),
    ],
)
def test_a_wrong_argument_gets_one_sentence(client, server, arguments, endpoint, named):
    with pytest.raises(AppError) as error:
        client.predict(video=handle_file(str(EXAMPLE)), model=server[1][0], **arguments, api_name=endpoint)
    said = str(error.value)
    assert named in said and "Traceback" not in said and "report number" not in said


def test_tools_for_language_models_say_what_they_do(server):
    from mcp import ClientSession
    from mcp.client.streamable_http import streamable_http_client

    async def tools():
        async with streamable_http_client(f"{server[0]}/gradio_api/mcp/") as (read, write, _):
            async with ClientSession(read, write) as session:
                await session.initialize()
                return (await session.list_tools()).tools

    with ThreadPoolExecutor(1) as pool:  # the browser's tests have an event loop in this thread
        found = {tool.name: tool for tool in pool.submit(asyncio.run, tools()).result()}
    assert len(found) == 9
    for tool in found.values():
        assert len(tool.description) > 60
    described = found["what_if"].inputSchema["properties"]
    assert "identity" in described["mode"]["description"]
