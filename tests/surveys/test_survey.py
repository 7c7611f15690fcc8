"""What a survey promises: a row for each clip, equal to what one clip says, whatever the data's form, the batch or the end."""

from __future__ import annotations

import functools
import http.server
import os
import re
import signal
import subprocess
import sys
import threading
from dataclasses import replace

import fsspec
import made_survey
import numpy as np
import pyarrow as pa
import pytest
import torch
from conftest import ROOT, small_net, until
from fsspec.implementations.memory import MemoryFileSystem
from surveyed import CLASSES, assert_same_rows, data_set, model_folder

import aia
from aia.cli import main
from aia.datasets.listing import list_clips
from aia.surveys import parts
from aia.surveys.rows import measure, prepare
from aia.surveys.schema import SCHEMA, read_survey

pytestmark = pytest.mark.long  # the surveys that they read take seconds to make


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """Data, a model with a reference, and surveys of one with the other: of all clips, and of one with switched gates."""
    home = tmp_path_factory.mktemp("survey")
    data_set(home / "data")
    model_folder(home / "model", home / "data")
    aia.survey(home / "data", str(home / "model"), home / "survey")
    aia.survey(home / "data" / "left" / "000.mp4", str(home / "model"), home / "switched", ablate="units")
    return home


def rows_of(folder) -> list[dict]:
    return read_survey(folder)[0].to_pylist()


def test_a_row_says_what_inspect_says_of_the_clip(home):
    net = aia.load(home / "model", device="cpu")
    rows, about = read_survey(home / "survey")
    assert about.network == net.config and about.weights == net.fingerprint() and about.reference == "4 clips"
    names = [f"{CLASSES[number % 2]}/00{number}.mp4" for number in range(6)]
    assert [row["path"] for row in rows.to_pylist()] == sorted([*names, "left/broken.mp4"])
    for row in rows.to_pylist():
        assert row["label"] == row["path"].split("/")[0] and row["group"] is row["split"] is None
        if row["path"] == "left/broken.mp4":
            assert "left/broken.mp4" in row["error"] and row["answer"] is row["logits"] is row["gates"] is None
            continue
        seen = aia.inspect(net, home / "data" / row["path"])
        assert row["error"] is None and (row["answer"], row["sure"]) == (seen.label, seen.is_confident)
        assert row["logits"] == pytest.approx(seen.logits, abs=1e-5)
        assert row["frames"] == seen.clip.indices.tolist() and row["duration"] == pytest.approx(seen.clip.duration)


def test_a_row_says_what_switched_gates_say(home):
    net, clip = aia.load(home / "model", device="cpu"), home / "data" / "left" / "000.mp4"
    (row,) = rows_of(home / "switched")
    # 8 blocks and 4 units of each, in 3 ways; T has no frames to shuffle
    assert len(row["ablations"]) == 8 * (5 * 3 - 1)
    for told in row["ablations"][::9]:
        seen = aia.inspect(net, clip, switches=[aia.Switch(told["mode"], told["block"], told["unit"])])
        assert told["answer"] == seen.label
        if told["mode"] != "shuffle":
            assert told["logits"] == pytest.approx(seen.logits, abs=1e-5)


@pytest.mark.parametrize("attention", ["cinst", "stinc", "c", "c+st", "cinst->stinc"])
def test_the_numbers_of_each_gate_are_those_of_its_block(home, attention):
    net = small_net(attention)
    items = list_clips(home / "data" / "right")
    net.reference = aia.compute_reference(net, [item.address for item in items])
    for item, row in zip(items, measure(net, [prepare(item, net.config) for item in items]).to_pylist(), strict=True):
        gates = iter(row["gates"])
        for block in aia.inspect(net, item.address).blocks:
            for unit in ("combined", *block.gates):
                gate, values = next(gates), block.gate_map(unit)
                channels = block.channel_mean if unit == "combined" else block.gates[unit].mean((0, 2, 3))
                expected = {
                    "mean": values.mean(),
                    "spread": values.std(),
                    "profile": values.mean((1, 2)),
                    "channels": channels,
                    "deviation": np.sqrt(np.square(block.deviation(unit)).mean()),
                    "profile_deviation": block.deviation(unit).mean((1, 2)),
                }
                assert (gate["block"], gate["unit"]) == (block.name, unit)
                for name, value in expected.items():
                    assert gate[name] == pytest.approx(value, abs=1e-5), name
                if unit == "combined":
                    scores = {entry["channel"]: entry["zscore"] for entry in gate["unusual"]}
                    assert scores == pytest.approx({c: block.channel_zscore[c] for c in scores}, abs=1e-3)
                    assert min(map(abs, scores.values())) >= np.sort(np.abs(block.channel_zscore))[::-1][:5][-1] - 1e-3
        assert next(gates, None) is None


