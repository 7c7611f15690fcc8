"""What reading a video promises: the right frames at the right times from any file, or one sentence that says why not.

The truth here is `every_frame`: a plain decode of the whole file in order, written independently of `aia.video`.
"""

from __future__ import annotations

import os
import struct
import threading
from pathlib import Path

import av
import numpy as np
import pytest
from video_files import cut, every_frame, number_of, picture, trim_by_edit_list, turn, write_video

from aia import limits
from aia.errors import AIAError
from aia.video import pictures, reader, source
from aia.video.clip import Clip, sample_indices
from aia.video.scan import scan_file
from aia.video.source import Source

FASTSTART = {"movflags": "faststart"}
OPEN_GOP = {"x264-params": "open-gop=1:bframes=3:b-adapt=0:scenecut=0"}
REALTIME = {"deadline": "realtime", "cpu-used": "8"}
UNEVEN = [0, 40, 50, 60, 200, 240, 500, 510, 520, 530] + [600 + 33 * i + 7 * (i % 3) for i in range(30)]

# name -> how to write it; every one of these files is whole
WHOLE = {
    "constant.mp4": {"count": 60, "gop": 12},
    "one_key_frame.mp4": {"count": 60, "gop": 250},
    "variable.mp4": {"count": 40, "gop": 12, "ticks": UNEVEN},
    "variable.webm": {"count": 40, "gop": 12, "ticks": UNEVEN, "codec": "libvpx-vp9", "options": REALTIME},
    "hidden_frames.webm": {
        "count": 40,
        "codec": "libvpx",
        "options": {"auto-alt-ref": "1", "lag-in-frames": "16", "deadline": "good", "cpu-used": "5"},
    },
    "open_gop.ts": {"count": 60, "gop": 12, "bframes": 3, "options": OPEN_GOP},
    "open_gop.mp4": {"count": 60, "gop": 12, "bframes": 3, "options": OPEN_GOP},
    "open_gop_hevc.mp4": {
        "count": 60,
        "codec": "libx265",
        "options": {"x265-params": "log-level=none:open-gop=1:keyint=12:bframes=3"},
    },
    "no_key_but_the_first.mp4": {"count": 60, "options": {"x264-params": "intra-refresh=1:keyint=20"}},
    "late_start.ts": {"count": 30, "gop": 12, "container": {"output_ts_offset": "50"}},
    "no_times.h264": {"count": 60, "gop": 12},
    "no_duration.mkv": {"count": 60, "gop": 12, "container": {"live": "1"}},
    "fragmented.mp4": {"count": 60, "gop": 12, "container": {"movflags": "frag_keyframe+empty_moov"}},
    "wrong_times.avi": {"count": 40, "gop": 12},
    "one_frame.mp4": {"count": 1},
    "three_frames.mp4": {"count": 3},
    "odd.mp4": {"count": 12, "size": (97, 65), "pix_fmt": "yuv444p"},
    "odd.webm": {"count": 12, "size": (97, 65), "codec": "libvpx-vp9", "options": REALTIME},
    "ten_bit.mp4": {"count": 12, "pix_fmt": "yuv420p10le"},
    "interlaced.mp4": {"count": 40, "gop": 12, "options": {"x264-params": "tff=1"}},
    "all_key_frames.mov": {"count": 60, "codec": "mjpeg", "pix_fmt": "yuvj420p"},
    "all_key_frames.avi": {"count": 60, "codec": "mjpeg", "pix_fmt": "yuvj420p"},
    "animation.gif": {"count": 20, "codec": "gif", "pix_fmt": "rgb8", "rate": 20},
    "old.avi": {"count": 30, "codec": "mpeg4", "gop": 12, "bframes": 2},
    "opencv.mp4": {"count": 30, "codec": "mpeg4", "gop": 12},
    "television.ts": {"count": 30, "codec": "mpeg2video", "gop": 12, "bframes": 2},
    "new.mp4": {"count": 30, "codec": "libsvtav1", "gop": 12, "options": {"preset": "12", "svtav1-params": "lp=1"}},
    "with_sound.mp4": {"count": 40, "gop": 12, "audio": True},
}


