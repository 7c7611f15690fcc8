"""Timing in paired rounds, and tables of the results."""

from __future__ import annotations

import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from aia.errors import AIAError


@dataclass(frozen=True)
class Options:
    """The options of a benchmark.

    Attributes:
        model: Name of the network, as for `aia.load`.
        revision: Of a Hub repository.
        device: To run on; the fastest one by default.
        precision: Of the network, see `AIANet.optimize`.
        video: A file to use instead of drawn clips.
        repeats: Measured rounds, after one for warm-up.

    Raises:
        AIAError: There are no rounds, or the video is not a file.
    """

    model: str
    revision: str | None = None
    device: str | None = None
    precision: str = "float32"
    video: Path | None = None
    repeats: int = 9

    def __post_init__(self) -> None:
        if self.repeats < 1:
            raise AIAError(f"A benchmark needs one round or more, not {self.repeats}.")
        if self.video is not None and not self.video.is_file():
            raise AIAError(f"{self.video} is not a file; give a video file.")

    def load(self) -> Any:
        """The network, as the page loads it."""
        from aia.hub.loading import load  # imports torch, which the start-up benchmark does not need

        return load(self.model, revision=self.revision, device=self.device, precision=self.precision)


@dataclass(frozen=True)
class Table:
    """Measured figures.

    Attributes:
        title: The measurement and its subject, in one line.
        rows: Column -> figure or words, the same columns in every row.
    """

    title: str
    rows: list[dict[str, Any]] = field(default_factory=list)

    def to_markdown(self) -> str:
        """The title and a table."""
        columns = list(self.rows[0])
        lines = [self.title, "", f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
        return "\n".join([*lines, *(f"| {' | '.join(_words(row[c]) for c in columns)} |" for row in self.rows)])

    def to_dict(self) -> dict[str, Any]:
        """The same as JSON types, with the machine."""
        return {"title": self.title, "machine": machine(), "rows": self.rows}


def _words(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.2f}" if abs(value) < 10 else f"{value:.0f}"
    return str(value)


def timed(
    title: str, parts: Mapping[str, Callable[[], object]], *, baseline: str, repeats: int, warm_up: int = 1
) -> Table:
    """Times the parts in turn, so that a slow moment of the machine affects all of them.

    Args:
        title: Of the table; the number of rounds is added.
        parts: What to time, by name.
        baseline: The part that the others are compared with, round by round.
        repeats: Measured rounds.
        warm_up: Rounds before them.

    Returns:
        Milliseconds (median, lowest, highest) and the median ratio over the baseline with its middle half.
    """
    rounds = [{name: _seconds(part) for name, part in parts.items()} for _ in range(repeats + warm_up)][warm_up:]
    rows = []
    for name in parts:
        times = sorted(1000 * r[name] for r in rounds)
        ratios = sorted(r[name] / r[baseline] for r in rounds)
        middle = f"{ratios[len(ratios) // 4]:.2f} to {ratios[-1 - len(ratios) // 4]:.2f}"
        rows.append(
            {
                "part": name,
                "ms": round(statistics.median(times), 2),
                "lowest": round(times[0], 2),
                "highest": round(times[-1], 2),
                f"over {baseline}": round(statistics.median(ratios), 3),
                "middle half": middle,
            }
        )
    return Table(f"{title}; {repeats} round{'s'[: repeats > 1]}", rows)


def _seconds(part: Callable[[], object]) -> float:
    start = time.perf_counter()
    part()
    return time.perf_counter() - start


def machine() -> str:
    """Processor, cores, threads and versions, in a line."""
    name = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        name = next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        pass
    gpu = f", {torch.cuda.get_device_name()}" if torch.cuda.is_available() else ", no GPU"
    threads = f"{os.cpu_count()} cores, {torch.get_num_threads()} threads"
    return f"{name}, {threads}{gpu}; torch {torch.__version__}, Python {platform.python_version()}"
