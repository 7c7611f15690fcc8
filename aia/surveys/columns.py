"""The rows of a survey as arrays: what its statistics need, read part by part."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from aia.errors import AIAError
from aia.evaluation.metrics import Floats, Indices
from aia.modeling.reference import COMBINED
from aia.surveys.schema import About, part_names, read_survey

BATCH = 512  # rows in memory with all of their gates
UNEQUAL = "The rows of this survey list different gates, so they cannot be put together; make it again."
WHOLE_BLOCK = "*"  # in place of a unit
_TEXTS = ("path", "label", "group", "split", "answer")


@dataclass(frozen=True, eq=False)
class BlockRows:
    """The combined gate of one block on every clip.

    Attributes:
        means: `[N]`.
        channels: Mean of each channel, `[N, C]`.
        profiles: Mean in each frame, `[N, T]`.
    """

    means: Floats
    channels: Floats
    profiles: Floats


@dataclass(frozen=True, eq=False)
class Rows:
    """The clips of a survey that could be read, sorted by their path.

    Attributes:
        about: What made the survey.
        clips: Paths, relative to `about.data`.
        labels: "" where unknown.
        answers: The most probable labels.
        groups: Clips of one group depend on each other; a clip without a group is a group of its own.
        has_groups: Whether the survey knows groups.
        splits: "" where unknown.
        errors: Clips that could not be read.
        blocks: By name, in the order of the network.
        ablated: Block, unit ("*" for all) and mode -> the answers with these gates switched, as indices of `about.labels` or
            -1 for no answer; empty without `--ablate`.
    """

    about: About
    clips: Sequence[str]
    labels: np.ndarray
    answers: np.ndarray
    groups: Sequence[str]
    has_groups: bool
    splits: np.ndarray
    errors: int
    blocks: Mapping[str, BlockRows]
    ablated: Mapping[tuple[str, ...], Indices]


def read_rows(folder: str) -> Rows:
    """Reads the rows of a survey. Only the combined gates are kept.

    Args:
        folder: As given to `aia survey --out`.

    Raises:
        AIAError: It is not a survey, or no clip of it could be read.
    """
    table, about = read_survey(folder, ["path", "error"])
    errors = table.num_rows - table["error"].null_count
    if errors == table.num_rows:
        raise AIAError(f"No clip of the survey {folder} could be read; its column error says why.")
    batches = [_Batch(batch, about) for batch in _batches(folder)]
    paths = [path for batch in batches for path in batch.text["path"]]
    if len({*paths}) < len(paths):
        raise AIAError(f"The survey {folder} has several rows of one clip, so it would count twice; make it again.")
    order = np.argsort(np.array(paths, object), kind="stable")

    def column(name: str) -> np.ndarray:
        values: np.ndarray = np.array([value or "" for batch in batches for value in batch.text[name]])[order]
        return values

    def joined(parts: Sequence[Floats]) -> Floats:
        values: Floats = np.concatenate(parts)[order]
        return values

    try:
        blocks = {}
        for block in about.blocks:
            parts = [batch.gates.pop(block) for batch in batches]  # pop frees them: all gates are in memory once
            blocks[block] = BlockRows(*map(joined, zip(*parts, strict=True)))
        keys = list(batches[0].ablated)
        ablated = {key: np.concatenate([batch.ablated[key] for batch in batches])[order] for key in keys}
    except (KeyError, ValueError):
        raise AIAError(UNEQUAL) from None
    clips, groups = [paths[i] for i in order], column("group")
    return Rows(
        about=about,
        clips=clips,
        labels=column("label"),
        answers=column("answer"),
        groups=[group or f"clip {clip}" for group, clip in zip(groups.tolist(), clips, strict=True)],
        has_groups=bool((groups != "").any()),
        splits=column("split"),
        errors=errors,
        blocks=blocks,
        ablated=ablated,
    )


def _batches(folder: str) -> Iterator[pa.RecordBatch]:
    """The rows without an error."""
    filesystem, root = fsspec.core.url_to_fs(str(folder))
    for name in part_names(filesystem, root):
        with filesystem.open(name) as file:
            for batch in pq.ParquetFile(file).iter_batches(BATCH, columns=[*_TEXTS, "gates", "ablations", "error"]):
                batch = batch.filter(pc.is_null(batch["error"]))
                if batch.num_rows:
                    yield batch


class _Batch:
    """Some rows as arrays: texts, the combined gates of each block, and the answers with gates switched as indices."""

    def __init__(self, batch: pa.RecordBatch, about: About) -> None:
        self.text = {name: batch[name].to_pylist() for name in _TEXTS}
        rows = batch.num_rows
        self.gates: dict[str, tuple[Floats, Floats, Floats]] = {}
        for (block, unit), entries in _entries(batch["gates"], rows, ("block", "unit")).items():
            if unit == COMBINED:
                channels, profiles = (entries.field(name).flatten() for name in ("channels", "profile"))
                self.gates[block] = (
                    _numbers(entries.field("mean")),
                    _numbers(channels).reshape(rows, -1),
                    _numbers(profiles).reshape(rows, -1),
                )
        self.ablated: dict[tuple[str, ...], Indices] = {}
        if batch["ablations"].null_count < rows:
            labels = pa.array(about.labels)
            for key, entries in _entries(batch["ablations"], rows, ("block", "unit", "mode")).items():
                self.ablated[key] = _numbers(pc.fill_null(pc.index_in(entries.field("answer"), labels), -1))


def _numbers(values: pa.Array) -> np.ndarray:
    numbers: np.ndarray = values.to_numpy(zero_copy_only=False)
    return numbers


def _entries(column: pa.ListArray, rows: int, keys: Sequence[str]) -> dict[tuple[str, ...], pa.StructArray]:
    """A list column whose entries are the same in every row: the keys of an entry -> its values in all rows."""
    flat = column.flatten()
    each = len(flat) // rows
    if len(flat) != rows * each:
        raise AIAError(UNEQUAL)
    names = [flat.field(key).slice(0, each).to_pylist() for key in keys]
    found = {}
    for place, key in enumerate(zip(*names, strict=True)):
        found[key] = flat.take(np.arange(rows) * each + place)
        for name, value in zip(keys, key, strict=True):
            if pc.unique(found[key].field(name)).to_pylist() != [value]:
                raise AIAError(UNEQUAL)
    return found
