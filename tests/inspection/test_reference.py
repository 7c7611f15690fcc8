"""What is typical for a network's gates: how it is measured, kept, refused and drawn."""

import dataclasses
import json
import shutil

import numpy as np
import pytest
import torch
from conftest import LABELS, clip_of, moving_frames, others_long, small_net
from safetensors.numpy import load_file, save_file
from safetensors.torch import save_file as save_torch_file

import aia
from aia import AIAError, View
from aia.cli import main
from aia.evaluation.contrast import measure_contrast
from aia.hub.files import REFERENCE
from aia.hub.reference import read_reference, write_reference
from aia.inspection.gates import LIMIT_SPREADS, SMALLEST_STD
from aia.locations import example_clips
from aia.modeling.attention_settings import ATTENTION_SETTINGS
from aia.visualization import figure, render
from aia.visualization.view import limits, values

CLIPS = [clip_of(moving_frames(8, seed=seed)) for seed in range(4)]
SETTINGS = [name for name, setting in ATTENTION_SETTINGS.items() if setting.modules]


WITH_GATES = [name for name in aia.available_models() if "none" not in name]


def referenced(attention="cinst", clips=CLIPS[:3]) -> aia.AIANet:
    net = small_net(attention, size=32)
    net.reference = aia.compute_reference(net, clips, kind="test clips")
    return net


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "net"
    referenced().save_pretrained(path)
    return path


@pytest.mark.slow
@pytest.mark.parametrize("attention", others_long(SETTINGS, "cinst", "stinc", "cinst->stinc"))
def test_typical_is_the_mean_over_the_reference_clips_for_every_gate_and_channel(attention):
    net = referenced(attention)
    seen = [aia.inspect(net, clip) for clip in CLIPS]
    name = seen[0].blocks[3].name
    *others, own = [inspection.block(name) for inspection in seen]
    for gate in ("combined", *own.gates):
        for channel in (None, 0, own.shape[1] - 1):
            maps = np.stack([block.gate_map(gate, channel) for block in others])
            if not own.has_deviation(gate, channel):
                assert "->" in attention and gate == "combined" and channel is not None
                with pytest.raises(AIAError, match="not stored"):
                    own.deviation(gate, channel)
                continue
            expected = own.gate_map(gate, channel) - maps.mean(axis=0)
            np.testing.assert_allclose(own.deviation(gate, channel), expected, atol=1e-6)
            spread = np.sqrt(np.square(maps - maps.mean(axis=0)).mean())
            assert own.deviation_limit(gate, channel) == pytest.approx(
                LIMIT_SPREADS * max(spread, SMALLEST_STD), rel=1e-3, abs=1e-5
            )
    means = np.stack([block.channel_mean for block in others])
    np.testing.assert_allclose(own.channel_deviation, own.channel_mean - means.mean(axis=0), atol=1e-6)
    np.testing.assert_allclose(
        own.channel_zscore, own.channel_deviation / np.maximum(means.std(axis=0), SMALLEST_STD), rtol=1e-3
    )
    profiles = np.stack([block.temporal_profile for block in others])
    np.testing.assert_allclose(own.profile_deviation, own.temporal_profile - profiles.mean(axis=0), atol=1e-6)
    np.testing.assert_allclose(
        own.profile_zscore, own.profile_deviation / np.maximum(profiles.std(axis=0), SMALLEST_STD), rtol=1e-3
    )


@pytest.mark.slow
def test_a_limit_belongs_to_block_and_model_and_not_to_the_clip():
    net = referenced()
    seen = [aia.inspect(net, clip) for clip in CLIPS]
    views = [View(), View("layer1.0", "T"), View("layer2.0", "combined", channel=3), View("layer1.0", "W", channel=1)]
    for view in views:
        low, high = limits(seen[0], view)
        assert low == -high < 0 and {limits(inspection, view) for inspection in seen} == {(low, high)}