@pytest.mark.slow
@pytest.mark.parametrize("attention", ["cinst", "c->st"])
def test_numbers_that_overflow_are_errors_of_their_clips(attention, home):
    net = small_net(attention).optimize()
    with torch.no_grad():
        net.backbone.layer2[0].conv1.weight.mul_(1e38)
    clips = [prepare(item, net.config) for item in list_clips(home / "data" / "right")]
    rows = measure(net, clips).to_pylist()
    assert len(rows) == len(clips) > 1 and all("not finite" in row["error"] for row in rows)


def test_the_rows_are_the_same_for_each_batch_order_and_form_of_the_data(home, tmp_path):
    expected = read_survey(home / "survey", ["path", "label", "answer", "logits", "gates", "error"])[0].to_pylist()
    names = sorted(path.relative_to(home / "data").as_posix() for path in home.glob("data/*/[0b]*.mp4"))
    lines = [f"{name};{name.split('/')[0]};tag{name[-5]};TRAIN" for name in reversed(names)]
    table = tmp_path / "clips.csv"
    table.write_text("File;Label;Site;split\n" + "\n".join(lines) + "\n", encoding="utf-8-sig")
    memory = fsspec.filesystem("memory")
    for name in names:
        memory.pipe_file(f"/survey-data/{name}", (home / "data" / name).read_bytes())
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(home))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        ways = {
            "pattern": (f"{home}/data/*/*.mp4", {"batch": 1}),
            "table": (table, {"batch": 3, "root": str(home / "data"), "group_column": "site"}),
            "memory": ("memory://survey-data", {"batch": 7}),
            "http": (f"http://127.0.0.1:{server.server_port}/data/", {}),
        }
        for name, (data, options) in ways.items():
            result = aia.survey(data, str(home / "model"), f"memory://out-{name}", **options)
            assert (result.clips, result.errors) == (7, 1)
            rows, about = read_survey(f"memory://out-{name}")
            assert about.data == str(data).rstrip("/")
            assert_same_rows(rows.select(list(expected[0])).to_pylist(), expected)
            if name == "table":
                assert set(rows["group"].to_pylist()) == {*(f"tag{i}" for i in range(6)), "tagn"}
                assert set(rows["split"].to_pylist()) == {"train"}
        server.shutdown()


def test_a_missing_file_of_a_table_is_a_row_and_a_split_can_be_chosen(home, tmp_path):
    table = home / "data.csv"
    table.write_text(
        "file,label,split,scene\nleft\\000.mp4,left,test,a\nnowhere.mp4,left,test,a\nright/001.mp4,,training,\n"
    )
    aia.survey(table, str(home / "model"), tmp_path / "out", split="test")
    rows = rows_of(tmp_path / "out")
    assert [(row["path"], row["group"], row["split"]) for row in rows] == [
        ("left/000.mp4", "a", "test"),
        ("nowhere.mp4", "a", "test"),
    ]
    assert rows[0]["error"] is None and rows[1]["error"] == "“nowhere.mp4” was not found: check the name."
    assert [item.label for item in list_clips(table)] == ["left", "left", None]
    assert aia.survey(table, str(home / "model"), tmp_path / "out", split="Testing").new == 0
    for option in ({"split": None}, {"split": "train"}, {"split": "test", "group_column": "scene"}):
        with pytest.raises(aia.AIAError, match=r"with another --(split|group-column); give another --out"):
            aia.survey(table, str(home / "model"), tmp_path / "out", **option)


