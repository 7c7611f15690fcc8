"""Commands about clips: classify, inspect, live."""

from __future__ import annotations

import argparse
import json
import sys
from typing import TYPE_CHECKING, Any

from aia.cli.options import BATCH, MAX_BATCH, add_model_options, expanded, load_chosen, load_model
from aia.errors import AIAError
from aia.hub import ALL_MODELS, DEFAULT_MODEL

if TYPE_CHECKING:
    from aia.cli.options import Commands
    from aia.inspection.batch import Classified
    from aia.inspection.inspection import Prediction


def add(commands: Commands) -> None:
    """Adds these commands."""
    _add_classify(commands)
    _add_inspect(commands)
    _add_live(commands)


def _add_classify(commands: Commands) -> None:
    command = commands.add_parser(
        "classify", help="label videos", description="With --model all, one shipped model of each group answers."
    )
    command.add_argument("videos", nargs="+", metavar="VIDEO")
    command.add_argument("--json", action="store_true", help="print one JSON object per file and line")
    command.add_argument(
        "--batch",
        type=int,
        nargs="?",
        const=BATCH,
        default=1,
        metavar="N",
        help=f"clips that go through the network at a time ({BATCH} if N is left out, otherwise 1)",
    )
    add_model_options(command)
    command.set_defaults(run=_classify)


def _classify(options: argparse.Namespace) -> int:
    from aia.inspection.batch import classify

    if options.batch < 1:
        raise AIAError(f"A batch has one clip or more, not {options.batch}.")
    if options.batch > MAX_BATCH:
        raise AIAError(f"A batch has {MAX_BATCH} clips or fewer, not {str(options.batch)[:20]}.")
    _refuse_revision_of_all(options)
    failed, videos = False, expanded(options.videos)
    if options.model == ALL_MODELS:
        return _classify_all(options, videos)
    for video, result in zip(videos, classify(load_chosen(options), videos, batch=options.batch), strict=True):
        if isinstance(result, AIAError):
            failed = True
            _print_error(video, result, options)
            continue
        if options.json:
            print(json.dumps({"file": video, **_fields(result, options.model)}), flush=True)
        else:
            print(f"{video}: {_answer(result)}", flush=True)
            for warning in result.warnings:
                print(f"  {warning}", file=sys.stderr)
    return int(failed)


def _refuse_revision_of_all(options: argparse.Namespace) -> None:
    if options.model == ALL_MODELS and options.revision:
        raise AIAError(
            f"{ALL_MODELS!r} stands for shipped models, and only repositories of the Hub have revisions; give no revision."
        )


def _classify_all(options: argparse.Namespace, videos: list[str]) -> int:
    """A line for each file and group, or one JSON object for each file."""
    from aia.hub.groups import asked_models
    from aia.inspection.batch import classify_all

    failed, names = False, asked_models()
    if not names:
        raise AIAError(f"No shipped model belongs to a group; give a folder or user/repo instead of {ALL_MODELS}.")
    models = [load_model(name, device=options.device, precision=options.precision) for name in names.values()]
    for video, answers in zip(videos, classify_all(models, videos, batch=options.batch), strict=True):
        if isinstance(answers, AIAError):
            failed = True
            _print_error(video, answers, options)
            continue
        groups: dict[str, Any] = {}
        for (task, name), answer in zip(names.items(), answers, strict=True):
            if isinstance(answer, AIAError):
                failed = True
                print(f"{video}: {task}: {answer}", file=sys.stderr)
                groups[task] = {"error": str(answer), "model": name}
                continue
            groups[task] = _fields(answer, name)
            if not options.json:
                print(f"{video}: {task}: {_answer(answer)}", flush=True)
        if options.json:
            print(json.dumps({"file": video, "model": ALL_MODELS, "answers": groups}), flush=True)
        else:
            for warning in dict.fromkeys(
                warning for answer in answers if not isinstance(answer, AIAError) for warning in answer.warnings
            ):
                print(f"  {warning}", file=sys.stderr)
    return int(failed)


def _print_error(video: str, error: AIAError, options: argparse.Namespace) -> None:
    print(error, file=sys.stderr)
    if options.json:
        print(json.dumps({"file": video, "error": str(error)}), flush=True)


