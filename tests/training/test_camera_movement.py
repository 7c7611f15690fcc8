"""Camera movement: what is rendered is what is measured, and what a label says after a mirror, a turn or backwards."""

import csv
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from conftest import ROOT
from drawn_clips import camera_clip

import aia
from aia.evaluation.evaluate import measure, recipe_of
from aia.synthetic.camera_scenes import MOVEMENTS, render_camera
from aia.training import camera, resident
from aia.training.bank import Bank
from aia.training.camera_batches import CameraBatches, change, labeled_windows, transform
from aia.training.camera_tracks import camera_steps
from aia.training.data import Sample
from aia.training.recipe import Recipe
from aia.training.train import train

MOVING = camera.LABELS[1:-1]
FLAT = torch.zeros(1, 1, 1, 1)


def measured(clip):
    """The label that corner tracks find in a clip `[T, 3, S, S]`, 0 to 1."""
    pictures = (clip.permute(0, 2, 3, 1).numpy() * 255).astype(np.uint8)
    return camera.label_of(camera_steps(np.stack([cv2.cvtColor(p, cv2.COLOR_RGB2GRAY) for p in pictures])))


def clip_of(label, frames=12):
    """A clip over a painted scene whose content moves steadily by twice the least plain amount."""
    number, sign = divmod(camera.LABELS.index(label) - 1, 2)
    content = torch.zeros(1, frames, 4)
    content[0, :, number] = torch.linspace(0, 2 * camera.PLAIN[number], frames) * (1 - 2 * sign)
    ground = torch.from_numpy(render_camera("static", "mix", 3, seconds=0.05)[:1]).permute(0, 3, 1, 2)
    pictures = ground[None].expand(1, frames, -1, -1, -1)
    return camera.warp(pictures, content, 160, torch.tensor([[0.0, 0.0, 0.8, 0.8]]), FLAT)[0]


@pytest.mark.slow
@pytest.mark.parametrize("label", MOVING)
def test_a_rendered_movement_is_measured_as_its_label(label):
    assert camera.LABELS[measured(clip_of(label))] == label


@pytest.mark.slow
@pytest.mark.parametrize("label", [label for label in MOVEMENTS if label != "static"])
def test_a_drawn_scene_moves_as_its_label_says(label):
    frames = render_camera(label, "shelves", 5)[::3]
    gray = np.stack([cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in frames])
    assert camera.LABELS[camera.label_of(camera_steps(gray))] == label


@pytest.mark.slow
@pytest.mark.parametrize("copy", [(True, False, 0), (False, True, 0), (False, False, 1), (True, True, 3)])
@pytest.mark.parametrize("label", ["pan left", "tilt down", "zoom in", "roll clockwise"])
def test_a_changed_copy_is_measured_as_its_changed_label(label, copy):
    expected = camera.changed(camera.LABELS.index(label), change(*copy))
    assert camera.LABELS[measured(transform(clip_of(label), *copy).contiguous())] == camera.LABELS[expected]


@pytest.mark.parametrize(
    ("label", "mirrored", "backwards", "turned"),
    [
        ("pan left", "pan right", "pan right", "tilt up"),
        ("tilt up", "tilt up", "tilt down", "pan right"),
        ("zoom in", "zoom in", "zoom out", "zoom in"),
        ("roll clockwise", "roll counter-clockwise", "roll counter-clockwise", "roll clockwise"),
        ("static", "static", "static", "static"),
    ],
)
def test_labels_of_copies(label, mirrored, backwards, turned):
    index = camera.LABELS.index(label)
    copies = [camera.LABELS[camera.changed(index, change(*c))] for c in ((1, 0, 0), (0, 1, 0), (0, 0, 1))]
    assert copies == [mirrored, backwards, turned]


def steps(**moved):
    """Twelve equal steps."""
    total = np.array([moved.get(name, 0.0) for name in ("right", "down", "scale", "turn")], np.float32)
    return np.tile(total / 12, (12, 1))


def test_only_a_plain_movement_has_a_label():
    assert camera.LABELS[camera.label_of(steps(right=0.3))] == "pan left"
    assert camera.label_of(steps(right=0.1)) is None  # neither still nor plain
    assert camera.label_of(steps(right=0.3, down=0.25)) is None  # two at a time
    there_and_back = np.concatenate([steps(right=0.5), steps(right=-0.5)])
    assert camera.LABELS[camera.label_of(there_and_back)] == camera.NONE
    lost = steps(right=0.3)
    lost[:4] = np.nan
    assert camera.label_of(lost) is None