@pytest.mark.skipif(sys.platform == "win32", reason="processes cannot be killed like this there")
def test_a_killed_run_resumes_without_a_lost_or_doubled_row(home, tmp_path):
    data, out = data_set(tmp_path / "data", 60), tmp_path / "out"
    code = f"from aia.surveys import parts; parts.ROWS = 4; from aia.cli import main; main({['survey', str(data)]!r} + "
    code += f"{['--out', str(out), '--model', str(home / 'model'), '--device', 'cpu']!r})"
    for _ in range(3):
        before = len(list(out.glob("part-*")))
        process = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stderr=subprocess.DEVNULL)
        until(lambda seen=before: len(list(out.glob("part-*"))) > seen + 2)
        process.send_signal(signal.SIGKILL)
        process.wait()
    (out / ".aia-rest").mkdir()
    before = {path: path.stat().st_mtime_ns for path in out.glob("part-*")}
    result = aia.survey(data, str(home / "model"), out)
    assert result.clips == 61 and 0 < result.new < 61
    paths = [row["path"] for row in read_survey(out, ["path"])[0].to_pylist()]
    assert len(paths) == len(set(paths)) == 61 and not (out / ".aia-rest").exists()
    assert {path: path.stat().st_mtime_ns for path in before} == before, "what was written stays"


