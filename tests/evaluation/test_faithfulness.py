"""Whether maps mark what a network relies on: curves, intervals by group, shuffled weights, the command."""

import copy
import dataclasses
import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from conftest import LABELS, clip_of, moving_frames, small_net
from torch import nn

import aia
from aia import AIAError
from aia.cli import main
from aia.evaluation.deletion import STEPS, Curves, area, blur, places_in_order
from aia.evaluation.faithfulness import measure_faithfulness, orders
from aia.evaluation.known_clips import choose, pick
from aia.evaluation.metrics import intervals
from aia.evaluation.randomization import (
    _shuffled,
    measure_randomization,
    plain,
    rank_correlation,
    shuffle,
    trunk_parts,
)
from aia.modeling.preprocess import preprocess
from aia.visualization.render import write_mp4

FRAMES, SIDE, PATCH = 4, 40, slice(5, 15)


class Watcher(nn.Module):
    """A network that relies on the contrast in one corner of the last two frames, and on nothing else."""

    config = SimpleNamespace(temperature=1.0)
    device = torch.device("cpu")

    def forward(self, x):
        contrast = x[:, 2:, :, PATCH, PATCH].abs().mean(dim=(1, 2, 3, 4))
        return torch.stack((8 * contrast - 4, torch.zeros_like(contrast)), dim=1)


@pytest.fixture(scope="module")
def curves():
    """The curves of a watched clip, whose pixels are 1 or -1."""
    noise = torch.Generator().manual_seed(0)
    clip = torch.randint(0, 2, (FRAMES, 3, SIDE, SIDE), generator=noise) * 2.0 - 1
    return Curves(Watcher().eval(), clip, 0, torch.rand(FRAMES, 8, 8, generator=noise))


def noise_map(seed) -> torch.Tensor:
    return torch.rand(FRAMES, 8, 8, generator=torch.Generator().manual_seed(seed))


def watched() -> torch.Tensor:
    oracle = torch.zeros(FRAMES, SIDE, SIDE)
    oracle[2:, PATCH, PATCH] = 1
    return oracle


def test_a_map_of_what_the_network_watches_is_better_than_random_and_its_opposite_is_worse(curves):
    deletion, insertion = area(curves(watched()))
    random = np.mean([area(curves(noise_map(seed))) for seed in range(5)], axis=0)
    lost, found = area(curves(-watched()))
    assert deletion < random[0] - 0.2 and insertion > random[1] + 0.2
    assert lost > random[0] + 0.2 and found < random[1] - 0.2


def test_the_watched_part_is_gone_and_back_with_its_share_of_the_pixels(curves):
    """It has 200 of 6400 pixels, less than the first step."""
    deletion, insertion = curves(watched())
    assert deletion[1] == pytest.approx(deletion[-1], abs=0.02) and insertion[1] == pytest.approx(insertion[-1])
    assert deletion[0] > 0.95 and deletion[-1] < 0.2


@pytest.mark.parametrize("seed", range(3))
def test_the_curves_begin_and_end_with_the_sharp_and_the_blurred_clip(curves, seed):
    deletion, insertion = curves(noise_map(seed))
    sharp, blurred = (torch.softmax(Watcher()(x[None]), 1)[0, 0].item() for x in (curves.sharp, blur(curves.sharp)))
    assert (deletion[0], deletion[-1]) == pytest.approx((sharp, blurred))
    assert (insertion[0], insertion[-1]) == pytest.approx((blurred, sharp))


def test_the_opposite_map_swaps_deletion_and_insertion(curves):
    deletion, insertion = curves(noise_map(7))
    lost, found = curves(-noise_map(7))
    assert lost == pytest.approx(insertion[::-1], abs=0.01) and found == pytest.approx(deletion[::-1], abs=0.01)


def test_the_area_is_that_of_the_trapezoids():
    assert area(np.linspace(1, 0, STEPS + 1)) == pytest.approx(0.5) and area(np.ones((2, STEPS + 1))).tolist() == [1, 1]