@pytest.fixture
def make(tmp_path):
    return lambda name, **options: write_video(tmp_path / name, **options)


def expect_truth(path: Path, clip: Clip, segments: int) -> None:
    """The clip holds exactly the frames that the published rule picks from a plain decode."""
    truth, _ = every_frame(path)
    assert clip.num_frames == len(truth)
    assert list(clip.indices) == sample_indices(len(truth), segments)
    assert clip.frames.dtype == np.uint8
    for frame, index in zip(clip.frames, clip.indices, strict=True):
        assert np.array_equal(frame, truth[index])


@pytest.mark.slow
@pytest.mark.parametrize("name", WHOLE)
def test_a_clip_equals_a_plain_decode_by_frame_number(make, name):
    path = make(name, **WHOLE[name])
    for segments in (8, 5, 1):
        clip = reader.read_clip(path, segments)
        expect_truth(path, clip, segments)
        assert [number_of(frame) for frame in clip.frames] == list(clip.indices)
        count = WHOLE[name]["count"]
        frames = "one frame" if count == 1 else f"only {count} frames"
        assert clip.num_frames == count
        assert clip.warnings == ((reader.REPEATED.format(frames, segments),) if count < segments else ())


@pytest.mark.slow
@pytest.mark.parametrize("name", ["constant.mp4", "open_gop.ts", "wrong_times.avi", "animation.gif", "no_times.h264"])
def test_read_frames_gives_every_frame_in_order(make, name):
    path = make(name, **WHOLE[name])
    clip = reader.read_frames(path)
    truth, _ = every_frame(path)
    assert np.array_equal(clip.frames, np.stack(truth))
    assert list(clip.indices) == list(range(len(truth)))
    assert np.all(np.diff(clip.times) > 0)


@pytest.mark.parametrize(
    ("frames", "picks"),
    [
        (3, [1, 1, 1, 2, 2, 3, 3, 3]),
        (7, [1, 2, 3, 4, 4, 5, 6, 7]),
        (9, [1, 2, 3, 4, 6, 7, 8, 9]),
        (40, [3, 8, 13, 18, 23, 28, 33, 38]),
        (100, [7, 19, 32, 44, 57, 69, 82, 94]),
    ],
)
def test_frames_are_picked_by_the_published_rule(frames, picks):
    assert [index + 1 for index in sample_indices(frames, 8)] == picks


def test_every_pick_is_a_frame_of_the_video():
    for frames in range(1, 300):
        for segments in (1, 2, 7, 8, 16, limits.MAX_SEGMENTS):
            picks = sample_indices(frames, segments)
            assert len(picks) == segments and picks == sorted(picks)
            assert picks[0] >= 0 and picks[-1] < frames


PLANNED = [
    "constant.mp4",
    "variable.mp4",
    "variable.webm",
    "open_gop.ts",
    "open_gop_hevc.mp4",
    "late_start.ts",
    "new.mp4",
]


@pytest.mark.slow
@pytest.mark.parametrize("name", [*PLANNED, "no_duration.mkv", "all_key_frames.mov", "with_sound.mp4"])
def test_sound_files_are_read_by_plan_without_decoding_everything(make, monkeypatch, name):
    monkeypatch.setattr(reader, "_decode_in_order", lambda *_: pytest.fail("the plan did not hold"))
    assert reader.read_clip(make(name, **WHOLE[name])).num_frames == WHOLE[name]["count"]


def test_a_plan_jumps_only_where_it_saves_decoding(make):
    def starts(name):
        source = Source(make(name, **WHOLE[name]))
        with source.open() as container:
            scan = scan_file(source, container)
            return [run.start for run, _ in reader.plan_runs(scan, sample_indices(len(scan.pts), 4))]

    assert starts("one_key_frame.mp4") == [0]
    assert starts("all_key_frames.mov") == [7, 22, 37, 52]
    assert starts("three_frames.mp4") == [0]


