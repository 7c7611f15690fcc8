"""A run's numbers arrive at a tracker, epoch by epoch."""

import json

import pytest
from conftest import moving_frames
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import aia
from aia.training.recipe import Recipe
from aia.training.train import train
from aia.visualization.render import write_mp4

RECIPE = {
    "network": {"arch": "mobilenet_v2", "attention": "c", "num_segments": 2, "input_size": 32, "resize": [32, 32]},
    "epochs": 2,
    "batch_size": 2,
    "cache_side": 40,
    "cache_frames": 4,
}


@pytest.mark.slow
def test_tensorboard_shows_the_history_of_a_run(tmp_path):
    for index in range(4):
        folder = tmp_path / "data" / "train" / ("left", "right")[index % 2]
        folder.mkdir(parents=True, exist_ok=True)
        write_mp4(folder / f"{index}.mp4", moving_frames(4, 40, 56, seed=index), 10)
    train(Recipe(**RECIPE), tmp_path / "data", tmp_path / "run", tracker="tensorboard")
    events = EventAccumulator(str(tmp_path / "run" / "logs" / "run"))
    events.Reload()
    logged = [(scalar.step, pytest.approx(scalar.value)) for scalar in events.Scalars("loss")]
    history = [json.loads(line) for line in (tmp_path / "run" / "history.jsonl").read_text().splitlines()]
    assert logged == [(line["epoch"], line["loss"]) for line in history] and len(history) == 2


def test_a_tracker_that_cannot_be_used_is_said_before_the_run(tmp_path):
    with pytest.raises(aia.AIAError, match="There is no tracker 'abacus'; choose one of aim, "):
        train(Recipe(**RECIPE), tmp_path, tmp_path / "run", tracker="abacus")
    with pytest.raises(aia.AIAError, match="package of the tracker comet_ml is not installed"):
        train(Recipe(**RECIPE), tmp_path, tmp_path / "run", tracker="comet_ml")
    assert not (tmp_path / "run").exists()
