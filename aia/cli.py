"""The command line: everything the page does, without a browser, and training, conversion and evaluation."""

from __future__ import annotations

import argparse
import glob
import json
import logging
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from aia import console
from aia.errors import AIAError
from aia.hub import ALL_MODELS, DEFAULT_MODEL

if TYPE_CHECKING:  # torch takes seconds to import; --help does without
    from aia.hub.pretrained import AIANet
    from aia.inspection.inspection import Prediction

    _Commands: TypeAlias = argparse._SubParsersAction[argparse.ArgumentParser]

BATCH, MAX_BATCH = 4, 256  # clips; see aia/inspection/batch.py
_RENAMED = {"localise": "localize"}  # commands of version 0.1
log = logging.getLogger(__name__)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command.

    Returns:
        The exit status: 0; 1 after an error, which is printed to standard error; 2 for wrong usage; else see `console.run`.
    """
    return console.run(lambda: _main(sys.argv[1:] if arguments is None else arguments))


def _main(arguments: Sequence[str]) -> int:
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    options = _parser().parse_args(_with_batch(_with_new_name(arguments)))
    command: Callable[[argparse.Namespace], int] = options.run
    return command(options)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m aia", description="Attention in Attention for video classifiers.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for add in (
        _add_classify,
        _add_inspect,
        _add_live,
        _add_convert,
        _add_train,
        _add_reference,
        _add_push,
        _add_export,
        _add_evaluate,
        _add_contrast,
        _add_localize,
        _add_survey,
        _add_report,
    ):
        add(commands)
    return parser


def add_model_options(command: argparse.ArgumentParser) -> None:
    """Adds the options that choose a model, its device and its precision."""
    command.add_argument("--model", default=DEFAULT_MODEL, help=f"shipped name, folder or user/repo ({DEFAULT_MODEL})")
    command.add_argument("--revision", help="of a Hub repository")
    command.add_argument("--device", choices=("cpu", "cuda", "mps"), help="the fastest one by default")
    command.add_argument("--precision", choices=("float32", "bfloat16", "float16", "auto"), default="float32")


def _with_new_name(arguments: Sequence[str]) -> Sequence[str]:
    """Replaces a command's old name."""
    if not arguments or arguments[0] not in _RENAMED:
        return arguments
    log.warning("The command %s is now %s; the old name goes in 0.3.", arguments[0], _RENAMED[arguments[0]])
    return [_RENAMED[arguments[0]], *arguments[1:]]


def _with_batch(arguments: Sequence[str]) -> list[str]:
    """Gives a bare --batch its number; argparse would take the next file for it."""
    words = list(arguments)
    if words[:1] != ["classify"]:
        return words
    for index, word in enumerate(words):
        if word == "--":
            break
        following = words[index + 1 : index + 2]
        if len(word) > 2 and "--batch".startswith(word) and not (following and _is_number(following[0])):
            words[index] = f"--batch={BATCH}"
    return words


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _expanded(names: Sequence[str]) -> list[str]:
    """Replaces patterns by their matches, since not every shell expands them. An existing file is not taken for a pattern."""
    files = []
    for name in names:
        matches = [] if os.path.lexists(name) else sorted(glob.glob(name, recursive=True))  # noqa: PTH207  keeps "./"
        files += matches or [name]
    return files


def _load(options: argparse.Namespace) -> AIANet:
    return _model(options.model, revision=options.revision, device=options.device, precision=options.precision)


def _model(name: str, *, revision: str | None = None, device: str | None = None, precision: str = "float32") -> AIANet:
    """Loads a model. An error in a folder names the folder as it was given."""
    from aia.hub.loading import load

    try:
        return load(name, revision=revision, device=device, precision=precision)
    except AIAError as error:
        if os.path.isdir(name) and name not in str(error):  # noqa: PTH112  any text is allowed
            raise AIAError(f"{name}: {error}") from None
        raise


# ---------------------------------------------------------------- classify and inspect


