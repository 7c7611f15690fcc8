"""What is said of a file is true of its pictures: how long it lasts, what it lacks, what is transparent, what is no video.

Headers claim more than the file holds, or less: each sentence and number must rest on packets, frames and their times.
"""

from __future__ import annotations

import io
import struct
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image, features
from video_files import REALTIME, every_frame, number_of, picture, timed, write_video

from aia import limits
from aia.errors import AIAError
from aia.video import containers, pictures, reader, source, worker
from aia.video.clip import Clip, sample_indices

FASTSTART = {"movflags": "faststart"}
FRAGMENTS = {"movflags": "frag_keyframe+empty_moov"}
EVEN = [40 * i for i in range(50)]  # milliseconds: 2 s
BURST = [40 * i for i in range(49)] + [60_000]


def read(path: Path, segments: int = 8) -> Clip:
    """The clip, the same by both readers."""
    here, apart = reader.read_clip(path, segments), worker.read_clip(path, segments)
    assert np.array_equal(here.frames, apart.frames) and np.array_equal(here.times, apart.times)
    assert (here.fps, here.duration, here.warnings) == (apart.fps, apart.duration, apart.warnings)
    assert here.fps * here.duration == pytest.approx(here.num_frames)
    return here


def refusal(path: Path) -> str:
    sentences = set()
    for read in (reader.read_clip, worker.read_clip):
        with pytest.raises(AIAError) as caught:
            read(path)
        sentences.add(str(caught.value).replace(str(path), path.name))  # the library names the path as it was given
    (sentence,) = sentences
    assert sentence.startswith(f"“{path.name}” ") and sentence.endswith(".")
    return sentence


def says(clip: Clip, words: str) -> bool:
    return any(words in sentence for sentence in clip.warnings)


# ---------------------------------------------------------------- the boxes of an MP4


def box(data: bytes, *names: bytes) -> tuple[int, int]:
    """Where a box begins and ends."""
    begin, end = -8, len(data)
    for name in names:
        at = begin + 8
        while data[at + 4 : at + 8] != name:
            at += struct.unpack_from(">I", data, at)[0]
            assert at < end
        begin, end = at, at + struct.unpack_from(">I", data, at)[0]
    return begin, end


def edited(path: Path, *edits: tuple[float, float | None]) -> Path:
    """Give an MP4 an edit list: (seconds, from which second of the media on; None for nothing)."""
    data = bytearray(path.read_bytes())
    mvhd, trak = box(data, b"moov", b"mvhd")[0], box(data, b"moov", b"trak")[0]
    begin, end = box(data, b"moov", b"trak", b"edts")
    film = struct.unpack_from(">I", data, mvhd + 20)[0]
    media = struct.unpack_from(">I", data, box(data, b"moov", b"trak", b"mdia", b"mdhd")[0] + 20)[0]
    delay = struct.unpack_from(">i", data, begin + 28)[0]
    rows = [
        struct.pack(">IiI", round(s * film), -1 if at is None else round(at * media) + delay, 1 << 16)
        for s, at in edits
    ]
    content = struct.pack(">II", 0, len(rows)) + b"".join(rows)
    length = round(sum(s for s, _ in edits) * film)
    struct.pack_into(">I", data, mvhd + 24, length)
    struct.pack_into(">I", data, box(data, b"moov", b"trak", b"tkhd")[0] + 28, length)
    new = struct.pack(">I4sI4s", 16 + len(content), b"edts", 8 + len(content), b"elst") + content
    for grown in (trak, box(data, b"moov")[0]):
        struct.pack_into(">I", data, grown, struct.unpack_from(">I", data, grown)[0] + len(new) - (end - begin))
    data[begin:end] = new
    path.write_bytes(data)
    return path


