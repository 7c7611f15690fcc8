"""The shipped models: which run each one is, and whether it still gives that run's results."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from aia.evaluation.evaluate import SPLITS, Run, differences, measure, recipe_of, run_name
from aia.hub.loading import load
from aia.locations import CHECKPOINTS
from aia.training.recipe import Recipe


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
