"""Sums up the rows of a survey: accuracy without a block's gates, channels that tell classes apart, profiles."""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PureWindowsPath
from typing import Any, NamedTuple

import numpy as np

from aia.errors import AIAError
from aia.evaluation.metrics import RESAMPLES, Bools, Floats, Indices
from aia.surveys import statistics
from aia.surveys.columns import WHOLE_BLOCK, BlockRows, Rows
from aia.surveys.schema import About
from aia.surveys.statistics import PERMUTATIONS, Interval, Permuted

VERSION = 1
FORMAT = "aia-survey-summary"
MAX_BYTES = 200_000  # of a summary
MAX_NAME = 200  # characters of a clip's or a class's name
ENDS = 5  # clips at each end of a gate
LEVEL = 0.05  # false discovery rate
_SIZES = ((24, 12), (24, 6), (16, 6), (12, 4), (8, 2))  # classes and channels of a block; the first that fits is kept


@dataclass(frozen=True)
class Ablation:
    """The answers with a block's gates switched.

    Attributes:
        accuracy: Share of right answers; None without labels.
        change: Accuracy less the accuracy with the gates as trained, paired; None without labels.
        flips: Share of answers that differ from those with the gates as trained.
        flipped: Index of a clip whose answer changes, one that was right if possible; None if no answer changes.
        by_class: Change of each class's accuracy; empty without labels.
    """

    accuracy: Interval | None
    change: Interval | None
    flips: Interval
    flipped: int | None
    by_class: list[Interval]


@dataclass(frozen=True, eq=False)
class BlockSummary:
    """One block over all clips.

    Attributes:
        name: Of the block.
        gate: Mean of the combined gate.
        without: Mode -> what changes. Empty if no gates were switched.
        units: Unit -> the same with this unit's gates alone switched.
        typical: For each class the clip whose gate is closest to the class's mean; None for a class without a clip.
        right: Mean gate over the clips that are answered right, with interval; None without right and wrong answers.
        wrong: The same for the wrong ones.
        difference: How much more open the gate is for right answers than for wrong ones of the same class.
        eta: Eta squared of each channel, `[C]`; of some clips if there are many, see `statistics.permute_labels`.
        chance: Its mean over permuted labels of the same clips, `[C]`.
        q: Adjusted p-values over the channels of all blocks, `[C]`.
        means: Mean gate of each channel in each class, `[K, C]`.
        profiles: Mean gate of each frame in each class, `[K, T]`.
        margins: Half of the 95 % intervals of the profiles, `[K, T]`.
        profile: The same over all clips, `[T]`.
        lowest: Clips with the least open gate: index and mean.
        highest: The same for the most open gate.
    """

    name: str
    gate: Interval
    without: Mapping[str, Ablation]
    units: Mapping[str, Mapping[str, Ablation]]
    typical: list[int | None]
    right: Interval | None
    wrong: Interval | None
    difference: Interval | None
    eta: Floats
    chance: Floats
    q: Floats
    means: Floats
    profiles: Floats
    margins: Floats
    profile: Floats
    lowest: list[tuple[int, float]]
    highest: list[tuple[int, float]]

    @property
    def order(self) -> Indices:
        """Channels, those that tell the classes apart best first."""
        return np.argsort(-self.eta, kind="stable")