def with_empty_sample(path: Path, number: int) -> Path:
    """Take the bytes of one frame out of an MP4, whose index then says that it has none."""
    with av.open(str(path)) as source:
        at, size = [(packet.pos, packet.size) for packet in source.demux(video=0) if packet.size][number]
    data = bytearray(path.read_bytes())
    table = (b"moov", b"trak", b"mdia", b"minf", b"stbl")
    struct.pack_into(">I", data, box(data, *table, b"stsz")[0] + 20 + 4 * number, 0)
    chunks = box(data, *table, b"stco")[0] + 16
    for i in range(struct.unpack_from(">I", data, chunks - 4)[0]):
        place = struct.unpack_from(">I", data, chunks + 4 * i)[0]
        struct.pack_into(">I", data, chunks + 4 * i, place - size if place > at else place)
    media = box(data, b"mdat")[0]
    struct.pack_into(">I", data, media, struct.unpack_from(">I", data, media)[0] - size)
    del data[at : at + size]
    path.write_bytes(data)
    return path


def heic(path: Path) -> Path:
    """A picture as phones store it: one item in HEVC, and no film."""
    # With B-frames, FFmpeg gives the packet of a film of one frame a random time, and often fails to write it.
    how = {"codec": "libx265", "bframes": 0, "options": {"x265-params": "log-level=none"}}
    with av.open(str(write_video(path.with_suffix(".mp4"), 1, **how))) as source:
        stream = source.streams.video[0]
        parameters, data = stream.codec_context.extradata, b"".join(bytes(packet) for packet in source.demux(stream))

    def made(name: bytes, *parts: bytes, version: int | None = None) -> bytes:
        head = b"" if version is None else struct.pack(">I", version << 24)
        return struct.pack(">I4s", 8 + len(head) + sum(map(len, parts)), name) + head + b"".join(parts)

    def meta(place: int) -> bytes:
        sizes = made(b"ispe", struct.pack(">II", 96, 64), version=0)
        return made(
            b"meta",
            made(b"hdlr", bytes(4), b"pict", bytes(13), version=0),
            made(b"pitm", b"\0\1", version=0),
            made(b"iloc", struct.pack(">HHHHHII", 0x4400, 1, 1, 0, 1, place, len(data)), version=0),
            made(b"iinf", b"\0\1", made(b"infe", struct.pack(">HH4sx", 1, 0, b"hvc1"), version=2), version=0),
            made(
                b"iprp",
                made(b"ipco", made(b"hvcC", parameters), sizes),
                made(b"ipma", struct.pack(">IHBBB", 1, 1, 2, 0x81, 2), version=0),
            ),
            version=0,
        )

    head = made(b"ftyp", b"heic", bytes(4), b"mif1heic")
    path.write_bytes(head + meta(len(head) + len(meta(0)) + 8) + made(b"mdat", data))
    return path


# ---------------------------------------------------------------- transparency


def opaque(image: np.ndarray) -> np.ndarray:
    return np.concatenate([image, np.full((*image.shape[:2], 1), 255, np.uint8)], -1)


