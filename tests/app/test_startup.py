"""What starts quickly, and what it may load for that: each in a Python of its own."""

import argparse
import gc
import os
import re
import runpy
import socket
import subprocess
import sys
from types import ModuleType

import httpx
import matplotlib
import numpy as np
import pytest
from conftest import ROOT
from playwright.sync_api import expect

import aia
from aia import AIAError, limits
from aia.visualization import render
from app.ui import layout
from benchmarks.page import Page

EXAMPLE = ROOT / "assets" / "examples" / "swipe-left.mp4"
HEAVY = ("torch", "torchvision", "matplotlib.pyplot", "pandas", "gradio")
LOADED = f"[name for name in {HEAVY} if name in sys.modules]"


def loaded_by(program: str) -> str:
    """Which of the heavy packages a program has loaded when it ends."""
    command = [sys.executable, "-c", f"import runpy, sys\n{program}\nprint({LOADED})"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1]


def test_reading_a_video_needs_no_torch():
    program = f"import aia; assert aia.read_clip({str(EXAMPLE)!r}).frames.shape[0] == 8"
    assert loaded_by(program) == "[]"


def test_modules_that_compute_nothing_need_no_torch():
    modules = (
        "video",
        "limits",
        "errors",
        "modeling.config",
        "inspection",
        "visualization.view",
        "visualization.export",
        "visualization.web",
        "hub",
    )
    program = "\n".join(f"import aia.{module}; assert not {LOADED}, 'aia.{module}'" for module in modules)
    assert loaded_by(program) == "[]"


def test_help_needs_no_torch():
    run = "runpy.run_module('aia', run_name='__main__')"
    program = "\n".join(
        f"sys.argv = {['aia', *command, '--help']}\ntry: {run}\nexcept SystemExit: assert not {LOADED}, {command}"
        for command in ([], ["classify"], ["inspect"], ["evaluate"], ["train"])
    )
    assert loaded_by(program) == "[]"


@pytest.mark.long
def test_the_page_is_built_before_torch_is_loaded():
    program = "from app.ui import layout; page = layout.build(); assert len(page.blocks) > 50"
    loaded = loaded_by(program)
    assert "torch" not in loaded and "matplotlib" not in loaded


@pytest.mark.slow
def test_a_port_that_is_taken_meanwhile_is_told_in_our_own_words():
    serve = runpy.run_path(str(ROOT / "app.py"))["_serve"]
    options = argparse.Namespace(model=[], allow_any_model=False, survey=[])
    with socket.create_server(("127.0.0.1", 0)) as other, pytest.raises(AIAError, match="its port was taken meanwhile"):
        serve(options, "127.0.0.1", other.getsockname()[1])


def test_the_page_then_loads_its_model_unasked_and_says_where_it_runs(browser, shipped_page):
    page = browser.new_page()
    page.goto(shipped_page)
    expect(page.locator("#summary")).to_contain_text(re.compile("ms on the (CPU|GPU|Apple GPU)"))
    page.close()


def test_every_name_of_the_library_is_there():
    assert set(aia.__all__) <= set(dir(aia))
    for name in aia.__all__:
        value = getattr(aia, name)
        assert callable(value) or isinstance(value, ModuleType), name
        assert (value.__name__ if isinstance(value, ModuleType) else value.__module__).startswith("aia."), name
    assert aia.video.reader.read_clip is aia.read_clip
    with pytest.raises(AttributeError, match="classify"):
        aia.classify  # noqa: B018


@pytest.mark.parametrize("name", render.COLORMAPS)
def test_the_colours_are_matplotlibs(name):
    wanted = matplotlib.colormaps["gray" if name == "grey" else name](np.arange(256))[:, :3]
    np.testing.assert_array_equal(render.colormap_table(name), (wanted * 255).round().astype(np.uint8))


@pytest.mark.long
@pytest.mark.server
def test_the_page_forgets_visitors_beyond_its_limit(monkeypatch, tmp_path):
    """How much memory that saves, some 8 MB a visitor, is measured by `make bench ARGS=memory`."""
    monkeypatch.setattr(limits, "SESSIONS", 2)
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))

    def results() -> int:
        gc.collect()
        return sum(type(one) is aia.Inspection for one in gc.get_objects())

    before = results()
    page = layout.build()
    _, address, _ = page.launch(prevent_thread_lock=True, quiet=True, **layout.launch_options(page))
    try:
        with httpx.Client(base_url=address, timeout=300) as client:
            visitors = Page(client, client.get("config").json(), os.getpid())
            for _ in range(3):
                visitors.visit(EXAMPLE)
            assert 1 <= (kept := results() - before) <= 2
            for _ in range(4):  # programs leave nothing, and displace at most one visitor
                event = client.post("gradio_api/call/list_models", json={"data": []}).json()["event_id"]
                assert "complete" in client.get(f"gradio_api/call/list_models/{event}").text
            assert results() - before >= kept - 1 >= 1
    finally:
        page.close()