class Unsteady(MemoryFileSystem):
    """A file system that writes in place and may lose its connection on the way."""

    protocol = "unsteady"
    is_lost = False

    def pipe_file(self, path, value, **options):
        super().pipe_file(path, value[: len(value) // 2] if self.is_lost else value, **options)
        if self.is_lost:
            raise ConnectionError


def test_a_part_at_an_address_is_whole_or_not_there(monkeypatch):
    fsspec.register_implementation("unsteady", Unsteady, clobber=True)
    table, about = pa.Table.from_pylist(made_survey.made_rows(3), SCHEMA), made_survey.about()
    monkeypatch.setattr(Unsteady, "is_lost", True)
    with pytest.raises(aia.AIAError, match="cannot be written"):
        parts.write_part("unsteady://parts", table, about)
    assert parts.surveyed("unsteady://parts", about)[0] == set()
    monkeypatch.setattr(Unsteady, "is_lost", False)
    for _ in range(2):
        parts.write_part("unsteady://parts", table, about)
    assert len(parts.surveyed("unsteady://parts", about)[0]) == read_survey("unsteady://parts")[0].num_rows == 3


def test_rows_of_files_below_another_root_are_not_kept(tmp_path):
    table, about = pa.Table.from_pylist(made_survey.made_rows(3), SCHEMA), made_survey.about()
    for known, wanted in (("", "b"), ("b", "b"), ("a", "b"), ("a", "")):
        out = tmp_path / f"{known}-{wanted}"
        out.mkdir()
        parts.write_part(str(out), table, replace(about, root=known))
        if known in ("", wanted):  # an older survey does not name its root
            assert len(parts.surveyed(str(out), replace(about, root=wanted))[0]) == 3
        else:
            with pytest.raises(aia.AIAError, match="with another --root; give another --out"):
                parts.surveyed(str(out), replace(about, root=wanted))


@pytest.mark.parametrize("field", ["split", "group_column"])
def test_rows_of_another_split_or_with_other_groups_are_not_kept(tmp_path, field):
    table, about = pa.Table.from_pylist(made_survey.made_rows(3), SCHEMA), made_survey.about()
    option = f"--{field.replace('_', '-')}"
    for known, wanted in ((None, "b"), (None, ""), ("b", "b"), ("a", "b"), ("a", ""), ("", "a")):
        out = tmp_path / f"{known}-{wanted}"
        out.mkdir()
        parts.write_part(str(out), table, replace(about, **{field: known}))
        if known in (None, wanted):  # an older survey does not name it
            paths, found = parts.surveyed(str(out), replace(about, **{field: wanted}))
            assert len(paths) == 3 and getattr(found, field) == known
        else:
            with pytest.raises(aia.AIAError, match=f"with another {option}; give another --out"):
                parts.surveyed(str(out), replace(about, **{field: wanted}))


def test_a_local_folder_is_the_same_by_a_relative_path_a_whole_one_and_an_address(home, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    clips = str(home / "data" / "left" / "0*.mp4")
    for out, new in (("rows[1]", 3), (f"file://{tmp_path}/rows[1]", 0), (str(tmp_path / "rows[1]"), 0)):
        result = aia.survey(clips, str(home / "model"), out)
        assert (result.folder, result.clips, result.new) == (out, 3, new)
    assert parts.folder_of("rows[1]") == str(tmp_path / "rows[1]") and [*tmp_path.iterdir()] == [tmp_path / "rows[1]"]


def refusal(capsys, *arguments) -> str:
    assert main(["survey", *map(str, arguments)]) == 1
    return capsys.readouterr().err.strip()


@pytest.mark.parametrize("out", ["bad.mp4", "bad.mp4/rows", "./bad.mp4"])
def test_a_folder_that_cannot_be_written_is_named_as_it_was_given(out, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bad.mp4").touch()
    with (
        pytest.raises(aia.AIAError, match=rf"^{re.escape(out)} cannot be written \(Not a directory\)"),
        parts.claimed(out),
    ):
        pass


def test_what_cannot_be_surveyed_is_one_sentence(home, tmp_path, capsys):
    model, out = home / "model", tmp_path / "out"
    (tmp_path / "empty").mkdir()
    bad = tmp_path / "bad.csv"
    bad.write_text("file,label\nleft/000.mp4,left\n,right\n")
    twice = tmp_path / "twice.csv"
    twice.write_text("file,label\nleft/000.mp4,left\nleft/000.mp4,right\n")
    locked = tmp_path / "locked"
    locked.write_text("a file, no folder")
    small_net("none", "tsn").save_pretrained(tmp_path / "none", config=small_net("none", "tsn").config)
    other = model_folder(tmp_path / "other", home / "data", "stinc")
    cases = [
        ((tmp_path / "empty", "--model", model, "--out", out), "holds no videos"),
        ((tmp_path / "nowhere", "--model", model, "--out", out), "was not found"),
        (("nothing://at/all", "--model", model, "--out", out), "is not an address that can be read"),
        (("http://127.0.0.1:9/data/", "--model", model, "--out", out), "check the address and your access"),
        ((bad, "--model", model, "--out", out), "Line 3 of"),
        ((twice, "--model", model, "--out", out), "Line 3 of"),
        ((twice, "--group-column", "site", "--model", model, "--out", out), "needs the columns file and site"),
        ((home / "data", "--split", "test", "--model", model, "--out", out), "no clips of the split"),
        ((home / "data", "--model", tmp_path / "none", "--out", out), "no gates to survey"),
        ((home / "data", "--model", model, "--out", locked), "cannot be written"),
        ((home / "data", "--model", model, "--out", "nothing://at/all"), "is not an address that can be read"),
        ((home / "data", "--model", model, "--out", "http://127.0.0.1:9/out"), "cannot be written"),
        ((home / "data", "--model", other, "--out", home / "survey"), "with another configuration"),
        ((home / "data", "--model", model, "--out", home / "switched"), "with another --ablate"),
        ((home / "data", "--model", model, "--out", out, "--address", "auto"), "add --engine ray"),
        ((home / "data", "--model", model, "--out", out, "--batch", "0"), "one clip or more"),
    ]
    for arguments, words in cases:
        sentence = refusal(capsys, *arguments)
        assert words in sentence and sentence.count("\n") == 0 and "Traceback" not in sentence, sentence
    with parts.claimed(str(out)):
        assert "Another survey is writing" in refusal(capsys, home / "data", "--model", model, "--out", out)
    with pytest.raises(aia.AIAError, match="holds no survey"):
        read_survey(tmp_path / "empty")


def test_without_its_packages_a_survey_says_what_to_install(home, tmp_path):
    (tmp_path / "pyarrow.py").write_text("raise ImportError('not here')")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])}
    command = [sys.executable, "-m", "aia", "survey", str(home / "data"), "--out", "x", "--model", str(home / "model")]
    ended = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert (
        ended.returncode == 1
        and 'python -m pip install pyarrow "fsspec[http]"' in ended.stderr
        and "Traceback" not in ended.stderr
    )
    command = [sys.executable, "-c", "import aia; aia.load, aia.inspect, aia.rank_blocks"]
    assert subprocess.run(command, cwd=tmp_path, env=environment).returncode == 0