def half_clear(image: np.ndarray) -> np.ndarray:
    image = opaque(image)
    image[image.shape[0] // 2 :, :, 3] = 60
    return image


def webm(path: Path, codec: str, pix_fmt: str, **how) -> Path:
    options = {**REALTIME, **({"auto-alt-ref": "0"} if codec == "libvpx" else {}), **how.pop("options", {})}
    return write_video(path, 40, codec=codec, pix_fmt=pix_fmt, options=options, **how)


@pytest.mark.slow
@pytest.mark.parametrize("codec", ["libvpx", "libvpx-vp9"])
def test_a_flag_without_opacity_is_no_transparency(tmp_path, codec):
    path = tmp_path / "webcam.webm"
    with av.open(str(webm(tmp_path / "plain.webm", codec, "yuv420p"))) as source, av.open(str(path), "w") as output:
        stream = output.add_stream(codec, rate=25, options={"auto-alt-ref": "0"})
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuva420p"
        for packet in source.demux(video=0):
            if packet.size:
                packet.stream = stream
                output.mux(packet)
    with av.open(str(path)) as written:
        assert written.streams.video[0].metadata["alpha_mode"] == "1"
    assert read(path).warnings == ()


@pytest.mark.slow
@pytest.mark.parametrize("codec", ["libvpx", "libvpx-vp9"])
def test_opacity_beside_the_pictures_is_read(tmp_path, codec):
    clear = webm(tmp_path / "clear.webm", codec, "yuva420p", store=half_clear)
    assert read(clear).warnings == (pictures.HIDDEN_ALPHA,)
    assert read(webm(tmp_path / "opaque.webm", codec, "yuva420p", store=opaque)).warnings == ()
    coarse = {"crf": "63", "b": "1000"}
    assert read(webm(tmp_path / "coarse.webm", codec, "yuva420p", store=opaque, options=coarse)).warnings == ()


def test_transparency_of_frames_that_nobody_sees_is_not_told(tmp_path):
    count = iter(range(40))
    path = webm(
        tmp_path / "fading-in.webm",
        "libvpx-vp9",
        "yuva420p",
        gop=1,
        store=lambda image: half_clear(image) if next(count) < 2 else opaque(image),
    )
    assert read(path).warnings == () and read(path).indices[0] == 2
    assert reader.read_frames(path).warnings == (pictures.HIDDEN_ALPHA,)


def test_broken_opacity_costs_no_frame(tmp_path):
    path = webm(tmp_path / "clear.webm", "libvpx-vp9", "yuva420p", store=half_clear)
    frames = read(path).frames
    data = path.read_bytes()
    with av.open(str(path)) as source:
        for packet in source.demux(video=0):
            if packet.size:
                opacity = bytes(memoryview(packet.get_sidedata(pictures.BLOCK_ADDITION))[8:])
                data = data.replace(opacity, bytes(len(opacity)))
    assert data != path.read_bytes()
    path.write_bytes(data)
    assert np.array_equal(read(path).frames, frames) and read(path).warnings == ()


@pytest.mark.slow
def test_opacity_that_claims_a_giant_size_costs_no_frame(tmp_path):
    path = webm(tmp_path / "clear.webm", "libvpx", "yuva420p", store=half_clear)
    frames, data = read(path).frames, path.read_bytes()
    colours, opacity, rest = data.split(size := b"\x9d\x01\x2a" + struct.pack("<HH", 96, 64))
    path.write_bytes(colours + size + opacity + size[:3] + struct.pack("<HH", 16383, 16383) + rest)
    assert np.array_equal(read(path).frames, frames) and read(path).warnings == ()


PLANES = {
    "yuv.mkv": {"codec": "ffv1", "pix_fmt": "yuva420p"},
    "deep.mkv": {"codec": "ffv1", "pix_fmt": "yuva444p10le"},
    "prores.mov": {"codec": "prores_ks", "pix_fmt": "yuva444p10le"},
    "png.mov": {"codec": "png", "pix_fmt": "rgba"},
    "animation.mov": {"codec": "qtrle", "pix_fmt": "argb"},
    "animation.apng": {"codec": "apng", "pix_fmt": "rgba", "format": "apng"},
}


@pytest.mark.slow
@pytest.mark.parametrize("name", PLANES)
def test_an_alpha_plane_is_told_of_where_it_can_be_seen(tmp_path, name):
    path = write_video(tmp_path / name, 8, store=opaque, **PLANES[name])
    for side in (96, 95, 48, 22, 10, 4):
        assert reader.read_clip(path, max_side=side).warnings == ()
    assert read(write_video(tmp_path / name, 8, store=half_clear, **PLANES[name])).warnings == (pictures.TRANSPARENT,)


@pytest.mark.slow
@pytest.mark.parametrize("width", [322, 324, 326, 328])
def test_opacity_is_read_right_at_every_width(tmp_path, width):
    size, planes = (width, 242), PLANES["yuv.mkv"]
    path = write_video(tmp_path / "opaque.mkv", 8, store=opaque, size=size, **planes)
    assert [reader.read_clip(path, max_side=side).warnings for side in (width, 100, 20, 12)] == [()] * 4
    clear = read(write_video(tmp_path / "clear.mkv", 8, store=half_clear, size=size, **planes)).frames
    shown = read(path).frames
    below = shown[:, 130:].astype(float) * 60 / 255 + (255 - 60)
    assert np.abs(clear[:, :110].astype(int) - shown[:, :110]).max() <= 1
    assert np.abs(clear[:, 130:] - below).max() <= 3, "60 of 255 of the picture on white"


# ---------------------------------------------------------------- how long it lasts

LASTING = {
    "still.mp4": {},
    "b-frames.mp4": {"bframes": 3},
    "still.mov": {},
    "fragments.mp4": {"container": FRAGMENTS},
    "still.mkv": {"bframes": 3},
    "still.webm": {},
    "from-a-pipe.mkv": {"container": {"live": "1"}},
    "still.flv": {"bframes": 0},
    "b-frames.flv": {"bframes": 3},
    "sorenson.flv": {"codec": "flv"},
    "still.gif": {},
    "still.asf": {},
    "still-and-sound.mp4": {"sound": 15},
    "still-and-sound.mkv": {"sound": 15},
}


@pytest.mark.slow
@pytest.mark.parametrize("name", LASTING)
def test_a_last_frame_that_stays_is_counted_by_its_time(tmp_path, name):
    clip = read(timed(tmp_path / name, EVEN, 8040, **LASTING[name]))
    assert clip.duration == pytest.approx(10, abs=0.005) and clip.num_frames == 50
    assert clip.fps == pytest.approx(5, rel=0.001)
    assert not says(clip, "damaged")
    assert says(clip, "leave out 8.1 of 10.0 s")


@pytest.mark.slow
@pytest.mark.parametrize("name", LASTING)
def test_even_frames_last_as_long_as_their_steps(tmp_path, name):
    clip = read(timed(tmp_path / name, EVEN, 40, **LASTING[name]))
    assert clip.duration == pytest.approx(2, abs=0.001) and clip.warnings == (), "however long a sound is"


@pytest.mark.parametrize("name", ["film.mkv", "film.mp4", "film.flv", "film.ts", "film.asf"])
def test_a_sound_that_begins_late_makes_no_film_longer(tmp_path, name):
    how = {"codec": "flv"} if name == "film.flv" else {}
    clip = read(timed(tmp_path / name, EVEN, 40, sound=5, sound_from=4, **how))
    assert clip.duration == pytest.approx(2, abs=0.001) and clip.warnings == ()


@pytest.mark.parametrize("name", ["late.ts", "late.mkv", "late.mp4", "early.mkv"])
def test_a_film_need_not_begin_at_zero(tmp_path, name):
    offset = {"output_ts_offset": "-0.2", "avoid_negative_ts": "disabled"} if name == "early.mkv" else {}
    path = write_video(tmp_path / name, 30, container=offset or {"output_ts_offset": "50"})
    assert read(path).duration == pytest.approx(30 / 25, abs=0.001)


def test_without_lengths_the_last_frame_lasts_as_long_as_most(tmp_path):
    clip = read(timed(tmp_path / "clip.ts", [0, *(400 + 40 * i for i in range(40))], 40))
    assert clip.duration == pytest.approx(0.4 + 40 * 0.04, abs=0.002) and clip.warnings == ()


@pytest.mark.parametrize(
    ("edits", "frames", "seconds"),
    [
        ([(9.0, 1.0)], 25, 9),
        ([(5.0, 0.0)], 50, 5),
        ([(3.0, None), (10.0, 0.0)], 50, 10),
        ([(1.0, 0.0)], 25, 1),
    ],
)
def test_an_edit_list_is_followed_and_is_no_damage(tmp_path, edits, frames, seconds):
    path = edited(timed(tmp_path / "trimmed.mp4", EVEN, 8040), *edits)
    clip = read(path)
    truth, _ = every_frame(path)
    assert clip.num_frames == len(truth) == frames and not says(clip, "damaged")
    assert all(np.array_equal(frame, truth[index]) for frame, index in zip(clip.frames, clip.indices, strict=True))
    assert clip.duration == pytest.approx(seconds, abs=0.05)


def test_an_edit_that_begins_within_a_still_lasts_as_long_as_it_says(tmp_path):
    ticks = [0, *(8000 + 40 * i for i in range(49))]
    clip = read(edited(timed(tmp_path / "trimmed.mp4", ticks, 40, bframes=0), (5.96, 4.0)))
    assert clip.duration == pytest.approx(5.96, abs=0.01) and not says(clip, "damaged")


@pytest.mark.parametrize("codec", ["mpeg4", "libx264", "huffyuv"])
def test_frames_that_an_avi_leaves_empty_take_their_time(tmp_path, codec):
    how = {
        "codec": codec,
        "pix_fmt": "yuv422p" if codec == "huffyuv" else "yuv420p",
        "bframes": 2 * (codec != "huffyuv"),
    }
    source, path = write_video(tmp_path / "even.avi", 50, gop=12, **how), tmp_path / "gap.avi"
    slots = [*range(25), *range(50, 75)]
    with av.open(str(source)) as film, av.open(str(path), "w") as output:
        stream = output.add_stream_from_template(film.streams.video[0])
        packets = [packet for packet in film.demux(video=0) if packet.size]
        for packet, slot in zip(packets, slots, strict=True):
            packet.stream, packet.time_base, packet.duration = stream, Fraction(1, 25), 1
            packet.pts = packet.dts = slot
            output.mux(packet)
    clip = read(path)
    truth, _ = every_frame(path)
    assert clip.duration == pytest.approx(3) and clip.num_frames == len(truth) == 50 and clip.warnings == ()
    assert all(np.array_equal(frame, truth[index]) for frame, index in zip(clip.frames, clip.indices, strict=True))
    assert clip.times == pytest.approx(np.array(slots)[clip.indices] / 25)


def lies(path: Path, seconds: float) -> Path:
    """Let the header of a Matroska, FLV or MP4 file state another length."""
    data = bytearray(path.read_bytes())
    if path.suffix == ".mkv":
        at = data.index(b"\x44\x89\x88") + 3
        data[at : at + 8] = struct.pack(">d", seconds * 1000)
    elif path.suffix == ".flv":
        at = data.index(b"\0\x08duration\0") + 11
        data[at : at + 8] = struct.pack(">d", seconds)
    else:
        for names in ((b"mvhd",), (b"trak", b"mdia", b"mdhd")):
            begin = box(data, b"moov", *names)[0]
            scale = struct.unpack_from(">I", data, begin + 20)[0]
            struct.pack_into(">I", data, begin + 24, round(seconds * scale))
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("name", ["clip.mkv", "clip.flv", "clip.mp4"])
def test_a_header_that_lies_about_the_length_is_not_believed(tmp_path, name):
    path = timed(tmp_path / name, EVEN, 40)
    for seconds in (0, 1, 3600, *([30] if name == "clip.mp4" else [])):  # an MP4 knows the length of every frame
        clip = read(lies(path, seconds))
        assert clip.duration == pytest.approx(2, abs=0.001) and clip.num_frames == 50 and clip.warnings == ()


@pytest.mark.parametrize("codec", ["mjpeg", "mpeg4"])
def test_an_impossible_rate_gives_no_times(tmp_path, codec):
    path = write_video(tmp_path / "film.avi", 20, codec=codec, pix_fmt="yuvj420p" if codec == "mjpeg" else "yuv420p")
    data = bytearray(path.read_bytes())
    struct.pack_into("<II", data, data.index(b"strh") + 28, 1, 10**9)
    path.write_bytes(data)
    clip = read(path)
    assert clip.num_frames == 20 and clip.duration == pytest.approx(20 / 25) and clip.fps == pytest.approx(25)


@pytest.mark.parametrize("name", ["long.mp4", "long.mkv", "long.gif"])
def test_the_limit_counts_the_last_frame(tmp_path, name):
    seconds = limits.MAX_SECONDS
    sentence = refusal(timed(tmp_path / name, EVEN, (seconds + 1) * 1000 - EVEN[-1]))
    assert f"is longer than {seconds} s" in sentence
    assert read(timed(tmp_path / f"just-{name}", EVEN, seconds * 1000 - EVEN[-1])).duration == pytest.approx(seconds)


@pytest.mark.parametrize("name", ["one.mp4", "one.webm"])
def test_a_film_of_one_frame_lasts_as_long_as_the_frame(tmp_path, name):
    clip = read(timed(tmp_path / name, [0], 2000))
    assert clip.num_frames == 1 and clip.duration == pytest.approx(2, abs=0.01)


# ---------------------------------------------------------------- damage

TELEVISION = {"gop": 12, "bframes": 3, "options": {"x264-params": "open-gop=1:b-adapt=0:scenecut=0"}}
INTACT = {
    "padded.mp4": (bytes(1000), {}),
    "padded.mov": (bytes(1000), {"codec": "mjpeg", "pix_fmt": "yuvj420p"}),
    "padded.mkv": (bytes(1000), {}),
    "padded.avi": (bytes(1000), {"codec": "mpeg4"}),
    "padded.ts": (bytes(1000), {}),
    "padded.m2ts": (bytes(1000), {}),
    "line.ts": (b"\n", {}),
    "line.mkv": (b"\n", {}),
}


@pytest.mark.parametrize("name", INTACT)
def test_what_follows_a_whole_film_is_no_damage(tmp_path, name):
    junk, how = INTACT[name]
    path = write_video(tmp_path / name, 60, **{"gop": 12, **how})
    path.write_bytes(path.read_bytes() + junk)
    clip = read(path)
    assert clip.num_frames == 60 and clip.duration == pytest.approx(2.4) and clip.warnings == ()


@pytest.mark.slow
@pytest.mark.parametrize("codec", ["libx264", "libx265", "mpeg2video"])
@pytest.mark.parametrize("share", [0.1, 0.3, 0.6])
def test_a_broadcast_need_not_begin_with_a_key_frame(tmp_path, codec, share):
    how = {
        "libx264": TELEVISION,
        "libx265": {"options": {"x265-params": "log-level=none:open-gop=1:keyint=12:bframes=3:scenecut=0"}},
        "mpeg2video": {"gop": 12, "bframes": 2},
    }[codec]
    data = write_video(tmp_path / "whole.ts", 60, codec=codec, **how).read_bytes()
    for unit in (1, 188):
        path = tmp_path / f"tuned-in-{unit}.ts"
        path.write_bytes(data[int(len(data) * share) // unit * unit :])
        clip = read(path)
        assert 0 < clip.num_frames < 60 and clip.warnings == ()
        truth, _ = every_frame(path)
        assert clip.num_frames == len(truth) and np.array_equal(clip.frames[-1], truth[clip.indices[-1]])


@pytest.mark.parametrize(
    ("name", "how"),
    [
        ("empty.mov", {"codec": "png", "pix_fmt": "rgb24"}),
        ("empty.mp4", {"codec": "mpeg4", "gop": 1}),
        ("avc.mp4", {"gop": 1}),
    ],
)
def test_a_sample_of_no_bytes_is_no_damage(tmp_path, name, how):
    clip = read(with_empty_sample(write_video(tmp_path / name, 50, **how), 20))
    assert clip.num_frames == 49 and clip.duration == pytest.approx(2) and clip.warnings == ()
    assert [number_of(frame) for frame in clip.frames] == [i + (i >= 20) for i in clip.indices]


def positions(path: Path) -> list[int]:
    """Where the bytes of each frame end."""
    with av.open(str(path)) as source:
        return [packet.pos + packet.size for packet in source.demux(video=0) if packet.size]


CUT = {
    "cut.mp4": {"gop": 12, "container": FASTSTART},
    "cut.mov": {"codec": "mjpeg", "pix_fmt": "yuvj420p", "container": FASTSTART},
    "fragments.mp4": {"gop": 12, "container": FRAGMENTS},
    "cut.mkv": {"gop": 12},
    "cut.webm": {"codec": "libvpx-vp9", "options": REALTIME},
    "cut.avi": {"codec": "mpeg4"},
    "cut.flv": {"codec": "flv"},
    "cut.ts": {"gop": 12},
}


@pytest.mark.slow
@pytest.mark.parametrize("name", CUT)
def test_a_cut_is_told_wherever_it_falls(tmp_path, name):
    path = write_video(tmp_path / name, 60, **CUT[name])
    data, ends = path.read_bytes(), sorted(positions(path))
    places = [ends[30] - 3] if name == "cut.ts" else [ends[57] - 3, ends[30] - 3]
    places += {"cut.mp4": [ends[30]], "cut.mov": [ends[30]], "cut.avi": [ends[30]]}.get(name, [])
    if name == "fragments.mp4":  # within the index of the last pictures
        places.append(data.rindex(b"moof") + 20)
    for place in places:
        path.write_bytes(data[:place])
        clip = read(path)
        assert says(clip, "end of the file is damaged or missing") and 10 < clip.num_frames < 60
        assert clip.duration == pytest.approx(clip.num_frames / 25, abs=0.15)


@pytest.mark.parametrize(("name", "codec"), [("clip.mp4", "libx264"), ("clip.mov", "mjpeg")])
def test_a_cut_that_takes_the_list_of_pictures_is_told_as_a_cut(tmp_path, name, codec):
    path = write_video(tmp_path / name, codec=codec, pix_fmt="yuvj420p" if codec == "mjpeg" else "yuv420p")
    data = path.read_bytes()
    for box_name in (b"trak", b"minf"):
        path.write_bytes(data[: data.rindex(box_name) + 12])
        assert "is cut off" in refusal(path)


@pytest.mark.parametrize(("name", "sides", "stretch"), [("a.mp4", "2/1", "2.00"), ("a.mkv", "1/8", "8.00")])
def test_pixels_that_are_not_square_are_told(tmp_path, name, sides, stretch):
    clip = read(write_video(tmp_path / name, options={"x264-params": f"sar={sides}"}))
    assert says(clip, f"stretches the picture by {stretch}") and clip.frames.shape[1:3] == (64, 96)
    assert not read(write_video(tmp_path / f"square-{name}", options={"x264-params": "sar=1/1"})).warnings


@pytest.mark.parametrize(("of_pictures", "of_container", "stretch"), [("1/1", (4, 3), "1.33"), ("4/3", (1, 1), "")])
def test_the_shape_of_pixels_that_the_container_states_comes_first(tmp_path, of_pictures, of_container, stretch):
    path = write_video(tmp_path / "a.mp4", options={"x264-params": f"sar={of_pictures}"})
    data = bytearray(path.read_bytes())
    box = struct.pack(">I4sII", 16, b"pasp", *of_container)
    begin = data.index(b"avcC") - 4
    assert data.index(b"mdat") < data.index(b"moov"), "so that the pictures stay where they are"
    for name in (b"avc1", b"stsd", b"stbl", b"minf", b"mdia", b"trak", b"moov"):
        at = data.rindex(name, 0, begin) - 4
        data[at : at + 4] = struct.pack(">I", struct.unpack_from(">I", data, at)[0] + len(box))
    data[begin:begin] = box
    path.write_bytes(data)
    told = [sentence for sentence in read(path).warnings if "not square" in sentence]
    assert len(told) == bool(stretch) and all(f"by {stretch} in" in sentence for sentence in told)


# ---------------------------------------------------------------- what the chosen frames leave out


def test_a_burst_that_leaves_most_of_the_time_unseen_is_told(tmp_path):
    clip = read(timed(tmp_path / "burst.mp4", BURST, 40))
    assert clip.indices.tolist() == sample_indices(50, 8), "by the published rule"
    assert clip.duration == pytest.approx(60.04)
    assert clip.warnings == (reader.LEFT_OUT.format(58.16, 60.04, 1.88, 60.04),)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("ticks", "last", "segments", "told"),
    [
        ([0, *(30_000 + 40 * i for i in range(48)), 60_000], 40, 8, True),  # 30 s before and 28 s after
        ([0, *(30_000 + 40 * i for i in range(48)), 60_000], 40, 50, False),  # every frame is chosen
        ([0, 1000, 2000, 3000, 4000, 94_000, 95_000, 96_000, 97_000], 1000, 8, True),  # the one that is left out stays
        ([0, 1000, 2000, 3000, 93_000, 94_000, 95_000, 96_000, 97_000], 1000, 8, False),  # one that is chosen does
        ([40 * i for i in range(500)], 40, 8, False),
        ([40 * i for i in range(500)], 40, 1, False),
        ([40 * i for i in range(9)], 40, 8, False),
        ([40 * i for i in range(3)], 40, 64, False),
        ([100 * i for i in range(50)] + [5000 + 20 * i for i in range(250)], 20, 8, False),  # two rates
    ],
)
def test_only_time_that_no_chosen_frame_stands_for_counts(tmp_path, ticks, last, segments, told):
    clip = read(timed(tmp_path / "clip.mp4", ticks, last), segments)
    assert says(clip, "leave out") == told and len(clip.warnings) == told + says(clip, "more than once")


def test_all_frames_leave_nothing_out(tmp_path):
    assert reader.read_frames(timed(tmp_path / "burst.mp4", BURST, 40)).warnings == ()


# ---------------------------------------------------------------- still pictures


def saved(path: Path, count: int = 1, **how) -> Path:
    pictures = [Image.fromarray(picture(i)) for i in range(count)]
    more = {"save_all": True, "append_images": pictures[1:], **how} if count > 1 else how
    pictures[0].save(path, **more)
    return path


needs_avif = pytest.mark.skipif(not features.check("avif"), reason="this Pillow writes no AVIF")
STILLS = ["png", "jpg", "webp", "bmp", "tiff", "gif", "jp2", pytest.param("avif", marks=needs_avif), "heic"]


@pytest.mark.parametrize("suffix", STILLS)
def test_a_still_picture_is_none_of_the_videos(tmp_path, suffix):
    path = tmp_path / f"photo.{suffix}"
    heic(path) if suffix == "heic" else saved(path)
    assert refusal(path).endswith(source.STILL)
    renamed = path.rename(tmp_path / "renamed.mp4")
    assert refusal(renamed).endswith(source.STILL)


def test_a_photo_from_a_camera_is_a_still_picture(tmp_path):
    """It is longer than what FFmpeg looks at to tell a format, and holds a second, smaller picture."""
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (1500, 2000, 3), dtype=np.uint8))
    large, small = io.BytesIO(), io.BytesIO()
    noise.save(large, "jpeg", quality=90)
    noise.resize((160, 120)).save(small, "jpeg")
    for name in ("photo.jpg", "photo.JPEG", "photo"):
        (tmp_path / name).write_bytes(large.getvalue() + small.getvalue())
        assert refusal(tmp_path / name).endswith(source.STILL)