def _add_classify(commands: _Commands) -> None:
    command = commands.add_parser(
        "classify", help="label videos", description="With --model all, the best shipped model of each group answers."
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
    failed, videos = False, _expanded(options.videos)
    if options.model == ALL_MODELS:
        return _classify_all(options, videos)
    for video, result in zip(videos, classify(_load(options), videos, batch=options.batch), strict=True):
        if isinstance(result, AIAError):
            failed = True
            _print_error(video, result, options)
            continue
        if options.json:
            rest = {"model": options.model, "frames": result.indices.tolist()}
            print(json.dumps({"file": video, **result.answer(), **rest}), flush=True)
        else:
            print(f"{video}: {_answer(result)}", flush=True)
            for warning in result.warnings:
                print(f"  {warning}", file=sys.stderr)
    return int(failed)


def _classify_all(options: argparse.Namespace, videos: list[str]) -> int:
    """A line for each file and group, or one JSON object for each file."""
    from aia.hub.groups import best_models
    from aia.inspection.batch import classify_all

    failed, names = False, best_models()
    if not names:
        raise AIAError(f"No shipped model belongs to a group; give a folder or user/repo instead of {ALL_MODELS}.")
    models = [_model(name, device=options.device, precision=options.precision) for name in names.values()]
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
            groups[task] = {**answer.answer(), "model": name, "frames": answer.indices.tolist()}
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


def _answer(prediction: Prediction) -> str:
    certainty = "" if prediction.is_confident else "not sure; closest: "
    return f"{certainty}{prediction.label} ({prediction.probabilities.max():.0%})"


def _add_inspect(commands: _Commands) -> None:
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

    videos = _expanded([options.video])
    if len(videos) > 1:
        raise AIAError(f"{options.video} matches {len(videos)} files; inspect takes one.")
    model = _load(options)
    result = inspect(model, read_clip(videos[0], model.config.num_segments, display_name=videos[0]))
    files = save(result, options.out, block=options.block, formats=options.format)
    print(f"{videos[0]}: {_answer(result)}")
    print(f"{options.out}: {', '.join(file.name for file in files)}")
    return 0


def _add_live(commands: _Commands) -> None:
    command = commands.add_parser(
        "live",
        help="label what a camera sees, all the time",
        description="Opens a window with the gates if OpenCV can, and otherwise prints a line of JSON for every answer. "
        "With --model all, the best shipped model of each group answers. Pictures are never written to disk.",
    )
    command.add_argument(
        "source", nargs="?", default="0", metavar="SOURCE", help="a camera's number or a video file (0)"
    )
    add_model_options(command)
    command.add_argument(
        "--task", choices=("gestures", "camera", "actions"), help="take the best shipped model of this group"
    )
    command.add_argument("--seconds", type=float, default=2.5, help="that one answer looks back (2.5)")
    command.add_argument("--interval", type=float, default=0.1, help="seconds between two answers, at least (0.1)")
    command.add_argument("--fast", action="store_true", help="play a file as fast as its answers come")
    command.add_argument(
        "--mirror", action=argparse.BooleanOptionalAction, help="mirror the pictures; a camera's are by default"
    )
    command.add_argument("--json", action="store_true", help="print lines of JSON even if there is a display")
    command.add_argument("--window", action="store_true", help="open a window, or say why that is impossible")
    command.set_defaults(run=_live, model=None)


def _live(options: argparse.Namespace) -> int:
    from aia import live
    from aia.hub.groups import best_models

    if options.model and options.task:
        raise AIAError("Both --model and --task choose a model; give one of them.")
    source = live.open_source(options.source, fast=options.fast, mirror=options.mirror)
    show = live.open_output(window=options.window, lines=options.json)
    if options.model == ALL_MODELS:
        names = list(best_models().values())
    else:
        names = [best_models()[options.task] if options.task else options.model or DEFAULT_MODEL]
    revision = options.revision if options.model != ALL_MODELS else None
    models = [_model(name, revision=revision, device=options.device, precision=options.precision) for name in names]
    live.run(models, source, show, seconds=options.seconds, interval=options.interval)
    return 0


# ---------------------------------------------------------------- from a checkpoint or a data folder to a model


def _add_convert(commands: _Commands) -> None:
    command = commands.add_parser("convert", help="turn a published-format checkpoint into a model folder")
    command.add_argument("checkpoint", metavar="CKPT.pth.tar")
    command.add_argument("--net", required=True, help="the published net file, such as TSM_CinST_BN")
    command.add_argument("--segments", type=int, default=8, help="frames per clip it was trained with (8)")
    command.add_argument(
        "--labels", required=True, metavar="FILE", help="one label per line, in the order of the classes"
    )
    command.add_argument("--out", required=True, metavar="DIR")
    command.set_defaults(run=_convert)


def _convert(options: argparse.Namespace) -> int:
    from aia.hub.convert import convert

    model = convert(options.checkpoint, options.out, net=options.net, labels=options.labels, segments=options.segments)
    print(
        f"{options.out}: {model.config.title}, {model.config.num_classes} classes, {model.config.num_segments} segments"
    )
    return 0


def _add_train(commands: _Commands) -> None:
    command = commands.add_parser("train", help="train a network by a recipe; an interrupted run resumes")
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
        "--tracker",
        default="",
        metavar="NAME",
        help="log each epoch to tensorboard (in OUT/logs) or another tracker of accelerate, such as wandb",
    )
    command.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="another value for a field of the recipe, such as seed=1 or network.attention=stinc; may be repeated",
    )
    command.set_defaults(run=_train)


