"""What several tests need: small networks and real video files."""

from __future__ import annotations

import os

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "True"  # which Gradio sets too, later
os.environ.setdefault("GRADIO_ANALYTICS_CACHE_FREQUENCY", "1000000")  # which app/ui/layout.py sets too

import dataclasses
import signal
import socket
import time
import urllib.request
import warnings
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import pytest
import warm
from process_state import process_state_kept

import aia  # what takes seconds is imported where it is used: the process that hands out the tests runs none

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell ignores Ctrl-C for what it starts in the background, and every program that a test starts would inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)

ROOT = Path(__file__).resolve().parents[1]
PAGES = ROOT / "tests" / "app"
LABELS = ("left", "right", "still")
# What a stranger's model may be called: markup, templates, formulas, a spreadsheet's command, Markdown.
ODD_LABELS = ("<img src=x onerror=alert(1)>", "${7*7} {{7*7}} $\\frac{1}{2}$", '=HYPERLINK("x")`](y)|*_')


def pytest_collection_modifyitems(items):
    """Marks what needs a browser or a running page, which `make check` does without, and lets the costliest files begin."""
    costly = set()
    for item in items:
        module, used = vars(item.module), set(item.fixturenames)
        if "browser" in used:
            item.add_marker("browser")
        if {"serving", "serve"} & module.keys() or (used - set(module)) & {"server", "shipped_page"}:
            item.add_marker("server")
        if any(item.get_closest_marker(name) for name in ("browser", "server", "slow", "long")):
            costly.add(item.path)
    items.sort(key=lambda item: (item.path.parent != PAGES, item.path not in costly))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """One process runs all tests of the page: each that does starts servers and a browser, which takes long."""
    from xdist.scheduler import LoadFileScheduling

    class PagesTogether(LoadFileScheduling):
        def _split_scope(self, nodeid):
            file = super()._split_scope(nodeid)
            return "pages" if Path(file).parent.name == PAGES.name else file

    return PagesTogether(config, log)


@pytest.fixture(scope="session", autouse=True)
def the_suite_leaves_the_process_as_it_was():
    import cv2  # noqa: F401  it sets a variable of the process when it is imported, and so do the others
    import matplotlib  # noqa: F401
    import torchvision  # noqa: F401

    with process_state_kept():
        yield


@pytest.fixture(autouse=True)
def the_test_leaves_the_process_as_it_was():
    with process_state_kept():
        yield


def others_long(values, *quick):
    """Parameters of which only `quick` are in `make test`; the others take long together and are in `make test-long`."""
    assert set(quick) <= set(values)
    return [
        value
        if value in quick
        else pytest.param(*(value if isinstance(value, tuple) else (value,)), marks=pytest.mark.long)
        for value in values
    ]


def small_net(attention="cinst", temporal="tsm", arch="resnet18", size=48, seed=0) -> aia.AIANet:
    """A network with random weights and lively gates: batch norms away from their start values."""
    import torch

    torch.manual_seed(seed)
    net = aia.AIANet(
        aia.AIAConfig(LABELS, arch=arch, temporal=temporal, attention=attention, input_size=size, resize=(size, size))
    )
    for name, tensor in net.state_dict().items():
        if "attention" in name or ".conv.0.2." in name or ".conv.1.2." in name:
            if name.endswith("running_var"):
                tensor.uniform_(0.3, 1.0)
            elif tensor.is_floating_point():
                tensor.add_(0.3 * torch.randn_like(tensor))
    net.name = "small"
    return net.eval()


def moving_frames(count=24, height=48, width=64, seed=0) -> np.ndarray:
    """A bright square that walks over noise, uint8 `[T, H, W, 3]`."""
    rng = np.random.default_rng(seed)
    frames = rng.integers(0, 80, (count, height, width, 3), dtype=np.uint8)
    for t in range(count):
        x = int((width - 12) * t / max(count - 1, 1))
        frames[t, height // 2 - 6 : height // 2 + 6, x : x + 12] = (250, 200, 40)
    return frames


def clip_of(frames: np.ndarray, fps=10.0) -> aia.Clip:
    count = len(frames)
    return aia.Clip(frames, np.arange(count), np.arange(count) / fps, fps, count / fps, count)


@pytest.fixture(scope="session")
def net():
    return small_net()


@pytest.fixture(scope="session")
def clip():
    return clip_of(moving_frames(8))


@pytest.fixture(scope="session")
def video(tmp_path_factory):
    from aia.visualization.render import write_mp4

    path = tmp_path_factory.mktemp("video") / "walk.mp4"
    write_mp4(path, moving_frames(30, 96, 128), 10)
    return path


@pytest.fixture(scope="session")
def browser():
    from browser import patient
    from playwright.sync_api import sync_playwright

    from tools.chromium import FLAGS, find_chromium

    path, reason = find_chromium()
    if path is None:
        if os.environ.get("AIA_REQUIRE_BROWSER"):
            pytest.fail(f"The browser tests must run here: {reason}")
        warnings.warn(f"BROWSER TESTS LEFT OUT: {reason}", stacklevel=1)
        pytest.skip(f"BROWSER TESTS LEFT OUT: {reason}")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield patient(started)
        started.close()


def until(true, seconds=600):
    """Waits for something to become true, and returns it; the limit is long enough for a busy machine."""
    end = time.monotonic() + seconds
    while not (found := true()):
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.05)
    return found


@contextmanager
def serving(home, *arguments, root=ROOT, **environment):
    """`python app.py` on a free port, until the block ends; yields its address. `root`: of the project or a copy of it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    own = {"GRADIO_TEMP_DIR": str(home / "uploads"), **environment}
    process = warm.start(root / "app.py", [*arguments, "--port", str(port)], own, home / "log")

    def answers() -> bool:
        assert process.poll() is None, (home / "log").read_text()
        with suppress(OSError):
            return urllib.request.urlopen(address, timeout=60).status == 200

    try:
        until(answers)
        yield address
        assert process.poll() is None, "the server must outlive every test"
    finally:
        process.terminate()
        process.wait()


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    """The page with six small models besides the shipped ones; yields its address and the models' folders.

    They are TSM with CinST, TSM with STinC, TSN without AIA, one that never knows a clip, a composite of 12 frames, and one
    with odd labels.
    """
    home = tmp_path_factory.mktemp("page")
    nets = {
        "small-cinst": small_net("cinst"),
        "small-stinc": small_net("stinc"),
        "small-none": small_net("none", "tsn"),
        "careful": small_net("cinst"),
        "long-composite": small_net("cinst->stinc", "tsn"),
        "odd-labels": small_net("cinst"),
    }
    changes = {
        "careful": {"threshold": 0.999},
        "long-composite": {"num_segments": 12},
        "odd-labels": {"labels": ODD_LABELS},
    }
    for name, net in nets.items():
        net.save_pretrained(home / name, config=dataclasses.replace(net.config, **changes.get(name, {})))
    folders = [str(home / name) for name in nets]
    with serving(home, "--model", folders[0], AIA_MODELS=", ".join(folders[1:]), AIA_PRECISION="float32") as address:
        yield address, folders


@pytest.fixture(scope="session")
def shipped_page(tmp_path_factory):
    """The page as it is shipped; yields its address."""
    with serving(tmp_path_factory.mktemp("shipped")) as address:
        yield address


@pytest.fixture(scope="session")
def client(server):
    from gradio_client import Client

    return Client(server[0], verbose=False)


@pytest.fixture
def not_a_video(tmp_path):
    path = tmp_path / "holiday.mp4"
    path.write_bytes(b"this is text, not a film" * 50)
    return path
