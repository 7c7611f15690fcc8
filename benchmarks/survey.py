"""Surveys clips: this process against its parts alone, Ray against this process, and the memory of few and many clips."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch

from aia.datasets.listing import list_clips
from aia.errors import AIAError
from aia.inspection.batch import BATCH, read_ahead
from aia.modeling.network import AIANet
from aia.modeling.preprocess import normalize
from aia.surveys.rows import measure, prepare
from aia.surveys.survey import Engine, survey
from benchmarks.decode import CLIPS, draw
from benchmarks.table import Options, Table

DRAWN = "H.264, 3 s, 320 x 240"
FEW, MANY = 100, 500  # clips for the rates: the difference leaves out the start
ROWS = (500, 5000)  # clips for the memory
ROUNDS = 3  # at most: each is many clips


def tables(options: Options) -> Iterator[Table]:
    """Measures on copies of a drawn clip, or of the given video."""
    model = options.load()
    if not model.block_names:
        raise AIAError("A survey needs a model with gates.")
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        clip = home / "clip.mp4"
        if options.video:
            shutil.copy(options.video, clip)
        else:
            draw(clip, CLIPS[DRAWN])
        few, many = (_copies(clip, home / f"clips-{count}", count) for count in (FEW, MANY))
        yield _alone(model, few, many, min(options.repeats, ROUNDS))
        if importlib.util.find_spec("ray"):
            yield _on_ray(model, few, many)
        yield _memory(options, clip, home)


def _copies(clip: Path, folder: Path, count: int) -> Path:
    folder.mkdir()
    for number in range(count):
        os.link(clip, folder / f"{number:05d}{clip.suffix}")
    return folder


def _alone(model: AIANet, few: Path, many: Path, rounds: int) -> Table:
    """Reading and the network alone and together, in turns."""
    items = list_clips(few)
    one = prepare(items[0], model.config)
    assert one.pictures is not None
    batch = normalize(torch.from_numpy(np.stack([one.pictures] * BATCH)), model.config).to(model.device)

    def read() -> None:
        for _ in read_ahead(lambda item, cancelled: prepare(item, model.config, cancelled), items, BATCH):
            pass

    def network() -> None:
        with torch.inference_mode():
            for _ in range(len(items) // BATCH):
                model(batch).cpu()

    def rows() -> None:
        for _ in range(len(items) // BATCH):
            measure(model, [one] * BATCH)

    ways = {"reading": read, "the network": network, "the network and its rows": rows}
    for way in ways.values():
        way()  # warm
    rates = []
    for _ in range(rounds):
        round_ = {name: len(items) / _seconds(way) for name, way in ways.items()}
        start, whole = (_seconds(lambda f=folder: _survey(model, f)) for folder in (few, many))
        rates.append({**round_, "survey": (MANY - FEW) / (whole - start)})
    table = []
    for name in rates[0]:
        over_slower = [r[name] / min(r["reading"], r["the network"]) for r in rates]
        over_both = [r[name] * (1 / r["reading"] + 1 / r["the network"]) for r in rates]
        table.append(
            {
                "alone": name,
                "clips a second": float(np.median([r[name] for r in rates])),
                "over the slower of reading and the network": float(np.median(over_slower)),
                "over both one after the other": float(np.median(over_both)),
            }
        )
    return Table(
        f"One process, {FEW} clips for the parts and {MANY} for the survey, {model.config.title} on {model.device}",
        table,
    )


def _on_ray(model: AIANet, few: Path, many: Path) -> Table:
    """Both engines. The rate is that of the additional clips; the rest of the time is the start."""
    table = []
    engines: tuple[Engine, ...] = ("embedded", "ray")
    for engine in engines:
        short, long = (_seconds(lambda f=folder, e=engine: _survey(model, f, e)) for folder in (few, many))
        rate = (MANY - FEW) / (long - short)
        table.append({"engine": engine, "clips a second": rate, "start in seconds": long - MANY / rate})
    for row in table:
        row["over embedded"] = row["clips a second"] / table[0]["clips a second"]
    return Table(f"Engines, {MANY} clips, {model.config.title} on {model.device}", table)


def _memory(options: Options, clip: Path, home: Path) -> Table:
    """The peak memory of the command."""
    table = []
    for count in ROWS:
        folder = _copies(clip, home / f"memory-{count}", count)
        command = [sys.executable, "-m", "aia", "survey", str(folder), "--model", options.model]
        command += ["--out", str(home / f"out-{count}"), *(["--device", options.device] if options.device else [])]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise AIAError("The survey that was measured failed; run it by hand.")
        table.append({"clips": count, "peak MB": usage.ru_maxrss / 1024})
    return Table(f"Memory of one process, {options.model}", table)


def _survey(model: AIANet, folder: Path, engine: Engine = "embedded") -> None:
    with tempfile.TemporaryDirectory() as out:
        if survey(folder, model, out, engine=engine).errors:
            raise AIAError("A clip of the survey cannot be read; choose another video.")


def _seconds(work: Callable[[], None]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start
