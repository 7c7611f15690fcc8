"""What a run does with a damaged cache or folder, other data, and a loss that is no longer a number."""

import json

import numpy as np
import pytest
import torch
from conftest import moving_frames, small_net

from aia import AIAError
from aia.training.data import Sample, load_frames, recorded_paths
from aia.training.recipe import Recipe
from aia.training.train import score, train
from aia.visualization.render import write_mp4

RECIPE = Recipe(
    {"arch": "mobilenet_v2", "attention": "none", "num_segments": 2, "input_size": 32, "resize": [32, 32]},
    epochs=1,
    batch_size=4,
    cache_side=32,
    cache_frames=4,
)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    for split, count in (("train", 4), ("val", 1)):
        for kind in "ab":
            (folder / split / kind).mkdir(parents=True)
            for i in range(count):
                write_mp4(folder / split / kind / f"{i}.mp4", moving_frames(6, 40, 56, seed=i), 10)
    return folder


@pytest.fixture(scope="module")
def finished(data, tmp_path_factory):
    out = tmp_path_factory.mktemp("finished")
    train(RECIPE, data, out)
    return out


@pytest.mark.parametrize("damage", [b"", b"garbage", b"PK\x03\x04", "cut", "shape"])
def test_a_damaged_clip_in_the_cache_is_decoded_again(damage, data, tmp_path):
    sample, recipe = Sample(data / "train" / "a" / "0.mp4", "a"), RECIPE.resolve(["a", "b"])
    frames = np.array(load_frames(sample, recipe, tmp_path))
    (file,) = tmp_path.glob("*.npy")
    whole = file.read_bytes()
    if damage == "shape":
        np.save(file, np.zeros(3, np.uint8))
    else:
        file.write_bytes(whole[:-9] if damage == "cut" else damage)
    assert np.array_equal(load_frames(sample, recipe, tmp_path), frames)
    assert file.read_bytes() == whole


@pytest.mark.parametrize("content", [b"", b"garbage", b"PK\x03\x04"])
def test_damaged_recorded_paths_are_refused_in_a_sentence(content, tmp_path):
    (tmp_path / "my_trajectories.npz").write_bytes(content)
    with pytest.raises(AIAError, match="no readable"):
        recorded_paths(tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("content", [None, b"", b"\xff\xfe{\x00", b'{"epoch": 1\n', b"[]\n", b'{"epoch": 2}\n'])
def test_a_run_whose_history_is_lost_or_damaged_says_so(content, finished, data):
    history = finished / "history.jsonl"
    whole = history.read_bytes()
    try:
        history.unlink() if content is None else history.write_bytes(content)
        with pytest.raises(AIAError, match=r"history\.jsonl is missing or damaged; delete state\.pt beside it"):
            train(RECIPE, data, finished)
    finally:
        history.write_bytes(whole)


@pytest.mark.slow
def test_other_data_need_another_folder(finished, data, tmp_path):
    for split in ("train", "val"):
        for kind in "ab":
            (tmp_path / split / kind).mkdir(parents=True)
    for video in data.rglob("*.mp4"):
        copy = tmp_path / video.relative_to(data)
        copy.with_stem("new").write_bytes(video.read_bytes())
        copy.write_bytes(video.read_bytes())
    with pytest.raises(AIAError, match="other data; give another folder"):
        train(RECIPE, tmp_path, finished)
    for video in tmp_path.rglob("new.mp4"):
        video.unlink()
    train(RECIPE, tmp_path, finished)  # the same clips at another place


@pytest.mark.slow
def test_a_run_of_a_version_that_did_not_keep_its_data_goes_on(finished, data):
    state = torch.load(finished / "state.pt", weights_only=True)
    torch.save({name: value for name, value in state.items() if name != "data"}, finished / "state.pt")
    try:
        train(RECIPE, data, finished)
    finally:
        torch.save(state, finished / "state.pt")


@pytest.mark.slow
def test_a_loss_that_is_no_longer_a_number_ends_the_run_in_a_sentence(data, tmp_path):
    recipe = Recipe(**{**vars(RECIPE), "lr": 1e30, "head_lr": 1e30, "epochs": 3, "warmup_epochs": 0})
    with pytest.raises(AIAError, match=r"no longer a number after epoch \d; lower the recipe's lr or head_lr\."):
        train(recipe, data, tmp_path)
    assert not (tmp_path / "model.safetensors").exists()
    history = (tmp_path / "history.jsonl").read_text()
    assert "NaN" not in history and all(np.isfinite(json.loads(line)["loss"]) for line in history.splitlines())


def test_an_answer_that_is_no_number_is_never_right():
    net = small_net()
    torch.nn.init.constant_(net.head.weight, torch.nan)
    assert score(net, torch.zeros(2, 4, 3, 32, 32), torch.zeros(2, dtype=torch.long))["top1"] == 0
