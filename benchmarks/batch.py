"""Classifies many files, with and without `--batch`, against the same network on clips in memory."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import torch

from aia.errors import AIAError
from aia.inspection import batch
from aia.inspection.inspection import inspect
from aia.modeling.network import AIANet
from aia.modeling.preprocess import preprocess
from aia.video.reader import read_clip
from benchmarks.decode import CLIPS, draw
from benchmarks.table import Options, Table

FILES = 16  # copies of the same clip
SIZES = (1, 2, 4, 8)  # clips at a time
DRAWN = ("H.264, 3 s, 320 x 240", "H.264, 10 s, 1280 x 720")
ROUNDS = 3  # at most: each is many clips


def tables(options: Options) -> Iterator[Table]:
    """Measures clips per second on drawn clips or on the given video."""
    model = options.load()
    if options.video:
        yield _compared(model, options.video.name, options.video, options.repeats)
        return
    for name in DRAWN:
        with tempfile.TemporaryDirectory() as folder:
            yield _compared(model, name, draw(Path(folder) / "drawn.mp4", CLIPS[name]), options.repeats)


def _compared(model: AIANet, title: str, path: Path, repeats: int) -> Table:
    files = [path] * FILES
    clip = preprocess(read_clip(path, model.config.num_segments).frames, model.config)

    def alone(size: int) -> None:
        x = torch.cat([clip] * size)
        with torch.inference_mode():
            for _ in range(FILES // size):
                model(x.to(model.device)).cpu()  # waits for the device

    def one_by_one(_: int) -> None:
        for file in files:
            inspect(model, read_clip(file, model.config.num_segments))

    def together(size: int) -> None:
        for result in batch.classify(model, files, batch=size):
            if isinstance(result, AIAError):
                raise result

    rows = []
    for name, work, sizes in (("each read, then inspected", one_by_one, (1,)), ("classify --batch", together, SIZES)):
        for size in sizes:
            rounds = [(_rate(alone, size), _rate(work, size)) for _ in range(min(repeats, ROUNDS) + 1)][1:]
            rows.append(
                {
                    "way": name,
                    "clips at a time": size,
                    "clips a second": statistics.median(rate for _, rate in rounds),
                    "the network alone": statistics.median(bare for bare, _ in rounds),
                    "over the network alone": statistics.median(rate / bare for bare, rate in rounds),
                }
            )
    return Table(f"{title}, {FILES} files, {model.config.title} on {model.device}", rows)


def _rate(work: Callable[[int], None], size: int) -> float:
    """Clips a second."""
    start = time.perf_counter()
    work(size)
    return FILES / (time.perf_counter() - start)
