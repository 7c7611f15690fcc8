"""The shipped models: the run of each, and whether it still gives the run's results."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from aia.evaluation.evaluate import SPLITS, TEST_SPLITS, Run, Setting, differences, measure, recipe_of, run_name
from aia.hub.loading import load
from aia.locations import CHECKPOINTS
from aia.training.recipe import Recipe


def shipped(checkpoints: Path = CHECKPOINTS, task: str = "gestures") -> dict[str, str]:
    """Shipped model of a task -> name of its run, by the recipe beside it."""
    runs = {}
    for path in sorted(checkpoints.glob("*/recipe.json")):
        recipe = Recipe.from_file(path)
        if (recipe.config.task or "gestures") != task:
            continue
        runs[path.parent.name] = run_name(recipe.config.temporal, recipe.config.attention, recipe.seed)
    return runs


def of_setting(runs: Mapping[str, Run], setting: Setting) -> list[Run]:
    """The runs of a setting, sorted by seed."""
    return sorted((run for run in runs.values() if run.setting == setting), key=lambda run: run.seed)


def folds(runs: Mapping[str, Run], setting: Setting) -> list[Run]:
    """The runs of a setting that have held-out clips, to calibrate on."""
    return [run for run in of_setting(runs, setting) if "held-out" in run.splits]


def check(
    runs: Mapping[str, Run],
    data: str | Path,
    *,
    test: bool = False,
    task: str = "gestures",
    checkpoints: Path = CHECKPOINTS,
) -> list[str]:
    """Classifies the clips of the results file again, with the shipped weights.

    Args:
        runs: Of the results file.
        data: See `read_manifest`.
        test: Whether to include the test clips.
        task: Of the models.
        checkpoints: Folder of the models.

    Returns:
        A sentence per model and split: whether the answers equal those of the results file, and how far the logits differ.
    """
    sentences = []
    for name, run in shipped(checkpoints, task).items():
        folder = checkpoints / name
        if run in runs:
            fresh = measure(load(folder), data, recipe_of(folder), (*SPLITS, *TEST_SPLITS) if test else SPLITS)
            sentences += [f"{name}, {line}" for line in differences(runs[run], fresh)]
        else:
            sentences.append(f"{name}: the results file lacks its run, {run}")
    return sentences