@pytest.mark.parametrize("suffix", ["png", "gif", pytest.param("avif", marks=needs_avif)])
def test_an_animation_is_a_video(tmp_path, suffix):
    clip = read(saved(tmp_path / f"film.{suffix}", 12, duration=[40] * 11 + [200]))
    assert [number_of(frame) for frame in clip.frames] == clip.indices.tolist() == sample_indices(12, 8)
    assert clip.num_frames == 12 and clip.duration == pytest.approx(0.64) and clip.warnings == ()


def test_an_animated_webp_is_not_called_still(tmp_path):
    assert refusal(saved(tmp_path / "film.webp", 3, duration=40)).endswith(source.WEBP)


def test_what_only_resembles_a_picture_is_not_called_one(tmp_path):
    for name, content in {"a.txt": b"BMW and other cars " * 50, "b.riff": b"RIFF" + bytes(500), "c.mp4": b""}.items():
        (tmp_path / name).write_bytes(content)
        assert "still picture" not in refusal(tmp_path / name)


def test_the_cut_end_of_a_large_gif_is_noticed(tmp_path):
    head = b"GIF89a" + bytes(7) + b"!\xfe"  # with a comment of 30 MB
    path, blocks = tmp_path / "large.gif", (b"\xff" + bytes(255)) * 120_000
    for rest, is_cut in ((b"\0;", False), (b"\0", True), (b"", True), (b"\x09a", True)):
        path.write_bytes(head + blocks + rest)
        assert containers.is_truncated(path, "gif") == is_cut