@pytest.mark.slow
def test_a_reference_goes_with_its_model(folder):
    loaded, original = aia.load(folder, device="cpu"), referenced()
    assert repr(loaded.reference) == "Reference(3 test clips, 8 blocks)"
    ours, theirs = (aia.inspect(net, CLIPS[3]).blocks[2] for net in (original, loaded))
    np.testing.assert_allclose(theirs.deviation(), ours.deviation(), atol=1e-3)  # half precision
    assert "3 test clips" in (folder / "README.md").read_text()


def test_without_a_reference_the_gate_itself_is_drawn(net, clip):
    inspection = aia.inspect(net, clip)
    assert inspection.reference is None and View().checked(inspection).scale == "absolute"
    assert limits(inspection, View()) == (0, 1)
    np.testing.assert_array_equal(
        values(inspection, View()), inspection.block(inspection.first_block).spatiotemporal_map
    )
    with pytest.raises(AIAError, match="python -m aia reference"):
        inspection.blocks[0].deviation()


@pytest.mark.slow
def test_another_number_of_frames_is_never_compared():
    inspection = aia.inspect(referenced(), clip_of(moving_frames(5)))
    assert inspection.reference is None and not any(block.has_deviation() for block in inspection.blocks)
    assert View().checked(inspection).scale == "absolute"


@pytest.mark.slow
def test_another_size_of_input_is_never_compared(folder):
    config = dataclasses.replace(small_net(size=32).config, input_size=64, resize=(64, 64))
    with pytest.raises(AIAError, match="8 frames of 32 px, but the network takes 8 of 64 px"):
        read_reference(folder / REFERENCE, config)


def _without_a_tensor(arrays):
    del arrays["layer1.0/map_std/combined"]


def _with_another_tensor(arrays):
    arrays["extra"] = np.zeros(3, np.float16)


def _of_another_shape(arrays):
    arrays["layer1.0/profile_mean"] = np.zeros(3, np.float16)


def _gates_that_do_not_fit(arrays):
    arrays["layer1.0/gates/T"] = arrays["layer1.0/gates/T"][:, :-1].copy()


def _no_numbers(arrays):
    arrays["layer1.0/gates/H"][0] = np.nan


def _out_of_range(arrays):
    arrays["layer1.0/gates/H"][0] = 2


def _of_integers(arrays):
    arrays["layer1.0/gates/H"] = arrays["layer1.0/gates/H"].astype(np.int8)


FAULTS = (
    _without_a_tensor,
    _with_another_tensor,
    _of_another_shape,
    _gates_that_do_not_fit,
    _no_numbers,
    _out_of_range,
    _of_integers,
)


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS)
def test_a_reference_is_read_as_strictly_as_weights(fault, folder, tmp_path):
    arrays = load_file(folder / REFERENCE)
    fault(arrays)
    about = {"num_clips": "3", "kind": "test clips", "num_segments": "8", "input_size": "32", "weights": "0"}
    save_file(arrays, tmp_path / REFERENCE, about)
    with pytest.raises(AIAError, match="make it again"):
        read_reference(tmp_path / REFERENCE, small_net(size=32).config)


@pytest.mark.parametrize("content", [b"", b"\x00" * 64, b"\xff" * 8 + b"{}", b"PK\x03\x04pickle"])
def test_a_file_that_is_no_reference_is_refused(content, tmp_path):
    (tmp_path / REFERENCE).write_bytes(content)
    with pytest.raises(AIAError, match=r"damaged or not a reference|header of more than"):
        read_reference(tmp_path / REFERENCE, small_net(size=32).config)


@pytest.mark.slow
@pytest.mark.parametrize(
    "about", [{}, {"num_clips": "x"}, {"num_clips": "1"}, {"num_clips": "9" * 4000}, {"kind": "a\nb"}, {"kind": ""}]
)
def test_a_reference_says_what_it_was_made_from(about, folder, tmp_path):
    whole = {"num_clips": "3", "kind": "clips", "num_segments": "8", "input_size": "32", "weights": "0"}
    save_file(load_file(folder / REFERENCE), tmp_path / REFERENCE, whole | about if about else {})
    with pytest.raises(AIAError, match="make it again"):
        read_reference(tmp_path / REFERENCE, small_net(size=32).config)