def test_only_the_packets_that_a_frame_needs_are_decoded(make):
    source = Source(make("clip.mp4", count=60, gop=12, bframes=3, options={"x264-params": "scenecut=0:b-adapt=0"}))
    with source.open() as container:
        scan = scan_file(source, container)
        for index in range(60):
            ((run, wanted),) = reader.plan_runs(scan, [index])
            decoded = [scan.packets[i].pts for i in run]
            assert wanted == {index} and scan.packets[run.start].is_keyframe and len(run) <= 12
            assert set(scan.pts[index - index % 12 : index + 1]) <= set(decoded), "and all that is shown before it"


@pytest.mark.slow
@pytest.mark.parametrize("threads", [1, 4])
@pytest.mark.parametrize("name", [*PLANNED, "one_key_frame.mp4", "all_key_frames.mov", "interlaced.mp4"])
def test_the_number_of_threads_changes_nothing(make, monkeypatch, name, threads):
    monkeypatch.setattr(source, "DECODER_THREADS", threads)
    path = make(name, **WHOLE[name])
    for segments in (8, 3):
        expect_truth(path, reader.read_clip(path, segments), segments)


@pytest.mark.parametrize("name", ["silent.mp4", "silent.mkv"])
def test_a_header_that_does_not_tell_how_frames_are_reordered_costs_no_frame(make, name):
    """The decoder finds it out by itself, and may lose the first frames over it."""
    path = make(name, count=60, gop=12, bframes=3)
    with av.open(str(path)) as container:
        header = container.streams.video[0].codec_context.extradata
    length = int.from_bytes(header[6:8], "big")
    parameters = header[8 : 8 + length]
    bits = "".join(f"{byte:08b}" for byte in parameters).rstrip("0")
    told = "1111" + "0001001" * 2 + "011" + "00101" + "1"  # at their end: two frames wait for others, four are kept
    assert bits.endswith(told)
    silent = (bits.removesuffix(told) + "01").ljust(8 * length, "0")
    path.write_bytes(path.read_bytes().replace(parameters, int(silent, 2).to_bytes(length, "big")))
    expect_truth(path, reader.read_clip(path), 8)


# ---------------------------------------------------------------- times


def test_times_are_seconds_from_the_first_frame(make):
    for name in ("constant.mp4", "late_start.ts", "no_times.h264", "wrong_times.avi", "old.avi"):
        clip = reader.read_clip(make(name, **WHOLE[name]))
        assert clip.times == pytest.approx(clip.indices / 25, abs=1e-6), name
        assert clip.fps == pytest.approx(25)
        assert clip.duration == pytest.approx(WHOLE[name]["count"] / 25)


@pytest.mark.parametrize("options", [{}, {"codec": "libx265", "options": {"x265-params": "log-level=none"}}])
def test_a_stream_without_a_container_has_the_rate_that_it_states(make, options):
    clip = reader.read_clip(make("bare.hevc" if options else "bare.h264", count=60, rate=50, **options))
    assert clip.times == pytest.approx(clip.indices / 50, abs=1e-6) and clip.fps == pytest.approx(50)
    assert clip.duration == pytest.approx(1.2) and clip.warnings == ()


def test_a_rate_that_nothing_states_is_told(make):
    clip = reader.read_clip(make("bare.mjpeg", count=60, rate=50, codec="mjpeg", pix_fmt="yuvj420p"))
    assert clip.fps == pytest.approx(25) and clip.warnings == (reader.ASSUMED.format(25),)


@pytest.mark.parametrize("name", ["variable.mp4", "variable.webm"])
def test_times_of_a_variable_rate_are_the_frames_own(make, name):
    clip = reader.read_clip(make(name, **WHOLE[name]))
    assert clip.times == pytest.approx(np.array(UNEVEN)[clip.indices] / 1000, abs=1e-3)
    assert UNEVEN[-1] / 1000 < clip.duration < UNEVEN[-1] / 1000 + 0.1, "and then the last frame's own time"
    assert clip.fps * clip.duration == pytest.approx(clip.num_frames)


