"""Whatever a stranger's file holds: a result, or one sentence of `AIAError`; no other error, no hang, no broken child.

The same examples every time, so that a test that passes goes on passing; `FUZZ=100` looks a hundred times as far.
"""

from __future__ import annotations

import json
import os
import struct

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save
from video_files import write_video

import aia
from aia.hub import loading
from aia.video import worker

FAR = int(os.environ.get("FUZZ", "1"))
LABELS = ["left", "right"]
FIELDS = ("labels", "arch", "temporal", "attention", "num_segments", "input_size", "resize", "mean", "std")
FIELDS += ("temperature", "threshold", "default_block", "task")
WEIGHTS = "model.safetensors"


def examples(count: int):
    """Settings of a test with so many examples."""
    return settings(
        max_examples=count * FAR,
        derandomize=FAR == 1,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )


def sentence(error: aia.AIAError) -> str:
    said = str(error)
    assert said.isprintable() and said.endswith((".", "?")) and len(said) < 1000 and "Traceback" not in said
    return said


# ---- config.json

NUMBERS = st.integers() | st.floats() | st.integers(-(10**400), 10**400) | st.sampled_from([0, 1, 8, 32, 224, 1024])
WORDS = st.text(max_size=30) | st.sampled_from(["resnet50", "tsm", "cinst", "features.3", "layer1.0", "a/b", "\u202e"])
LEAVES = st.none() | st.booleans() | NUMBERS | WORDS
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(WORDS, inner, max_size=3), max_leaves=8
)
CONFIGS = st.dictionaries(st.sampled_from(FIELDS), VALUES, max_size=4).map(lambda changed: {"labels": LABELS} | changed)


@pytest.mark.long
@examples(400)
@given(VALUES | CONFIGS | st.dictionaries(st.sampled_from(FIELDS) | WORDS, VALUES, max_size=3))
def test_a_configuration_of_anything_is_a_network_or_a_sentence(data):
    try:
        config = aia.AIAConfig.from_dict(data)
    except aia.AIAError as error:
        sentence(error)
        return
    assert aia.AIAConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config
    assert config.title and config.blocks
    with torch.device("meta"):
        assert aia.AIANet(config).config == config


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("fuzz")


@pytest.mark.long
@examples(300)
@given(
    st.binary(max_size=60)
    | st.text(max_size=60).map(lambda text: text.encode("utf-8", "surrogatepass"))
    | CONFIGS.map(lambda data: json.dumps(data).encode())
    | st.tuples(CONFIGS, st.integers(0, 200), st.binary(max_size=3)).map(
        lambda given: (text := json.dumps(given[0]).encode())[: given[1]] + given[2] + text[given[1] + 1 :]
    )
)
def test_a_config_json_of_any_bytes_is_a_network_or_a_sentence(folder, content):
    path = folder / "config.json"
    path.write_bytes(content)
    try:
        aia.AIAConfig.from_file(path)
    except aia.AIAError as error:
        sentence(error)


# ---- model.safetensors


@pytest.fixture(scope="module")
def model(folder):
    """A small network, whose weights are all zero, and the bytes of its file."""
    net = aia.AIANet(aia.AIAConfig(tuple(LABELS), arch="mobilenet_v2", attention="none"))
    state = {key: torch.zeros_like(tensor) for key, tensor in net.state_dict().items()}
    return net, save(state)


CHANGES = st.lists(
    st.tuples(st.sampled_from(["set", "cut", "insert", "number"]), st.integers(0, 2**20), st.binary(max_size=4)),
    min_size=1,
    max_size=6,
)
ENTRY = st.dictionaries(
    st.sampled_from(["dtype", "shape", "data_offsets"]),
    VALUES | st.lists(st.integers(-1, 2**64), max_size=4) | st.sampled_from(["F32", "F16", "BF16", "I64", "F8_E4M3"]),
)


def mutated(header: bytes, changes) -> bytes:
    header = bytearray(header)
    for how, where, what in changes:
        at = where % (len(header) + 1)
        if how == "set":
            header[at : at + len(what)] = what
        elif how == "cut":
            del header[at : at + 1 + where % 50]
        elif how == "insert":
            header[at:at] = what
        else:  # another number in the place of the next one
            digits = next((i for i in range(at, len(header)) if header[i : i + 1].isdigit()), None)
            if digits is not None:
                header[digits : digits + 1] = str(where).encode()
    return bytes(header)


