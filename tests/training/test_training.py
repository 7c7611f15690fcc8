"""Training as a tool: labelled videos and a recipe in, a loadable model out."""

import csv
import dataclasses
import json
import logging
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import ROOT, moving_frames, small_net
from torch.utils.data import DataLoader

import aia
from aia import AIAError
from aia.cli import main
from aia.modeling.recording import recording
from aia.training.data import (
    ClipDataset,
    Sample,
    class_order,
    load_frames,
    read_manifest,
    rendered_pool,
    split_samples,
)
from aia.training.distributed import Processes
from aia.training.recipe import Recipe
from aia.training.start import load_start, start_network
from aia.training.train import _batches, _loader, decode_all, predict, train
from aia.visualization.render import write_mp4

CONFIGS = Path(aia.__file__).parent / "training" / "configs"

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
    "synthetic_per_epoch": 2,
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


@pytest.fixture(scope="module")
def order_data(tmp_path_factory):
    """SPLIT/CLASS/VIDEO: the same pictures get brighter or, played backwards, darker, so that only their order tells."""
    folder, rng = tmp_path_factory.mktemp("order"), np.random.default_rng(0)
    for split, count in (("train", 16), ("val", 4)):
        for i in range(count):
            scene = rng.integers(60, 200, (4, 4, 3)).repeat(8, 0).repeat(8, 1)
            frames = (scene * np.linspace(0.35, 1.25, 4)[:, None, None, None]).clip(0, 255).astype(np.uint8)
            for kind, clip in (("brighter", frames), ("darker", frames[::-1])):
                (folder / split / kind).mkdir(parents=True, exist_ok=True)
                write_mp4(folder / split / kind / f"{i}.mp4", clip, 10, crf=10)
    return folder


@pytest.fixture
def recipe_file(tmp_path):
    path = tmp_path / "recipe.json"
    path.write_text(json.dumps(RECIPE))
    return path


