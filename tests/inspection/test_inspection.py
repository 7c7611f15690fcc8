"""Inspecting, exporting, drawing, and the command line, on real files."""

import csv
import dataclasses
import json
import shutil

import av
import numpy as np
import pytest
from conftest import clip_of, moving_frames, small_net
from PIL import Image

import aia
from aia import AIAError
from aia.cli import main
from aia.inspection.gates import BlockGates
from aia.inspection.inspection import inspect
from aia.modeling.preprocess import preprocess, seen_box
from aia.visualization import export, render
from aia.visualization.figure import frame_picture, strip_picture


def small_net_with(**fields) -> aia.AIANet:
    """The small network with other fields in its configuration."""
    net = small_net()
    other = aia.AIANet(dataclasses.replace(net.config, **fields)).eval()
    other.load_state_dict(net.state_dict())
    return other


@pytest.fixture(scope="module")
def careful(tmp_path_factory):
    """A folder with the small network that answers only from a probability of 0.999 on."""
    path = tmp_path_factory.mktemp("model") / "careful"
    small_net_with(threshold=0.999, default_block="layer2.1").save_pretrained(path)
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "net"
    small_net().save_pretrained(path)
    return path


def test_an_inspection_says_label_scores_and_where_it_ran(net, clip):
    inspection = inspect(net, clip)
    assert inspection.label == next(iter(inspection.scores)) and abs(sum(inspection.scores.values()) - 1) < 1e-5
    assert list(inspection.scores.values()) == sorted(inspection.scores.values(), reverse=True)
    assert (inspection.device, inspection.labels) == ("cpu", net.config.labels)
    assert set(inspection.seconds) == {"preprocess", "forward"}
    assert inspection.most_dynamic_block in net.block_names
    with pytest.raises(AIAError, match="There are no gates"):
        inspection.block("nowhere")


@pytest.mark.slow
def test_temperature_makes_probabilities_milder_or_bolder_and_never_changes_the_label(net, clip):
    plain = inspect(net, clip)
    for temperature in (0.2, 5):
        inspection = inspect(small_net_with(temperature=temperature), clip)
        assert np.allclose(inspection.logits, plain.logits, atol=1e-5) and inspection.label == plain.label
        odds = np.log(inspection.probabilities[:, None] / inspection.probabilities)
        assert np.allclose(odds, (plain.logits[:, None] - plain.logits) / temperature, atol=1e-4)
        assert (inspection.probabilities.max() < plain.probabilities.max()) == (temperature > 1)


@pytest.mark.slow
def test_below_its_threshold_a_network_is_not_sure(net, clip, tmp_path):
    best = float(inspect(net, clip).probabilities.max())
    for threshold, sure in ((0.0, True), (best - 1e-3, True), (best + 1e-3, False)):
        inspection = inspect(small_net_with(threshold=threshold), clip)
        assert inspection.is_confident is sure and export.summary(inspection)["sure"] is sure
        assert inspection.label == inspect(net, clip).label, "the closest label is still said"


@pytest.mark.slow
def test_the_block_shown_first_is_the_models_own_where_it_names_one(net, clip, careful, tmp_path):
    assert inspect(net, clip).first_block == inspect(net, clip).most_dynamic_block
    inspection = inspect(aia.load(careful, device="cpu"), clip)
    aia.save(inspection, tmp_path)
    assert inspection.first_block == json.loads((tmp_path / "inspection.json").read_text())["drawn_block"] == "layer2.1"
    assert inspect(aia.AIANet(dataclasses.replace(inspection.config, attention="none")).eval(), clip).first_block == ""


def test_a_model_that_names_a_block_it_does_not_have_is_refused_when_loaded(careful, tmp_path):
    shutil.copytree(careful, tmp_path, dirs_exist_ok=True)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, "default_block": "layer9.0"}))
    with pytest.raises(AIAError, match=r"default_block is 'layer9.0'.* from layer1.0 to layer4.1"):
        aia.load(tmp_path)


def test_the_block_shown_first_is_the_one_whose_map_moves(net, clip):
    rng = np.random.default_rng(0)
    still = np.broadcast_to(rng.random((1, 1, 4, 4), np.float32), (6, 1, 4, 4))
    flicker = np.broadcast_to(rng.random((6, 1, 1, 1), np.float32), (6, 1, 4, 4))
    moving = np.full((6, 1, 4, 4), 0.5, np.float32)
    moving[np.arange(4), 0, 1, np.arange(4)] = 0.7
    blocks = tuple(
        BlockGates(n, "c", {"C": g}) for n, g in (("still", still), ("flicker", flicker), ("moving", moving))
    )
    assert dataclasses.replace(inspect(net, clip), blocks=blocks).most_dynamic_block == "moving"


def test_a_network_without_aia_has_no_gates_and_still_answers(clip, tmp_path):
    inspection = inspect(small_net("none"), clip)
    assert inspection.blocks == () and inspection.most_dynamic_block == ""
    assert {p.name for p in aia.save(inspection, tmp_path)} >= {"overlay.mp4", "inspection.json"}