def test_a_step_takes_a_tenth_of_the_pixels_of_all_frames_together():
    values = torch.zeros(FRAMES, 8, 8)
    values[1] = 1
    places = places_in_order(values, noise_map(0), SIDE)
    assert len(places.unique()) == FRAMES * SIDE * SIDE and places.min() == 0 and places.max() < 1
    assert (places < 0.1).sum() == FRAMES * SIDE * SIDE / 10
    assert places[1].max() < 0.25 <= places[[0, 2, 3]].min(), "the largest values come first, in whichever frame"


def test_equal_values_are_taken_by_cells_and_not_by_scattered_pixels():
    first = places_in_order(torch.zeros(FRAMES, 8, 8), noise_map(1), SIDE) < 0.3
    assert torch.equal(first, places_in_order(noise_map(1), noise_map(2), SIDE) < 0.3)


def test_intervals_are_over_groups_and_not_over_clips():
    values = np.repeat([0.0, 0.0, 1.0, 1.0], 25)[:, None]
    own = [str(clip) for clip in range(100)]
    by_group, by_clip = (
        intervals(values, groups, 0)[0] for groups in (["a"] * 25 + ["b"] * 25 + ["c"] * 25 + ["d"] * 25, own)
    )
    assert by_group.mean == by_clip.mean == 0.5
    assert (by_group.low, by_group.high) == (0, 1) and 0.35 < by_clip.low < 0.45 < 0.55 < by_clip.high < 0.65


def test_the_mean_is_that_of_all_clips_however_many_a_group_has():
    score = intervals(np.array([[1.0], [0.0], [0.0], [0.0]]), ["a", "b", "b", "b"], 0)[0]
    assert score.mean == 0.25 and (score.low, score.high) == (0, 1)


# ---------------------------------------------------------------- a network with gates


def frames_of(seed, count=4) -> np.ndarray:
    return moving_frames(count, 32, 32, seed)


def inputs(net, count) -> torch.Tensor:
    return torch.cat([preprocess(frames_of(seed), net.config) for seed in range(count)])


def knowing_net(attention="cinst") -> aia.AIANet:
    """A network that answers "left" as long as a clip is sharp: its head was fitted to sharp and blurred clips."""
    net = small_net(attention, size=32)
    net.config = dataclasses.replace(net.config, num_segments=4)
    x = inputs(net, 4)
    with torch.no_grad():
        nn.init.zeros_(net.head.bias)
        features = []
        for clips in (x, blur(x)):
            net.head.weight.copy_(torch.eye(*net.head.weight.shape))
            handle = net.head.register_forward_pre_hook(lambda module, inputs: features.append(inputs[0].mean(0)))
            net(clips)
            handle.remove()
        sharp, blurred = features
        net.head.weight.zero_()
        net.head.weight[0] = (sharp - blurred) / (sharp - blurred).norm() ** 2 * 8
        net.head.bias[0] = -net.head.weight[0] @ (sharp + blurred) / 2
        net.head.bias[2] = -9
    return net.optimize()


@pytest.fixture(scope="module")
def known():
    """A network and clips of three scenes that it knows."""
    net = knowing_net()
    return net, choose(net, inputs(net, 4), torch.zeros(4, dtype=torch.long), ("a", "a", "b", "c"))


@pytest.mark.slow
def test_only_clips_count_whose_answer_is_right_when_sharp_and_wrong_when_blurred():
    net = knowing_net()
    x = inputs(net, 3)
    clips = choose(net, torch.cat((x, blur(x[:1]), x[:1])), torch.tensor([0, 0, 0, 0, 1]), tuple("abcde"))
    assert clips.groups == ("a", "b", "c") and clips.tried == 5 and torch.equal(clips.x, x)
    with pytest.raises(AIAError, match="two scenes or more"):
        choose(net, x, torch.zeros(3, dtype=torch.long), ("a", "a", "a"))
    with pytest.raises(AIAError, match="Only 0 of 3 clips"):
        choose(net, x, torch.ones(3, dtype=torch.long), ("a", "b", "c"))


def test_fewer_clips_are_still_of_all_scenes_of_a_table_that_lists_them_in_turn():
    assert {index % 4 for index in pick(40, 20)} == {0, 1, 2, 3} and len(set(pick(40, 20))) == 20
    assert pick(7, 100) == list(range(7)) and pick(40, 20) == pick(40, 20)