def _fields(result: Classified, model: str) -> dict[str, Any]:
    return {**result.answer(), "model": model, "frames": result.indices.tolist(), "warnings": list(result.warnings)}


def _answer(prediction: Prediction) -> str:
    certainty = "" if prediction.is_confident else "not sure; closest: "
    return f"{certainty}{prediction.label} ({prediction.probabilities.max():.0%})"


def _add_inspect(commands: Commands) -> None:
    command = commands.add_parser("inspect", help="label one video and write its gates as npz, json, csv, png and mp4")
    command.add_argument("video", metavar="VIDEO")
    command.add_argument("--out", required=True, metavar="DIR")
    command.add_argument("--block", help="the block to draw; by default the model's own, or else the most dynamic one")
    command.add_argument(
        "--format",
        action="append",
        metavar="NAME",
        help="write the block in this format instead, such as figure.pdf; may be repeated",
    )
    command.add_argument("--list-formats", action=_ListFormats, nargs=0, help="list the formats and exit")
    add_model_options(command)
    command.set_defaults(run=_inspect)


class _ListFormats(argparse.Action):
    """Prints the export formats."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        from aia.visualization.export import FORMATS  # brings OpenCV and FFmpeg; --help should not

        for format in FORMATS.values():
            print(f"{format.name:<16} {format.description}")
        parser.exit()


def _inspect(options: argparse.Namespace) -> int:
    from aia.inspection.inspection import inspect
    from aia.video.reader import read_clip
    from aia.visualization.export import save

    videos = expanded([options.video])
    if len(videos) > 1:
        raise AIAError(f"{options.video} matches {len(videos)} files; inspect takes one.")
    model = load_chosen(options)
    result = inspect(model, read_clip(videos[0], model.config.num_segments, display_name=videos[0]))
    files = save(result, options.out, block=options.block, formats=options.format)
    print(f"{videos[0]}: {_answer(result)}")
    for warning in result.clip.warnings:
        print(f"  {warning}", file=sys.stderr)
    print(f"{options.out}: {', '.join(file.name for file in files)}")
    return 0


def _add_live(commands: Commands) -> None:
    command = commands.add_parser(
        "live",
        help="label what a camera sees, all the time",
        description="Opens a window with the gates if OpenCV can, and otherwise prints a line of JSON for every answer. "
        "With --model all, one shipped model of each group answers. Pictures are never written to disk.",
    )
    command.add_argument(
        "source", nargs="?", default="0", metavar="SOURCE", help="a camera's number or a video file (0)"
    )
    add_model_options(command)
    command.add_argument(
        "--task", choices=("gestures", "camera", "actions"), help="take the shipped model that answers for this group"
    )
    command.add_argument("--seconds", type=float, default=2.5, help="length of video behind each answer (2.5)")
    command.add_argument("--interval", type=float, default=0.1, help="seconds between two answers, at least (0.1)")
    command.add_argument("--fast", action="store_true", help="play a file as fast as its answers come")
    command.add_argument(
        "--mirror", action=argparse.BooleanOptionalAction, help="mirror the pictures; a camera's are by default"
    )
    command.add_argument("--json", action="store_true", help="print lines of JSON even if there is a display")
    command.add_argument("--window", action="store_true", help="open a window, or say why that is impossible")
    command.set_defaults(run=_live, model=None)


def _live(options: argparse.Namespace) -> int:
    from aia.cli import live
    from aia.hub.groups import asked_models

    if options.model and options.task:
        raise AIAError("Both --model and --task choose a model; give one of them.")
    _refuse_revision_of_all(options)
    source = live.open_source(options.source, fast=options.fast, mirror=options.mirror)
    show = live.open_output(window=options.window, lines=options.json)
    if options.model == ALL_MODELS:
        names = list(asked_models().values())
    else:
        names = [asked_models()[options.task] if options.task else options.model or DEFAULT_MODEL]
    chosen = {"revision": options.revision, "device": options.device, "precision": options.precision}
    models = [load_model(name, **chosen) for name in names]
    live.run(models, source, show, seconds=options.seconds, interval=options.interval)
    return 0
