"""The README's programs, as they stand there, against a real server; and what the endpoints answer."""

import asyncio
import json
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from gradio_client import handle_file
from gradio_client.exceptions import AppError

import aia

ROOT = Path(__file__).resolve().parents[1]
EXAMPLE = ROOT / "assets" / "examples" / "swipe-left.mp4"


def readme_programs(language: str) -> list[str]:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    section = text.partition("\n## Programs\n")[2].partition("\n## ")[0]
    return re.findall(rf"```{language}\n(.*?)```", section, re.S)


def run(command: list[str], server) -> str:
    done = subprocess.run(command, cwd=ROOT, env=os.environ, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_readmes_python_programs_run(server):
    client, mcp = (program.replace("http://127.0.0.1:7860", server[0]) for program in readme_programs("python"))
    said = run([sys.executable, "-c", client], server).strip()
    assert "swipe left features." in said and said.endswith(".pdf")
    tools = run([sys.executable, "-c", mcp], server)
    assert "rank_blocks" in tools and "tsm-mobilenetv2-cinst" in tools


def test_the_readmes_curl_program_runs(server):
    (program,) = readme_programs("bash")
    said = run(["bash", "-c", program.replace("http://127.0.0.1:7860", server[0])], server)
    assert "event: complete" in said and '"label": "swipe left"' in said


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
    numbers = np.loadtxt(file, delimiter=",", skiprows=1)[:, -1]
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