def test_preprocessing_is_resize_crop_normalise():
    config = aia.AIAConfig(("a",), input_size=64, resize=(80, 96), mean=(0, 0, 0), std=(1, 1, 1))
    frames = np.zeros((1, 160, 192, 3), np.uint8)
    frames[:, 16:144, 32:160] = 255  # just what the crop keeps
    x = preprocess(frames, config)
    assert x.shape == (1, 1, 3, 64, 64) and x[..., 2:-2, 2:-2].min() == 1
    assert seen_box(160, 192, config) == pytest.approx((16 / 96, 8 / 80, 80 / 96, 72 / 80))


def test_one_number_resizes_the_shorter_side_and_keeps_the_aspect():
    config = aia.AIAConfig(("a",), input_size=64, resize=64)
    assert seen_box(100, 200, config) == pytest.approx((0.25, 0, 0.75, 1))
    assert seen_box(200, 100, config) == pytest.approx((0, 0.25, 1, 0.75))
    for shape in ((1, 1), (1, 32), (32, 1), (33, 47)):
        assert preprocess(np.zeros((2, *shape, 3), np.uint8), config).shape == (1, 2, 3, 64, 64)
    with pytest.raises(AIAError, match="too narrow"):
        preprocess(np.zeros((2, 1, 500, 3), np.uint8), config)


def test_the_heat_map_lies_where_the_network_looked():
    frames = np.full((1, 100, 200, 3), 100, np.uint8)
    maps = np.zeros((1, 2, 2))
    maps[0, 1, 0] = 1  # lower left of what was seen
    out = render.overlay(frames, maps, seen_box=(0.25, 0, 0.75, 1), opacity=1)[0]
    low, high = render.colormap_table("viridis")[[0, 255]]
    assert (out[90, 60] == high).all() and (out[10, 60] == low).all() and (out[90, 140] == low).all()
    assert (out[:, :50] == 35).all() and (out[:, 150:] == 35).all(), "what was not seen is dark and has no colour"


def test_colours_are_absolute_and_never_stretched_to_the_clip():
    frames = np.zeros((2, 8, 8, 3), np.uint8)
    maps = np.stack([np.full((2, 2), 0.5), np.full((2, 2), 0.6)])
    out = render.overlay(frames, maps, opacity=1)
    assert (out[0] == render.colormap_table("viridis")[128]).all() and (
        out[1] == render.colormap_table("viridis")[153]
    ).all()


def test_enlarging_a_map_draws_no_value_that_no_gate_has():
    maps = np.zeros((1, 4, 4))
    maps[0, 1:3, 1:3] = 0.4
    out = render.overlay(np.zeros((1, 80, 80, 3), np.uint8), maps + 0.3, opacity=1)[0].reshape(-1, 3)
    allowed = {
        tuple(colour) for colour in render.colormap_table("viridis")[round(0.3 * 255) - 1 : round(0.7 * 255) + 2]
    }
    assert {tuple(colour) for colour in out} <= allowed


def test_opacity_nothing_is_the_frame():
    frames = moving_frames(2)
    assert np.array_equal(render.overlay(frames, np.random.rand(2, 3, 3), opacity=0), frames)


def test_unknown_colours_are_refused():
    with pytest.raises(AIAError, match="viridis"):
        render.colormap_table("jet")


@pytest.mark.parametrize("size", [(48, 64), (47, 63), (1, 1)])
def test_an_mp4_plays_and_has_every_frame(tmp_path, size):
    frames = moving_frames(5, 48, 64)[:, : size[0], : size[1]]
    render.write_mp4(tmp_path / "x.mp4", frames, 2.67)
    with av.open(str(tmp_path / "x.mp4")) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ("h264", "yuv420p")
        assert float(stream.average_rate) == pytest.approx(2.67, abs=0.01)
        pictures = [frame.to_ndarray(format="rgb24") for frame in container.decode(stream)]
    assert len(pictures) == 5
    assert np.abs(pictures[3][: size[0], : size[1]].astype(int) - frames[3]).mean() < 20


def test_highlights_find_the_peak_and_call_a_flat_gate_flat():
    gate = np.full((4, 1, 3, 3), 0.3, np.float32)
    flat = BlockGates("b", "c", {"C": gate})
    assert flat.highlights.flat and flat.highlights.steady
    gate = gate.copy()
    gate[2, 0, 0, 2] = 0.9
    highlights = BlockGates("b", "c", {"C": gate}).highlights
    assert (highlights.flat, highlights.peak_frame, highlights.open_frame) == (False, 2, 2)
    assert highlights.peak_place == pytest.approx((5 / 6, 1 / 6)) and highlights.high == pytest.approx(0.9)


