"""`aia report`: a survey as Markdown, HTML, CSV tables, figures, and the small file that the page's tab Survey opens."""

from __future__ import annotations

import csv
import filecmp
import json
import math
import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path, PureWindowsPath
from typing import Any

import numpy as np

from aia import files
from aia.errors import AIAError
from aia.evaluation.metrics import check_seed
from aia.locations import example_clips
from aia.surveys import document, figures
from aia.surveys.columns import read_rows
from aia.surveys.document import Heading, Part, Picture
from aia.surveys.document import Table as DocumentTable
from aia.surveys.statistics import MOST_PERMUTED, Interval
from aia.surveys.summary import LEVEL, MAX_NAME, Ablation, Summary, summarize

SUMMARY, LOCATIONS = "summary.json", "locations.json"
FEW_GROUPS = 10  # with fewer, an interval of the bootstrap is too narrow
MODES = {
    "mean": "held at their mean",
    "identity": "wide open (1)",
    "shuffle": "of another frame (shuffled)",
}
UNKNOWN = "–"
Cell = str | float | int | None


def report(folder: str, out: str | Path | None = None, *, title: str = "", seed: int = 0) -> list[Path]:
    """Writes the report of a survey.

    Args:
        folder: As given to `aia survey --out`.
        out: Folder of the report; by default the folder "_report" in the survey's own, which pandas ignores.
        title: Of the report; the name of the survey's data by default.
        seed: Of the bootstrap and of the permutations.

    Returns:
        The files: report.md, report.html, summary.json, tables as CSV and figures as PNG.

    Raises:
        AIAError: It is not a survey, no clip of it could be read, the files cannot be written, or there is no such seed.
    """
    if out is None and "://" in folder:
        raise AIAError(f"The report of {folder} needs a folder on this machine; give one with --out.")
    target = Path(out) if out is not None else Path(folder) / "_report"
    summary = _summary(folder, title, seed)
    pictures = figures.draw(summary)
    parts = _parts(summary, pictures)
    with files.writing_into(target) as part:
        content, locations = page_content(summary)
        (part / SUMMARY).write_text(_compact(content), encoding="utf-8")
        (part / "report.md").write_text(document.markdown(parts), encoding="utf-8")
        (part / "report.html").write_text(document.html(parts), encoding="utf-8")
        for name, png in pictures.items():
            (part / f"{name}.png").write_bytes(png)
        for name, rows in _tables(summary).items():
            _write_csv(part / f"{name}.csv", rows)
        if locations:
            (part / LOCATIONS).write_text(_compact(locations), encoding="utf-8")
        names = sorted(path.name for path in part.iterdir())
    for name in {LOCATIONS, *(f"{figure}.png" for figure in figures.NAMES)}.difference(names):
        (target / name).unlink(missing_ok=True)  # left by an earlier report about other clips
    return [target / name for name in names]


def write_summary(folder: str, path: str | Path, *, title: str = "", seed: int = 0) -> None:
    """Writes only the file that the page's tab Survey opens. It names no folder of this machine.

    Args:
        folder: See `report`.
        path: Of the file.
        title: See `report`.
        seed: See `report`.

    Raises:
        AIAError: It is not a survey, no clip of it could be read, the file cannot be written, or there is no such seed.
    """
    summary = _summary(folder, title, seed)
    content, _ = page_content(summary)
    content["model"]["name"] = _without_folder(summary.about.model)[-MAX_NAME:]
    files.write_text(path, _compact(content))


def _summary(folder: str, title: str, seed: int) -> Summary:
    check_seed(seed)
    return summarize(read_rows(folder), title=title, seed=seed)


def page_content(summary: Summary) -> tuple[dict[str, Any], list[str]]:
    """The content of the page's file, and where its clips are if all of them are on this machine.

    In addition to `Summary.to_json`, the content says which clips are copies of the page's examples.
    """
    text, clips = summary.page()
    content: dict[str, Any] = json.loads(text)
    folder = _folder(Path(summary.about.data), summary.about.root, clips)
    paths = [Path(os.path.realpath(folder / clip)) for clip in clips]
    drawn = {path.name: path for path in example_clips("camera")}  # of all groups
    content["examples"] = {
        str(number): drawn[path.name].stem
        for number, path in enumerate(paths)
        if path.name in drawn and _is_file(path) and filecmp.cmp(path, drawn[path.name], shallow=False)
    }
    return content, [str(path) for path in paths] if all(map(_is_file, paths)) else []


