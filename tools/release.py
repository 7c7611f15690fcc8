"""Ships a run: weights in half precision, calibration, tables and cards."""

from __future__ import annotations

import argparse
import dataclasses
import json
from collections.abc import Mapping, Sequence
from copy import deepcopy
from pathlib import Path

import numpy as np

from aia import console, files
from aia.errors import AIAError
from aia.evaluation.calibration import calibrate
from aia.evaluation.evaluate import RESULTS, Run, predictions, read_results, recipe_of
from aia.evaluation.metrics import TEMPERATURES, softmax
from aia.evaluation.shipped import folds, shipped
from aia.hub.loading import CONFIG, load
from aia.hub.pretrained import AIANet
from aia.locations import CHECKPOINTS
from aia.modeling.config import AIAConfig
from tools import report

MAX_GAP = 0.01  # of a probability, between the weights as trained and as shipped


def ship(run: str | Path, name: str, data: Path, *, checkpoints: Path = CHECKPOINTS) -> float | None:
    """Copies a run's config, recipe and weights into the shipped models, mostly as float16 if that changes no answer.

    The network still computes in float32: `load` widens what it reads.

    Args:
        run: A folder that `train` wrote.
        name: Of the shipped model.
        data: See `read_manifest`. Its held-out clips are classified with both weights.
        checkpoints: Folder of the models.

    Returns:
        The largest difference of a probability on the held-out clips. None if the weights stay float32, because an answer
        would change, or a probability by more than `MAX_GAP`.

    Raises:
        AIAError: The recipe holds no clip out, a file is missing, or the folder cannot be written.
    """
    recipe, model = recipe_of(run), load(run, device="cpu")
    with files.writing_into(checkpoints / name) as part:
        _halved(model).save_pretrained(part)
        (part / "recipe.json").write_text(recipe.to_json() + "\n", encoding="utf-8")
        both = [predictions(net, data, recipe, ["held-out"]) for net in (model, load(part, device="cpu"))]
        if "held-out" not in both[0]:
            raise AIAError(f"The recipe of {run} holds no clip out, so half precision cannot be checked.")
        before, after = (splits["held-out"].logits for splits in both)
        gap: float | None = float(np.abs(softmax(before) - softmax(after)).max())
        if (before.argmax(1) != after.argmax(1)).any() or (gap or 0) > MAX_GAP:
            gap = None
            model.save_pretrained(part)
        (part / "README.md").unlink()  # `report.update` writes the card
    return gap


def _halved(model: AIANet) -> AIANet:
    """A copy with kernels and matrices in float16. Vectors stay as they are, since batch norm divides by them."""
    copy = deepcopy(model)
    for tensor in copy.parameters():
        if tensor.ndim > 1:
            tensor.data = tensor.data.half()
    return copy


def calibrate_shipped(runs: Mapping[str, Run], checkpoints: Path = CHECKPOINTS) -> list[str]:
    """Writes temperature and threshold (see `calibrate`) into the config.json of every shipped model. Returns sentences."""
    sentences, (low, high) = [], TEMPERATURES
    for name, run in shipped(checkpoints).items():
        held = folds(runs, runs[run].setting) if run in runs else []
        if not held:
            sentences.append(f"{name}: the results file lacks held-out clips of {run}; nothing written")
            continue
        calibration, path = calibrate(held), checkpoints / name / CONFIG
        config = AIAConfig.from_file(path).to_dict() | dataclasses.asdict(calibration)
        files.write_text(path, json.dumps(config, sort_keys=True, indent=2))  # as the Hub's client writes it
        vague = (
            ""
            if low < calibration.temperature < high
            else " (an end of the range: the held-out clips do not settle it)"
        )
        sentences.append(f"{name}: temperature {calibration.temperature:g}{vague}, threshold {calibration.threshold:g}")
    return sentences


def main(arguments: Sequence[str] | None = None) -> int:
    """Ships a run, calibrates the shipped models, or writes the tables of docs/results.md and the cards."""
    parser = argparse.ArgumentParser("python -m tools.release", description="What follows a training run.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND", dest="command")
    command = commands.add_parser("ship", help="copy a run into the shipped models, in half precision if that is safe")
    command.add_argument("run", metavar="RUN")
    command.add_argument("name", metavar="NAME")
    command.add_argument("--data", type=Path, required=True, metavar="DIR")
    for name, help in (
        ("calibrate", "write temperature and threshold of the shipped models"),
        ("update", "write the tables of docs/results.md and the cards"),
    ):
        commands.add_parser(name, help=help).add_argument("--results", metavar="FILE", default=RESULTS)
    options = parser.parse_args(arguments)
    return console.run(lambda: _run(options))


def _run(options: argparse.Namespace) -> None:
    if options.command == "ship":
        gap = ship(options.run, options.name, options.data)
        half = "other answers in half precision, so stored in single"
        same = "" if gap is None else f"the same answers in half precision, probabilities within {gap:.4f}"
        print(f"{options.name}: {same or half}")
    elif options.command == "calibrate":
        print("\n".join(calibrate_shipped(read_results(options.results))))
    else:
        print("\n".join(str(path) for path in report.update(read_results(options.results))))


if __name__ == "__main__":
    raise SystemExit(main())