def test_windows_of_a_clip_have_their_own_labels():
    found = labeled_windows(np.concatenate([steps(right=0.4), steps(), steps(scale=0.5)]))
    labels = {camera.LABELS[label] for _, _, label in found}
    assert {"pan left", "static", "zoom in"} <= labels
    assert all(0 <= begin < end <= 36 for begin, end, _ in found)


def batches(seed):
    clips = [render_camera(label, "mix", 7)[::3] for label in ("static", "pan left", "zoom in")]
    measured_steps = [camera_steps(np.stack([cv2.cvtColor(f, cv2.COLOR_RGB2GRAY) for f in clip])) for clip in clips]
    bank, stills = Bank.of([*clips], "cpu"), Bank.of([clip[:1] for clip in clips], "cpu")
    return CameraBatches(
        bank, list(map(labeled_windows, measured_steps)), ["a", "b", "c"], stills, size=48, frames=4, seed=seed
    )


@pytest.mark.slow
def test_a_batch_depends_on_its_seed_alone():
    (x, y), (again, labels), (other, _) = (batches(seed)(12) for seed in (1, 1, 2))
    assert x.shape == (12, 4, 3, 48, 48) and x.min() >= 0 and x.max() <= 1
    assert torch.equal(x, again) and torch.equal(y, labels) and not torch.equal(x, other)


@pytest.mark.parametrize("file", ["file_1.mp4", "static/file_1.mp4"])
def test_pictures_of_scenes_that_are_not_trained_on_are_not_rendered_over(tmp_path, file):
    (tmp_path / "stills").mkdir()
    for name in ("kept_1", "held_1", "tested_1", "file_1", "other"):
        cv2.imwrite(str(tmp_path / "stills" / f"{name}.png"), np.full((8, 8, 3), len(name), np.uint8))
    clips = [
        Sample(Path(f"{name}.mp4"), "static", name, split) for name, split in (("kept", "train"), ("tested", "test"))
    ]
    recipe = Recipe.from_file(ROOT / "aia/training/configs/camera.json", [f'holdout=["held", "{file}"]'])
    train_on, held = (len(resident._stills(tmp_path, clips, recipe, held_out)) for held_out in (False, True))
    assert (train_on, held) == (2, 2)


@pytest.mark.long
def test_a_camera_model_is_trained_and_evaluated(tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    for index, label in enumerate(("static", "pan left", "pan right", "zoom in")):
        for split in ("train", "test"):
            camera_clip(data / f"{label.replace(' ', '-')}-{split}.mp4", label, 20 + index + 10 * (split == "test"))
    with (data / "camera.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["file", "label", "split", "scene"])
        for label in ("static", "pan left", "pan right", "zoom in"):
            for split in ("train", "test"):
                given = (
                    "" if (label, split) == ("pan right", "train") else label
                )  # a clip whose movement nobody labeled
                table.writerow([f"{label.replace(' ', '-')}-{split}.mp4", given, split, f"{label}-{split}"])
    changes = [
        *("epochs=2", "clips_per_epoch=12", "batch_size=6", "network.input_size=32", "network.resize=[32, 32]"),
        *("network.num_segments=4", "holdout=[]"),
    ]
    recipe = Recipe.from_file(ROOT / "aia/training/configs/camera.json", changes)
    model = train(recipe, data, tmp_path / "run")
    assert model.config.labels == camera.LABELS and model.config.task == "camera"
    card = (tmp_path / "run" / "README.md").read_text(encoding="utf-8")
    assert "on 12 clips in each epoch, made from the clips" in card
    loaded = aia.load(tmp_path / "run", device="cpu")
    run = measure(loaded, data, recipe_of(tmp_path / "run"), ("test", "copies", "held"))
    assert len(run.splits["test"].clips) == len(run.splits["held"].clips) == 4
    assert "rendered" not in measure(loaded, data, recipe_of(tmp_path / "run"), ("rendered", "test")).splits, (
        "none is held out"
    )
    copies = dict(zip(run.splits["copies"].clips, run.splits["copies"].targets, strict=True))
    assert run.labels[copies["pan-left-test.mp4/mirrored"]] == "pan right"
    assert run.labels[copies["pan-left-test.mp4/turned"]] == "tilt up"