@pytest.mark.slow
def test_a_run_ends_with_a_loadable_folder_that_can_be_evaluated(data, recipe_file, tmp_path, capsys):
    out = tmp_path / "out"
    assert main(["train", str(recipe_file), "--data", str(data), "--out", str(out)]) == 0
    model = aia.load(out, device="cpu")
    assert model.config.labels == ("swipe left", "swipe right") and model.config.num_segments == 4
    history = [json.loads(line) for line in (out / "history.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in history] == [1, 2] and all(np.isfinite(line["loss"]) for line in history)
    assert (out / "curves.svg").read_text().count("<path") > 4
    assert Recipe.from_file(out / "recipe.json").config.labels == model.config.labels
    capsys.readouterr()
    assert main(["evaluate", str(out), "--data", str(data), "--recipe", str(recipe_file)]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["clips"] == 2 and result["top1"] == 1 - len(result["errors"]) / 2


class Stop(logging.Handler):
    def emit(self, record):
        raise KeyboardInterrupt


@pytest.mark.long
def test_a_killed_run_resumes_and_gives_the_same_network(data, tmp_path):
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


@pytest.mark.long
def test_tsn_learns_order_by_aia_and_cannot_without_it(order_data, tmp_path):
    network = {**RECIPE["network"], "temporal": "tsn", "num_segments": 4}
    fast = {"epochs": 5, "batch_size": 4, "lr": 2e-3, "head_lr": 2e-3, "warmup_epochs": 0, "dropout": 0, "ema": 0.5}
    recipe = Recipe(network, reverse={"brighter": "darker", "darker": "brighter"}, cache_side=32, **fast)
    model = train(recipe, order_data, tmp_path)
    assert model.config.labels == ("brighter", "darker"), "the folders' names"
    samples = read_manifest(order_data)
    _, held = split_samples(samples, recipe := recipe.resolve(class_order(order_data, samples)))
    clips, targets = decode_all(held, recipe)
    assert len(clips) == 8
    assert (predict(model, clips).argmax(1) == targets).float().mean() >= 0.875
    assert (predict(model, clips.flip(1)).argmax(1) == 1 - targets).float().mean() >= 0.875, (
        "the same frames, backwards"
    )

    for seed in range(3):  # whatever its weights are, the mean over frames has no order
        plain = small_net("none", "tsn", seed=seed)
        assert torch.allclose(predict(plain, clips), predict(plain, clips.flip(1)), atol=1e-4)


@pytest.mark.long
def test_the_published_recipe_trains_on_a_folder_of_videos_by_class(order_data, tmp_path, capsys):
    (order_data / "labels.txt").write_text("still\ndarker\nbrighter\n")
    changes = {
        "network.arch": "mobilenet_v2",
        "network.attention": "c",
        "network.num_segments": 4,
        "network.input_size": 32,
        "network.resize": [36, 48],
        "epochs": 1,
        "batch_size": 32,
        "precision": "bfloat16",
        "flip": {"*": "*", "1": "2"},
    }
    options = [
        f"--set={name}={value if isinstance(value, str) else json.dumps(value)}" for name, value in changes.items()
    ]
    command = ["train", str(CONFIGS / "something-something-v1.json"), "--data", str(order_data)]
    try:
        assert main([*command, "--out", str(tmp_path / "out"), *options]) == 0
        assert main([*command, "--out", str(tmp_path / "out2"), *options[:-1]]) == 1, "it is about the class 86"
    finally:
        (order_data / "labels.txt").unlink()
    assert "86" in capsys.readouterr().err
    assert aia.load(tmp_path / "out", device="cpu").config.labels == ("still", "darker", "brighter")
    assert Recipe.from_file(tmp_path / "out" / "recipe.json").flip == {
        "still": "still",
        "darker": "brighter",
        "brighter": "brighter",
    }
    assert not (tmp_path / "out" / "cache").exists(), "nor does it keep clips of a data set too large for that"


def test_several_processes_share_each_batch(data):
    dataset = ClipDataset([Sample(data / f"{i}.mp4", "r") for i in range(8)], Recipe(**RECIPE), data, 0)

    def places(rank: int, count: int) -> list[list[int]]:
        return list(_loader(dataset, Processes(torch.device("cpu"), rank, count)).batch_sampler)

    whole, first, second = places(0, 1), places(0, 2), places(1, 2)
    assert [len(batch) for batch in whole] == [4, 4] and sorted(whole[0] + whole[1]) == list(range(8))
    assert all(sorted(a + b) == sorted(c) and len(a) == len(b) for a, b, c in zip(first, second, whole, strict=True))


@pytest.mark.long
def test_two_processes_of_accelerate_train_like_one(data, recipe_file, tmp_path):
    pytest.importorskip("accelerate")
    changes = ["--set=network.arch=mobilenet_v2", "--set=lr=0.0001", "--set=head_lr=0.0001", "--set=epochs=1"]
    run = ["aia", "train", str(recipe_file), "--data", str(data), *changes, "--out"]
    launch = [sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes=2"]
    done = subprocess.run(
        [*launch, "--main_process_port=0", "-m", *run, str(tmp_path / "two")], cwd=ROOT, capture_output=True
    )
    assert done.returncode == 0, done.stderr.decode()[-2000:]
    assert main([*run[1:], str(tmp_path / "one")]) == 0
    two, one = (
        [json.loads(line) for line in (tmp_path / name / "history.jsonl").read_text().splitlines()]
        for name in ("two", "one")
    )
    assert [line["epoch"] for line in two] == [1]
    assert np.allclose([line["loss"] for line in two], [line["loss"] for line in one], atol=0.25)
    assert aia.load(tmp_path / "two", device="cpu").config.labels == ("swipe left", "swipe right")


@pytest.mark.long
def test_all_processes_stop_when_the_loss_is_no_longer_a_number(data, recipe_file, tmp_path):
    pytest.importorskip("accelerate")
    changes = ["--set=network.arch=mobilenet_v2", "--set=lr=1e30", "--set=head_lr=1e30"]
    run = ["aia", "train", str(recipe_file), "--data", str(data), *changes, "--out", str(tmp_path / "out")]
    launch = [sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes=2"]
    done = subprocess.run([*launch, "--main_process_port=0", "-m", *run], cwd=ROOT, capture_output=True)
    assert done.returncode != 0 and b"no longer a number after epoch" in done.stderr
    assert not (tmp_path / "out" / "model.safetensors").exists()


def test_an_unreadable_video_is_named_in_a_sentence_also_by_a_worker(tmp_path):
    (tmp_path / "broken.mp4").write_bytes(b"nothing")
    recipe = Recipe(**{**RECIPE, "cache_frames": 0})
    loader = DataLoader(ClipDataset([Sample(tmp_path / "broken.mp4", "l")], recipe, tmp_path, 0), num_workers=1)
    with pytest.raises(AIAError, match=r"broken\.mp4") as caught:
        list(_batches(loader))
    assert "\n" not in str(caught.value)


def test_half_precision_without_a_gpu_is_refused(data, tmp_path):
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(AIAError, match="GPU"):
        train(Recipe(**{**RECIPE, "precision": "float16"}), data, tmp_path)


def test_held_out_scenes_are_never_trained_on(data):
    recipe = Recipe(**RECIPE)
    training, held = split_samples(read_manifest(data), recipe)
    assert {s.file.name for s in held} == {"6.mp4", "7.mp4"}
    assert {s.file.name for s in training} == {"0.mp4", "1.mp4", "2.mp4", "3.mp4"}, "nor are test clips"


@pytest.mark.long
def test_mirrored_and_reversed_clips_change_their_labels(data, tmp_path):
    tables = {"flip": {"0": "1", "1": "0"}, "flip_reverse": {"*": "*"}}  # by the index of the logit, and as they are
    recipe = Recipe(**{**RECIPE, **tables}).resolve()
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


@pytest.mark.slow
def test_the_published_augmentation_crops_at_four_scales_and_mirrors_with_the_label(tmp_path):
    red, green = np.meshgrid(np.linspace(0, 250, 64), np.linspace(0, 250, 48))  # a pixel's colour is its place
    write_mp4(tmp_path / "place.mp4", np.stack([red, green, 0 * red], axis=2).astype(np.uint8)[None].repeat(9, 0), 10)
    network = {**RECIPE["network"], "resize": [48, 64], "mean": [0, 0, 0], "std": [1, 1, 1]}
    recipe = Recipe(network, RECIPE["classes"], flip=RECIPE["flip"], augment="published", cache_frames=0)
    seen = set()
    for epoch in range(40):
        x, y = ClipDataset([Sample(tmp_path / "place.mp4", "r")], recipe, tmp_path, epoch)[0]
        assert x.shape == (4, 3, 32, 32) and torch.allclose(x[0], x[3], atol=0.1), "one crop for the whole clip"
        width = (x[0, 0, :, -1] - x[0, 0, :, 0]).mean().item() * 255 / 250 * 64 / 48
        height = (x[0, 1, -1] - x[0, 1, 0]).mean().item() * 255 / 250
        assert (width > 0) == (y == 1), "a mirrored clip has the other label"
        scales = [min((0.66, 0.75, 0.875, 1), key=lambda s, side=side: abs(s - side)) for side in (abs(width), height)]
        assert np.allclose(scales, [abs(width), height], atol=0.06) and abs(np.subtract(*scales)) < 0.22
        seen |= {("scale", scales[0]), ("label", y)}
    assert len(seen) == 6


def test_the_same_seed_gives_the_same_clips(data, tmp_path):
    sample = [Sample(data / "0.mp4", "r"), Sample(None, "l", seed=3)]
    first, again = (ClipDataset(sample, Recipe(**RECIPE), tmp_path, 5) for _ in range(2))
    assert all(torch.equal(first[i][0], again[i][0]) for i in range(2))
    assert not torch.equal(first[0][0], ClipDataset(sample, Recipe(**RECIPE), tmp_path, 6)[0][0])


@pytest.mark.slow
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


@pytest.mark.slow
def test_start_weights_come_from_a_shipped_model(tmp_path):
    shipped = aia.load("tsn-mobilenetv2-none", device="cpu", optimize=False)
    net = aia.AIANet(shipped.config)
    load_start(net, "tsn-mobilenetv2-none")
    assert all(torch.equal(tensor, shipped.state_dict()[name]) for name, tensor in net.state_dict().items())


@pytest.mark.slow
def test_new_gates_start_as_near_to_one_half_as_the_recipe_says_and_trained_ones_stay(tmp_path):
    recipe = Recipe(**{**RECIPE, "gate_scale": 0.1})
    clips = torch.rand(2, 4, 3, 32, 32)
    net = start_network(recipe, "none").train()
    with recording() as recorded:
        net(clips)
    assert recorded.gates
    for gate in recorded.gates.values():
        assert 0.01 < gate.std() < 0.03 and abs(gate.mean() - 0.5) < 0.02

    trained = start_network(Recipe(**RECIPE), "none")
    trained.save_pretrained(tmp_path / "trained")
    again = start_network(recipe, str(tmp_path / "trained"))
    assert all(torch.equal(t, trained.state_dict()[name]) for name, t in again.state_dict().items())


@pytest.mark.slow
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
        ({}, "neither a csv"),
        ({"a.csv": "", "b.csv": ""}, "2 csv"),
        ({"a.csv": "file,label\nx.mp4,l\n"}, "columns"),
        ({"a.csv": "file,label,split\nx.mp4,l,train\n"}, "x.mp4"),
    ],
)
def test_a_wrong_data_folder_is_named(tmp_path, files, named):
    for name, content in files.items():
        (tmp_path / name).write_text(content)
    with pytest.raises(AIAError, match=named):
        read_manifest(tmp_path)


@pytest.mark.parametrize("labels", ["a\n", "a\nb\na\n"])
def test_labels_that_do_not_fit_the_folders_are_refused(tmp_path, labels):
    for kind in "ab":
        (tmp_path / kind).mkdir()
        (tmp_path / kind / "1.mp4").touch()
    samples = read_manifest(tmp_path)
    assert class_order(tmp_path, samples) == ["a", "b"]
    assert {s.split for s in samples} == {"train"}
    (tmp_path / "labels.txt").write_text(labels)
    with pytest.raises(AIAError, match=r"labels\.txt"):
        class_order(tmp_path, samples)


@pytest.mark.long
def test_the_folder_of_another_run_is_not_resumed(data, tmp_path):
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
        '{"network": {}, "augment": "published", "optimizer": "adam"}',
        '{"network": {}, "augment": "published", "epochs": 0}',
        '{"network": {}, "augment": "published", "ema": 1.5}',
        '{"network": {}, "augment": "published", "lr": NaN}',
        '{"network": {}, "augment": "published", "milestones": ["20"]}',
        '{"network": {}, "augment": "published", "extends": 3}',
    ],
)
def test_a_wrong_recipe_is_refused(tmp_path, content):
    (tmp_path / "r.json").write_text(content)
    with pytest.raises(AIAError):
        Recipe.from_file(tmp_path / "r.json")


def test_a_recipe_extends_another_and_is_changed_on_the_command_line(tmp_path):
    (tmp_path / "base.json").write_text(json.dumps(RECIPE))
    (tmp_path / "more").mkdir()
    child = tmp_path / "more" / "child.json"
    child.write_text('{"extends": "../base.json", "network": {"attention": "c"}, "flip": {}, "epochs": 5}')
    assert Recipe.from_file(child) == Recipe(
        **{**RECIPE, "network": {**RECIPE["network"], "attention": "c"}, "flip": {}, "epochs": 5}
    )
    changed = Recipe.from_file(child, ["network.attention=c->st", "seed=1", 'classes={"l": "x", "r": "y"}', "lr=1e-3"])
    assert changed.config.attention == "c->st" and changed.seed == 1 and changed.lr == 1e-3
    assert changed.config.labels == ("x", "y") and changed.config.arch == "resnet18"
    for wrong in ("sed=1", "network.atention=c", "seed=one", "seed", "lr.x=1"):
        with pytest.raises(AIAError, match=wrong.partition("=")[0].rpartition(".")[2]):
            Recipe.from_file(child, [wrong])


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ("cache_side=100000000", "a whole number of at least 32 and at most 2048"),
        ("cache_frames=1000000000", "at most 4096"),
        ("batch_size=1000000000", "at least 1 and at most 65536"),
        ("negatives=1000000000", "at most 1000000"),
        ("warmup_epochs=1e308", "a number of at least 0 and at most"),
        ("lr=1e300", r"a number of at least 0 and at most 1e\+30"),
        ("epochs=abc", "a whole number of at least 1 and"),
        ("epochs=1.5", "a whole number of at least 1 and"),
        ("negatives=3", "name it in background"),
    ],
)
def test_a_value_out_of_range_is_refused_with_the_range(change, rule, recipe_file):
    with pytest.raises(AIAError, match=rf"{change.partition('=')[0]} .*{rule}"):
        Recipe.from_file(recipe_file, [change])