def _train(options: argparse.Namespace) -> int:
    from aia.training.recipe import Recipe
    from aia.training.train import train

    recipe = Recipe.from_file(options.recipe, options.set)
    train(recipe, options.data, options.out, init=options.init, cache=options.cache, tracker=options.tracker)
    return 0


def _add_push(commands: _Commands) -> None:
    command = commands.add_parser("push", help="upload a model folder and its card to the Hub; needs HF_TOKEN")
    command.add_argument("folder", metavar="FOLDER")
    command.add_argument("repo", metavar="USER/REPO")
    command.add_argument("--private", action="store_true", help="if the repository has to be created")
    command.set_defaults(run=_push)


def _push(options: argparse.Namespace) -> int:
    from aia.hub.push import push

    print(push(options.folder, options.repo, private=options.private))
    return 0


def _add_export(commands: _Commands) -> None:
    command = commands.add_parser("export", help="write a model for onnxruntime or torch.export, see docs/exports.md")
    command.add_argument("model", metavar="MODEL", help="shipped name, folder or user/repo")
    command.add_argument("--format", choices=("onnx", "torch"), default="onnx")
    command.add_argument("--out", required=True, metavar="FILE", help="such as model.onnx or model.pt2")
    command.add_argument("--gates", action="store_true", help="make every gate an output, too")
    command.add_argument("--fp16", action="store_true", help="run the trunk in float16; gates stay float32")
    command.add_argument("--revision", help="of a Hub repository")
    command.set_defaults(run=_export)


def _export(options: argparse.Namespace) -> int:
    from aia.hub.export_network import export_network

    model = _model(options.model, revision=options.revision, device="cpu")
    path = export_network(model, options.out, format=options.format, gates=options.gates, half=options.fp16)
    outputs = f"{1 + len(model.gate_locations) * options.gates} outputs"
    print(f"{path}: {model.config.title}, {outputs}, {path.stat().st_size / 1e6:.1f} MB")
    return 0


def _add_reference(commands: _Commands) -> None:
    command = commands.add_parser(
        "reference", help="measure what is usual for a model's gates, and keep it in the model's folder"
    )
    command.add_argument("model", metavar="MODEL", help="a model folder or a shipped model")
    command.add_argument("--data", required=True, type=Path, metavar="DIR", help="as of train, or a folder of videos")
    command.add_argument("--clips", type=int, default=200, metavar="N", help="use at most so many training clips (200)")
    command.set_defaults(run=_reference)


def _reference(options: argparse.Namespace) -> int:
    from tqdm import tqdm

    from aia.hub.files import available_models, find_model, read_weights
    from aia.hub.pretrained import AIANet, best_device
    from aia.hub.reference import write_reference
    from aia.inspection.reference import compute_reference
    from aia.training.data import reference_clips

    if options.clips < 2:
        raise AIAError(f"A reference needs two clips or more, not {options.clips}.")
    videos, kind = reference_clips(options.data, options.clips)
    if not (os.path.isdir(options.model) or options.model in available_models()):  # noqa: PTH112  any text is allowed
        raise AIAError(
            f"{options.model} is in the Hub's cache, which must stay as it is; save the model in a folder first."
        )
    config, weights = find_model(options.model)
    model = AIANet(config)
    read_weights(model, weights)  # not by `load`, which refuses a reference that no longer fits
    model.name = options.model
    reference = compute_reference(
        model.to(best_device()).optimize(), tqdm(videos, desc="clips", unit="clip"), kind=kind
    )
    path = write_reference(weights.parent, reference)
    print(f"{path}: {reference.num_clips} {reference.kind}, {len(reference.blocks)} blocks")
    return 0


# ---------------------------------------------------------------- evaluation