def test_frames_hidden_by_an_edit_list_do_not_count(make):
    path = trim_by_edit_list(make("trimmed.mp4", count=60, gop=12), 17 * 512)
    clip = reader.read_clip(path)
    expect_truth(path, clip, 8)
    assert clip.num_frames == 43
    assert [number_of(frame) for frame in clip.frames] == [index + 17 for index in clip.indices]
    assert clip.times == pytest.approx(clip.indices / 25)


def test_a_clip_played_backwards_is_the_same_frames_from_the_last_to_the_first(make):
    clip = reader.read_clip(make("variable.mp4", **WHOLE["variable.mp4"]))
    back = clip.backwards()
    assert [number_of(frame) for frame in back.frames] == list(back.indices) == list(clip.indices)[::-1]
    assert back.times.tolist() == clip.times.tolist()[::-1] and np.all(np.diff(back.times) < 0)
    assert (back.fps, back.duration, back.num_frames, back.warnings) == (clip.fps, clip.duration, 40, ())
    again = back.backwards()
    assert np.array_equal(again.frames, clip.frames) and np.array_equal(again.times, clip.times)


# ---------------------------------------------------------------- pictures


@pytest.mark.parametrize(("degrees", "turns"), [(90, 1), (180, 2), (270, 3)])
def test_a_turned_video_comes_out_upright(make, degrees, turns):
    path = turn(make("phone.mp4", count=30, gop=12, turns=turns), degrees)
    clip = reader.read_clip(path)
    expect_truth(path, clip, 8)
    assert clip.frames.shape == (8, 64, 96, 3)
    assert [number_of(frame) for frame in clip.frames] == list(clip.indices)


def test_colours_keep_their_range_and_matrix(make):
    for name, options in (("full.mov", {"codec": "mjpeg", "pix_fmt": "yuvj444p"}), ("rgb.mkv", {"codec": "ffv1"})):
        clip = reader.read_clip(make(name, count=4, size=(320, 240), **{"pix_fmt": "yuv444p", **options}), 1)
        error = np.abs(clip.frames[0].astype(int) - picture(2, 320, 240).astype(int))
        assert np.median(error) <= 8


@pytest.mark.parametrize(("max_side", "shape"), [(48, (32, 48)), (96, (64, 96)), (1000, (64, 96)), (1, (1, 1))])
def test_max_side_scales_down_and_never_up(make, max_side, shape):
    path = make("clip.mp4", count=20)
    assert reader.read_clip(path, max_side=max_side).frames.shape == (8, *shape, 3)
    assert reader.read_frames(path, max_side=max_side).frames.shape == (20, *shape, 3)


def test_max_side_counts_the_longer_side_of_a_turned_video(make):
    clip = reader.read_clip(turn(make("phone.mp4", count=10, turns=1), 90), max_side=48)
    assert clip.frames.shape == (8, 32, 48, 3)
    assert [number_of(frame) for frame in clip.frames] == list(clip.indices)


def test_a_picture_size_that_changes_is_brought_to_the_first(make, tmp_path):
    small, large = make("a.h264", count=20), make("b.h264", count=20, size=(192, 128), start=20)
    path = tmp_path / "both.h264"
    path.write_bytes(small.read_bytes() + large.read_bytes())
    clip = reader.read_clip(path)
    assert clip.frames.shape == (8, 64, 96, 3)
    assert [number_of(frame) for frame in clip.frames] == list(clip.indices)
    assert clip.warnings == (pictures.RESIZED,)


# ---------------------------------------------------------------- damage


@pytest.mark.slow
@pytest.mark.parametrize("share", [0.4, 0.6, 0.8])
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("cut.mp4", {"container": FASTSTART}),
        ("cut_sound.mp4", {"container": FASTSTART, "audio": True}),
        ("cut_fragments.mp4", {"container": {"movflags": "frag_keyframe+empty_moov"}}),
        ("cut.mkv", {}),
        ("cut.ts", {"options": OPEN_GOP}),
        ("cut.avi", {"codec": "mjpeg", "pix_fmt": "yuvj420p"}),
        ("cut.gif", {"codec": "gif", "pix_fmt": "rgb8", "rate": 20}),
    ],
)
def test_a_file_cut_short_keeps_what_decodes(make, name, options, share):
    path = cut(make(name, count=100, gop=12, **options), share)
    clip = reader.read_clip(path)
    expect_truth(path, clip, 8)
    assert 10 < clip.num_frames < 100
    assert any("end of the file" in warning for warning in clip.warnings)