def read(model, folder, header: bytes, data: bytes, length: int | None = None) -> None:
    net, _ = model
    path = folder / WEIGHTS
    path.write_bytes(struct.pack("<Q", len(header) if length is None else length) + header + data)
    try:
        loading.read_weights(net, path)
    except aia.AIAError as error:
        assert sentence(error).startswith(WEIGHTS)
    else:
        assert all(torch.isfinite(tensor).all() for tensor in net.state_dict().values())


@pytest.mark.long
@examples(60)
@given(CHANGES, st.none() | st.integers(0, 2**64 - 1), st.integers(0, 20))
def test_weights_whose_header_is_damaged_are_loaded_whole_or_refused(model, folder, changes, length, lost):
    _, content = model
    size = struct.unpack("<Q", content[:8])[0]
    data = content[8 + size :]
    read(model, folder, mutated(content[8 : 8 + size], changes), data[: len(data) - lost], length)


@pytest.mark.slow
@examples(150)
@given(st.dictionaries(WORDS | st.just("__metadata__"), ENTRY | VALUES, max_size=4) | VALUES, st.binary(max_size=64))
def test_weights_whose_header_says_anything_are_refused(model, folder, header, data):
    read(model, folder, json.dumps(header).encode(), data)


@pytest.mark.long
@examples(60)
@given(st.integers(0, 313), ENTRY)
def test_one_tensor_that_says_anything_of_itself_is_loaded_whole_or_refused(model, folder, number, entry):
    _, content = model
    size = struct.unpack("<Q", content[:8])[0]
    header = json.loads(content[8 : 8 + size])
    name = sorted(set(header) - {"__metadata__"})[number % (len(header) - 1)]
    header[name] |= entry
    read(model, folder, json.dumps(header).encode(), content[8 + size :])


# ---- videos

KINDS = {
    "h264.mp4": {},
    "vp9.webm": {"codec": "libvpx-vp9", "options": {"deadline": "realtime", "cpu-used": "8"}},
    "mpeg4.avi": {"codec": "mpeg4"},
    "h264.mkv": {"audio": True},
    "h264.ts": {},
    "gif.gif": {"codec": "gif", "pix_fmt": "rgb8", "rate": 20},
    "mjpeg.mov": {"codec": "mjpeg", "pix_fmt": "yuvj420p"},
    "hevc.mp4": {"codec": "libx265", "options": {"x265-params": "log-level=none"}},
}
WOUNDS = st.lists(
    st.tuples(
        st.sampled_from(["set", "zero", "cut", "twice", "end", "number"]),
        st.floats(0, 1),
        st.binary(min_size=1, max_size=8),
    ),
    min_size=1,
    max_size=8,
)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    return {name: write_video(folder / name, 12, **how).read_bytes() for name, how in KINDS.items()}


def wounded(data: bytes, wounds) -> bytes:
    data = bytearray(data)
    for how, share, what in wounds:
        # Half of the places are near an end of the file: that is where headers and tables lie.
        at = (
            int(share * len(data))
            if what[0] & 1
            else (int(share * 600) if what[0] & 2 else len(data) - int(share * 600))
        )
        at = max(0, min(at, len(data)))
        if how == "set":
            data[at : at + len(what)] = what
        elif how == "zero":
            data[at : at + 16 * len(what)] = bytes(len(data[at : at + 16 * len(what)]))
        elif how == "cut":
            del data[at : at + what[0]]
        elif how == "twice":
            data[at:at] = data[at : at + 20 * len(what)]
        elif how == "number":
            data[at : at + 4] = struct.pack(">I", 0xFFFFFFFF >> what[0] % 32)
        else:
            del data[max(at, 20) :]
    return bytes(data)


@pytest.mark.long
@examples(300)
@given(st.sampled_from(sorted(KINDS)), WOUNDS)
def test_a_damaged_video_is_read_or_refused_and_breaks_no_decoder(whole, folder, name, wounds):
    path = folder / name
    path.write_bytes(wounded(whole[name], wounds))
    try:
        clip = worker.read_clip(path)
    except aia.AIAError as error:
        said = sentence(error)
        assert said.startswith(f"“{name}”") and "broke the decoder" not in said and "too long to read" not in said
        return
    assert clip.frames.shape[0] == 8 and clip.num_frames >= 1
    assert ((clip.indices >= 0) & (clip.indices < clip.num_frames)).all()
    assert clip.times[0] >= 0 and (clip.times[1:] >= clip.times[:-1]).all() and clip.fps > 0
