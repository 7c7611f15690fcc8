"""Data elsewhere: shards as WebDataset writes them, and addresses that fsspec reads, train and survey like a folder."""

from __future__ import annotations

import http.server
import io
import json
import shutil
import tarfile
import threading
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import fsspec
import pyarrow.parquet as pq
import pytest
import webdataset
from conftest import moving_frames, small_net

import aia
from aia import AIAError
from aia.cli import main
from aia.datasets.listing import list_clips
from aia.datasets.places import local_file
from aia.surveys import parts
from aia.surveys.schema import read_survey
from aia.training.data import class_order, read_manifest
from aia.visualization.render import write_mp4

RECIPE = {
    "network": {"arch": "resnet18", "num_segments": 4, "input_size": 32, "resize": [32, 32]},
    "classes": {"open": "open", "close": "close"},
    "epochs": 1,
    "batch_size": 4,
    "cache_side": 40,
    "cache_frames": 8,
}


class Ranges(http.server.SimpleHTTPRequestHandler):
    """A server of files that answers `Range: bytes=A-B`, as stores of objects do."""

    def do_GET(self):
        wanted = self.headers.get("Range")
        if not wanted or not self.serves_parts:
            return super().do_GET()
        content = Path(self.translate_path(self.path)).read_bytes()
        start, end = (int(number) for number in wanted.removeprefix("bytes=").split("-"))
        part = content[start : end + 1]
        self.send_response(206)
        self.send_header("Content-Range", f"bytes {start}-{start + len(part) - 1}/{len(content)}")
        self.send_header("Content-Length", str(len(part)))
        self.end_headers()
        self.wfile.write(part)
        return None

    def end_headers(self):
        if self.serves_parts:
            self.send_header("Accept-Ranges", "bytes")
        super().end_headers()

    def log_message(self, *_):
        pass


