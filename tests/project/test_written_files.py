"""What every written file promises: it is whole or it is not there, whatever stops the writing, and one sentence says so."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT, clip_of, moving_frames, others_long, small_net

import aia
import benchmarks.__main__
from aia import files
from aia.cli import main
from aia.evaluation.evaluate import Logits, Run, write_results
from aia.files import NotWritten
from aia.hub import convert
from aia.training.curves import draw_curves
from aia.training.data import load_frames, read_manifest
from aia.training.recipe import Recipe
from aia.training.train import train
from aia.visualization import export, render
from aia.visualization.view import View
from app import text
from app.result import Result
from app.ui import handlers
from tools import markdown
from tools.release import ship

try:
    import resource
except ImportError:  # Windows
    resource = None

RECIPE = {
    "network": {"arch": "mobilenet_v2", "attention": "c", "num_segments": 2, "input_size": 32, "resize": [32, 32]},
    "classes": {"l": "swipe left", "r": "swipe right"},
    "synthetic_per_epoch": 0,
    "epochs": 1,
    "batch_size": 2,
    "cache_side": 40,
    "cache_frames": 4,
}


@contextmanager
def limited(count: int):
    """No file may grow beyond this many bytes, as on a disk that gets full."""
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (count, old[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old)


@pytest.fixture(scope="module")
def small_disk(tmp_path_factory):
    """A file system of 4 MiB."""
    folder = tmp_path_factory.mktemp("disk")
    if sys.platform != "linux":
        pytest.skip("only Linux has tmpfs; the test with a limit of the process stands for it")
    command = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder)]
    if subprocess.run(command, capture_output=True).returncode:
        pytest.skip("this user may not mount anything; the test with a limit of the process stands for it")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.fixture(scope="module")
def seen(net):
    return aia.inspect(net, clip_of(moving_frames(4)))


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    rows = [{"file": f"{i}.mp4", "label": "lr"[i % 2], "split": "train"} for i in range(4)]
    for i, row in enumerate(rows):
        render.write_mp4(folder / row["file"], moving_frames(4, 40, 56, seed=i), 10)
    with (folder / "clips.csv").open("w", newline="") as file:
        table = csv.DictWriter(file, rows[0])
        table.writeheader()
        table.writerows(rows)
    return folder


@pytest.fixture(scope="module")
def run_folder(net, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    net.save_pretrained(folder)
    (folder / "recipe.json").write_text(Recipe(**RECIPE).to_json())
    return folder


def history(folder: Path) -> Path:
    path = folder / "history.jsonl"
    path.write_text(json.dumps({"epoch": 1, "loss": 1.0}) + "\n")
    return path


def result() -> Run:
    logits = np.random.default_rng(0).random((50, 2))
    return Run("tsm", "c", 0, ("a", "b"), {"a": 1}, {"test": Logits(("x.mp4",) * 50, np.zeros(50, int), logits)})


def made(folder: Path) -> Path:
    """A folder with a document in it."""
    folder.mkdir()
    (folder / "note.md").write_text("<!-- table:begin --><!-- table:end -->\n")
    return folder


# What writes, into a folder; `at` has what it needs.
WRITERS = {
    "save": lambda folder, at: at["seen"].save(folder),
    **{
        format: lambda folder, at, format=format: export.export_view(
            at["seen"], View(block="layer1.0").checked(at["seen"]), format, folder
        )
        for format in export.FORMATS
    },
    "write_mp4": lambda folder, at: render.write_mp4(folder / "x.mp4", moving_frames(8), 10),
    "write_png": lambda folder, at: render.write_png(folder / "x.png", moving_frames(1)[0]),
    "curves": lambda folder, at: draw_curves(at["history"], folder / "curves.svg"),
    "save_pretrained": lambda folder, at: at["net"].save_pretrained(folder),
    "convert": lambda folder, at: convert._write(at["net"], folder, "x.pth.tar", "TSM_CinST_BN"),
    "export_network": lambda folder, at: aia.export_network(at["plain"], folder / "net.pt2", format="torch"),
    "write_results": lambda folder, at: write_results([result()], folder / "results.json"),
    "document": lambda folder, at: markdown.put("table", "figures " * 500, folder / "note.md"),
    "cache": lambda folder, at: load_frames(at["sample"], Recipe(**RECIPE), folder),
    "ship": lambda folder, at: ship(at["run"], "new", at["data"], checkpoints=folder),
    "bench": lambda folder, at: files.write_text(folder / "bench.json", "figures " * 500),
}


@pytest.fixture(scope="module")
def at(net, seen, data, run_folder, tmp_path_factory):
    return {
        "net": net,
        "plain": small_net("none", "tsn", size=32),
        "seen": seen,
        "data": data,
        "run": run_folder,
        "sample": read_manifest(data)[0],
        "history": history(tmp_path_factory.mktemp("history")),
    }


def content(folder: Path) -> dict[str, bytes | None]:
    """Everything in a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