def test_a_recipe_that_extends_itself_or_nothing_is_refused(tmp_path):
    for name, base in (("a", "b"), ("b", "a"), ("c", "gone")):
        (tmp_path / f"{name}.json").write_text(json.dumps({"extends": f"{base}.json", "network": {}}))
    with pytest.raises(AIAError, match=r"b\.json extends .*a\.json"):
        Recipe.from_file(tmp_path / "a.json")
    with pytest.raises(AIAError, match=r"gone\.json, which .*c\.json extends"):
        Recipe.from_file(tmp_path / "c.json")


@pytest.mark.parametrize("task", ["camera", "actions"])
@pytest.mark.parametrize(
    "change", ['flip={"static": "archery"}', 'reverse={"*": "*"}', "negatives=3", "synthetic_per_epoch=9"]
)
def test_a_field_without_effect_is_refused_and_not_ignored(task, change):
    with pytest.raises(AIAError, match=rf'{change.partition("=")[0]} has no effect with augment "{task}"'):
        Recipe.from_file(CONFIGS / f"{task}.json", [change])


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.json")), ids=lambda path: path.stem)
def test_a_shipped_recipe_is_valid(path):
    recipe = Recipe.from_file(path).resolve([f"class {i}" for i in range(174)])
    for table in (recipe.flip, recipe.reverse, recipe.flip_reverse):
        assert {*table, *table.values()} <= set(recipe.classes)


