"""Where maps point on drawn clips: the measures, Grad-CAM, the choice on other clips, the command."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import clip_of, moving_frames, small_net

import aia
from aia import AIAConfig, AIAError
from aia.cli import main
from aia.evaluation.localization import (
    compare,
    record_maps,
)
from aia.evaluation.maps import gate_maps, grad_cam
from aia.evaluation.targets import FIRST_SEED, GESTURES, TOLERANCE, draw_target, measure
from aia.hub import DEFAULT_MODEL
from aia.inspection.inspection import inspect
from aia.modeling import recording
from aia.modeling.config import ATTENTIONS
from aia.modeling.preprocess import preprocess
from aia.synthetic.gestures import render_gesture
from aia.training.data import rendered_pool
from aia.training.recipe import Recipe
from aia.video.clip import sample_indices

CONFIGS = Path(aia.__file__).parent / "training" / "configs"
SIDE = 48
CROPPED = AIAConfig(("a",), input_size=SIDE, resize=(60, 72), num_segments=4)


@pytest.fixture(scope="module")
def targets():
    config = dataclasses.replace(CROPPED, resize=(SIDE, SIDE), num_segments=8)
    drawn = [draw_target(config, GESTURES[i % 10], FIRST_SEED + i)[1] for i in range(20)]
    assert all(target.inside.any() for target in drawn)
    return drawn


def dots(targets, where=lambda clip: True) -> torch.Tensor:
    """Maps `[N, 8, SIDE, SIDE]` with one bright pixel: the fingertip's, or the opposite one where `where` says no."""
    maps = torch.zeros(len(targets), 8, SIDE, SIDE)
    for clip, target in enumerate(targets):
        places = target.tip.round().long()
        for frame, place in zip(target.inside.nonzero()[:, 0], places, strict=True):
            x, y = place if where(clip) else (place + SIDE // 2) % SIDE
            maps[clip, frame, y, x] = 1
    return maps


@pytest.mark.parametrize("resize", [(SIDE, SIDE), (60, 72), 50])
@pytest.mark.parametrize("seed", [1, 8])
def test_fingertip_and_hand_lie_where_the_network_sees_them(resize, seed):
    config = dataclasses.replace(CROPPED, resize=resize, mean=(0, 0, 0), std=(1, 1, 1))
    x, target = draw_target(config, "circle (counter-clockwise)", seed)
    drawn = render_gesture(
        "circle (counter-clockwise)", seed, fps=None, indices=lambda count: sample_indices(count, config.num_segments)
    )
    assert torch.equal(x, preprocess(drawn.frames, config)) and target.inside.any()
    rows, columns = np.mgrid[: drawn.frames.shape[1], : drawn.frames.shape[2]]
    for frame, tip, near, hand in zip(target.inside.nonzero()[:, 0], target.tip, target.near, target.hand, strict=True):
        column, row = drawn.fingertip[frame]
        spot = (255 * np.exp(-((rows - row) ** 2 + (columns - column) ** 2) / 50)).astype(np.uint8)
        seen = preprocess(np.repeat(spot[None, ..., None], 3, axis=3), config)[0, 0, 0]
        y, x = divmod(int(seen.argmax()), SIDE)
        assert abs(x - tip[0]) <= 1 and abs(y - tip[1]) <= 1
        assert near[y, x] and (near & hand).any() and near.sum() < 4 * (TOLERANCE * SIDE + 1) ** 2


@pytest.mark.slow
def test_a_map_with_its_maximum_at_the_fingertip_scores_one(targets):
    assert torch.equal(measure(dots(targets), targets)[:, 0], torch.ones(20))
    assert measure(dots(targets, lambda clip: False), targets)[:, 0].max() == 0


@pytest.mark.slow
def test_a_map_of_the_hand_has_all_its_energy_and_its_maximum_there(targets):
    maps = torch.zeros(20, 8, SIDE, SIDE)
    for clip, target in enumerate(targets):
        maps[clip, target.inside] = target.hand.float()
    assert torch.equal(measure(maps, targets)[:, 1:], torch.ones(20, 2))


@pytest.mark.slow
@pytest.mark.parametrize("value", [0.0, 0.3])
def test_a_map_that_is_the_same_everywhere_scores_chance(targets, value):
    chance = [[part.float().mean() for part in (t.near, t.hand, t.hand)] for t in targets]
    assert torch.allclose(measure(torch.full((20, 8, 3, 3), value), targets), torch.tensor(chance), atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("trained", [False, True])
def test_grad_cam_of_a_clip_in_a_batch_is_that_of_the_clip_alone(trained):
    net = aia.load(DEFAULT_MODEL, device="cpu") if trained else small_net()
    clips = torch.randn(3, 6, 3, 64, 64)
    layers = (net.block_names[-2], "features" if trained else "layer4")
    together = grad_cam(net, clips, layers)
    for clip in range(3):
        alone = grad_cam(net, clips[clip : clip + 1], layers)
        for layer in layers:
            assert together[layer].shape[:2] == (3, 6) and alone[layer].max() == pytest.approx(1)
            assert torch.allclose(together[layer][clip], alone[layer][0], atol=1e-4)
    assert not any(module._forward_hooks for module in net.modules())


def test_grad_cam_of_the_last_features_is_the_class_activation_map():
    """Before a pooled linear head the gradient is the class's weights, so Grad-CAM is CAM (Zhou et al., 2016)."""
    net = small_net("none")
    x = torch.randn(2, 5, 3, SIDE, SIDE)
    with torch.no_grad(), recording.segments_per_clip(5):
        features = torch.nn.Sequential(*list(net.backbone.children())[:-2])(x.flatten(0, 1)).unflatten(0, (2, 5))
        weights = net.head.weight[net(x).argmax(1)]
    expected = torch.einsum("bc,btchw->bthw", weights, features).relu()
    expected /= expected.amax((1, 2, 3), keepdim=True)
    assert torch.allclose(grad_cam(net, x, ["layer4"])["layer4"], expected, atol=1e-5)


def test_a_failing_pass_leaves_no_hook():
    net = small_net()
    with pytest.raises(AIAError, match="takes"):
        grad_cam(net, torch.zeros(1, 2, 3, 8, 8), ["layer4"])
    assert not any(module._forward_hooks for module in net.modules())


@pytest.mark.slow
@pytest.mark.parametrize("attention", [a for a in ATTENTIONS if a != "none"])
def test_maps_of_a_batch_are_those_of_the_inspection(attention):
    net = small_net(attention)
    clips = [clip_of(moving_frames(4, seed=seed)) for seed in range(2)]
    with recording.recording() as seen:
        grad_cam(net, torch.cat([preprocess(clip.frames, net.config) for clip in clips]), ["layer4"])
    for block in (net.block_names[0], net.block_names[-1]):
        for maps, clip in zip(gate_maps(seen, net, block), clips, strict=True):
            assert np.allclose(maps, inspect(net, clip).block(block).spatiotemporal_map, atol=1e-5)


@pytest.mark.slow
def test_a_gate_that_is_low_at_the_fingertip_shows_as_inverted(targets):
    gates = {"low": 0.8 - 0.1 * dots(targets), "flat": torch.full((20, 8, 4, 4), 0.5)}
    result = compare(small_net(), targets, gates, dict.fromkeys((*gates, "layer4"), torch.zeros(20, 8, 2, 2)))
    rows = {row.name: row for row in result.rows}
    assert rows["gate itself"].blocks == ("low inverted",) and rows["gate itself"].fingertip.mean == 1
    assert rows["gate beyond that mean"].blocks == ("low inverted",)
    assert rows["its mean over the other clips"].fingertip.mean < 0.5
    assert result.default_block == "flat", "the page draws gates as they are"
    own = {(row.blocks, row.name): row for row in result.blocks}
    assert own[("low",), "inverted"].fingertip.mean == 1 and own[("low",), "gate"].fingertip.mean < 0.05


@pytest.mark.slow
def test_a_block_is_scored_on_other_clips_than_it_was_chosen_on(targets):
    first, second = (0.5 + 0.2 * dots(targets, lambda clip, half=half: (clip < 10) == half) for half in (True, False))
    gates = {"first": first, "second": second}
    result = compare(small_net(), targets, gates, dict.fromkeys((*gates, "layer4"), torch.zeros(20, 8, 2, 2)))
    assert result.rows[0].blocks == ("first", "second") and result.rows[0].fingertip.mean == 0


@pytest.mark.long
def test_a_network_is_measured_and_its_tables_can_be_read():
    net = small_net()
    seen = record_maps(net, 20, 0)
    result = compare(net, *seen)
    assert (result.clips, result.input_size, result.tolerance) == (20, SIDE, pytest.approx(15 / 224 * SIDE))
    assert 20 <= result.frames <= 160
    for row in (*result.rows, *result.blocks):
        for score in (row.fingertip, row.hand, row.energy):
            assert 0 <= score.low <= score.mean <= score.high <= 1
    drawn, place = (
        {row.blocks[0]: row.hand.mean for row in result.blocks if row.name == name}
        for name in ("gate", "its mean over the other clips")
    )
    assert tuple(drawn) == net.block_names
    assert place.keys() == drawn.keys()
    assert drawn[result.default_block] == pytest.approx(max(drawn.values()))
    chance = result.rows[-1]
    assert chance.hand == chance.energy and 0 < chance.fingertip.mean <= np.pi * TOLERANCE**2 * 1.1
    text = result.to_markdown()
    assert all(f"| {row.name} |" in text for row in result.rows) and all(f"| {name} |" in text for name in drawn)
    assert json.loads(json.dumps(result.to_dict()))["default_block"] == result.default_block
    assert compare(net, *seen) == result, "the same seed gives the same numbers"


@pytest.mark.long
def test_the_command_takes_networks_without_gates_too(tmp_path, capsys):
    small_net("none").save_pretrained(tmp_path / "net")
    assert main(["localize", str(tmp_path / "net"), "--clips", "20", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["default_block"] == "" and result["blocks"] == []
    assert [row["name"].split()[0].strip(",") for row in result["rows"]] == ["Grad-CAM", "centre", "random", "same"]
    assert main(["localize", str(tmp_path / "net"), "--clips", "3"]) == 1
    assert "20 or more" in capsys.readouterr().err


@pytest.mark.parametrize("recipe", sorted(CONFIGS.glob("*.json")), ids=lambda path: path.stem)
def test_the_clips_are_none_that_training_draws(recipe):
    assert all(sample.seed < FIRST_SEED for sample in rendered_pool(Recipe.from_file(recipe), Path()))