def _folder(data: Path, root: str, clips: Sequence[str]) -> Path:
    """The folder that the clips are in, if it is on this machine: a table's are in --root or may be in a folder of its name."""
    places = [*([Path(root)] if root else []), data, data.parent / data.stem, *data.parents]
    return next((place for place in places if clips and _is_file(place / clips[0])), data)


def _is_file(path: Path) -> bool:
    return os.path.isfile(path)  # noqa: PTH113  False for a name that is too long, which Path refuses


def _without_folder(model: str) -> str:
    """A model's name without the folders of this machine. A repository of the Hub is USER/NAME, not a folder."""
    is_repository = re.fullmatch(r"\w[\w.-]*/[\w.-]+", model) and not Path(model).is_dir()
    return model if is_repository else PureWindowsPath(model).name or "model"


def _compact(content: object) -> str:
    return json.dumps(content, ensure_ascii=False, separators=(",", ":"), allow_nan=False) + "\n"


# ---------------------------------------------------------------- words and tables for readers


def _parts(summary: Summary, pictures: dict[str, bytes]) -> list[Part]:
    def picture(name: str, caption: str) -> list[Part]:
        return [Picture(f"{name}.png", pictures[name], caption)] if name in pictures else []

    parts: list[Part] = [Heading(f"Survey: {summary.title}", 1), _facts(summary), *_accuracy(summary)]
    parts += _without_gates(summary)
    parts += picture("blocks", "What each block's gates do for the answers, with 95 % intervals over groups.")
    parts += _separating(summary)
    parts += picture("channels", "Every channel of every block: how well its mean gate separates the classes.")
    parts += picture("classes", "The channels that separate the classes best: their mean gate in each class.")
    if "profiles" in pictures:
        block = figures.most_different_profiles(summary).name
        parts += [
            Heading("When gates open"),
            f"The mean gate of {block} in each frame. It is the block whose profiles differ most between the classes. The "
            "dashed line is the mean over all clips, the band a 95 % interval. All blocks are in profiles.csv.",
            *picture("profiles", f"Mean temporal profile of {block} by class."),
        ]
    parts += _right_and_wrong(summary)
    parts += picture("right-and-wrong", "Gates of right answers less those of wrong answers of the same class.")
    parts += _ends(summary)
    return [*parts, Heading("What these numbers can and cannot say"), *_caveats(summary)]


def _facts(summary: Summary) -> str:
    about = summary.about
    revision = f", revision {about.revision}" if about.revision else ""
    errors = f" {summary.errors} clips could not be read and are left out." if summary.errors else ""
    groups = (
        f"in {summary.num_groups} groups (scenes or source videos)"
        if summary.has_groups
        else "without known groups, each taken for independent of the others"
    )
    classes = "labels" if summary.are_labels else "answers, since no clip has a label"
    of_splits = ", ".join(f"{count} {name or 'without one'}" for name, count in summary.splits.items())
    splits = f" Clips of each split: {of_splits}." if any(summary.splits) else ""
    return (
        f"{len(summary.clips)} clips {groups}, by {about.model} ({about.title}{revision}). Classes are the "
        f"{len(summary.classes)} {classes}.{splits}{errors} Bootstrap: {summary.resamples} resamples of groups. Permutations: "
        f"{summary.permutations}. Seed: {summary.seed}."
    )


def _accuracy(summary: Summary) -> list[Part]:
    if summary.accuracy is None:
        return ["No clip has a label that the model knows, so nothing is said about right and wrong answers."]
    rows = [("all", str(sum(summary.counts)), *_share(summary.accuracy))]
    rows += [
        (name, str(count), *_share(own))
        for name, count, own in zip(summary.classes, summary.counts, summary.by_class, strict=True)
    ]
    return [
        Heading("Accuracy with the gates as trained"),
        DocumentTable(("class", "clips", "right", "95 % interval"), rows),
    ]