@pytest.mark.long
def test_every_order_is_measured_against_random(known):
    net, clips = known
    result = measure_faithfulness(net, clips)
    names = [row.name for row in result.rows]
    last = net.block_names[-1]
    assert names == ["gate itself", f"Grad-CAM at {last}", "Grad-CAM at the last features", "centre", "random"]
    for row in result.rows:
        for score in (row.deletion, row.insertion, *row.deletion_curve, *row.insertion_curve):
            assert 0 <= score.low <= score.mean <= score.high <= 1
        assert row.deletion_gain.mean == pytest.approx(row.deletion.mean - result.rows[-1].deletion.mean)
        assert row.deletion_curve[0].mean == pytest.approx(row.insertion_curve[-1].mean)
        assert row.deletion_curve[0].mean > 0.5 > row.deletion_curve[-1].mean
    assert result.rows[-1].insertion_gain.mean == 0
    assert (result.clips, result.groups, result.block) == (4, 3, last)
    assert measure_faithfulness(net, clips) == result, "the same seed gives the same numbers"
    text = result.to_markdown()
    assert all(f"| {name} |" in text for name in names) and text.count("than with random cells") == 4
    assert json.loads(json.dumps(result.to_dict()))["rows"][0]["name"] == "gate itself"


@pytest.mark.slow
def test_a_difference_from_typical_is_measured_if_the_model_has_a_reference(known):
    net, clips = copy.deepcopy(known[0]), known[1]
    net.reference = aia.compute_reference(net, [clip_of(frames_of(seed)) for seed in range(10, 13)])
    block = net.block_names[1]
    maps = orders(net, clips, block)
    for i in range(2):
        expected = aia.inspect(net, clip_of(frames_of(i))).block(block).deviation()
        assert np.allclose(maps["difference from typical"][i], expected, atol=1e-4)
    assert torch.equal(maps["size of that difference"], maps["difference from typical"].abs())


@pytest.mark.slow
def test_a_block_must_have_gates(known):
    with pytest.raises(AIAError, match="no block 'layer9'"):
        measure_faithfulness(*known, block="layer9")
    with pytest.raises(AIAError, match="no gates"):
        measure_randomization(knowing_net("none"), known[1])


# ---------------------------------------------------------------- shuffled weights


def test_equal_maps_correlate_by_exactly_one_and_opposite_ones_by_minus_one():
    values = np.random.default_rng(0).random(50).astype(np.float32)
    assert rank_correlation(values, values.copy()) == 1.0
    assert rank_correlation(values, np.exp(values)) == pytest.approx(1) and rank_correlation(
        values, -values
    ) == pytest.approx(-1)
    assert rank_correlation(np.zeros(5), np.zeros(5)) == 1.0 and rank_correlation(np.zeros(5), values[:5]) == 0.0
    # the usual example with ties, by hand: ranks 1, 2.5, 2.5, 4 and 1, 2, 3, 4
    assert rank_correlation(np.array([0, 1, 1, 2]), np.arange(4)) == pytest.approx(4.5 / np.sqrt(4.5 * 5))


@pytest.mark.parametrize("arch", ["resnet18", "mobilenet_v2"])
def test_the_parts_hold_all_weights_of_the_trunk(arch):
    net = small_net(arch=arch)
    parts = [net.backbone.get_submodule(name) for name in trunk_parts(net)]
    weights = [id(weight) for part in parts for weight in part.parameters()]
    assert weights == [id(weight) for weight in net.backbone.parameters()] and set(net.block_names) <= set(
        trunk_parts(net)
    )


def test_shuffled_weights_are_the_same_values_in_another_order(known):
    net, clips = plain(known[0]), known[1]
    part, before = net.backbone.layer2[0], copy.deepcopy(net.state_dict())
    shuffle(net, [part], clips.x, torch.Generator().manual_seed(0))
    after = net.state_dict()
    for name, values in before.items():
        if name.startswith("backbone.layer2.0."):
            if name.endswith(("weight", "bias")):
                assert torch.equal(values.flatten().sort()[0], after[name].flatten().sort()[0])
            if values.unique().numel() > 20 or name.endswith("running_mean"):
                assert not torch.equal(values, after[name])
        else:
            assert torch.equal(values, after[name])
    assert not any(module.training for module in net.modules())


