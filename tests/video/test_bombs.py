"""Files made to exhaust or mislead: each is refused in a sentence, in little memory, and opens nothing else.

In the separate process, as on the page.
"""

from __future__ import annotations

import http.server
import inspect
import itertools
import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import bombs
import pytest
from conftest import ROOT
from video_files import write_video

from aia.errors import AIAError
from aia.video import reader, worker

MOST_MB = 800

# how to make it -> words of the sentence
BOMBS = {
    "giant_hevc": "15360 x 8640 pixels",
    "giant_h264": "15360 x 8640 pixels",
    "lying_mp4": "15360 x 8640 pixels",
    "growing_hevc": "more memory",
    "giant_jpeg": "no frame",
    "giant_vp8": "no frame",
    "giant_gif": "no frame",
    "ten_hours_mp4": "longer than 120 s",
    "ten_hours_mkv": "longer than 120 s",
    "crowded_mp4": "too many parts",
    "no_end_mkv": "too many parts",
    "countless_mp4": "no frame",
    "same_bytes_mp4": "no frame",
    "streams_mp4": "more than 200 streams",
    "streams_mkv": "could not be opened",
    "streams_ogg": "could not be opened",
    "streams_ts": "no frame",
    "empty_elements_mkv": "could not be opened",
    "nested_mkv": "could not be opened",
}


def made(name: str, folder: Path) -> Path:
    make = getattr(bombs, name)
    path = folder / name
    path.write_bytes(make(folder) if inspect.signature(make).parameters else make())
    return path


# Reads files one after the other, as the page does, and prints what each was refused with and how much memory the process,
# or the one that decodes for it, has held at most since its start (where there is /proc).
READER = """
import json, pathlib, re, sys
from aia.errors import AIAError
from aia.video import worker

def peak(pid):
    status = pathlib.Path(f"/proc/{pid}/status")
    return int(re.search(r"VmHWM:\\s*(\\d+) kB", status.read_text())[1]) >> 10 if status.exists() else 0

for path in sys.argv[1:]:
    try:
        worker.read_clip(path)
        said = "it was read"
    except AIAError as error:
        said = str(error)
    print(json.dumps([said, len(worker.running()), max(map(peak, ["self", *worker.running()]))]), flush=True)
"""


@pytest.fixture(scope="module")
def refusals(tmp_path_factory):
    """Bomb -> sentence, number of processes that decode, MB: a process of its own reads them all."""
    folder = tmp_path_factory.mktemp("bombs")
    paths = [made(name, folder) for name in BOMBS]
    done = subprocess.run([sys.executable, "-c", READER, *paths], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return dict(zip(BOMBS, map(json.loads, done.stdout.splitlines()), strict=True))


@pytest.mark.slow
@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_refused_in_a_sentence_and_in_little_memory(refusals, name):
    said, decoders, most = refusals[name]
    assert BOMBS[name] in said and said.startswith(f"“{name}”") and said.endswith(".")
    assert decoders == 1, "the process that decodes goes on"
    assert most < MOST_MB, "of a process that began with the first of them"


@pytest.mark.slow
def test_a_picture_that_grows_beyond_every_limit_leaves_the_ones_before(tmp_path):
    clip = worker.read_clip(made("growing_h264", tmp_path))
    assert clip.frames.shape == (8, 64, 96, 3) and clip.num_frames == 12
    assert "damaged" in clip.warnings[0]


def test_two_pictures_of_four_by_four_pixels_are_a_clip(tmp_path):
    clip = worker.read_clip(made("little_gif", tmp_path))
    assert clip.frames.shape == (8, 4, 4, 3) and clip.num_frames == 2
    assert [words.split(",")[0] for words in clip.warnings] == ["This clip has only 2 frames"]


# ---------------------------------------------------------------- files that name others


@pytest.fixture(scope="module")
def asked():
    """A server on this machine; yields its address and what it was asked for so far."""
    paths = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            paths.append(self.path)
            self.send_error(404)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", paths
    server.shutdown()
    server.server_close()


PLAYLISTS = {
    "hls": "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\n{0}\n#EXT-X-ENDLIST\n",
    "hls of others": "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1000\n{0}\n",
    "hls with a key": '#EXTM3U\n#EXT-X-KEY:METHOD=AES-128,URI="{0}"\n#EXTINF:10,\nfilm.ts\n#EXT-X-ENDLIST\n',
    "concat": "ffconcat version 1.0\nfile '{0}'\n",
    "dash": '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" '
    'mediaPresentationDuration="PT1S"><Period><AdaptationSet mimeType="video/mp4"><Representation id="1" '
    'bandwidth="1"><BaseURL>{0}</BaseURL></Representation></AdaptationSet></Period></MPD>',
    "asx": '<ASX version="3.0"><Entry><Ref href="{0}"/></Entry></ASX>',
    "ram": "{0}\n",
    "sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\na=control:{0}\n",
    "smil": '<smil><body><video src="{0}"/></body></smil>',
    "vobsub": "# VobSub index file, v7 (do not modify this line!)\nid: en, index: 0\n{0}\n",
    "imf": '<?xml version="1.0"?><CompositionPlaylist><Path>{0}</Path></CompositionPlaylist>',
}


@pytest.mark.skipif(os.name != "posix", reason="only POSIX has named pipes")
@pytest.mark.parametrize("kind", PLAYLISTS)
def test_a_file_that_names_others_opens_none_of_them(tmp_path, asked, kind):
    address, paths = asked
    os.mkfifo(tmp_path / "film.ts")  # nobody writes: a reader would wait forever
    names = "film.ts", str(tmp_path / "film.ts"), f"file://{tmp_path}/film.ts", f"{address}/film.ts"
    for suffix, (number, name) in itertools.product(("mp4", "m3u8", "ts"), enumerate(names)):
        path = tmp_path / f"list{number}.{suffix}"
        path.write_text(PLAYLISTS[kind].format(name))
        with pytest.raises(AIAError, match="could not be opened"):
            worker.read_clip(path)
    assert paths == []


@pytest.mark.skipif(os.name != "posix", reason="only POSIX has named pipes")
def test_a_film_whose_media_lies_elsewhere_does_not_fetch_it(tmp_path):
    os.mkfifo(tmp_path / "film.ts")
    for content in bombs.elsewhere_mp4(str(tmp_path / "film.ts")):
        path = tmp_path / "film.mov"
        path.write_bytes(content)
        with pytest.raises(AIAError, match="no frame"):
            worker.read_clip(path)


def test_a_name_is_never_a_pattern_or_a_protocol(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_video(tmp_path / "film1.mp4", 3)
    for name in (
        "film%d.mp4",
        "file:film1.mp4",
        "concat:film1.mp4",
        "subfile,,start,0,end,0,,:film1.mp4",
        "cache:film1.mp4",
    ):
        for read in (worker.read_clip, reader.read_clip):
            with pytest.raises(AIAError, match="was not found"):
                read(name)