def _without_gates(summary: Summary) -> list[Part]:
    modes = [mode for mode in MODES if any(mode in block.without for block in summary.blocks)]
    if not summary.blocks:
        return ["This network has no gates, so there is nothing more to report."]
    if not modes:
        return ["The survey switched no gates; run it with --ablate to see which blocks the answers rest on."]
    graded = summary.accuracy is not None
    rows = []
    for block in summary.blocks:
        cells = [block.name]
        for mode in modes:
            effect = block.without.get(mode)
            cells.append(_change(effect.change if graded else effect.flips, sign=graded) if effect else UNKNOWN)
        rows.append(cells)
    what = (
        "the change of accuracy in percentage points, paired on the same clips"
        if graded
        else "the share of answers that change, in percent"
    )
    return [
        Heading("Without a block's gates"),
        f"One block at a time has its gates switched: {what}, with a 95 % interval. A network that does not need a block's "
        "gates has 0 there. Each class and each unit by itself is in ablations.csv.",
        DocumentTable(("block", *(f"gates {MODES[mode]}" for mode in modes)), rows),
    ]


def _separating(summary: Summary) -> list[Part]:
    if len(summary.classes) < 2 or not summary.blocks:
        return []
    adjusted = np.concatenate([block.q for block in summary.blocks])
    drawn = f" All three are of {MOST_PERMUTED:,} random clips." if sum(summary.counts) > MOST_PERMUTED else ""
    rows = []
    for block, channel in figures.first_channels(summary, 20):
        means = [
            (mean, name) for mean, name in zip(block.means[:, channel], summary.classes, strict=True) if mean == mean
        ]
        (low, least), (high, most) = min(means), max(means)
        eta, chance, q = (values[channel] for values in (block.eta, block.chance, block.q))
        rows.append(
            [
                block.name,
                str(channel),
                f"{eta:.2f}",
                f"{chance:.2f}",
                f"{q:.3f}",
                f"{most} ({high:.2f})",
                f"{least} ({low:.2f})",
            ]
        )
    return [
        Heading("Channels whose gate tells classes apart"),
        f"{(adjusted <= LEVEL).sum()} of {len(adjusted)} channels separate the classes: q ≤ {LEVEL:g}, so about one in "
        f"{1 / LEVEL:.0f} of them at most is expected to be there by chance (Benjamini and Hochberg). Eta squared is the share "
        "of the variance of a channel's mean gate that lies between the classes; by chance is its mean with permuted labels."
        + drawn,
        DocumentTable(("block", "channel", "eta squared", "by chance", "q", "most open in", "least open in"), rows),
    ]


def _right_and_wrong(summary: Summary) -> list[Part]:
    rows = [
        [block.name, _gate(block.right), _gate(block.wrong), _gate(block.difference, sign=True)]
        for block in summary.blocks
        if block.right and block.wrong
    ]
    if not rows:
        return []
    return [
        Heading("Gates of right and wrong answers"),
        "The mean gate over the clips that are answered right and wrong. The last column compares within the classes.",
        DocumentTable(("block", "right", "wrong", "right less wrong, same class"), rows),
    ]


def _ends(summary: Summary) -> list[Part]:
    def names(ends: list[tuple[int, float]]) -> str:
        return ", ".join(f"{summary.clips[clip]} ({value:.3f})" for clip, value in ends[:3])

    rows = [[block.name, names(block.lowest), names(block.highest)] for block in summary.blocks]
    if not rows:
        return []
    return [
        Heading("Clips at both ends of a gate"),
        "The clips whose mean gate is lowest and highest. Look at them before you name a pattern.",
        DocumentTable(("block", "least open", "most open"), rows),
    ]


def _caveats(summary: Summary) -> list[Part]:
    return [
        "Switching a block's gates is an intervention, so its effect on this network's answers is causal. It does not say what "
        "a network trained without these gates would answer: this one learned its weights with them.",
        "The intervals speak of other clips and groups like these. They do not speak of another training run."
        + _few(summary),
        "Each interval is a 95 % interval by itself. Of 20 blocks without an effect about one is expected to exclude 0.",
        "A gate that differs between classes need not matter for the answer, and what differs may be the background, the light "
        "or the length of the clips. Compare with what happens without the gates.",
        "The gates of right and wrong answers are compared, not changed: a difference may have another cause.",
    ]


def _few(summary: Summary) -> str:
    """A sentence if there are too few groups, of all classes or of one."""
    if summary.num_groups < FEW_GROUPS:
        return f" There are only {summary.num_groups} groups: the intervals are too narrow."
    fewest, name = min(zip(summary.class_groups, summary.classes, strict=True))
    if fewest >= FEW_GROUPS:
        return ""
    return f" The intervals of a class with fewer than {FEW_GROUPS} groups are too narrow; {name:.60} has the fewest, {fewest}."