def _add_evaluate(commands: _Commands) -> None:
    command = commands.add_parser("evaluate", help="accuracy of models; without one, the tables of the shipped models")
    command.add_argument("models", nargs="*", metavar="MODEL", help="run folders or shipped models")
    command.add_argument("--data", type=Path, metavar="DIR", help="as of train; alone it checks the shipped models")
    command.add_argument("--recipe", metavar="CONFIG", help="if the model's folder has no recipe.json")
    command.add_argument(
        "--split", default="held-out", help="which clips; test, unknown, rendered, ... or (default) held-out"
    )
    command.add_argument("--write", metavar="FILE", help="keep the logits of all splits but test in this file")
    command.add_argument(
        "--test", action="store_true", help="with --write or a check: what is made of the test split, too"
    )
    command.add_argument(
        "--task", choices=("gestures", "camera", "actions"), default="gestures", help="the shipped models to check"
    )
    command.add_argument("--results", metavar="FILE", help="the logits to make the tables from; shipped by default")
    command.add_argument(
        "--faithfulness",
        action="store_true",
        help="whether the models rely on what their gates mark, on the split's clips",
    )
    command.add_argument("--block", default="", help="of --faithfulness: the one that the page shows first by default")
    command.add_argument("--clips", type=int, default=100, metavar="N", help="of --faithfulness: at most so many (100)")
    command.add_argument("--seed", type=int, default=0, help="of --faithfulness")
    command.set_defaults(run=_evaluate)


def _evaluate(options: argparse.Namespace) -> int:
    if options.faithfulness:
        return _faithfulness(options)
    return _evaluate_models(options) if options.models else _report(options)


def _faithfulness(options: argparse.Namespace) -> int:
    from aia.evaluation.evaluate import recipe_of
    from aia.evaluation.faithfulness import measure_faithfulness
    from aia.evaluation.known_clips import read_clips
    from aia.evaluation.randomization import measure_randomization

    if not options.models or options.data is None:
        raise AIAError(
            "Faithfulness is measured on a model and clips; name a model, and give the clips' folder with --data."
        )
    for name in _expanded(options.models):
        model = _model(name)
        clips = read_clips(model, options.data, recipe_of(name, options.recipe), options.split, options.clips)
        for measure in (measure_faithfulness, measure_randomization):
            print(measure(model, clips, block=options.block, seed=options.seed).to_markdown() + "\n", flush=True)
    return 0


def _evaluate_models(options: argparse.Namespace) -> int:
    from aia import files
    from aia.evaluation.evaluate import SPLITS, TEST_SPLITS, evaluate, measure, recipe_of, write_results

    if options.data is None:
        raise AIAError("Evaluating a model needs clips; give their folder with --data.")
    models = _expanded(options.models)
    if options.write:
        files.check(options.write)
    for name in models:
        model, recipe = _model(name), recipe_of(name, options.recipe)
        if options.write:
            run = measure(model, options.data, recipe, (*SPLITS, *TEST_SPLITS) if options.test else SPLITS)
            write_results([run], options.write)
            print(f"{options.write}: {run.name}, {sum(len(split.clips) for split in run.splits.values())} clips")
        else:
            print(json.dumps({"model": name, **evaluate(model, options.data, recipe, options.split)}), flush=True)
    return 0


def _report(options: argparse.Namespace) -> int:
    from aia.evaluation.evaluate import RESULTS, read_results
    from aia.evaluation.report import tables
    from aia.evaluation.shipped import check
    from aia.evaluation.task_report import TASKS, results_file, task_tables

    runs = read_results(options.results or (results_file(options.task) if options.task in TASKS else RESULTS))
    if options.data:
        print("\n".join(check(runs, options.data, test=options.test, task=options.task)))
    else:
        of_tasks = [] if options.results else [task_tables(task) for task in TASKS]
        print("\n\n".join(part for part in [tables(runs), *of_tasks] if part))
    return 0


def _add_contrast(commands: _Commands) -> None:
    command = commands.add_parser(
        "contrast", help="whether what the page draws first is specific to a clip, and visible"
    )
    command.add_argument("models", nargs="*", metavar="MODEL", help="with a reference; by default all shipped ones")
    command.add_argument(
        "--data",
        type=Path,
        metavar="DIR",
        help="a folder of videos, or as of train, whose training clips are left out; the page's examples by default",
    )
    command.set_defaults(run=_contrast)


def _contrast(options: argparse.Namespace) -> int:
    from aia.evaluation.contrast import measure_contrast, table
    from aia.hub.files import available_models
    from aia.locations import example_clips
    from aia.training.data import reference_clips

    given = reference_clips(options.data, 1000, training=False)[0] if options.data else None
    loaded = [_model(name) for name in options.models or available_models()]
    models = loaded if options.models else [model for model in loaded if model.reference]
    measured = {model.name: measure_contrast(model, given or example_clips(model.config.task)) for model in models}
    print(table(measured, {model.name: model.config.default_block for model in models}))
    return 0