def test_the_published_recipe_swaps_the_labels_of_mirrored_classes():
    recipe = Recipe.from_file(CONFIGS / "something-something-v1.json").resolve([f"class {i}" for i in range(174)])
    swapped = {old: new for old, new in recipe.flip.items() if old != new}
    assert len(recipe.flip) == 174
    assert swapped == {
        f"class {a}": f"class {b}" for a, b in [(86, 87), (87, 86), (93, 94), (94, 93), (166, 167), (167, 166)]
    }


def test_rendered_clips_follow_recorded_paths_where_the_data_has_them(tmp_path):
    recipe = Recipe(**{**RECIPE, "recorded_fraction": 1.0})
    with pytest.raises(AIAError, match="trajectories"):
        rendered_pool(recipe, tmp_path)
    xy = np.linspace((600, 100), (40, 300), 50, dtype=np.float32)[None]  # from the right to the left
    np.savez(tmp_path / "my_trajectories.npz", train_xy=xy, train_label=np.array(["l"]))
    pool = rendered_pool(recipe, tmp_path)
    assert [s.path is not None for s in pool] == [s.kind == "l" for s in pool]
    followed = next(s for s in pool if s.kind == "l")
    assert np.allclose(followed.path, xy[0] / (640, 480))
    invented = rendered_pool(Recipe(**RECIPE), tmp_path)[pool.index(followed)]
    frames = [load_frames(sample, recipe, tmp_path / "cache") for sample in (followed, invented)]
    assert frames[0].shape[1:] == (40, 40, 3)
    assert frames[0].shape != frames[1].shape or not np.array_equal(*frames)


def test_a_recipe_of_version_0_1_is_read_with_a_warning(tmp_path):
    base = {"network": RECIPE["network"], "rendered": 2, "recorded": 0.5, "head_lr": 0.1}
    (tmp_path / "base.json").write_text(json.dumps(base))
    (tmp_path / "new.json").write_text(json.dumps({"extends": "base.json", "new_lr": 0.2, "recorded_fraction": 0.25}))
    with pytest.warns(DeprecationWarning, match="rendered, which is now synthetic_per_epoch"):
        recipe = Recipe.from_file(tmp_path / "new.json", ["rendered=3"])
    assert (recipe.synthetic_per_epoch, recipe.recorded_fraction, recipe.head_lr) == (3, 0.25, 0.2)
    with pytest.warns(DeprecationWarning, match=r"Recipe\.new_lr is now head_lr"):
        assert recipe.new_lr == recipe.head_lr
    (tmp_path / "both.json").write_text(json.dumps({**base, "new_lr": 0.1}))
    with pytest.raises(AIAError, match="new_lr and head_lr"):
        Recipe.from_file(tmp_path / "both.json")
