"""Training as a tool: labelled videos and a recipe in, a loadable model out."""

import csv
import dataclasses
import json
import logging

import numpy as np
import pytest
import torch
from conftest import moving_frames, small_net

import aia
from aia import AIAError
from aia.cli import main
from aia.render import write_mp4
from aia.training.data import ClipDataset, Sample, read_manifest, split_samples
from aia.training.recipe import Recipe
from aia.training.start import load_start
from aia.training.train import train

RECIPE = {
    "network": {
        "arch": "resnet18",
        "temporal": "tsm",
        "attention": "cinst",
        "num_segments": 4,
        "input_size": 32,
        "resize": [32, 32],
    },
    "classes": {"l": "swipe left", "r": "swipe right"},
    "flip": {"l": "r", "r": "l"},
    "reverse": {"l": "r", "r": "l"},
    "holdout": ["kitchen"],
    "rendered": 2,
    "rendered_pool": 4,
    "epochs": 2,
    "batch_size": 4,
    "cache_side": 40,
    "cache_frames": 12,
}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    rows = []
    for i in range(8):
        right = i % 2 == 0
        frames = moving_frames(10, 40, 56, seed=i)
        write_mp4(folder / f"{i}.mp4", frames if right else frames[::-1], 10)
        scene, split = ("kitchen", "train") if i > 5 else ("", "train" if i < 4 else "test")
        rows.append({"file": f"{i}.mp4", "label": "r" if right else "l", "split": split, "scene": scene})
    with (folder / "clips.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    return folder


@pytest.fixture
def recipe_file(tmp_path):
    path = tmp_path / "recipe.json"
    path.write_text(json.dumps(RECIPE))
    return path


def test_a_run_ends_with_a_loadable_folder_that_can_be_evaluated(data, recipe_file, tmp_path, capsys):
    out = tmp_path / "out"
    assert main(["train", str(recipe_file), "--data", str(data), "--out", str(out)]) == 0
    model = aia.load(out, device="cpu")
    assert model.config.labels == ("swipe left", "swipe right") and model.config.num_segments == 4
    history = [json.loads(line) for line in (out / "history.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in history] == [1, 2] and all(np.isfinite(line["loss"]) for line in history)
    capsys.readouterr()
    assert main(["evaluate", str(out), "--data", str(data), "--recipe", str(recipe_file)]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["clips"] == 2 and result["top1"] == 1 - len(result["errors"]) / 2


class Stop(logging.Handler):
    def emit(self, record):
        raise KeyboardInterrupt


def test_a_killed_run_goes_on_as_if_it_had_not_been(data, tmp_path):
    recipe = dataclasses.replace(Recipe(**{**RECIPE, "holdout": ("kitchen",)}), dropout=0.5)
    whole = train(recipe, data, tmp_path / "whole")
    log = logging.getLogger("aia.training.train")
    log.setLevel(logging.INFO)
    log.addHandler(stop := Stop())
    try:
        with pytest.raises(KeyboardInterrupt):
            train(recipe, data, tmp_path / "killed")
    finally:
        log.removeHandler(stop)
    assert not (tmp_path / "killed" / "model.safetensors").exists()
    with (tmp_path / "killed" / "history.jsonl").open("a") as history:
        history.write('{"epoch": 2, "loss": 0}\n')  # as if killed before the second epoch's state was whole
    resumed = train(recipe, data, tmp_path / "killed")
    lines = (tmp_path / "killed" / "history.jsonl").read_text().splitlines()
    assert [json.loads(line)["epoch"] for line in lines] == [1, 2]
    for name, tensor in whole.state_dict().items():
        assert torch.allclose(tensor, resumed.state_dict()[name], atol=1e-5), name


def test_held_out_scenes_are_never_trained_on(data):
    recipe = Recipe(**RECIPE)
    training, held = split_samples(read_manifest(data), recipe)
    assert {s.file.name for s in held} == {"6.mp4", "7.mp4"}
    assert {s.file.name for s in training} == {"0.mp4", "1.mp4", "2.mp4", "3.mp4"}, "nor are test clips"


def test_mirrored_and_reversed_clips_change_their_labels(data, tmp_path):
    recipe = Recipe(**{**RECIPE, "flip_reverse": {"l": "l", "r": "r"}})
    sample = Sample(data / "0.mp4", "r")  # the square walks to the right
    labels = set()
    for epoch in range(24):
        x, y = ClipDataset([sample], recipe, tmp_path, epoch)[0]
        assert x.shape == (4, 3, 32, 32) and x.dtype == torch.float32
        brightness = x.mean(dim=(1, 2))  # [T, columns]
        columns = torch.arange(32.0)
        weights = (brightness - brightness.amin(1, keepdim=True)) ** 4
        place = (weights * columns).sum(1) / weights.sum(1)
        assert (place[-1] > place[0]) == (list(recipe.classes)[y] == "r")
        labels.add(y)
    assert labels == {0, 1}


def test_the_same_seed_gives_the_same_clips(data, tmp_path):
    sample = [Sample(data / "0.mp4", "r"), Sample(None, "l", seed=3)]
    first, again = (ClipDataset(sample, Recipe(**RECIPE), tmp_path, 5) for _ in range(2))
    assert all(torch.equal(first[i][0], again[i][0]) for i in range(2))
    assert not torch.equal(first[0][0], ClipDataset(sample, Recipe(**RECIPE), tmp_path, 6)[0][0])


def test_start_weights_come_from_a_file_in_torchvisions_order_or_a_model(tmp_path):
    from torchvision.models import resnet18

    torch.manual_seed(5)
    trunk = resnet18().state_dict()
    torch.save(
        {f"other.{i}": t for i, (k, t) in enumerate(trunk.items()) if not k.startswith("fc.")}, tmp_path / "trunk.pt"
    )
    net = small_net()
    load_start(net, str(tmp_path / "trunk.pt"))
    assert torch.equal(net.backbone.layer3[1].conv2.weight, trunk["layer3.1.conv2.weight"])

    plain = small_net("none", seed=9)
    plain.save_pretrained(tmp_path / "plain")
    net = small_net("stinc")
    load_start(net, str(tmp_path / "plain"))
    assert torch.equal(net.head.weight, plain.head.weight)
    assert torch.equal(net.backbone.layer4[0].conv1.weight, plain.backbone.layer4[0].conv1.weight)


@pytest.mark.parametrize("content", [{"a": torch.ones(2)}, [1], "code"])
def test_start_weights_of_another_network_are_refused(tmp_path, content):
    path = tmp_path / "trunk.pt"
    path.write_bytes(b"nothing") if content == "code" else torch.save(content, path)
    with pytest.raises(AIAError, match=r"trunk\.pt"):
        load_start(small_net(), str(path))
    with pytest.raises(AIAError, match=r"gone\.pt"):
        load_start(small_net(), str(tmp_path / "gone.pt"))


@pytest.mark.parametrize(
    ("files", "named"),
    [
        ({}, "0 csv"),
        ({"a.csv": "file,label\nx.mp4,l\n"}, "columns"),
        ({"a.csv": "file,label,split\nx.mp4,l,train\n"}, "x.mp4"),
    ],
)
def test_a_wrong_data_folder_is_named(tmp_path, files, named):
    for name, content in files.items():
        (tmp_path / name).write_text(content)
    with pytest.raises(AIAError, match=named):
        read_manifest(tmp_path)


def test_a_folder_of_another_run_is_not_gone_on_with(data, tmp_path):
    recipe = Recipe(**{**RECIPE, "epochs": 1, "holdout": ()})
    train(recipe, data, tmp_path)
    swapped = dataclasses.replace(recipe, classes=dict(reversed(recipe.classes.items())))
    with pytest.raises(AIAError, match="another recipe"):
        train(swapped, data, tmp_path)


def test_fewer_clips_than_a_batch_are_said_not_skipped(data, tmp_path):
    with pytest.raises(AIAError, match="smaller batch"):
        train(Recipe(**{**RECIPE, "batch_size": 40}), data, tmp_path)


@pytest.mark.parametrize(
    "content",
    [
        "{",
        "{}",
        "[]",
        '{"network": {}, "classes": {}, "speed": 1}',
        '{"network": {"arch": "x"}, "classes": {"a": "b"}}',
        '{"network": [], "classes": {"a": "b"}}',
        '{"network": {}, "classes": ["a"]}',
        '{"network": {}, "classes": {"a": "b"}, "epochs": "3"}',
        '{"network": {}, "classes": {"a": "b"}, "holdout": "t1"}',
        '{"network": {"resize": [240, 320]}, "classes": {"a": "b"}}',
    ],
)
def test_a_wrong_recipe_is_refused(tmp_path, content):
    (tmp_path / "r.json").write_text(content)
    with pytest.raises(AIAError):
        Recipe.from_file(tmp_path / "r.json")


def test_the_shipped_recipe_is_valid():
    from pathlib import Path

    for path in (Path(aia.__file__).parent / "training" / "configs").glob("*.json"):
        recipe = Recipe.from_file(path)
        for table in (recipe.flip, recipe.reverse, recipe.flip_reverse):
            assert {*table, *table.values()} <= set(recipe.classes)
