"""Whether answers stay when clips are darker, nearer, gray, ...: the changes themselves, the figures, the command."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from conftest import LABELS, moving_frames, small_net
from torch import nn

from aia.cli import main
from aia.evaluation.evaluate import evaluate
from aia.evaluation.robustness import CHANGES, measure_robustness
from aia.modeling.config import AIAConfig
from aia.training.recipe import Recipe
from aia.visualization.render import write_mp4

NETWORK = {"temporal": "tsn", "attention": "none", "num_segments": 4, "input_size": 32, "resize": [32, 32]}
RECIPE = {"network": NETWORK, "classes": dict(zip("lrs", LABELS, strict=True))}
COLORS = {"l": (220, 40, 30), "r": (30, 40, 220)}


class Painter(nn.Module):
    """A network that says "left" to red clips, "right" to blue ones and "still" to gray ones."""

    name = "painter"
    device = torch.device("cpu")
    config = AIAConfig.from_dict({**NETWORK, "labels": LABELS, "threshold": 0.9})

    def forward(self, x):
        red, _, blue = (x.mean((1, 3, 4)) * torch.tensor(self.config.std) + torch.tensor(self.config.mean)).unbind(1)
        return 40 * torch.stack((red - blue, blue - red, torch.full_like(red, 0.1)), 1)


@pytest.fixture
def data(tmp_path):
    """Red and blue clips of three scenes."""
    folder = tmp_path / "clips"
    folder.mkdir()
    lines = ["file,label,split,scene"]
    for number, (label, scene) in enumerate((("l", "hall"), ("l", "garden"), ("r", "hall"), ("r", ""))):
        frames = (moving_frames(16, 48, 64, number) * 0.1 + 0.9 * np.array(COLORS[label])).astype(np.uint8)
        write_mp4(folder / f"{number}.mp4", frames, 8)
        lines.append(f"{number}.mp4,{label},test,{scene}")
    (folder / "clips.csv").write_text("\n".join(lines))
    return folder


@pytest.mark.parametrize("size", [(48, 64), (64, 36), (9, 40), (1, 2)], ids=str)
@pytest.mark.parametrize("name", CHANGES)
def test_every_change_takes_clips_of_any_size_and_treats_their_frames_alike(name, size):
    frame = torch.from_numpy(moving_frames(1, max(size[0], 16), max(size[1], 16))).permute(0, 3, 1, 2)
    clip = frame[..., : size[0], : size[1]].repeat(3, 1, 1, 1)
    changed = CHANGES[name](clip)
    assert changed.dtype == torch.uint8 and changed.shape[:2] == (3, 3) and min(changed.shape) > 0
    assert torch.equal(changed[0], changed[2])


def test_every_change_but_the_first_changes_a_clip():
    clip = torch.from_numpy(moving_frames(2)).permute(0, 3, 1, 2)
    first, *others = (change(clip) for change in CHANGES.values())
    assert torch.equal(first, clip)
    assert not any(x.shape == clip.shape and torch.equal(x, clip) for x in others)


def test_an_upright_picture_is_nine_by_sixteen_and_bars_make_three_by_four():
    clip = torch.full((1, 3, 160, 214), 200, dtype=torch.uint8)
    assert CHANGES["upright: the middle 9:16"](clip).shape[-2:] == (160, 90)
    barred = CHANGES["black bars above and below, 3:4"](clip)
    assert barred.shape[-2:] == (285, 214) and (barred == 200).sum() == clip.numel() and barred[0, 0, 0, 0] == 0


def test_only_the_changes_that_a_network_depends_on_cost_it_answers(data):
    result = measure_robustness(Painter(), data, Recipe(**RECIPE), "test")
    rows = {row.name.split(":")[0]: row for row in result.rows}
    assert (result.clips, result.groups, result.split) == (4, 3, "test")
    assert rows["as filmed"].top1.mean == rows["as filmed"].same.mean == 1 and rows["as filmed"].refused.mean == 0
    for name in ("nearer", "upright", "blurred", "compressed"):
        assert (rows[name].top1.mean, rows[name].gain.mean, rows[name].same.mean) == (1, 0, 1)
    gray, hues = rows["gray"], rows["other colors"]
    assert gray.top1.mean == gray.same.mean == 0 and gray.gain.mean == -1
    assert (hues.top1.mean, hues.gain.mean) == (0.5, -0.5), (
        "red becomes green and stays redder than blue, blue becomes pink"
    )
    assert measure_robustness(Painter(), data, Recipe(**RECIPE), "test") == result
    assert f"| gray | {gray.top1.mean:.3f} (0.000 to 0.000) | -1.000" in result.to_markdown()
    assert json.loads(json.dumps(result.to_dict()))["rows"][0]["name"] == "as filmed"


def test_an_unsure_answer_counts_as_refused(data):
    unsure = Painter()
    unsure.config = AIAConfig.from_dict({**NETWORK, "labels": LABELS, "threshold": 0.9, "temperature": 20.0})
    assert all(row.refused.mean == 1 for row in measure_robustness(unsure, data, Recipe(**RECIPE), "test").rows)


def saved(folder):
    """A small model and its recipe."""
    net = small_net("none", "tsn", size=32)
    net.config = AIAConfig.from_dict({**NETWORK, "arch": "resnet18", "attention": "none", "labels": LABELS})
    net.save_pretrained(folder / "net")
    (folder / "net" / "recipe.json").write_text(json.dumps(RECIPE))
    return SimpleNamespace(net=net, path=str(folder / "net"))


@pytest.mark.slow
def test_the_command_prints_a_table_that_begins_with_the_accuracy_that_evaluate_gives(data, tmp_path, capsys):
    model = saved(tmp_path)
    assert main(["evaluate", model.path, "--robustness", "--data", str(data), "--split", "test"]) == 0
    text = capsys.readouterr().out
    top1 = evaluate(model.net, data, Recipe(**RECIPE), "test")["top1"]
    assert f"| as filmed | {top1:.3f} (" in text and all(f"| {name} |" in text for name in CHANGES)
    assert main(["evaluate", model.path, "--robustness", "--data", str(data), "--clips", "0"]) == 1
    assert "one clip or more" in capsys.readouterr().err
    assert main(["evaluate", model.path, "--robustness", "--data", str(data), "--split", "val"]) == 1
    assert "split 'val'" in capsys.readouterr().err


@pytest.mark.parametrize("missing", [["--data", "clips"], ["net"]])
def test_a_model_and_clips_must_be_named(missing, capsys):
    assert main(["evaluate", "--robustness", *missing]) == 1
    assert "name a model, and give the clips' folder with --data" in capsys.readouterr().err