def test_damage_in_the_middle_keeps_what_decodes_and_says_so(make):
    path = make("scratched.mp4", count=60, gop=12)
    data = bytearray(path.read_bytes())
    with av.open(str(path)) as source:
        hit = [packet.pos for packet in source.demux(video=0) if packet.size][12:16]
    for position in hit:
        data[position : position + 40] = b"\xff" * 40
    path.write_bytes(data)
    clip = reader.read_clip(path)
    expect_truth(path, clip, 8)
    assert "damaged" in clip.warnings[0]


# ---------------------------------------------------------------- refusals


def refusal(path, *args, **options) -> str:
    with pytest.raises(AIAError) as caught:
        reader.read_clip(path, *args, **options)
    sentence = str(caught.value)
    assert "Error" not in sentence and "\n" not in sentence and sentence.endswith(".")
    sentence = sentence.replace(str(path), Path(path).name, 1)  # the library names the path as it was given
    assert str(Path(path).parent) == "." or str(Path(path).parent) not in sentence
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    return sentence


def test_what_is_not_a_video_is_refused_in_a_sentence(tmp_path, make):
    assert "not found" in refusal(tmp_path / "missing.mp4")
    assert "not found" in refusal(tmp_path / "nul\0byte.mp4")
    assert "not a file" in refusal(tmp_path)
    for name, content in {"empty.mp4": b"", "text.mp4": b"hello " * 99, "zeros.mp4": bytes(9999)}.items():
        (tmp_path / name).write_bytes(content)
        assert "could not be opened" in refusal(tmp_path / name)
    assert "could not be opened" in refusal(cut(make("no_index.mp4", count=30), 0.6))


@pytest.mark.slow
def test_noise_never_hangs_or_leaks_an_error(tmp_path, make):
    whole = make("clip.mp4", count=30, gop=12, container=FASTSTART).read_bytes()
    rng = np.random.default_rng(0)
    for trial in range(40):
        data = bytearray(whole)
        for position in rng.integers(0, len(data), 2 + trial):
            data[position] = rng.integers(256)
        path = tmp_path / f"noise{trial}.mp4"
        path.write_bytes(data)
        try:
            clip = reader.read_clip(path)
        except AIAError:
            continue
        assert clip.frames.shape[0] == 8 and 0 < clip.num_frames <= 60


@pytest.mark.skipif(os.name != "posix", reason="only POSIX has named pipes")
def test_a_pipe_is_refused_instead_of_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.mp4")
    assert "not a file" in refusal(tmp_path / "pipe.mp4")


def test_sound_without_moving_pictures_is_no_video(tmp_path):
    song = tmp_path / "song.mp3"
    with av.open(str(song), "w") as output:
        stream = output.add_stream("libmp3lame", rate=44100)
        for index in range(20):
            silence = av.AudioFrame.from_ndarray(np.zeros((1, 1152), np.float32), format="fltp", layout="mono")
            silence.sample_rate, silence.pts = 44100, index * 1152
            output.mux(stream.encode(silence))
        output.mux(stream.encode(None))
    assert "no video stream" in refusal(song)

    cover = write_video(tmp_path / "cover.mjpeg", 1, codec="mjpeg", pix_fmt="yuvj420p", format="mjpeg").read_bytes()
    body = b"\0image/jpeg\0\3\0" + cover
    size = len(body) + 10
    synchsafe = bytes(size >> shift & 127 for shift in (21, 14, 7, 0))
    tag = b"ID3\3\0\0" + synchsafe + b"APIC" + struct.pack(">IH", len(body), 0) + body
    covered = tmp_path / "covered.mp3"
    covered.write_bytes(tag + song.read_bytes())
    with av.open(str(covered)) as source:
        assert len(source.streams.video) == 1
    assert "no video stream" in refusal(covered)


