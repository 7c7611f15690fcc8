"""The command line: everything the page does, without a browser, and the tools around it."""

from __future__ import annotations

import argparse
import glob
import json
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from aia import console
from aia.errors import AIAError
from aia.hub import DEFAULT_MODEL

BATCH, MAX_BATCH = 4, 256  # clips; see aia/inspection/batch.py


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command.

    Returns:
        The exit status: 0, 1 if something could not be done (said on standard error), 2 for wrong usage; else see
        `console.run`.
    """
    return console.run(lambda: _main(sys.argv[1:] if arguments is None else arguments))


def _main(arguments: Sequence[str]) -> int:
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    options = _parser().parse_args(_with_batch(arguments))
    return options.run(options)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m aia", description="Attention in Attention for video classifiers.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    command = commands.add_parser("classify", help="label videos")
    command.add_argument("videos", nargs="+", metavar="VIDEO")
    command.add_argument("--json", action="store_true", help="one JSON object a line for each file")
    command.add_argument(
        "--batch",
        type=int,
        nargs="?",
        const=BATCH,
        default=1,
        metavar="N",
        help=f"clips that go through the network at a time ({BATCH} where N is left out, else 1)",
    )
    add_model_options(command)
    command.set_defaults(run=_classify)

    command = commands.add_parser("inspect", help="label one video and write its gates as npz, json, csv, png and mp4")
    command.add_argument("video", metavar="VIDEO")
    command.add_argument("--out", required=True, metavar="DIR")
    command.add_argument("--block", help="the block to draw; by default the model's own, else the one that varies most")
    command.add_argument(
        "--format",
        action="append",
        metavar="NAME",
        help="write the block in this format instead, such as figure.pdf; may be repeated",
    )
    command.add_argument("--list-formats", action=_ListFormats, nargs=0, help="list the formats and exit")
    add_model_options(command)
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
        "--data",
        required=True,
        type=Path,
        metavar="DIR",
        help="videos and a csv (file, label, split, scene), or CLASS/*.mp4, or SPLIT/CLASS/*.mp4",
    )
    command.add_argument("--out", required=True, metavar="DIR")
    command.add_argument(
        "--init",
        default="none",
        metavar="SOURCE",
        help="start weights: torchvision, a trunk's state dict or a model folder",
    )
    command.add_argument("--cache", type=Path, metavar="DIR", help="decoded clips; OUT/cache by default")
    command.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="another value for a field of the recipe, such as seed=1 or network.attention=stinc; may be repeated",
    )
    command.set_defaults(run=_train)

    command = commands.add_parser("push", help="upload a model folder and its card to the Hub; needs HF_TOKEN")
    command.add_argument("folder", metavar="FOLDER")
    command.add_argument("repo", metavar="USER/REPO")
    command.add_argument("--private", action="store_true", help="if the repository has to be made")
    command.set_defaults(run=_push)

    command = commands.add_parser("evaluate", help="accuracy of models; without one, the tables of the shipped models")
    command.add_argument("models", nargs="*", metavar="MODEL", help="run folders or shipped models")
    command.add_argument("--data", type=Path, metavar="DIR", help="as of train; alone it checks the shipped models")
    command.add_argument("--recipe", metavar="CONFIG", help="where the model's folder has no recipe.json")
    command.add_argument("--split", default="held-out", help="test, background, unknown or (default) held-out")
    command.add_argument("--write", metavar="FILE", help="keep the logits of all splits but test in this file")
    command.add_argument("--test", action="store_true", help="with --write or a check: the test split too")
    command.add_argument("--results", metavar="FILE", help="what the tables are made of; shipped by default")
    command.set_defaults(run=_evaluate)

    command = commands.add_parser("localise", help="whether the gates look at the hand, on drawn clips")
    command.add_argument("model", metavar="MODEL")
    command.add_argument("--clips", type=int, default=300)
    command.add_argument("--seed", type=int, default=0)
    command.add_argument("--json", action="store_true", help="all numbers, those of every block too")
    command.set_defaults(run=_localise)

    return parser


class _ListFormats(argparse.Action):
    """Prints the export formats."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        from aia.visualization.export import FORMATS  # brings OpenCV and FFmpeg; --help should not

        for format in FORMATS.values():
            print(f"{format.name:<16} {format.description}")
        parser.exit()


def add_model_options(command: argparse.ArgumentParser) -> None:
    """The options that name a model and say how it runs."""
    command.add_argument("--model", default=DEFAULT_MODEL, help=f"shipped name, folder or user/repo ({DEFAULT_MODEL})")
    command.add_argument("--revision", help="of a Hub repository")
    command.add_argument("--device", choices=("cpu", "cuda", "mps"), help="the fastest one by default")
    command.add_argument("--precision", choices=("float32", "bfloat16", "float16", "auto"), default="float32")


def _with_batch(arguments: Sequence[str]) -> list[str]:
    """Gives a bare --batch its number, as argparse would take the next file for it."""
    known = list(arguments)
    if known[:1] != ["classify"]:
        return known
    for place, word in enumerate(known):
        if word == "--":
            break
        following = known[place + 1 : place + 2]
        if len(word) > 2 and "--batch".startswith(word) and not (following and _is_number(following[0])):
            known[place] = f"--batch={BATCH}"
    return known


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _expanded(names: Sequence[str]) -> list[str]:
    """Names with every pattern as its matches, since not every shell expands it; a file of that very name goes first."""
    files = []
    for name in names:
        matches = [] if os.path.lexists(name) else sorted(glob.glob(name, recursive=True))  # noqa: PTH207  keeps "./"
        files += matches or [name]
    return files