@pytest.mark.slow
def test_the_command_measures_a_folder_of_videos_and_keeps_the_result(folder, video, tmp_path, capsys):
    net, videos = tmp_path / "net", tmp_path / "videos"
    small_net(size=32).save_pretrained(net)
    assert not (net / REFERENCE).exists()
    videos.mkdir()
    for number in range(3):
        (videos / f"{number}.mp4").symlink_to(video)
    assert main(["reference", str(net), "--data", str(videos), "--clips", "2"]) == 0
    assert "2 clips, 8 blocks" in capsys.readouterr().out
    assert aia.load(net, device="cpu").reference.num_clips == 2
    assert main(["reference", str(net), "--data", str(tmp_path / "nowhere")]) == 1
    assert main(["reference", str(net), "--data", str(videos), "--clips", "1"]) == 1


@pytest.mark.slow
def test_a_model_without_gates_has_no_reference():
    with pytest.raises(AIAError, match="no gates"):
        aia.compute_reference(small_net("none", size=32), CLIPS)
    with pytest.raises(AIAError, match="at least two clips"):
        aia.compute_reference(small_net(size=32), CLIPS[:1])
    with pytest.raises(AIAError, match="has 5 frames, but the network takes 8"):
        aia.compute_reference(small_net(size=32), [clip_of(moving_frames(5))] * 2)


def test_a_difference_is_white_at_zero_and_symmetric():
    light, dark = (render.colormap_table(name).astype(int) for name in (render.DIFFERENCE, render.DIFFERENCE_DARK))
    assert light[127:129].min() > 225 and dark[127:129].max() < 40
    assert light[0, 2] > light[0, 0] and light[-1, 0] > light[-1, 2], "blue is less, red is more"
    matplotlib = pytest.importorskip("matplotlib")
    places = np.linspace(-1, 1, 256)
    steep = (np.sign(places) * np.abs(places) ** render.DIFFERENCE_POWER + 1) / 2
    for table, name in ((light, "RdBu_r"), (dark, "berlin")):
        np.testing.assert_allclose(table, matplotlib.colormaps[name](steep)[:, :3] * 255, atol=1)


@pytest.mark.slow
def test_files_say_how_far_from_usual_a_clip_is(tmp_path):
    inspection = aia.inspect(referenced(), CLIPS[3], held=True)
    block = inspection.block(inspection.first_block)
    aia.save(inspection, tmp_path)
    rows = [line.split(",") for line in (tmp_path / "channels.csv").read_text().splitlines()]
    assert rows[0] == ["block", "channel", "mean_gate", "difference", "zscore"]
    mine = [row for row in rows if row[0] == block.name]
    np.testing.assert_allclose([float(row[3]) for row in mine], block.channel_deviation, atol=1e-6)
    np.testing.assert_allclose([float(row[4]) for row in mine], block.channel_zscore, atol=1e-3)
    about = json.loads((tmp_path / "inspection.json").read_text())
    assert about["reference"] == {"clips": 3, "kind": "test clips"} and about["held"]["label"] in LABELS
    with np.load(tmp_path / "gates.npz") as arrays:
        np.testing.assert_allclose(arrays[f"{block.name}/deviation"], block.deviation(), atol=1e-6)
    rows = list(figure.table(inspection, View(block.name)))
    np.testing.assert_allclose([row.difference for row in rows], block.deviation().ravel(), atol=1e-6)
    np.testing.assert_allclose([row.value for row in rows], block.spatiotemporal_map.ravel(), atol=1e-6)


