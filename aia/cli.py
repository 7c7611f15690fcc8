"""The command line: everything the page does, without a browser, and the tools around it."""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from aia.errors import AIAError

DEFAULT_MODEL = "tsm-mobilenetv2-cinst"


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command.

    Returns:
        The exit status: 0, 1 if something could not be done (said on standard error), 2 for wrong usage.
    """
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    options = _parser().parse_args(arguments)
    try:
        return options.run(options)
    except AIAError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m aia", description="Attention in Attention for video classifiers.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    command = commands.add_parser("classify", help="label videos")
    command.add_argument("videos", nargs="+", metavar="VIDEO")
    command.add_argument("--json", action="store_true", help="one JSON object a line for each file")
    _model_options(command)
    command.set_defaults(run=_classify)

    command = commands.add_parser("inspect", help="label one video and write its gates as npz, json, csv, png and mp4")
    command.add_argument("video", metavar="VIDEO")
    command.add_argument("--out", required=True, type=Path, metavar="DIR")
    command.add_argument("--block", help="the block to draw; the liveliest by default")
    _model_options(command)
    command.set_defaults(run=_inspect)

    command = commands.add_parser("convert", help="turn a published-format checkpoint into a model folder")
    command.add_argument("checkpoint", metavar="CKPT.pth.tar")
    command.add_argument("--net", required=True, help="the published net file, such as TSM_CinST_BN")
    command.add_argument("--segments", type=int, default=8, help="frames per clip it was trained with (8)")
    command.add_argument(
        "--labels", required=True, metavar="FILE", help="one label a line, in the order of the classes"
    )
    command.add_argument("--out", required=True, metavar="DIR")
    command.set_defaults(run=_convert)

    command = commands.add_parser("train", help="train a network by a recipe; goes on where it was killed")
    command.add_argument("recipe", metavar="CONFIG")
    command.add_argument(
        "--data", required=True, type=Path, metavar="DIR", help="videos and a csv: file, label, split, scene"
    )
    command.add_argument("--out", required=True, type=Path, metavar="DIR")
    command.add_argument(
        "--init",
        default="none",
        metavar="SOURCE",
        help="start weights: torchvision, a trunk's state dict or a model folder",
    )
    command.add_argument("--cache", type=Path, metavar="DIR", help="decoded clips; OUT/cache by default")
    command.set_defaults(run=_train)

    command = commands.add_parser("evaluate", help="accuracy of a model on a labelled folder")
    command.add_argument("model", metavar="MODEL")
    command.add_argument("--data", required=True, type=Path, metavar="DIR")
    command.add_argument(
        "--recipe", required=True, metavar="CONFIG", help="says which class of the data has which label"
    )
    command.add_argument("--split", default="test")
    command.set_defaults(run=_evaluate)

    command = commands.add_parser("bench", help="time decoding, the network, gates, drawing and the whole request")
    command.add_argument("--video", metavar="VIDEO", help="a video of your own; otherwise one is drawn")
    command.add_argument("--repeats", type=int, default=9)
    _model_options(command)
    command.set_defaults(run=_bench)
    return parser


def _model_options(command: argparse.ArgumentParser) -> None:
    command.add_argument("--model", default=DEFAULT_MODEL, help=f"shipped name, folder or user/repo ({DEFAULT_MODEL})")
    command.add_argument("--revision", help="of a Hub repository")
    command.add_argument("--device", choices=("cpu", "cuda", "mps"), help="the fastest one by default")


def _load(options: argparse.Namespace) -> Any:
    from aia.hub import load  # torch takes seconds to import; --help should not

    return load(options.model, revision=options.revision, device=options.device)


def _classify(options: argparse.Namespace) -> int:
    from aia.inspection import inspect
    from aia.video import read_clip

    model = _load(options)
    failed = False
    for video in options.videos:
        try:
            seen = inspect(model, read_clip(video, model.config.num_segments))
        except AIAError as error:
            failed = True
            print(error, file=sys.stderr)
            if options.json:
                print(json.dumps({"file": video, "error": str(error)}), flush=True)
            continue
        if options.json:
            answer = {"file": video, "label": seen.label, "scores": seen.scores, "model": options.model}
            print(json.dumps({**answer, "frames": seen.clip.indices.tolist()}), flush=True)
        else:
            print(f"{video}: {seen.label} ({seen.probabilities.max():.0%})", flush=True)
            for warning in seen.clip.warnings:
                print(f"  {warning}", file=sys.stderr)
    return int(failed)


def _inspect(options: argparse.Namespace) -> int:
    from aia.inspection import inspect
    from aia.video import read_clip

    model = _load(options)
    seen = inspect(model, read_clip(options.video, model.config.num_segments))
    files = seen.save(options.out, block=options.block)
    print(f"{options.video}: {seen.label} ({seen.probabilities.max():.0%})")
    print(f"{options.out}: {', '.join(file.name for file in files)}")
    return 0


def _convert(options: argparse.Namespace) -> int:
    from aia.convert import convert

    model = convert(options.checkpoint, options.out, net=options.net, labels=options.labels, segments=options.segments)
    print(
        f"{options.out}: {model.config.title}, {model.config.num_classes} classes, {model.config.num_segments} segments"
    )
    return 0


def _train(options: argparse.Namespace) -> int:
    from aia.training.recipe import Recipe
    from aia.training.train import train

    train(Recipe.from_file(options.recipe), options.data, options.out, init=options.init, cache=options.cache)
    return 0


def _evaluate(options: argparse.Namespace) -> int:
    from aia.hub import load
    from aia.training.evaluate import evaluate
    from aia.training.recipe import Recipe

    result = evaluate(load(options.model), options.data, Recipe.from_file(options.recipe), options.split)
    print(json.dumps(result, indent=1))
    return 0


def _bench(options: argparse.Namespace) -> int:
    from aia.bench import bench

    print(bench(_load(options), video=options.video, repeats=options.repeats))
    return 0
