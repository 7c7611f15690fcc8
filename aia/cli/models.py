"""Commands that make, change or move a model: convert, train, reference, push, export."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

from aia.cli.options import load_model
from aia.datasets.places import data_set
from aia.errors import AIAError

if TYPE_CHECKING:
    from aia.cli.options import Commands


def add(commands: Commands) -> None:
    """Adds these commands."""
    _add_convert(commands)
    _add_train(commands)
    _add_reference(commands)
    _add_push(commands)
    _add_export(commands)


def _add_convert(commands: Commands) -> None:
    command = commands.add_parser("convert", help="turn a published-format checkpoint into a model folder")
    command.add_argument("checkpoint", metavar="CKPT.pth.tar")
    command.add_argument("--net", required=True, help="the published net file, such as TSM_CinST_BN")
    command.add_argument("--segments", type=int, default=8, help="frames per clip it was trained with (8)")
    command.add_argument(
        "--resize",
        type=_size,
        default=(240, 320),
        metavar="PX",
        help="size of a picture before the crop: HEIGHTxWIDTH (240x320, as in AIA's code), or only the shorter side",
    )
    command.add_argument(
        "--labels", required=True, metavar="FILE", help="one label per line, in the order of the classes"
    )
    command.add_argument("--out", required=True, metavar="DIR")
    command.set_defaults(run=_convert)


def _size(text: str) -> int | tuple[int, ...]:
    """A size as "256" or "240x320"; `AIAConfig` says what else it must be."""
    try:
        sides = tuple(map(int, text.lower().split("x")))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text[:40]!r} is no size; give HEIGHTxWIDTH or one number") from None
    return sides[0] if len(sides) == 1 else sides


def _convert(options: argparse.Namespace) -> int:
    from aia.hub.convert import convert

    model = convert(
        options.checkpoint,
        options.out,
        net=options.net,
        labels=options.labels,
        segments=options.segments,
        resize=options.resize,
    )
    classes, segments = model.config.num_classes, model.config.num_segments
    counted = f"{classes} class{'es' * (classes != 1)}, {segments} segment{'s' * (segments != 1)}"
    print(f"{options.out}: {model.config.title}, {counted}")
    return 0


def _add_train(commands: Commands) -> None:
    command = commands.add_parser("train", help="train a network by a recipe; an interrupted run resumes")
    command.add_argument("recipe", metavar="CONFIG")
    command.add_argument(
        "--data",
        required=True,
        type=data_set,
        metavar="DATA",
        help="folder with videos and a csv (file, label, split, scene), or of CLASS/*.mp4 or SPLIT/CLASS/*.mp4; shards "
        "(*.tar); or an address of these, such as s3://bucket/folder",
    )
    command.add_argument("--out", required=True, metavar="DIR")
    command.add_argument(
        "--init",
        default="none",
        metavar="SOURCE",
        help="start weights: torchvision, a trunk's state dict, a model folder or a shipped model",
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


def _add_push(commands: Commands) -> None:
    command = commands.add_parser("push", help="upload a model folder and its card to the Hub; needs HF_TOKEN")
    command.add_argument("folder", metavar="FOLDER")
    command.add_argument("repo", metavar="USER/REPO")
    command.add_argument("--private", action="store_true", help="make the repository private if it has to be created")
    command.set_defaults(run=_push)


def _push(options: argparse.Namespace) -> int:
    from aia.hub.push import push

    print(push(options.folder, options.repo, private=options.private))
    return 0


def _add_export(commands: Commands) -> None:
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

    model = load_model(options.model, revision=options.revision, device="cpu")
    path = export_network(model, options.out, format=options.format, gates=options.gates, half=options.fp16)
    outputs = f"{1 + len(model.gate_locations) * options.gates} outputs"
    print(f"{path}: {model.config.title}, {outputs}, {path.stat().st_size / 1e6:.1f} MB")
    return 0


def _add_reference(commands: Commands) -> None:
    command = commands.add_parser(
        "reference", help="measure what is usual for a model's gates, and keep it in the model's folder"
    )
    command.add_argument("model", metavar="MODEL", help="a model folder or a shipped model")
    command.add_argument(
        "--data", required=True, type=Path, metavar="DIR", help="a local folder as for train, or of videos"
    )
    command.add_argument("--clips", type=int, default=200, metavar="N", help="use at most N training clips (200)")
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
            f"{options.model} is neither a model folder nor a shipped model; save a model of the Hub in a folder first."
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