@pytest.mark.slow
def test_gates_held_at_their_mean_are_a_prediction_of_the_same_pass(net, clip):
    inspection = aia.inspect(net, clip, held=True)
    alone = aia.inspect(net, clip, switches=[aia.Switch("mean")])
    np.testing.assert_allclose(inspection.held.logits, alone.logits, atol=1e-5)
    np.testing.assert_allclose(inspection.logits, aia.inspect(net, clip).logits, atol=1e-5)
    gates, same = (seen.blocks[0].gates["T"] for seen in (inspection, aia.inspect(net, clip)))
    np.testing.assert_allclose(gates, same, atol=1e-5)
    assert aia.inspect(small_net("none", size=32), clip, held=True).held is None


@pytest.mark.slow
@pytest.mark.parametrize("name", others_long(WITH_GATES, "tsn-mobilenetv2-cinst"))
def test_every_shipped_model_with_gates_has_a_reference_and_a_clear_first_block(name):
    model = aia.load(name, device="cpu")
    assert model.reference.num_clips >= 100 and model.reference.kind in ("training clips", "clips")
    examples = example_clips(model.config.task)
    first = next(row for row in measure_contrast(model, examples) if row.block == model.config.default_block)
    assert first.is_clear, first


@pytest.mark.slow
def test_contrast_tells_a_clip_from_what_all_clips_share():
    net = referenced()
    rows = measure_contrast(net, CLIPS)
    assert [row.block for row in rows] == list(net.block_names) and all(0 <= row.specific <= 1 for row in rows)
    same = measure_contrast(net, [CLIPS[0]] * 4)
    assert all(row.specific == pytest.approx(0, abs=1e-6) for row in same), "nothing differs between equal clips"
    net.reference = None
    with pytest.raises(AIAError, match="nothing says what is usual"):
        measure_contrast(net, CLIPS)


@pytest.mark.slow
def test_a_reference_belongs_to_the_weights_that_it_was_made_from(folder, tmp_path):
    model = aia.load(folder, device="cpu")
    with torch.no_grad():
        model.head.bias += 1
    model.save_pretrained(tmp_path / "tuned")
    assert not (tmp_path / "tuned" / REFERENCE).exists(), "training went on"
    assert REFERENCE not in (tmp_path / "tuned" / "README.md").read_text()
    shutil.copytree(folder, tmp_path / "mine")
    model.save_pretrained(tmp_path / "mine")
    assert aia.load(tmp_path / "mine", device="cpu").reference is None, "the old reference went with the old weights"
    shutil.copy(folder / REFERENCE, tmp_path / "mine")
    with pytest.raises(AIAError, match="made from other weights"):
        aia.load(tmp_path / "mine", device="cpu")


@pytest.mark.slow
def test_a_damaged_reference_can_be_made_again(folder, video, tmp_path):
    shutil.copytree(folder, tmp_path / "net")
    (tmp_path / "net" / REFERENCE).write_bytes(b"damaged")
    (tmp_path / "videos").mkdir()
    for number in range(2):
        (tmp_path / "videos" / f"{number}.mp4").symlink_to(video)
    assert main(["reference", str(tmp_path / "net"), "--data", str(tmp_path / "videos")]) == 0
    assert aia.load(tmp_path / "net", device="cpu").reference.num_clips == 2


def test_numbers_of_eight_bits_are_refused(folder, tmp_path):
    arrays = {
        name: torch.from_numpy(values).to(torch.float8_e4m3fn) for name, values in load_file(folder / REFERENCE).items()
    }
    save_torch_file(arrays, tmp_path / REFERENCE, {})
    with pytest.raises(AIAError, match="not floats of 16 or 32 bits"):
        read_reference(tmp_path / REFERENCE, small_net(size=32).config)


def test_a_written_reference_replaces_the_old_one(folder, tmp_path):
    reference = referenced().reference
    for _ in range(2):
        path = write_reference(tmp_path, reference)
    assert path.name == REFERENCE and [p.name for p in tmp_path.iterdir()] == [REFERENCE]