@pytest.mark.parametrize("suffix", ["m3u8", "mp4", "ffconcat", "mpd"])
def test_a_playlist_is_refused_and_opens_nothing(make, tmp_path, suffix):
    make("other.ts", count=10)
    playlists = [
        "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nother.ts\n#EXT-X-ENDLIST\n",
        "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nhttp://127.0.0.1:9/other.ts\n#EXT-X-ENDLIST\n",
        "ffconcat version 1.0\nfile other.ts\n",
    ]
    for playlist in playlists:
        path = tmp_path / f"list.{suffix}"
        path.write_text(playlist)
        assert "could not be opened" in refusal(path)


@pytest.mark.skipif(os.name != "posix", reason="other systems do not allow such names")
@pytest.mark.parametrize(
    "name",
    [
        "-y.mp4",
        "http:clip.mp4",
        "concat:a|b.mp4",
        "file:x.mp4",
        "frame%03d 100%.mp4",
        "ü ✓ '\"$(x).mp4",
        b"bad\xff.mp4",
    ],
)
def test_a_name_is_only_a_name(make, tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    path = Path(os.fsdecode(name))
    make("plain.mp4", count=10).rename(path)
    assert reader.read_clip(path).num_frames == 10
    assert reader.read_clip(str(path)).num_frames == 10
    path.write_bytes(b"no video")
    refusal(path).encode()


@pytest.mark.parametrize("segments", [0, -1, limits.MAX_SEGMENTS + 1, 2.5, "8", None])
def test_a_wrong_number_of_frames_is_refused(make, segments):
    assert f"1 to {limits.MAX_SEGMENTS}" in refusal(make("clip.mp4", count=2), segments)


def test_reading_ends_when_it_is_given_up(make):
    cancelled = threading.Event()
    path = make("clip.mp4", count=20)
    assert reader.read_clip(path, cancelled=cancelled).num_frames == 20
    cancelled.set()
    refusal(path, cancelled=cancelled)


def test_a_max_side_below_one_is_refused(make):
    path = make("clip.mp4", count=2)
    assert "max_side" in refusal(path, max_side=0)
    with pytest.raises(AIAError, match="max_side"):
        next(reader.iterate_frames(path, max_side=0))


def test_a_long_video_is_refused(make):
    ticks = [0, 1000, 2000, (limits.MAX_SECONDS + 1) * 1000]
    for name in ("long.mp4", "long.mkv"):
        assert f"longer than {limits.MAX_SECONDS} s" in refusal(make(name, count=4, ticks=ticks))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("limit", "value", "words"),
    [
        ("MAX_UPLOAD_BYTES", 1000, "larger than"),
        ("MAX_SECONDS", 1, "longer than 1 s"),
        ("MAX_FRAME_PIXELS", 96 * 64 - 1, "96 x 64 pixels"),
        ("MAX_PACKETS", 20, "too many parts"),
        ("MAX_SCAN_SECONDS", -1, "too many parts"),
        ("MAX_DECODE_SECONDS", -1, "too long to read"),
        ("MAX_PICTURE_BYTES", 8 * 96 * 64 * 3 - 1, "memory"),
    ],
)
@pytest.mark.parametrize("name", ["constant.mp4", "no_times.h264"])
def test_every_limit_is_kept_and_named(make, monkeypatch, limit, value, words, name):
    path = make(name, **WHOLE[name])
    monkeypatch.setattr(limits, limit, value)
    assert words in refusal(path)


@pytest.mark.slow
def test_a_picture_that_outgrows_its_header_is_refused(make, tmp_path, monkeypatch):
    small, large = make("a.h264", count=20), make("b.h264", count=20, size=(192, 128))
    path = tmp_path / "both.h264"
    path.write_bytes(small.read_bytes() + large.read_bytes())
    monkeypatch.setattr(limits, "MAX_FRAME_PIXELS", 192 * 128 - 1)
    assert "192 x 128 pixels" in refusal(path)