@dataclass(frozen=True, eq=False)
class Summary:
    """A survey in numbers.

    Attributes:
        title: Of the survey.
        about: What made the survey.
        clips: Names.
        num_groups: Of the clips.
        has_groups: Whether the survey knows groups; otherwise each clip is one.
        splits: Clips of each split, by its name; "" for those without one.
        errors: Clips that could not be read.
        classes: The labels, or the answers if no clip has a label.
        are_labels: Whether the classes are labels.
        counts: Clips of each class.
        class_groups: Groups of each class.
        accuracy: Of the model with its gates as trained; None without labels that it knows.
        by_class: The same for each class.
        blocks: In the order of the network.
        seed: Of the bootstrap and of the permutations.
        resamples: Of the bootstrap.
        permutations: Of the labels.
    """

    title: str
    about: About
    clips: list[str]
    num_groups: int
    has_groups: bool
    splits: Mapping[str, int]
    errors: int
    classes: list[str]
    are_labels: bool
    counts: list[int]
    class_groups: list[int]
    accuracy: Interval | None
    by_class: list[Interval]
    blocks: list[BlockSummary]
    seed: int
    resamples: int
    permutations: int

    def to_json(self) -> str:
        """The page's file: strict JSON of at most `MAX_BYTES`. If there are many classes and channels, only some are kept."""
        return self.page()[0]

    def page(self) -> tuple[str, list[str]]:
        """The text of `to_json`, and the clips that it names, each by its full name."""
        for classes, channels in _SIZES:
            content, clips = _plain(self, classes, channels)
            text = json.dumps(content, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
            if len(text.encode()) <= MAX_BYTES:
                return text + "\n", clips
        raise AIAError(
            f"The summary of {len(self.blocks)} blocks has more than {MAX_BYTES} bytes, and the page opens no larger one."
        )


def summarize(
    rows: Rows, *, title: str = "", seed: int = 0, resamples: int = RESAMPLES, permutations: int = PERMUTATIONS
) -> Summary:
    """Computes the summary of a survey.

    Args:
        rows: From `aia.surveys.columns.read_rows`.
        title: Of the survey; the name of its data by default.
        seed: Of the bootstrap and of the permutations.
        resamples: Of the bootstrap.
        permutations: Of the labels.
    """
    has_labels = bool((rows.labels != "").any())
    names = rows.labels if has_labels else rows.answers
    known = {name: place for place, name in enumerate(rows.about.labels)}
    classes = sorted({*names.tolist()} - {""}, key=lambda name: (known.get(name, len(known)), name))
    place = {name: number for number, name in enumerate(classes)}
    own = np.array([place.get(name, -1) for name in names.tolist()])
    clips = _Clips(
        classes=own,
        num_classes=len(classes),
        groups=statistics.codes(rows.groups),
        labels=rows.labels,
        answers=rows.answers,
        is_graded=has_labels and not known.keys().isdisjoint(classes),
        seed=seed,
        resamples=resamples,
    )
    accuracy, by_class = clips.accuracy()
    channels, gates = _channels(rows.blocks, clips, permutations), _gates(rows.blocks, clips)
    switched = _ablations(rows, clips)
    return Summary(
        title=title or "/".join(_parts(rows.about.data)[-1:]) or "clips",
        about=rows.about,
        clips=list(rows.clips),
        num_groups=int(clips.groups.max()) + 1,
        has_groups=rows.has_groups,
        splits=Counter(sorted(rows.splits.tolist())),
        errors=rows.errors,
        classes=classes,
        are_labels=has_labels,
        counts=np.bincount(own[own >= 0], minlength=len(classes)).tolist(),
        class_groups=[len(np.unique(clips.groups[own == number])) for number in range(len(classes))],
        accuracy=accuracy,
        by_class=by_class,
        blocks=[_block(rows.blocks[name], clips, name, switched, channels[name], gates[name]) for name in rows.blocks],
        seed=seed,
        resamples=resamples,
        permutations=permutations,
    )


class _Channels(NamedTuple):
    """`eta`, `chance` and `q` of a `BlockSummary`."""

    eta: Floats
    chance: Floats
    q: Floats


class _Gates(NamedTuple):
    """`gate`, `right`, `wrong` and `difference` of a `BlockSummary`."""

    gate: Interval
    right: Interval | None = None
    wrong: Interval | None = None
    difference: Interval | None = None


@dataclass(frozen=True, eq=False)
class _Clips:
    """The data that all statistics of a survey share."""

    classes: Indices  # [N], -1 without one
    num_classes: int
    groups: Indices
    labels: np.ndarray
    answers: np.ndarray
    is_graded: bool
    seed: int
    resamples: int

    @property
    def labelled(self) -> Bools:
        return self.classes >= 0

    @property
    def right(self) -> Floats:
        """1 for a right answer, `[N]`."""
        right: Floats = (self.answers == self.labels).astype(float)
        return right

    def intervals(self, values: Floats, kept: Bools | None = None) -> list[Interval]:
        kept = np.ones(len(self.classes), bool) if kept is None else kept
        return statistics.mean_intervals(values[kept], self.groups[kept], resamples=self.resamples, seed=self.seed)

    def each_class(self, values: Floats) -> list[list[Interval]]:
        """Intervals of the columns in each class."""
        return [self.intervals(values, self.classes == number) for number in range(self.num_classes)]

    def accuracy(self) -> tuple[Interval | None, list[Interval]]:
        if not self.is_graded:
            return None, []
        column = self.right[:, None]
        return self.intervals(column, self.labelled)[0], [rows[0] for rows in self.each_class(column)]


def _channels(blocks: Mapping[str, BlockRows], clips: _Clips, permutations: int) -> dict[str, _Channels]:
    """Eta squared, its mean by chance and the adjusted p-value of every channel of every block."""
    known = clips.labelled
    found: list[Permuted] = []
    for block in blocks.values():
        values = block.channels[known]
        if clips.num_classes < 2:
            zeros = np.zeros(values.shape[1])
            found.append(Permuted(zeros + 1, zeros, zeros))
            continue
        classes = clips.classes[known]
        groups = np.unique(clips.groups[known], return_inverse=True)[1].reshape(-1)
        found.append(statistics.permute_labels(values, classes, groups, permutations=permutations, seed=clips.seed))
    if not found:
        return {}
    q = statistics.benjamini_hochberg(np.concatenate([permuted.p for permuted in found]))
    ends = np.cumsum([len(permuted.p) for permuted in found])[:-1]
    return {
        block: _Channels(permuted.eta, permuted.chance, own)
        for block, permuted, own in zip(blocks, found, np.split(q, ends), strict=True)
    }


def _gates(blocks: Mapping[str, BlockRows], clips: _Clips) -> dict[str, _Gates]:
    """The mean gate of every block: over all clips, over those with right and with wrong answers, and the difference."""
    gates = np.array([block.means for block in blocks.values()], float).reshape(len(blocks), len(clips.classes)).T
    columns = [clips.intervals(gates)]
    known, is_right = clips.labelled, clips.right == 1
    if clips.is_graded and is_right[known].any() and not is_right[known].all():
        columns += [clips.intervals(gates, known & is_right), clips.intervals(gates, known & ~is_right)]
        differences = statistics.differences_within_classes(
            gates[known],
            is_right[known],
            clips.classes[known],
            clips.groups[known],
            resamples=clips.resamples,
            seed=clips.seed,
        )
        columns += [differences] if differences else []
    return {name: _Gates(*own) for name, *own in zip(blocks, *columns, strict=True)}


def _block(
    block: BlockRows,
    clips: _Clips,
    name: str,
    switched: Mapping[tuple[str, ...], Ablation],
    channels: _Channels,
    means: _Gates,
) -> BlockSummary:
    gates = block.means.astype(float)
    order = np.argsort(gates, kind="stable")
    of_class = [clips.classes == number for number in range(clips.num_classes)]
    margins = [statistics.margins(block.profiles[own], clips.groups[own]) for own in of_class]
    units: dict[str, dict[str, Ablation]] = {}
    for (of, unit, mode), ablation in switched.items():
        if of == name:
            units.setdefault(unit, {})[mode] = ablation
    return BlockSummary(
        name=name,
        **means._asdict(),
        **channels._asdict(),
        without=units.pop(WHOLE_BLOCK, {}),
        units=units,
        typical=[_closest_to_mean(gates, own) for own in of_class],
        means=statistics.class_means(block.channels, clips.classes, clips.num_classes),
        profiles=statistics.class_means(block.profiles, clips.classes, clips.num_classes),
        margins=np.array(margins).reshape(clips.num_classes, -1),
        profile=block.profiles.mean(0),
        lowest=[(int(clip), float(gates[clip])) for clip in order[:ENDS]],
        highest=[(int(clip), float(gates[clip])) for clip in order[::-1][:ENDS]],
    )


def _closest_to_mean(gates: Floats, own: Bools) -> int | None:
    """The index of the clip of a class whose gate is closest to the class's mean; `own` marks the class's clips."""
    if not own.any():
        return None
    return int(np.where(own, np.abs(gates - gates[own].mean()), np.inf).argmin())


def _ablations(rows: Rows, clips: _Clips) -> dict[tuple[str, ...], Ablation]:
    """Everything that was switched, with the same draws of the bootstrap."""
    if not rows.ablated:
        return {}
    answers = np.column_stack(list(rows.ablated.values()))
    place = {name: number for number, name in enumerate(rows.about.labels)}
    own = np.array([place.get(name, -1) for name in clips.answers.tolist()])
    labels = np.array([place.get(name, -2) for name in clips.labels.tolist()])  # -2 equals no answer
    differs = answers != own[:, None]
    flips = clips.intervals(differs.astype(float))
    flipped = [int(own.argmax()) if own.any() else None for own in (differs * (1 + clips.right[:, None])).T]
    if not clips.is_graded:
        found = [Ablation(None, None, *one, []) for one in zip(flips, flipped, strict=True)]
        return dict(zip(rows.ablated, found, strict=True))
    without = (answers == labels[:, None]).astype(float)
    change = without - clips.right[:, None]
    by_class = zip(*clips.each_class(change), strict=True)
    both = clips.intervals(np.column_stack([without, change]), clips.labelled)
    measured = zip(
        both[: len(flips)],
        both[len(flips) :],
        flips,
        flipped,
        map(list, by_class),
        strict=True,
    )
    return {key: Ablation(*values) for key, values in zip(rows.ablated, measured, strict=True)}


def _parts(path: str) -> Sequence[str]:
    """The folders and the file of a path of any system, or of an address without its host and its query."""
    address = re.fullmatch(r"[\w.+:-]+://[^/?#]*([^?#]*).*", path, re.DOTALL)
    whole = PureWindowsPath(address[1] if address else path)
    return whole.parts[1:] if whole.anchor else whole.parts


def _plain(summary: Summary, most_classes: int, most_channels: int) -> tuple[dict[str, Any], list[str]]:
    """The content of the page's file, without what a browser does not draw, and the full names of its clips."""
    about, kept = summary.about, np.sort(np.argsort(-np.array(summary.counts, int), kind="stable")[:most_classes])
    clips = _Names(summary.clips)
    blocks = [_plain_block(block, kept.tolist(), most_channels, clips) for block in summary.blocks]
    content = {
        "format": FORMAT,
        "version": VERSION,
        "title": summary.title[:MAX_NAME],
        "model": {
            "name": about.model[:MAX_NAME],
            "network": about.title[:MAX_NAME],
            "revision": about.revision[:MAX_NAME],
            "task": about.network.task,
        },
        "num_clips": len(summary.clips),
        "num_groups": summary.num_groups,
        "has_groups": summary.has_groups,
        "errors": summary.errors,
        "seed": summary.seed,
        "resamples": summary.resamples,
        "permutations": summary.permutations,
        "level": LEVEL,
        "classes": [summary.classes[i][:MAX_NAME] for i in kept],
        "are_labels": summary.are_labels,
        "classes_left_out": len(summary.classes) - len(kept),
        "counts": [summary.counts[i] for i in kept],
        "accuracy": _numbers(summary.accuracy),
        "class_accuracy": [_numbers(summary.by_class[i]) for i in kept if summary.by_class],
        "blocks": blocks,
        "clips": ["/".join(_parts(name)[-2:])[-MAX_NAME:] for name in clips.used],  # class and file
    }
    return content, clips.used


class _Names:
    """The clips that the file names, by new numbers."""

    def __init__(self, clips: Sequence[str]) -> None:
        self._clips, self._numbers = clips, dict[int, int]()

    def number(self, clip: int | None) -> int | None:
        return None if clip is None else self._numbers.setdefault(clip, len(self._numbers))

    @property
    def used(self) -> list[str]:
        return [self._clips[clip] for clip in self._numbers]


def _plain_block(block: BlockSummary, kept: list[int], most: int, clips: _Names) -> dict[str, Any]:
    return {
        "name": block.name[:MAX_NAME],
        "gate": _numbers(block.gate),
        "without": {
            mode: {
                "accuracy": _numbers(ablation.accuracy),
                "change": _numbers(ablation.change),
                "flips": _numbers(ablation.flips),
                "classes": [_number(ablation.by_class[i].value) for i in kept if ablation.by_class],
                "flipped": clips.number(ablation.flipped),
            }
            for mode, ablation in block.without.items()
        },
        "right": _numbers(block.right),
        "wrong": _numbers(block.wrong),
        "difference": _numbers(block.difference),
        "num_channels": len(block.eta),
        "separating": int((block.q <= LEVEL).sum()),
        "channels": [
            {
                "channel": int(channel),
                "eta": _number(block.eta[channel]),
                "chance": _number(block.chance[channel]),
                "q": _number(block.q[channel]),
                "means": [_number(value) for value in block.means[kept, channel]],
            }
            for channel in block.order[:most]
        ],
        "profile": [_number(value) for value in block.profile],
        "profiles": [[_number(value) for value in row] for row in block.profiles[kept]],
        "margins": [[_number(value) for value in row] for row in block.margins[kept]],
        "typical": [clips.number(block.typical[i]) for i in kept],
        "lowest": [[clips.number(clip), _number(value)] for clip, value in block.lowest],
        "highest": [[clips.number(clip), _number(value)] for clip, value in block.highest],
    }


def _number(value: float, digits: int = 4) -> float | None:
    return round(float(value), digits) if math.isfinite(value) else None


def _numbers(interval: Interval | None) -> list[float | None] | None:
    return None if interval is None else [_number(value, 6) for value in interval]  # are rounded again as percentages
