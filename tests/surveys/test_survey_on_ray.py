"""What a survey on Ray promises: the rows of this process, even if workers are killed or a node is lost."""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT, until
from surveyed import assert_same_rows, data_set, model_folder

import aia
from aia.surveys.schema import read_survey

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        importlib.util.find_spec("ray") is None, reason="SURVEYS ON RAY LEFT OUT: pip install 'ray[data]'"
    ),
    pytest.mark.skipif(sys.platform != "linux", reason="its processes are found in /proc"),
]

COPIES = 15  # of each clip


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """Many clips, some of them broken, a model, and the survey of this process."""
    home = tmp_path_factory.mktemp("ray-survey")
    data_set(home / "data", 4)
    (home / "data" / "right" / "hostile.mp4").write_bytes(bytes(range(256)) * 40)
    for clip in sorted(home.glob("data/*/[0bh]*.mp4")):
        for number in range(COPIES):
            shutil.copy(clip, clip.with_name(f"{clip.stem}-{number:02d}.mp4"))
    model_folder(home / "model", home / "data")
    aia.survey(home / "data", str(home / "model"), home / "survey")
    return home


@pytest.fixture(scope="module")
def cluster(home):
    """Two nodes of two cores each; yields the address, and a function that takes one of them away."""
    command = [sys.executable, str(ROOT / "tests" / "support" / "ray_cluster.py")]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "RAY_USAGE_STATS_ENABLED": "0"}
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment
    )

    def remove_node():
        process.stdin.write("remove\n")
        process.stdin.flush()
        assert process.stdout.readline() == "removed\n"

    yield process.stdout.readline().strip(), remove_node
    process.communicate()


@pytest.fixture
def running(home, cluster, tmp_path):
    """A survey that has written its first parts, and a function that waits for its end and checks its rows."""
    options = ["survey", str(home / "data"), "--model", str(home / "model"), "--out", str(tmp_path / "out")]
    options += ["--device", "cpu", "--batch", "2", "--engine", "ray", "--address", cluster[0]]
    code = (
        f"from aia.surveys import parts; parts.ROWS = 8; from aia.cli import main; raise SystemExit(main({options!r}))"
    )
    process = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stderr=subprocess.PIPE, text=True)
    until(lambda: process.poll() is not None or len(list(tmp_path.glob("out/part-*"))) > 1)
    assert process.poll() is None, process.stderr.read()

    def finish():
        assert process.wait() == 0, process.stderr.read()
        rows, expected = (read_survey(folder)[0].to_pylist() for folder in (tmp_path / "out", home / "survey"))
        assert_same_rows(rows, expected)
        assert sum(row["error"] is not None for row in rows) == 2 * COPIES + 2

    return finish


def workers(*titles: str) -> list[int]:
    """One process of Ray on this machine for each title."""
    found = {}
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().decode(errors="replace")
        except OSError:  # it has ended
            continue
        found |= {title: int(path.parent.name) for title in titles if words.startswith(title)}
    return list(found.values())


@pytest.mark.long
def test_the_rows_are_those_of_this_process_though_workers_are_killed(running):
    killed = until(lambda: workers("ray::MapWorker"))
    for pid in [*killed, *workers("ray::MapBatches(_read)")]:
        os.kill(pid, signal.SIGKILL)
    running()


@pytest.mark.long
def test_a_lost_node_costs_no_row(running, cluster):
    cluster[1]()
    running()
