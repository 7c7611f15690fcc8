"""`survey`: a network and its gates over a whole data set, in this process or on a Ray cluster."""

from __future__ import annotations

import importlib.metadata
import json
import os
import threading
import time
from collections.abc import Generator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from typing import Literal, get_args

import pyarrow as pa
import torch
from tqdm import tqdm

from aia.datasets.listing import list_clips, with_labels
from aia.datasets.places import Item, split_name
from aia.errors import AIAError
from aia.evaluation.evaluate import recipe_of
from aia.hub.loading import load
from aia.inspection.batch import BATCH, read_ahead
from aia.modeling.attention_settings import ATTENTION_SETTINGS
from aia.modeling.network import AIANet
from aia.surveys import parts
from aia.surveys.rows import counts, measure, prepare
from aia.surveys.schema import About, config_hash

Ablate = Literal["", "blocks", "units"]
Engine = Literal["embedded", "ray"]
MAX_CLIPS = 32  # in the network at a time, of all cores


@dataclass(frozen=True)
class Survey:
    """The result of a run of `survey`.

    Attributes:
        folder: Where the rows are; read them with `aia.surveys.schema.read_survey`, DuckDB, polars or pandas.
        clips: Rows in it.
        new: Rows that this run added.
        errors: How many of these are errors.
        seconds: How long it took, without loading the network and starting an engine.
    """

    folder: str
    clips: int
    new: int
    errors: int
    seconds: float


def survey(
    data: str | os.PathLike[str],
    model: AIANet | str,
    out: str | os.PathLike[str],
    *,
    ablate: Ablate = "",
    engine: Engine = "embedded",
    address: str | None = None,
    root: str | None = None,
    group_column: str | None = None,
    split: str | None = None,
    batch: int = BATCH,
    revision: str | None = None,
    progress: bool = False,
) -> Survey:
    """Writes a row of numbers for each clip of a data set: the prediction, the gates of all blocks and units, or the error.

    A run that was interrupted or killed resumes: clips that have a row in `out` are left out. The rows are the same for each
    engine and batch, except for rounding. `aia.surveys.schema` describes them.

    Args:
        data: A folder by class, a table, a pattern, shards, a video, or an address of one; see
            `aia.datasets.listing.list_clips`.
        model: From `aia.load`, with AIA; or its name.
        out: The folder, or an address that fsspec writes, for the Parquet files.
        ablate: Also predicts with gates switched to their mean, to 1 and shuffled: "blocks" for each block in turn, "units"
            for each block and each unit.
        engine: "embedded" for this process, or "ray" for a cluster; it needs `pip install "ray[data]"`.
        address: Of the Ray cluster, such as "auto"; by default that of the variable RAY_ADDRESS, or one
            is started on this machine.
        root: Folder of the files that a table names.
        group_column: Of a table, or a key in shards: clips of one group, such as a source video, are not independent
            observations. By default "group" or "scene".
        split: Only the clips of this split.
        batch: How many clips go through the network together.
        revision: Of a Hub repository, if `model` is its name.
        progress: Whether to draw a bar with the rate and the time left.

    Raises:
        AIAError: There is no such data, the model has no gates, a package is missing, or `out` cannot be written or holds
            another survey.

    Example:
        >>> import aia, tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     result = aia.survey("assets/examples/s*.mp4", "tsm-mobilenetv2-cinst", folder)
        >>> result.clips, result.errors
        (6, 0)
    """
    if engine not in get_args(Engine) or ablate not in get_args(Ablate):
        raise AIAError(
            f"The engine is embedded or ray and ablate blocks or units, not {engine!r:.60} and {ablate!r:.60}."
        )
    if batch < 1:
        raise AIAError(f"A batch has one clip or more, not {batch}.")
    items = list_clips(data, root=root, group_column=group_column, split=split)
    model = load(model, revision=revision) if isinstance(model, str) else model
    if not model.block_names:
        raise AIAError("This model has no gates to survey; choose one with AIA, such as CinST or STinC.")
    with suppress(AIAError):  # a model without a recipe has the labels of its data
        items = with_labels(items, recipe_of(model.name).classes if model.name else {})
    with parts.claimed(os.fspath(out)) as folder:
        wanted = _about(model, revision, os.fspath(data), root, split, group_column, ablate)
        done, about = parts.surveyed(os.fspath(out), wanted)
        todo = [item for item in items if item.path not in done]
        if engine == "ray":
            from aia.surveys.ray_engine import run

            written = run(model, todo, folder, about, batch=batch, address=address)
        else:
            written = _embedded(model, todo, folder, about, batch)
        start, new, errors = time.perf_counter(), 0, 0
        bar = tqdm(total=len(items), initial=len(items) - len(todo), desc="clips", unit="clip", disable=not progress)
        with bar, closing(written):
            for rows, failed in written:
                new, errors = new + rows, errors + failed
                bar.set_postfix(errors=errors, refresh=False)
                bar.update(rows)
        return Survey(os.fspath(out), len(done) + new, new, errors, time.perf_counter() - start)


def _embedded(
    model: AIANet, items: Sequence[Item], folder: str, about: About, batch: int
) -> Generator[tuple[int, int], None, None]:
    """Surveys in this process. Yields the numbers of rows and of errors as they are computed; they are written in parts.

    Each core (or a few of them, if there are many) reads a batch and runs the network on it by itself: no core waits for
    another at each layer, as when all share it. One more batch is under way, for the times when a core waits for a file.
    """
    tables: list[pa.Table] = []
    written = time.monotonic()
    threads = torch.get_num_threads()
    lanes = max(1, min(threads, MAX_CLIPS // batch)) if model.device.type == "cpu" else 1

    def rows(clips: Sequence[Item], cancelled: threading.Event) -> pa.Table:
        return measure(model, [prepare(clip, model.config, cancelled) for clip in clips], about.ablate)

    measured = read_ahead(
        rows,
        (items[start : start + batch] for start in range(0, len(items), batch)),
        1,
        readers=lanes + 1,
        each=lambda: torch.set_num_threads(-(-threads // lanes)),
    )
    try:
        for (table,) in measured:
            tables.append(table)
            if sum(table.num_rows for table in tables) >= parts.ROWS or time.monotonic() - written > parts.SECONDS:
                parts.write_part(folder, pa.concat_tables(tables), about)
                tables, written = [], time.monotonic()
            yield counts(table)
    finally:  # after Ctrl-C too
        try:
            if tables:
                parts.write_part(folder, pa.concat_tables(tables), about)
        finally:
            measured.close()  # waits for what is under way
            torch.set_num_threads(threads)  # the readers' setting may hold for the whole process


def _about(
    model: AIANet,
    revision: str | None,
    data: str,
    root: str | None,
    split: str | None,
    group_column: str | None,
    ablate: str,
) -> About:
    config, reference = json.dumps(model.config.to_dict(), ensure_ascii=False), model.reference
    return About(
        model=model.name,
        revision=revision or "",
        weights=model.fingerprint(),
        config=config,
        config_hash=config_hash(config),
        labels=model.config.labels,
        blocks=model.block_names,
        units=tuple(unit for units in ATTENTION_SETTINGS[model.config.attention].units for unit in units),
        title=model.config.title,
        precision=model.precision,
        reference=f"{reference.num_clips} {reference.kind}" if reference else "",
        ablate=ablate,
        data=data.rstrip("/"),
        version=_version(),
        root=root or "",
        split=split_name(split or ""),
        group_column=(group_column or "").lower(),
    )


def _version() -> str:
    try:
        return importlib.metadata.version("aia-studio")
    except importlib.metadata.PackageNotFoundError:  # runs from a checkout
        return ""