def _load(options: argparse.Namespace) -> Any:
    return _model(options.model, revision=options.revision, device=options.device, precision=options.precision)


def _model(name: str, **how: Any) -> Any:
    """Loads a model; an error in a folder names the folder as it was given."""
    from aia.hub.loading import load  # torch takes seconds to import; --help should not

    try:
        return load(name, **how)
    except AIAError as error:
        if os.path.isdir(name) and name not in str(error):  # noqa: PTH112  any text is allowed
            raise AIAError(f"{name}: {error}") from None
        raise


def _classify(options: argparse.Namespace) -> int:
    from aia.inspection.batch import classify

    if options.batch < 1:
        raise AIAError(f"A batch has one clip or more, not {options.batch}.")
    if options.batch > MAX_BATCH:
        raise AIAError(f"A batch has {MAX_BATCH} clips or fewer, not {str(options.batch)[:20]}.")
    failed, videos = False, _expanded(options.videos)
    for video, seen in zip(videos, classify(_load(options), videos, batch=options.batch), strict=True):
        if isinstance(seen, AIAError):
            failed = True
            print(seen, file=sys.stderr)
            if options.json:
                print(json.dumps({"file": video, "error": str(seen)}), flush=True)
            continue
        if options.json:
            answer = {
                "file": video,
                "label": seen.label,
                "sure": seen.is_confident,
                "scores": seen.scores,
                "model": options.model,
            }
            print(json.dumps({**answer, "frames": seen.indices.tolist()}), flush=True)
        else:
            print(f"{video}: {_answer(seen)}", flush=True)
            for warning in seen.warnings:
                print(f"  {warning}", file=sys.stderr)
    return int(failed)


def _answer(seen: Any) -> str:
    """What an inspection says, in a few words."""
    return f"{'' if seen.is_confident else 'not sure; closest: '}{seen.label} ({seen.probabilities.max():.0%})"


def _inspect(options: argparse.Namespace) -> int:
    from aia.inspection.inspection import inspect
    from aia.video.reader import read_clip
    from aia.visualization.export import save

    videos = _expanded([options.video])
    if len(videos) > 1:
        raise AIAError(f"{options.video} matches {len(videos)} files; inspect takes one.")
    model = _load(options)
    seen = inspect(model, read_clip(videos[0], model.config.num_segments, display_name=videos[0]))
    files = save(seen, options.out, block=options.block, formats=options.format)
    print(f"{videos[0]}: {_answer(seen)}")
    print(f"{options.out}: {', '.join(file.name for file in files)}")
    return 0


def _convert(options: argparse.Namespace) -> int:
    from aia.hub.convert import convert

    model = convert(options.checkpoint, options.out, net=options.net, labels=options.labels, segments=options.segments)
    print(
        f"{options.out}: {model.config.title}, {model.config.num_classes} classes, {model.config.num_segments} segments"
    )
    return 0


def _train(options: argparse.Namespace) -> int:
    from aia.training.recipe import Recipe
    from aia.training.train import train

    recipe = Recipe.from_file(options.recipe, options.set)
    train(recipe, options.data, options.out, init=options.init, cache=options.cache)
    return 0


def _push(options: argparse.Namespace) -> int:
    from aia.hub.push import push

    print(push(options.folder, options.repo, private=options.private))
    return 0


def _evaluate(options: argparse.Namespace) -> int:
    return _evaluate_models(options) if options.models else _report(options)


def _evaluate_models(options: argparse.Namespace) -> int:
    from aia import files
    from aia.evaluation.evaluate import SPLITS, evaluate, measure, recipe_of, write_results

    if options.data is None:
        raise AIAError("Evaluating a model needs clips; give their folder with --data.")
    models = _expanded(options.models)
    if options.write:
        files.check(options.write)
    for name in models:
        model, recipe = _model(name), recipe_of(name, options.recipe)
        if options.write:
            run = measure(model, options.data, recipe, (*SPLITS, "test") if options.test else SPLITS)
            write_results([run], options.write)
            print(f"{options.write}: {run.name}, {sum(len(s.clips) for s in run.splits.values())} clips")
        else:
            print(json.dumps({"model": name, **evaluate(model, options.data, recipe, options.split)}), flush=True)
    return 0


def _report(options: argparse.Namespace) -> int:
    from aia.evaluation.evaluate import RESULTS, read_results
    from aia.evaluation.report import tables
    from aia.evaluation.shipped import check

    runs = read_results(options.results or RESULTS)
    print("\n".join(check(runs, options.data, test=options.test)) if options.data else tables(runs))
    return 0


def _localise(options: argparse.Namespace) -> int:
    from aia.evaluation.localization import localise

    result = localise(_model(options.model), clips=options.clips, seed=options.seed)
    print(json.dumps(result.to_dict(), indent=1) if options.json else result.to_markdown())
    return 0