def _share(interval: Interval) -> tuple[str, str]:
    low, high = interval.low, interval.high
    return f"{interval.value:.1%}", UNKNOWN if math.isnan(low) else f"{low:.1%} to {high:.1%}"


def _change(interval: Interval | None, *, sign: bool) -> str:
    return UNKNOWN if interval is None else _with_ends(Interval(*(100 * end for end in interval)), 1, sign)


def _gate(interval: Interval | None, *, sign: bool = False) -> str:
    return UNKNOWN if interval is None else _with_ends(interval, 3, sign)


def _with_ends(interval: Interval, digits: int, sign: bool) -> str:
    """A number with its interval in brackets."""
    value, low, high = (f"{end + 0.0:{'+' if sign else ''}.{digits}f}" for end in interval)
    return value if math.isnan(interval.low) else f"{value} ({low} to {high})"


# ---------------------------------------------------------------- tables for programs


def _tables(summary: Summary) -> dict[str, Iterable[Sequence[Cell]]]:
    """Name -> header and rows, with every class, channel and unit."""
    ends = ("value", "low", "high")
    accuracy = [("class", "clips", *ends)]
    own = [] if summary.accuracy is None else [("", sum(summary.counts), *summary.accuracy)]
    own += [(name, n, *each) for name, n, each in zip(summary.classes, summary.counts, summary.by_class, strict=False)]
    return {
        "accuracy": [*accuracy, *own],
        "ablations": [("block", "unit", "mode", "class", "measure", *ends), *_ablation_rows(summary)],
        "channels": [("block", "channel", "eta_squared", "by_chance", "q", *summary.classes), *_channel_rows(summary)],
        "profiles": [("block", "class", "frame", "mean", "margin"), *_profile_rows(summary)],
        "right-and-wrong": [
            ("block", "measure", *ends),
            *(
                (block.name, name, *interval)
                for block in summary.blocks
                for name, interval in (
                    ("right", block.right),
                    ("wrong", block.wrong),
                    ("within_class", block.difference),
                )
                if interval
            ),
        ],
        "ends": [
            ("block", "end", "clip", "mean"),
            *(
                (block.name, name, summary.clips[clip], value)
                for block in summary.blocks
                for name, clips in (("lowest", block.lowest), ("highest", block.highest))
                for clip, value in clips
            ),
        ],
    }


def _ablation_rows(summary: Summary) -> Iterable[Sequence[Cell]]:
    for block in summary.blocks:
        for unit, modes in {"*": block.without, **block.units}.items():
            for mode, effect in modes.items():
                start = (block.name, unit, mode)
                yield from _effects(summary, start, effect)


def _effects(summary: Summary, start: tuple[str, str, str], effect: Ablation) -> Iterable[Sequence[Cell]]:
    for name in ("accuracy", "change", "flips"):
        if interval := getattr(effect, name):
            yield (*start, "", name, *interval)
    for label, interval in zip(summary.classes, effect.by_class, strict=False):
        yield (*start, label, "change", *interval)


def _channel_rows(summary: Summary) -> Iterable[Sequence[Cell]]:
    for block in summary.blocks:
        for channel in range(len(block.eta)):
            numbers = (block.eta[channel], block.chance[channel], block.q[channel])
            yield (block.name, channel, *map(float, numbers), *map(float, block.means[:, channel]))


def _profile_rows(summary: Summary) -> Iterable[Sequence[Cell]]:
    for block in summary.blocks:
        for frame, mean in enumerate(block.profile):
            yield (block.name, "", frame, float(mean), None)
        for label, means, margins in zip(summary.classes, block.profiles, block.margins, strict=True):
            for frame, (mean, margin) in enumerate(zip(means, margins, strict=True)):
                yield (block.name, label, frame, float(mean), float(margin))


def _write_csv(path: Path, rows: Iterable[Sequence[Cell]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([_cell(cell) for cell in row] for row in rows)


def _cell(cell: Cell) -> Cell:
    """A number of six digits; a text that no spreadsheet takes for a formula."""
    if isinstance(cell, float):
        return "" if math.isnan(cell) else round(cell, 6)
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(("=", "+", "-", "@", "\t", "\r")) else cell