def test_saved_files_reopen_and_agree(net, video, tmp_path):
    inspection = inspect(net, aia.read_clip(video))
    aia.save(inspection, tmp_path, block="layer2.0")
    summary = json.loads((tmp_path / "inspection.json").read_text())
    assert summary["label"] == inspection.label and summary["drawn_block"] == "layer2.0"
    assert summary["clip"]["indices"] == inspection.clip.indices.tolist()
    with np.load(tmp_path / "gates.npz") as arrays:
        assert np.array_equal(arrays["logits"], inspection.logits)
        for block in inspection.blocks:
            assert np.array_equal(arrays[f"{block.name}/map"], block.spatiotemporal_map)
            for unit, gate in block.gates.items():
                assert np.array_equal(arrays[f"{block.name}/{unit}"], gate)
    with (tmp_path / "channels.csv").open() as lines:
        rows = [row for row in csv.DictReader(lines) if row["block"] == "layer3.1"]
    assert np.allclose([float(r["mean_gate"]) for r in rows], inspection.block("layer3.1").channel_mean, atol=1e-6)
    with (tmp_path / "frames.csv").open() as lines:
        rows = [row for row in csv.DictReader(lines) if row["block"] == "layer3.1"]
    assert np.allclose([float(r["mean_gate"]) for r in rows], inspection.block("layer3.1").temporal_profile, atol=1e-6)
    strip = strip_picture(inspection, aia.View("layer2.0"))
    assert np.array_equal(np.asarray(Image.open(tmp_path / "overlay.png")), strip)
    drawn = np.stack([frame_picture(inspection, aia.View("layer2.0", frame=frame)) for frame in range(8)])
    again = aia.read_clip(tmp_path / "overlay.mp4", num_segments=8)
    assert again.num_frames == 8 and again.frames.shape == drawn.shape
    assert np.abs(again.frames.astype(int) - drawn).mean() < 6


@pytest.mark.slow
def test_classify_prints_one_json_object_a_file_and_goes_on_after_a_bad_one(folder, video, tmp_path, capsys):
    bad = tmp_path / "no.mp4"
    bad.write_bytes(b"nothing like a video")
    assert (
        main(["classify", str(video), str(bad), str(video), "--model", str(folder), "--device", "cpu", "--json"]) == 1
    )
    out, err = capsys.readouterr()
    first, second, third = map(json.loads, out.splitlines())
    assert first == third and first["file"] == str(video) and first["model"] == str(folder)
    assert first["label"] == max(first["scores"], key=first["scores"].get) and set(first["scores"]) == set(
        small_net().config.labels
    )
    assert first["frames"] == aia.video.sample_indices(30, 8)
    assert first["warnings"] == []
    assert second["file"] == str(bad) and "no.mp4" in second["error"] and "Traceback" not in err


@pytest.mark.slow
def test_what_is_odd_about_a_file_is_told_in_json_and_by_inspect(folder, tmp_path, capsys):
    path = tmp_path / "short.mp4"
    render.write_mp4(path, moving_frames(3, 40, 56), 10)
    assert main(["classify", str(path), "--model", str(folder), "--json"]) == 0
    (warning,) = json.loads(capsys.readouterr().out)["warnings"]
    assert "only 3 frames" in warning
    assert main(["inspect", str(path), "--out", str(tmp_path / "out"), "--model", str(folder)]) == 0
    assert warning in capsys.readouterr().err


@pytest.mark.slow
def test_classify_speaks_plainly(folder, video, capsys):
    assert main(["classify", str(video), "--model", str(folder)]) == 0
    assert capsys.readouterr().out.startswith(f"{video}: ")


@pytest.mark.slow
def test_classify_says_when_the_model_does_not_know(folder, careful, video, capsys):
    assert main(["classify", str(video), "--model", str(careful)]) == 0
    assert capsys.readouterr().out.startswith(f"{video}: not sure; closest: ")
    answers = []
    for model in (folder, careful):
        assert main(["classify", str(video), "--model", str(model), "--json"]) == 0
        answers.append(json.loads(capsys.readouterr().out))
    assert [answer["sure"] for answer in answers] == [True, False] and answers[0]["label"] == answers[1]["label"]


@pytest.mark.slow
def test_inspect_writes_all_its_files(folder, video, tmp_path):
    assert main(["inspect", str(video), "--out", str(tmp_path / "new" / "dir"), "--model", str(folder)]) == 0
    names = {p.name for p in (tmp_path / "new" / "dir").iterdir()}
    assert names == {"inspection.json", "gates.npz", "channels.csv", "frames.csv", "overlay.png", "overlay.mp4"}


@pytest.mark.parametrize(
    "arguments",
    [["classify", "x.mp4", "--model", "nobody-has-this"], ["inspect", "gone.mp4", "--out", "o", "--model", "MODEL"]],
)
def test_what_cannot_be_done_is_one_sentence_on_standard_error(arguments, folder, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main([a.replace("MODEL", str(folder)) for a in arguments]) == 1
    out, err = capsys.readouterr()
    assert out == "" and len(err.strip().splitlines()) == 1


def test_fewer_and_more_frames_than_trained_with_run_too(net):
    for count in (1, 3, 16):
        inspection = inspect(net, clip_of(moving_frames(count)))
        assert all(block.spatiotemporal_map.shape[0] == count for block in inspection.blocks)
