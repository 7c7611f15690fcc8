"""The shipped models: their weights in half precision, their calibration, and whether they give the stored results."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path

import numpy as np

from aia import files
from aia.errors import AIAError
from aia.evaluation.calibration import calibrate
from aia.evaluation.evaluate import SPLITS, Run, differences, measure, predictions, recipe_of, run_name
from aia.evaluation.metrics import TEMPERATURES, softmax
from aia.hub.loading import CHECKPOINTS, CONFIG, load
from aia.modeling.config import AIAConfig
from aia.modeling.network import AIANet
from aia.training.recipe import Recipe

MAX_GAP = 0.01  # of a probability, between the weights as trained and as shipped


def ship(run: str | Path, name: str, data: Path, *, checkpoints: Path = CHECKPOINTS) -> float | None:
    """Copies a run's config, recipe and weights into the shipped models, mostly as float16 where that changes no answer.

    The network still computes in float32: `load` widens what it reads.

    Args:
        run: A folder that `train` wrote.
        name: Of the shipped model.
        data: See `read_manifest`; its held-out clips are classified with both weights.
        checkpoints: Where the models lie.

    Returns:
        The largest difference of a probability on the held-out clips; None where an answer would change or a probability
        move by more than `MAX_GAP`, so that the weights stay float32.

    Raises:
        AIAError: The recipe holds no clip out, a file is missing, or the folder cannot be written.
    """
    recipe, model = recipe_of(run), load(run, device="cpu")
    with files.writing_into(checkpoints / name) as part:
        _halved(model).save_pretrained(part)
        (part / "recipe.json").write_text(recipe.to_json() + "\n", encoding="utf-8")
        found = [predictions(net, data, recipe, ["held-out"]) for net in (model, load(part, device="cpu"))]
        if "held-out" not in found[0]:
            raise AIAError(f"The recipe of {run} holds no clip out, so half precision cannot be checked.")
        before, after = (split["held-out"].logits for split in found)
        gap = float(np.abs(softmax(before) - softmax(after)).max())
        if (before.argmax(1) != after.argmax(1)).any() or gap > MAX_GAP:
            gap = None
            model.save_pretrained(part)
        (part / "README.md").unlink()  # `report.update` writes the card
    return gap


def _halved(model: AIANet) -> AIANet:
    """A copy with its kernels and matrices in float16; vectors, which batch norm divides by, stay as they are."""
    copy = deepcopy(model)
    for tensor in copy.parameters():
        if tensor.ndim > 1:
            tensor.data = tensor.data.half()
    return copy


def shipped(checkpoints: Path = CHECKPOINTS) -> dict[str, str]:
    """Shipped model -> the run that it is, by the recipe beside it."""
    found = {}
    for path in sorted(checkpoints.glob("*/recipe.json")):
        recipe = Recipe.from_file(path)
        found[path.parent.name] = run_name(recipe.config.temporal, recipe.config.attention, recipe.seed)
    return found


def of_setting(runs: Mapping[str, Run], setting: tuple[str, str]) -> list[Run]:
    """The runs of a setting, by their seeds."""
    return sorted((run for run in runs.values() if run.setting == setting), key=lambda run: run.seed)


def folds(runs: Mapping[str, Run], setting: tuple[str, str]) -> list[Run]:
    """The runs of a setting that have held-out clips, to calibrate on."""
    return [run for run in of_setting(runs, setting) if "held-out" in run.splits]


def check(runs: Mapping[str, Run], data: Path, *, test: bool = False, checkpoints: Path = CHECKPOINTS) -> list[str]:
    """Classifies the clips of the results file again, with the shipped weights.

    Args:
        runs: Of the results file.
        data: See `read_manifest`.
        test: The test clips too.
        checkpoints: Where the models lie.

    Returns:
        A sentence for each model and split: whether the answers are those of the results file, and how far the logits are.
    """
    said = []
    for name, run in shipped(checkpoints).items():
        folder = checkpoints / name
        if run in runs:
            fresh = measure(load(folder), data, recipe_of(folder), (*SPLITS, "test") if test else SPLITS)
            said += [f"{name}, {line}" for line in differences(runs[run], fresh)]
        else:
            said.append(f"{name}: the results file lacks its run, {run}")
    return said


def calibrate_shipped(runs: Mapping[str, Run], checkpoints: Path = CHECKPOINTS) -> list[str]:
    """Writes temperature and threshold (see `calibrate`) into the config.json of every shipped model; says which."""
    said, (low, high) = [], TEMPERATURES
    for name, run in shipped(checkpoints).items():
        held = folds(runs, runs[run].setting) if run in runs else []
        if not held:
            said.append(f"{name}: the results file lacks held-out clips of {run}; nothing written")
            continue
        found, path = calibrate(held), checkpoints / name / CONFIG
        config = AIAConfig.from_file(path).to_dict() | dataclasses.asdict(found)
        files.write_text(path, json.dumps(config, sort_keys=True, indent=2))  # as the Hub's client writes it
        vague = "" if low < found.temperature < high else " (an end of the range: the held-out clips do not settle it)"
        said.append(f"{name}: temperature {found.temperature:g}{vague}, threshold {found.threshold:g}")
    return said
