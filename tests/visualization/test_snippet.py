"""A view as a program: it runs, and shows what was seen."""

import ast
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT, small_net
from PIL import Image

import aia
from aia import Switch, View
from aia.visualization.figure import frame_picture
from aia.visualization.snippet import as_python

VIEW = View("layer2.0", "H", frame=6, channel=3, scale="clip", colours="magma", opacity=0.3, cells=True)
SWITCHES = [Switch("scale", "layer1", "C", factor=0.25), Switch("identity", "layer2.1", "T")]


@pytest.mark.long
def test_the_program_runs_and_its_picture_is_the_one_that_was_seen(video, tmp_path):
    odd = tmp_path / """it's a "film" {x} \\n é.mp4"""
    shutil.copy(video, odd)
    small_net().save_pretrained(tmp_path / "my 'net'")
    program = as_python(tmp_path / "my 'net'", odd, VIEW, switches=SWITCHES, backwards=True)
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    net = aia.load(tmp_path / "my 'net'")
    inspection = aia.inspect(net, aia.read_clip(odd, num_segments=8).backwards(), switches=SWITCHES)
    assert done.stdout == f"{inspection.label}: {inspection.probabilities.max():.1%}\n"
    assert np.array_equal(np.asarray(Image.open(tmp_path / "aia-frame.png")), frame_picture(inspection, VIEW))
    assert (tmp_path / "aia-figure.pdf").read_bytes().startswith(b"%PDF-")


@pytest.mark.parametrize(
    "name", ["plain.mp4", "'; import os #.mp4", '"""\n\\', "{view} %s", "\udcff.mp4", "手.mp4", "a\rb\x00c"]
)
def test_a_name_is_only_ever_text(name):
    program = as_python(name, name, View(), switches=SWITCHES)
    program.encode("utf-8")
    calls = {
        node.func.attr: node
        for node in ast.walk(ast.parse(program))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
    }
    assert calls["load"].args[0].value == calls["read_clip"].args[0].value == name
    assert calls.keys() == {"load", "read_clip", "inspect", "Switch", "View", "max"}


def test_the_program_reproduces_the_view_and_the_switches():
    for view in (View(), VIEW, View(opacity=1 / 3), View("layer1.0", channel=0)):
        assignments = dict(
            line.split(" = ", 1) for line in as_python("m", "v", view, switches=SWITCHES).splitlines() if " = " in line
        )
        assert eval(assignments["view"], {"aia": aia}) == view
        assert (
            eval(assignments["inspection"].replace("aia.inspect(model, clip, switches=", "("), {"aia": aia}) == SWITCHES
        )


def test_a_factor_of_numpy_is_written_as_a_plain_number():
    program = as_python("m", "v", View(), switches=[Switch("scale", factor=np.float32(0.5))])
    assert "aia.Switch('scale', factor=0.5)" in program


def test_the_program_imports_the_library_alone_and_is_always_the_same():
    program = as_python("tsm-mobilenetv2-cinst", "video.mp4", View("features.12"))
    imported = [
        module
        for node in ast.walk(ast.parse(program))
        if isinstance(node, (ast.Import, ast.ImportFrom))
        for module in ([node.module] if isinstance(node, ast.ImportFrom) else [name.name for name in node.names])
    ]
    assert imported == ["aia", "aia.visualization.export"]
    assert program == as_python("tsm-mobilenetv2-cinst", Path("video.mp4"), View("features.12"))
    assert "switches" not in program and "backwards" not in program
    assert "clip = clip.backwards()" in as_python("m", "v", View(), backwards=True).splitlines()