@pytest.mark.slow
def test_with_all_weights_shuffled_every_batch_norm_has_measured_what_it_gets_then(known):
    net, clips = plain(known[0]), known[1]
    *_, (name, network) = _shuffled(net, clips.x, net.block_names[-1], torch.Generator().manual_seed(0))
    assert name == f"head to {trunk_parts(net)[0]}"
    norms = [module for module in network.modules() if getattr(module, "running_mean", None) is not None]
    kept = [norm.running_mean.clone() for norm in norms]
    for norm in norms:
        norm.momentum = 1.0  # this batch alone; the clips are one
        norm.train()
    with torch.no_grad():
        network(clips.x)
    assert len(norms) > 20
    for norm, mean in zip(norms, kept, strict=True):
        assert torch.allclose(norm.running_mean, mean, atol=1e-4)


@pytest.mark.long
def test_maps_change_when_the_block_is_shuffled_and_only_then(known):
    net, clips = known
    before = copy.deepcopy(net.state_dict())
    block = net.block_names[-2]
    result = measure_randomization(net, clips, block=block)
    rows = {row.shuffled: row for row in result.rows}
    assert list(rows) == [
        f"gates of {block}",
        "gates of every block",
        "head",
        *(f"head to {part}" for part in reversed(trunk_parts(net))),
    ]
    above = ["head", f"head to {net.block_names[-1]}"]
    assert all(rows[name].gate.mean == rows[name].difference.mean == 1 for name in above)
    for name in rows.keys() - set(above):
        assert rows[name].gate.mean < 0.999
    assert rows["head"].cam.mean < 0.999, "Grad-CAM depends on the head"
    assert all(torch.equal(before[name], values) for name, values in net.state_dict().items())
    assert measure_randomization(net, clips, block=block) == result
    assert all(f"| {name} |" in result.to_markdown() for name in rows)


# ---------------------------------------------------------------- the command


@pytest.fixture
def data(tmp_path):
    """A data folder with clips in three scenes, a model that knows them and its recipe."""
    net = knowing_net()
    net.save_pretrained(tmp_path / "net", config=dataclasses.replace(net.config, default_block=net.block_names[3]))
    folder = tmp_path / "clips"
    folder.mkdir()
    lines = ["file,label,split,scene"]
    for seed, scene in enumerate(("hall", "hall", "garden", "")):
        write_mp4(folder / f"{seed}.mp4", frames_of(seed, 16), 8)
        lines.append(f"{seed}.mp4,l,test,{scene}")
    (folder / "clips.csv").write_text("\n".join(lines))
    config = {
        "arch": "resnet18",
        "temporal": "tsm",
        "attention": "cinst",
        "input_size": 32,
        "resize": [32, 32],
        "num_segments": 4,
    }
    recipe = {"network": config, "classes": dict(zip("lrs", LABELS, strict=True))}
    (tmp_path / "recipe.json").write_text(json.dumps(recipe))
    return tmp_path


@pytest.mark.long
def test_the_command_prints_both_tables_for_any_model_and_data(data, capsys):
    net, clips, recipe = (str(data / name) for name in ("net", "clips", "recipe.json"))
    assert main(["evaluate", net, "--faithfulness", "--data", clips, "--recipe", recipe, "--split", "test"]) == 0
    text = capsys.readouterr().out
    assert "4 of 4 clips are answered right when sharp" in text and "in 3 groups" in text
    assert "layer2.1 with 4 x 4 cells" in text and "| head to layer2.1 |" in text and "| gate itself |" in text


@pytest.mark.slow
@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        (["--clips", "1"], "two clips or more"),
        (["--split", "val"], "no clip of the model's classes in the split 'val'; choose another one with --split"),
        (["--block", "layer9"], "no block"),
        (["--seed", "-1"], "seed"),
    ],
)
def test_what_cannot_be_measured_is_said_in_a_sentence(data, capsys, changed, sentence):
    net, clips, recipe = (str(data / name) for name in ("net", "clips", "recipe.json"))
    assert (
        main(["evaluate", net, "--faithfulness", "--data", clips, "--recipe", recipe, "--split", "test", *changed]) == 1
    )
    assert sentence in capsys.readouterr().err


def test_a_model_and_clips_must_be_named(capsys):
    assert main(["evaluate", "--faithfulness"]) == 1
    assert "--data" in capsys.readouterr().err