def refused(writer: str, at, folder: Path) -> None:
    """Holds a writer to its promise on a disk that is full."""
    before = content(folder)
    with pytest.raises(NotWritten) as caught:
        WRITERS[writer](folder, at)
    said = str(caught.value)
    assert str(folder) in said and ".aia-" not in said and "\n" not in said and said.endswith("."), said
    assert content(folder) == before, "what was there stays, and nothing half written is added"


@pytest.mark.slow
@pytest.mark.skipif(resource is None, reason="there are no limits of a process on Windows")
@pytest.mark.parametrize(
    "writer",
    others_long(
        WRITERS, *(name for name in WRITERS if name not in ("export_network", "ship") and "figure" not in name)
    ),
)
def test_a_disk_that_gets_full_leaves_nothing_half_written(writer, at, tmp_path):
    whole, none = made(tmp_path / "whole"), made(tmp_path / "none")
    if writer == "ship":  # its data set has no clip to check the weights with, so it never ends well
        largest = 1_000_000
    else:
        WRITERS[writer](whole, at)
        assert not list(whole.rglob(".aia-*"))
        largest = max(path.stat().st_size for path in whole.rglob("*") if path.is_file())
    with limited(largest // 2):
        refused(writer, at, none)
    for count in (0, largest - 1):
        with limited(count):
            refused(writer, at, none if writer == "cache" else whole)  # the cache reads what is there


@pytest.mark.slow
@pytest.mark.parametrize("writer", others_long(WRITERS, *list(WRITERS)[:5]))
def test_no_space_on_the_device_leaves_nothing_half_written(writer, at, small_disk):
    folder, filler = made(small_disk / writer), small_disk / "filler"
    try:
        with filler.open("wb", buffering=0) as file, pytest.raises(OSError, match="No space left"):
            while True:
                file.write(bytes(4096))
        refused(writer, at, folder)
    finally:
        filler.unlink()


@pytest.mark.skipif(resource is None, reason="there are no limits of a process on Windows")
@pytest.mark.long
def test_a_run_that_meets_a_full_disk_resumes(data, tmp_path):
    recipe, out, cache = Recipe(**RECIPE), tmp_path / "out", tmp_path / "cache"
    for sample in read_manifest(data):
        load_frames(sample, recipe, cache)
    with limited(200_000), pytest.raises(NotWritten) as caught:
        train(recipe, data, str(out), cache=cache)
    assert str(caught.value).startswith(f"{out} cannot be written")
    assert set(content(out)) == {"recipe.json", "history.jsonl"}
    assert (out / "history.jsonl").read_text() == ""
    train(recipe, data, out, cache=cache)
    assert len((out / "history.jsonl").read_text().splitlines()) == 1
    assert {"state.pt", "curves.svg", "config.json", "model.safetensors", "README.md"} <= set(content(out))
    assert aia.load(out, device="cpu").config.labels == ("swipe left", "swipe right")
    (out / "state.pt").write_bytes((out / "state.pt").read_bytes()[:1000])
    with pytest.raises(aia.AIAError, match=r"state\.pt is damaged; delete it"):
        train(recipe, data, out, cache=cache)


# ---------------------------------------------------------------- places


PLACES = {
    "a file where a folder is wanted": lambda folder: folder / "file",
    "a folder below a file": lambda folder: folder / "file" / "new",
    "a name that is too long": lambda folder: folder / ("x" * 300),
    "a place where nothing can be made": lambda folder: (
        Path("/proc/new") if sys.platform == "linux" and os.geteuid() == 0 else folder / "closed" / "new"
    ),
}


@pytest.fixture
def places(tmp_path):
    (tmp_path / "file").write_text("mine")
    (tmp_path / "closed").mkdir()
    (tmp_path / "closed").chmod(0o500)
    yield tmp_path
    (tmp_path / "closed").chmod(0o700)


@pytest.mark.slow
@pytest.mark.parametrize("place", PLACES)
def test_inspect_names_a_folder_that_cannot_be_written(place, video, run_folder, places, capsys):
    out = str(PLACES[place](places))
    assert main(["inspect", str(video), "--out", out, "--model", str(run_folder)]) == 1
    said = capsys.readouterr().err
    assert said.startswith(f"{out} cannot be written (") and len(said.splitlines()) == 1
    assert set(content(places)) == {"file", "closed"} and (places / "file").read_text() == "mine"


@pytest.mark.slow
@pytest.mark.parametrize("place", ["missing/x.json", ".", "file/x.json", "x" * 300])
@pytest.mark.parametrize("command", [["evaluate", "MODEL", "--data", "DATA", "--write"], ["forward", "--json"]])
def test_a_file_that_cannot_be_written_is_named_before_the_work(
    command, place, run_folder, data, places, capsys, monkeypatch
):
    monkeypatch.chdir(places)
    command = [{"MODEL": str(run_folder), "DATA": str(data)}.get(word, word) for word in command]
    run = benchmarks.__main__.main if command[0] == "forward" else main
    assert run([*command, place]) == 1
    out, err = capsys.readouterr()
    assert err.startswith(f"{place} cannot be written (") and len(err.splitlines()) == 1 and "medians" not in out
    assert set(content(places)) == {"file", "closed"}


def test_a_folder_in_the_place_of_a_file_stops_all_files(seen, tmp_path):
    (tmp_path / "overlay.png").mkdir()
    with pytest.raises(NotWritten, match="Is a directory"):
        seen.save(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["overlay.png"]


# ---------------------------------------------------------------- the helper


@pytest.mark.parametrize("stop", [KeyboardInterrupt, SystemExit, ValueError, OSError("no")])
def test_whatever_stops_the_writing_the_old_file_stays(stop, tmp_path):
    path = tmp_path / "kept.txt"
    path.write_text("old")
    with pytest.raises(NotWritten if isinstance(stop, OSError) else stop):
        with files.writing(path) as part:
            part.write_text("half")
            raise stop
    with pytest.raises(NotWritten if isinstance(stop, OSError) else stop):
        with files.writing_into(tmp_path / "new" / "deep") as part:
            (part / "a.txt").write_text("half")
            raise stop
    assert content(tmp_path) == {"kept.txt": b"old"}


def test_a_file_is_replaced_as_a_whole_and_its_neighbors_stay(tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    (tmp_path / "a.txt").write_text("old")
    with files.writing_into(tmp_path) as part:
        (part / "a.txt").write_text("new")
        assert (tmp_path / "a.txt").read_text() == "old"
    files.write_text(tmp_path / "b.txt", "ä−\n")
    assert content(tmp_path) == {"mine.txt": b"mine", "a.txt": b"new", "b.txt": "ä−\n".encode()}


@pytest.mark.skipif(os.name != "posix", reason="links and modes are of POSIX")
def test_links_modes_and_devices_stay_what_they_are(tmp_path):
    (tmp_path / "real.txt").write_text("old")
    (tmp_path / "real.txt").chmod(0o640)
    (tmp_path / "link.txt").symlink_to("real.txt")
    files.write_text(tmp_path / "link.txt", "new")
    assert (tmp_path / "link.txt").is_symlink() and (tmp_path / "real.txt").read_text() == "new"
    assert (tmp_path / "real.txt").stat().st_mode & 0o777 == 0o640
    files.write_text("/dev/null", "gone")
    assert Path("/dev/null").is_char_device()
    if Path("/dev/full").exists():
        with pytest.raises(NotWritten, match=r"^/dev/full cannot be written \(No space left"):
            files.write_text("/dev/full", "too much")
    if os.geteuid():
        (tmp_path / "real.txt").chmod(0o440)
        with pytest.raises(NotWritten, match="Permission denied"):
            files.write_text(tmp_path / "link.txt", "newer")


def test_a_card_that_somebody_wrote_stays(net, tmp_path):
    (tmp_path / "README.md").write_text("my own card")
    net.save_pretrained(tmp_path)
    assert (tmp_path / "README.md").read_text() == "my own card"
    assert set(content(tmp_path)) == {"README.md", "config.json", "model.safetensors"}


@pytest.mark.skipif(os.name != "posix", reason="Windows ends a process at once")
def test_a_stopped_command_removes_its_temporary_files(tmp_path):
    program = (
        "import runpy, sys, time\nimport aia.cli\nfrom aia import console, files\n"
        "def work():\n"
        "    with files.writing('out.txt') as part:\n"
        "        part.write_text('half')\n        print('ready', flush=True)\n        time.sleep(60)\n"
        "aia.cli.main = lambda: console.run(work)\nrunpy.run_module('aia', run_name='__main__')"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "ready\n" and list(tmp_path.iterdir())
    process.terminate()
    assert process.communicate() == ("", "") and process.returncode == 143
    assert content(tmp_path) == {}


# ---------------------------------------------------------------- the page


@pytest.mark.slow
@pytest.mark.skipif(resource is None, reason="there are no limits of a process on Windows")
@pytest.mark.parametrize("format", ["film.mp4", "figure.pdf"])
def test_the_page_says_that_its_disk_is_full_and_not_where(format, seen):
    side = Result("x.mp4", "small", False, (), seen)
    with limited(0):
        shown = handlers.make_file(side, None, "A", {"block": "layer1.0"}, format)
    assert text.DISK in shown["problem"]["value"] and "/" not in text.DISK
    assert "file" not in shown