def _add_localize(commands: _Commands) -> None:
    command = commands.add_parser("localize", help="how often the gates point at the hand, on drawn clips")
    command.add_argument("model", metavar="MODEL")
    command.add_argument("--clips", type=int, default=300)
    command.add_argument("--seed", type=int, default=0)
    command.add_argument("--json", action="store_true", help="all numbers, with those of every block")
    command.set_defaults(run=_localize)


def _localize(options: argparse.Namespace) -> int:
    from aia.evaluation.contrast import measure_contrast
    from aia.evaluation.localization import localize
    from aia.locations import example_clips

    model = _model(options.model)
    rows = measure_contrast(model, example_clips(model.config.task)) if model.reference else []
    first = [row.block for row in rows if row.is_clear]
    result = localize(model, clips=options.clips, seed=options.seed, first=first)
    print(json.dumps(result.to_dict(), indent=1) if options.json else result.to_markdown())
    return 0


# ---------------------------------------------------------------- whole data sets


def _add_survey(commands: _Commands) -> None:
    command = commands.add_parser(
        "survey",
        help="write what a model and its gates do on every clip of a data set, as Parquet; an interrupted run resumes",
        description='Needs python -m pip install pyarrow "fsspec[http]"; docs/survey.md explains the rows.',
    )
    command.add_argument(
        "data",
        metavar="DATA",
        help="a folder by class, a csv (file, label, split, group), a pattern in quotes, or an address of one, such as "
        "s3://bucket/folder or hf://datasets/user/name",
    )
    command.add_argument("--out", required=True, metavar="DIR", help="folder or address for the Parquet files")
    command.add_argument(
        "--ablate",
        nargs="?",
        const="units",
        default="",
        choices=("blocks", "units"),
        help="also predict with the gates of each block (and unit, by default) at their mean, at 1 and shuffled",
    )
    command.add_argument(
        "--engine", choices=("embedded", "ray"), default="embedded", help='ray needs pip install "ray[data]"'
    )
    command.add_argument("--address", help="of a running Ray cluster; one is started on this machine by default")
    command.add_argument("--root", metavar="DIR", help="folder of the files that a csv names")
    command.add_argument("--group-column", metavar="NAME", help="of a csv; group or scene by default")
    command.add_argument("--split", metavar="NAME", help="only the clips of this split")
    command.add_argument("--batch", type=int, default=BATCH, metavar="N", help=f"clips at a time ({BATCH})")
    add_model_options(command)
    command.set_defaults(run=_survey)


def _survey(options: argparse.Namespace) -> int:
    from aia.surveys.survey import survey

    if options.batch > MAX_BATCH:
        raise AIAError(f"A batch has {MAX_BATCH} clips or fewer, not {str(options.batch)[:20]}.")
    if options.address and options.engine != "ray":
        raise AIAError("An --address is that of a Ray cluster; add --engine ray.")
    result = survey(
        options.data,
        _load(options),
        options.out,
        ablate=options.ablate,
        engine=options.engine,
        address=options.address,
        root=options.root,
        group_column=options.group_column,
        split=options.split,
        batch=options.batch,
        revision=options.revision,
        progress=True,
    )
    rate = f", {result.new / result.seconds:.1f} clips a second" if result.new else ""
    print(f"{result.folder}: {result.clips} clips, {result.new} of them new, {result.errors} errors{rate}")
    return 0


def _add_report(commands: _Commands) -> None:
    command = commands.add_parser("report", help="tables and figures of a survey, and its file for the page")
    command.add_argument("survey", metavar="DIR", help="as given to aia survey --out")
    command.add_argument("--out", metavar="DIR", help="folder of the report; DIR/_report by default")
    command.add_argument("--title", default="", help="of the report; the name of the data by default")
    command.add_argument("--seed", type=int, default=0, help="of the bootstrap and of the permutations (0)")
    command.add_argument("--summary", metavar="FILE", help="write only the file that the page's tab Survey opens")
    command.set_defaults(run=_report_survey)


def _report_survey(options: argparse.Namespace) -> int:
    from aia.surveys.report import report, write_summary

    chosen: dict[str, Any] = {"title": options.title, "seed": options.seed}
    if options.summary:
        write_summary(options.survey, options.summary, **chosen)
        print(options.summary)
    else:
        written = report(options.survey, options.out, **chosen)
        print(f"{written[0].parent}: {', '.join(file.name for file in written)}")
    return 0