@contextmanager
def served(folder, *, parts=True):
    handler = partial(type("Handler", (Ranges,), {"serves_parts": parts}), directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """The same clips in folders and in shards, whose classes are names in one shard and lines of labels.txt in the others."""
    home = tmp_path_factory.mktemp("home")
    (home / "shards").mkdir()
    kinds = ("open", "close")
    (home / "shards" / "labels.txt").write_text("open\nclose\n")
    (home / "folders").mkdir()
    (home / "folders" / "labels.txt").write_text("open\nclose\n")
    for split, count in (("train", 8), ("val", 4)):
        with webdataset.ShardWriter(f"{home}/shards/{split}-%03d.tar", maxcount=4, verbose=0) as writer:
            for number in range(count):
                kind = kinds[number % 2]
                folder = home / "folders" / split / kind
                folder.mkdir(parents=True, exist_ok=True)
                write_mp4(folder / f"{number}.mp4", moving_frames(10, 40, 56, seed=number)[:: 1 - 2 * (number % 2)], 10)
                note = {"json": {"label": kind, "scene": "hall"}} if split == "val" else {"cls": number % 2}
                writer.write({"__key__": f"{number:03d}", "mp4": (folder / f"{number}.mp4").read_bytes(), **note})
    return home


def test_shards_say_class_group_and_split_of_each_clip(home):
    items = list_clips(home / "shards")
    assert [(i.path, i.label, i.group, i.split) for i in items] == [
        *((f"train-{n // 4:03d}.tar/{n:03d}.mp4", ("open", "close")[n % 2], None, "train") for n in range(8)),
        *((f"val-000.tar/{n:03d}.mp4", ("open", "close")[n % 2], "hall", "val") for n in range(4)),
    ]
    assert (
        list_clips(f"{home}/shards/val-*.tar")
        == [
            *list_clips(home / "shards" / "val-000.tar"),
        ]
        and len(list_clips(home / "shards", split="val")) == 4
    )


def test_shards_may_have_the_groups_under_any_key(tmp_path):
    notes = {"1": b'{"Site": "hall", "group": "x"}', "2": b'{"site": 7}', "3": b'{"group": "x"}'}
    files = {f"{key}.mp4": b"no video" for key in notes} | {f"{key}.json": note for key, note in notes.items()}
    tar_of(tmp_path / "000.tar", files)
    for data in (tmp_path, tmp_path / "000.tar", f"{tmp_path}/*.tar"):
        assert [item.group for item in list_clips(data, group_column="Site")] == ["hall", "7", None]
        with pytest.raises(AIAError, match=r"^No clip of .* has 'place' in its KEY\.json; check --group-column\.$"):
            list_clips(data, group_column="place")
        with pytest.raises(AIAError, match="--root is the folder of a table's files"):
            list_clips(data, root=str(tmp_path))
    tar_of(tmp_path / "001.tar", {"4.mp4": b"no video", "4.json": b"{}"})
    with pytest.raises(AIAError, match=r"^No clip of .*001\.tar has 'Site' in its KEY\.json"):
        list_clips(tmp_path, group_column="Site")


def test_a_signed_address_is_a_table_a_shard_or_a_video(home, tmp_path):
    """The query has the signs of a pattern, slashes and a point."""
    rows = "file,label\nfolders/val/open/0.mp4,open\nhttp://host/a.mp4?X-Amz-Signature=1,close\n"
    (home / "signed.csv").write_text(rows)
    query = "?X-Amz-Credential=me/20260101/s3*[1]&X-Amz-Signature=a.b"
    with served(home) as address:
        table = list_clips(f"{address}/signed.csv{query}")
        shard = list_clips(f"{address}/shards/val-000.tar{query}")
        video = list_clips(f"{address}/folders/val/open/0.mp4{query}")
        with local_file(shard[0]) as clip:
            assert clip.read_bytes() == (home / "folders" / "val" / "open" / "0.mp4").read_bytes()
    assert [(i.path, i.address, i.label) for i in table] == [
        ("folders/val/open/0.mp4", f"{address}/folders/val/open/0.mp4", "open"),
        ("http://host/a.mp4?X-Amz-Signature=1", "http://host/a.mp4?X-Amz-Signature=1", "close"),
    ]
    assert [(i.path, i.split) for i in shard] == [(f"val-000.tar/{n:03d}.mp4", "val") for n in range(4)]
    assert [(i.path, i.address) for i in video] == [("0.mp4", f"{address}/folders/val/open/0.mp4{query}")]


def test_folders_in_a_tar_are_classes(home, tmp_path):
    with tarfile.open(tmp_path / "all.tar", "w") as tar:
        tar.add(home / "folders", ".")
    items = list_clips(tmp_path / "all.tar")
    assert {(i.label, i.split) for i in items} == {(k, s) for k in ("open", "close") for s in ("train", "val")}
    assert class_order(tmp_path, read_manifest(tmp_path)) == ["close", "open"], "alphabetical without labels.txt"


@pytest.mark.long
def test_training_is_the_same_from_folders_shards_and_addresses(home, tmp_path, capsys):
    recipe = tmp_path / "recipe.json"
    recipe.write_text(json.dumps(RECIPE))
    memory = fsspec.filesystem("memory")
    memory.put(f"{home}/shards/", "/shards/", recursive=True)
    with tarfile.open(tmp_path / "train.tar", "w") as tar:
        for item in read_manifest(home / "folders"):
            tar.add(item.video, f"{item.split}/{item.kind}/{item.video.name}")
    histories = {}
    with served(home) as address:
        ways = {
            "folder": home / "folders",
            "tar": tmp_path / "train.tar",  # in the order of the folder: training draws clips by their numbers
            "shards": home / "shards",
            "pattern": f"{home}/shards/*.tar",
            "memory": "memory://shards",
            "http": f"{address}/shards/",
            "http folders": f"{address}/folders/",
        }
        for name, data in ways.items():
            out = tmp_path / name
            assert main(["train", str(recipe), "--data", str(data), "--out", str(out)]) == 0, name
            lines = (out / "history.jsonl").read_text().splitlines()
            histories[name] = [{k: v for k, v in json.loads(line).items() if k != "seconds"} for line in lines]
        assert main(["evaluate", str(tmp_path / "http"), "--data", f"{address}/shards/"]) == 0
    assert "held_out_top1" in histories["folder"][0]
    assert histories["folder"] == histories["tar"] == histories["http folders"]
    assert histories["shards"] == histories["pattern"] == histories["memory"] == histories["http"]
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["clips"] == 4


@pytest.mark.long
def test_a_survey_reads_shards_and_resumes(home, tmp_path, monkeypatch):
    net = small_net()
    net.save_pretrained(tmp_path / "model", config=net.config)
    monkeypatch.setattr(parts, "ROWS", 4)
    with served(home) as address:
        for name, data in (("local", home / "shards"), ("http", f"{address}/shards/")):
            assert aia.survey(data, str(tmp_path / "model"), tmp_path / name).new == 12
            lost = min((tmp_path / name).glob("part-*"))
            rows = pq.read_metadata(lost).num_rows
            lost.unlink()
            assert 0 < aia.survey(data, str(tmp_path / "model"), tmp_path / name).new == rows < 12
    (local, _), (remote, _) = read_survey(str(tmp_path / "local")), read_survey(str(tmp_path / "http"))
    assert local.equals(remote) and local.column("error").null_count == 12


@pytest.mark.slow
def test_bad_shards_get_one_sentence(home, tmp_path):
    whole = (home / "shards" / "train-000.tar").read_bytes()
    (tmp_path / "cut").mkdir()
    (tmp_path / "cut" / "a.tar").write_bytes(whole[:-15_000])
    with pytest.raises(AIAError, match=r"a\.tar is not a readable tar; shards must be complete and not compressed"):
        read_manifest(tmp_path / "cut")
    (tmp_path / "text.tar").write_text("no tar" * 999)
    with pytest.raises(AIAError, match=r"text\.tar is not a readable tar"):
        read_manifest(tmp_path / "text.tar")
    with tarfile.open(tmp_path / "empty.tar", "w"):
        pass
    with pytest.raises(AIAError, match="holds no videos"):
        read_manifest(tmp_path / "empty.tar")
    with served(home, parts=False) as address, pytest.raises(AIAError, match="cannot be read"):
        read_manifest(f"{address}/shards/train-000.tar")
    with pytest.raises(AIAError, match=r"in shards or at addresses; give a folder of videos"):
        aia.training.data.reference_clips(home / "shards", 4)


def tar_of(path, files: dict[str, bytes]):
    with tarfile.open(path, "w") as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path


@pytest.mark.slow
def test_odd_names_and_notes_cost_no_clip_and_name_no_foreign_file(tmp_path):
    (tmp_path / "labels.txt").write_text("open\nclose\n")
    path = tar_of(
        tmp_path / "odd.tar",
        {
            "../../escape.mp4": b"no video",
            "/open/absolute.mp4": b"no video",
            "a/.hidden.mp4": b"no video",
            ".git/b.mp4": b"no video",
            "./open/v1.0_a.mp4": b"no video",
            "./open/v1.0_b.mp4": b"no video",
            "open/k.front.mp4": b"no video",
            "open/k.side.MP4": b"no video",
            "open/k.cls": b"\xef\xbb\xbfclose\n",
            "open/1.mp4": b"no video",
            "open/1.json": b'{"label": ["no", "text"], "group": 17, "split": "Training"}',
            "open/2.mp4": b"no video",
            "open/2.json": b"[" * 100_000,
            "open/3.mp4": b"no video",
            "open/3.json": b'{"label": 1, "scene": "hall"}',
            "open/4.mp4": b"no video",
            "open/4.cls": b"9" * 5000,
            "open/5.mp4": b"no video",
            "open/5.json": b'{"label": "\\ud800"}',
        },
    )
    with tarfile.open(path, "a") as tar:
        link = tarfile.TarInfo("open/link.mp4")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/hostname"
        tar.addfile(link)
    items = {item.path.removeprefix("odd.tar/open/"): item for item in list_clips(path)}
    labels = {name: item.label for name, item in items.items()}
    assert labels == {
        **dict.fromkeys(("absolute.mp4", "v1.0_a.mp4", "v1.0_b.mp4", "1.mp4", "2.mp4"), "open"),
        **dict.fromkeys(("k.front.mp4", "k.side.MP4", "3.mp4"), "close"),
        "4.mp4": "9" * 5000,
        "5.mp4": "\\ud800",
    }
    assert (items["1.mp4"].group, items["1.mp4"].split, items["3.mp4"].group) == ("17", "train", "hall")
    net = small_net()
    net.save_pretrained(tmp_path / "model", config=net.config)
    result = aia.survey(path, str(tmp_path / "model"), tmp_path / "out")
    assert result.errors == result.clips == 10


@pytest.mark.parametrize(
    ("tops", "found"),
    [
        (("Train", "Valid"), [("wave", "train"), ("wave", "val")]),
        (("test", "Bus"), [("Bus", None), ("wave", "test")]),
        (("Train", "Bus"), [("Bus", None), ("Train", None)]),
    ],
)
def test_folders_of_a_tar_are_splits_in_any_spelling_if_all_are(tops, found, home, tmp_path):
    video = next((home / "folders").rglob("*.mp4"))
    with tarfile.open(tmp_path / "all.tar", "w") as tar:
        for top in tops:
            tar.add(video, f"{top}/wave/0.mp4")
    items = list_clips(tmp_path / "all.tar")
    assert sorted((item.label, item.split) for item in items) == found


def test_shards_that_are_not_whole_get_one_sentence(home, tmp_path):
    whole = (home / "shards" / "train-000.tar").read_bytes()
    second = whole.index(b"ustar", 600) - 257  # the header of the second member
    damaged = whole[:second] + b"\xff" * 512 + whole[second + 512 :]
    for name, content in {"cut": whole[:second], "damaged": damaged, "two": whole + whole}.items():
        (tmp_path / f"{name}.tar").write_bytes(content)
        with pytest.raises(AIAError, match=rf"{name}\.tar is not a readable tar"):
            list_clips(tmp_path / f"{name}.tar")


def test_an_archive_beside_the_videos_is_not_read(home, tmp_path, caplog):
    shutil.copytree(home / "folders", tmp_path / "data")
    shutil.copy(home / "shards" / "train-000.tar", tmp_path / "data" / "train")
    assert len(read_manifest(tmp_path / "data")) == len(list_clips(tmp_path / "data")) == 12
    assert "tar files beside videos are ignored: 1" in caplog.text


def test_the_machines_folders_are_no_splits_and_odd_local_paths_are_local(home, tmp_path):
    for name in ("test_machine", "set[1]", "a::b"):
        folder = tmp_path / name / "clips"
        shutil.copytree(home / "folders" / "train", folder)
        (folder / "labels.txt").write_text("open\nclose\n")
        assert class_order(folder, read_manifest(folder)) == ["open", "close"]
        assert len(list_clips(folder)) == 8
    shutil.copy(home / "shards" / "train-000.tar", tmp_path / "test_machine" / "000.tar")
    assert {item.split for item in list_clips(tmp_path / "test_machine" / "000.tar")} == {None}


@pytest.mark.slow
def test_a_table_elsewhere_trains_like_one_here(home, tmp_path, caplog):
    rows = "file,label,split,scene,group\n"
    rows += "train/open/0.mp4,open,train,hall,x\ntrain/close/1.mp4,close,,hall,x\nval/open/0.mp4,open,val,yard,x\n"
    (tmp_path / "clips.csv").write_text(rows)
    (tmp_path / "clips").symlink_to(home / "folders")
    local = read_manifest(tmp_path)
    with served(tmp_path) as address:
        remote = read_manifest(f"{address}/clips.csv")
    facts = [
        [(s.kind, s.scene, s.split) for s in samples] for samples in (local, read_manifest(tmp_path / "clips.csv"))
    ]
    assert facts[0] == facts[1] == [(s.kind, s.scene, s.split) for s in remote]
    assert caplog.text.count("of the split ''") == 3, "it is not trained on, and the log says so"


def test_an_address_in_another_one_is_refused():
    with pytest.raises(AIAError, match=r"an address in another one; copy what is inside, or give shards"):
        read_manifest("zip://clips::file:///data.zip")
