"""Commands about many clips: evaluate, contrast, localize, survey, report."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aia.cli.options import BATCH, MAX_BATCH, add_model_options, expanded, load_chosen, load_model
from aia.datasets.places import data_set
from aia.errors import AIAError

if TYPE_CHECKING:
    from aia.cli.options import Commands

HELD_OUT = "held-out"  # the split that is evaluated by default
GESTURES = "gestures"  # the task whose models are, likewise
STUDIED_CLIPS = 100  # of a study, at most, by default


def add(commands: Commands) -> None:
    """Adds these commands."""
    _add_evaluate(commands)
    _add_contrast(commands)
    _add_localize(commands)
    _add_survey(commands)
    _add_report(commands)


def _add_evaluate(commands: Commands) -> None:
    command = commands.add_parser("evaluate", help="accuracy of models; without one, the tables of the shipped models")
    command.add_argument("models", nargs="*", metavar="MODEL", help="run folders or shipped models")
    command.add_argument(
        "--data", type=data_set, metavar="DATA", help="as for train; without MODEL it checks the shipped models"
    )
    command.add_argument("--recipe", metavar="CONFIG", help="if the model's folder has no recipe.json")
    command.add_argument(
        "--split", metavar="NAME", help=f"which clips; test, unknown, rendered, ... or (default) {HELD_OUT}"
    )
    command.add_argument("--write", metavar="FILE", help="keep the logits of all splits but test in this file")
    command.add_argument(
        "--test", action="store_true", help="with --write or a check: include the test clips and what is made of them"
    )
    command.add_argument(
        "--task", choices=("gestures", "camera", "actions"), help="the shipped models to check (gestures)"
    )
    command.add_argument("--results", metavar="FILE", help="the logits to make the tables from; shipped by default")
    study = command.add_mutually_exclusive_group()
    study.add_argument(
        "--faithfulness",
        action="store_true",
        help="whether the models rely on what their gates mark, on the split's clips",
    )
    study.add_argument(
        "--robustness",
        action="store_true",
        help="whether the answers stay when the split's clips are darker, nearer, blurred, ...",
    )
    command.add_argument("--block", default="", help="for --faithfulness; the one that the page shows first by default")
    command.add_argument(
        "--clips", type=int, metavar="N", help=f"for --faithfulness and --robustness: at most N ({STUDIED_CLIPS})"
    )
    command.add_argument("--seed", type=int, help="for the same (0)")
    command.set_defaults(run=_evaluate)


def _evaluate(options: argparse.Namespace) -> int:
    if options.write and (not options.models or options.faithfulness or options.robustness):
        raise AIAError("--write keeps the logits of models; name a model, and no study.")
    _refuse_ignored(options)
    options.split, options.seed, options.task = options.split or HELD_OUT, options.seed or 0, options.task or GESTURES
    options.clips = STUDIED_CLIPS if options.clips is None else options.clips
    if options.faithfulness:
        return _faithfulness(options)
    if options.robustness:
        return _robustness(options)
    return _evaluate_models(options) if options.models else _report(options)


def _refuse_ignored(options: argparse.Namespace) -> None:
    """Raises an AIAError for an option that would do nothing."""
    is_study, has_model = options.faithfulness or options.robustness, bool(options.models)
    is_check = options.data and not has_model
    for option, value, is_used, where in (
        ("--clips", options.clips, is_study, "--faithfulness or --robustness"),
        ("--seed", options.seed, is_study, "--faithfulness or --robustness"),
        ("--block", options.block or None, options.faithfulness, "--faithfulness"),
        ("--task", options.task, not has_model, "the tables and checks without a MODEL"),
        ("--recipe", options.recipe, has_model, "a MODEL"),
        ("--results", options.results, not has_model and not is_study, "the tables and checks without a MODEL"),
        ("--split", options.split, has_model and not options.write, "a MODEL, and not with --write"),
        ("--test", options.test or None, options.write or is_check, "--write, or with --data without a MODEL"),
    ):
        if value is not None and not is_used:
            raise AIAError(f"{option} goes with {where}; leave it out.")


def _faithfulness(options: argparse.Namespace) -> int:
    from aia.evaluation.evaluate import recipe_of
    from aia.evaluation.faithfulness import measure_faithfulness
    from aia.evaluation.known_clips import read_clips
    from aia.evaluation.randomization import measure_randomization

    for name in _studied(options, "Faithfulness"):
        model = load_model(name)
        clips = read_clips(model, options.data, recipe_of(name, options.recipe), options.split, options.clips)
        for measure in (measure_faithfulness, measure_randomization):
            print(measure(model, clips, block=options.block, seed=options.seed).to_markdown() + "\n", flush=True)
    return 0


def _robustness(options: argparse.Namespace) -> int:
    from aia.evaluation.evaluate import recipe_of
    from aia.evaluation.robustness import measure_robustness

    for name in _studied(options, "Robustness"):
        model, recipe = load_model(name), recipe_of(name, options.recipe)
        result = measure_robustness(model, options.data, recipe, options.split, most=options.clips, seed=options.seed)
        print(result.to_markdown() + "\n", flush=True)
    return 0


def _studied(options: argparse.Namespace, what: str) -> list[str]:
    """The models of a study, which also needs clips."""
    if not options.models or options.data is None:
        raise AIAError(
            f"{what} is measured on a model and clips; name a model, and give the clips' folder with --data."
        )
    return expanded(options.models)


def _evaluate_models(options: argparse.Namespace) -> int:
    from aia import files
    from aia.evaluation.evaluate import SPLITS, TEST_SPLITS, evaluate, measure, recipe_of, write_results

    if options.data is None:
        raise AIAError("Evaluating a model needs clips; give their folder with --data.")
    models = expanded(options.models)
    if options.write:
        files.check(options.write)
    for name in models:
        model, recipe = load_model(name), recipe_of(name, options.recipe)
        if options.write:
            run = measure(model, options.data, recipe, (*SPLITS, *TEST_SPLITS) if options.test else SPLITS)
            write_results([run], options.write)
            count = sum(len(split.clips) for split in run.splits.values())
            print(f"{options.write}: {run.name}, {count} clip{'s' * (count != 1)}")
        else:
            print(json.dumps({"model": name, **evaluate(model, options.data, recipe, options.split)}), flush=True)
    return 0


def _report(options: argparse.Namespace) -> int:
    from aia.evaluation.evaluate import RESULTS, read_results
    from aia.evaluation.report import tables
    from aia.evaluation.shipped import check
    from aia.evaluation.task_report import TASKS, results_file, task_tables

    of_task, given = options.task in TASKS, read_results(options.results) if options.results else None
    if options.data:
        shipped = results_file(options.task) if of_task else RESULTS
        runs = read_results(shipped) if given is None else given
        print("\n".join(check(runs, options.data, test=options.test, task=options.task)))
    elif of_task:
        print(task_tables(options.task, runs=given))
    elif given is not None:
        print(tables(given))
    else:
        parts = [tables(read_results()), *(task_tables(task) for task in TASKS)]
        print("\n\n".join(part for part in parts if part))
    return 0


def _add_contrast(commands: Commands) -> None:
    command = commands.add_parser(
        "contrast", help="whether what the page draws first is specific to a clip, and visible"
    )
    command.add_argument("models", nargs="*", metavar="MODEL", help="with a reference; by default all shipped ones")
    command.add_argument(
        "--data",
        type=Path,
        metavar="DIR",
        help="a folder of videos, or as for train, without its training clips; the page's examples by default",
    )
    command.set_defaults(run=_contrast)


def _contrast(options: argparse.Namespace) -> int:
    from aia.evaluation.contrast import measure_contrast, table
    from aia.hub.files import available_models
    from aia.locations import example_clips
    from aia.training.data import reference_clips

    given = reference_clips(options.data, 1000, training=False)[0] if options.data else []
    if options.data and not given:
        raise AIAError(
            f"All clips of {options.data} are for training; give a folder of videos, or put some into a split val or test."
        )
    loaded = [load_model(name) for name in options.models or available_models()]
    models = loaded if options.models else [model for model in loaded if model.reference]
    measured = {model.name: measure_contrast(model, given or example_clips(model.config.task)) for model in models}
    print(table(measured, {model.name: model.config.default_block for model in models}))
    return 0


def _add_localize(commands: Commands) -> None:
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

    model = load_model(options.model)
    rows = measure_contrast(model, example_clips(model.config.task)) if model.reference else []
    first = [row.block for row in rows if row.is_clear]
    result = localize(model, clips=options.clips, seed=options.seed, first=first)
    print(json.dumps(result.to_dict(), indent=1) if options.json else result.to_markdown())
    return 0


def _add_survey(commands: Commands) -> None:
    command = commands.add_parser(
        "survey",
        help="write what a model and its gates do on every clip of a data set, as Parquet; an interrupted run resumes",
        description='Needs python -m pip install pyarrow "fsspec[http]"; docs/survey.md explains the rows.',
    )
    command.add_argument(
        "data",
        metavar="DATA",
        help="a folder by class, a csv (file, label, split, group), a pattern in quotes, shards (*.tar), or an address of one, "
        "such as s3://bucket/folder or hf://datasets/user/name",
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
    command.add_argument(
        "--group-column", metavar="NAME", help="of a csv, or of KEY.json in shards; group or scene by default"
    )
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
        load_chosen(options),
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
    clips, errors = f"clip{'s' * (result.clips != 1)}", f"error{'s' * (result.errors != 1)}"
    print(f"{result.folder}: {result.clips} {clips}, {result.new} of them new, {result.errors} {errors}{rate}")
    return 0


def _add_report(commands: Commands) -> None:
    command = commands.add_parser("report", help="tables and figures of a survey, and its file for the page")
    command.add_argument("survey", metavar="DIR", help="as given to aia survey --out")
    command.add_argument("--out", metavar="DIR", help="folder of the report; DIR/_report by default")
    command.add_argument("--title", default="", help="of the report; the name of the data by default")
    command.add_argument("--seed", type=int, default=0, help="of the bootstrap and of the permutations (0)")
    command.add_argument("--summary", metavar="FILE", help="write only the file that the page's tab Survey opens")
    command.set_defaults(run=_report_survey)


def _report_survey(options: argparse.Namespace) -> int:
    from aia.surveys.report import report, write_summary

    if options.summary and options.out:
        raise AIAError("--summary writes one file and --out a folder with the whole report; give one of them.")
    chosen: dict[str, Any] = {"title": options.title, "seed": options.seed}
    if options.summary:
        write_summary(options.survey, options.summary, **chosen)
        print(options.summary)
    else:
        written = report(options.survey, options.out, **chosen)
        print(f"{written[0].parent}: {', '.join(file.name for file in written)}")
    return 0
