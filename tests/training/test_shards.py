"""Data elsewhere: shards as WebDataset writes them, and addresses that fsspec reads, train and survey like a folder."""

from __future__ import annotations

import http.server
import io
import json
import tarfile
import threading
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import fsspec
import pytest
import webdataset
from conftest import moving_frames, small_net

import aia
from aia import AIAError
from aia.cli import main
from aia.listing import list_clips
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


def test_folders_in_a_tar_are_classes(home, tmp_path):
    with tarfile.open(tmp_path / "all.tar", "w") as tar:
        tar.add(home / "folders", ".")
    items = list_clips(tmp_path / "all.tar")
    assert {(i.label, i.split) for i in items} == {(k, s) for k in ("open", "close") for s in ("train", "val")}
    assert class_order(tmp_path, read_manifest(tmp_path)) == ["close", "open"], "alphabetical without labels.txt"


@pytest.mark.slow
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


def test_a_survey_reads_shards_and_resumes(home, tmp_path):
    net = small_net()
    net.save_pretrained(tmp_path / "model", config=net.config)
    with served(home) as address:
        for name, data in (("local", home / "shards"), ("http", f"{address}/shards/")):
            assert aia.survey(data, str(tmp_path / "model"), tmp_path / name, split="val").new == 4
            assert aia.survey(data, str(tmp_path / "model"), tmp_path / name).new == 8
    (local, _), (remote, _) = read_survey(str(tmp_path / "local")), read_survey(str(tmp_path / "http"))
    assert local.equals(remote) and local.column("error").null_count == 12


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
    with pytest.raises(AIAError, match=r"in shards; give a folder of videos"):
        aia.training.data.reference_clips(home / "shards", 4)


def test_hostile_members_of_a_tar_are_no_clips(tmp_path):
    with tarfile.open(tmp_path / "odd.tar", "w") as tar:
        for name, content in {
            "../../escape.mp4": b"no video",
            "a/.hidden.mp4": b"no video",
            "open/1.mp4": b"no video",
            "open/1.json": b'{"label": ["no", "text"]}',
            "open/2.MP4": b"no video",
            "open/2.json": b"\xff{",
            "open/2.cls": b"",
        }.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
        link = tarfile.TarInfo("open/3.mp4")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/hostname"
        tar.addfile(link)
    net = small_net()
    net.save_pretrained(tmp_path / "model", config=net.config)
    assert {(i.path, i.label) for i in list_clips(tmp_path / "odd.tar")} >= {
        ("odd.tar/open/1.mp4", "open"),
        ("odd.tar/open/2.MP4", "open"),
    }
    result = aia.survey(tmp_path / "odd.tar", str(tmp_path / "model"), tmp_path / "out")
    assert result.errors == result.clips == 3
    assert [path.name for path in tmp_path.iterdir() if path.suffix == ".mp4"] == []
