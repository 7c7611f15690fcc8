"""What a request costs, part by part, beside the same trunk without gates."""

from __future__ import annotations

import dataclasses
import json
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch

from aia import pack, record, render
from aia.errors import AIAError
from aia.inspection import Inspection, inspect
from aia.network import AIANet
from aia.preprocess import preprocess
from aia.training.synthetic import render_gesture
from aia.video import read_clip


def bench(model: AIANet, *, video: str | Path | None = None, repeats: int = 9) -> str:
    """Times the parts of a request in turn, `repeats` times over, so that a slow moment of the machine hits them all.

    Args:
        model: Any network.
        video: A file; otherwise a drawn gesture of 3 s, 320 x 240, 30 frames a second.
        repeats: Rounds that count; one more warms up.

    Returns:
        A Markdown table of medians, and of each part over the plain forward pass of the same round.

    Raises:
        AIAError: The video cannot be read, or no round is asked for.
    """
    if repeats < 1:
        raise AIAError(f"A benchmark needs one round or more, not {repeats}.")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(video) if video else _drawn_clip(Path(folder))
        parts = _parts(model, path)
        rounds = [{name: _seconds(part) for name, part in parts.items()} for _ in range(repeats + 1)][1:]
        clip = read_clip(path, model.config.num_segments)
    height, width = clip.frames.shape[1:3]
    plain = "forward, same trunk without gates"
    lines = [
        f"{model.config.title} ({model.name or 'untrained'}) on {model.device}; "
        f"clip {clip.duration:.1f} s, {width} x {height}, {clip.num_frames} frames",
        f"{os.cpu_count()} cores, {torch.get_num_threads()} threads, torch {torch.__version__}, "
        f"Python {platform.python_version()}; median (lowest to highest) of {repeats} rounds",
        "",
        "| part | ms | over the plain forward pass |",
        "|---|---|---|",
    ]
    for name in parts:
        times = sorted(1000 * r[name] for r in rounds)
        ratio = statistics.median(r[name] / r[plain] for r in rounds)
        lines.append(f"| {name} | {statistics.median(times):.0f} ({times[0]:.0f} to {times[-1]:.0f}) | {ratio:.2f} |")
    return "\n".join(lines)


def _parts(model: AIANet, path: Path) -> dict[str, Callable[[], object]]:
    """What is timed, by name."""
    trunk = AIANet(dataclasses.replace(model.config, attention="none")).eval().to(model.device).optimize()
    own = model.state_dict()
    trunk.load_state_dict({name: own[name] for name in trunk.state_dict()})
    clip = read_clip(path, model.config.num_segments)
    x = preprocess(clip.frames, model.config).to(model.device)
    seen = inspect(model, clip)

    def forward(network: AIANet) -> None:
        with torch.inference_mode():
            network(x).cpu()  # waits for the device

    def recorded() -> None:
        with record.recording():
            forward(model)

    def answer(seen: Inspection = seen) -> None:
        json.dumps(pack.pack(seen))

    return {
        "decode": lambda: read_clip(path, model.config.num_segments),
        "preprocess": lambda: preprocess(clip.frames, model.config),
        "forward, same trunk without gates": lambda: forward(trunk),
        "forward with gates": lambda: forward(model),
        "forward with gates, all recorded": recorded,
        "pack the viewer's answer": answer,
        "whole request": lambda: answer(inspect(model, read_clip(path, model.config.num_segments))),
    }


def _seconds(part: Callable[[], object]) -> float:
    start = time.perf_counter()
    part()
    return time.perf_counter() - start


def _drawn_clip(folder: Path) -> Path:
    drawn = render_gesture("swipe left", 0, height=240, width=320, fps=30, duration=3)
    render.write_mp4(folder / "drawn.mp4", drawn.frames, 30)
    return folder / "drawn.mp4"
