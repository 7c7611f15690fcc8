"""What a request costs, part by part, beside the same trunk without gates."""

from __future__ import annotations

import dataclasses
import json
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import torch

from aia import pack, record, render
from aia.bench.table import Options, Table, timed
from aia.inspection import Inspection, inspect
from aia.network import AIANet
from aia.preprocess import preprocess
from aia.training.synthetic import render_gesture
from aia.video import read_clip


def tables(options: Options) -> Iterator[Table]:
    """Times the parts of a request."""
    model = options.load()
    with tempfile.TemporaryDirectory() as folder:
        path = options.video or _drawn_clip(Path(folder))
        clip = read_clip(path, model.config.num_segments)
        height, width = clip.frames.shape[1:3]
        title = f"{model.config.title} ({model.name}) on {model.device}; clip {clip.duration:.1f} s, {width} x {height}"
        yield timed(title, _parts(model, path), baseline="forward, same trunk without gates", repeats=options.repeats)


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


def _drawn_clip(folder: Path) -> Path:
    drawn = render_gesture("swipe left", 0, height=240, width=320, fps=30, duration=3)
    render.write_mp4(folder / "drawn.mp4", drawn.frames, 30)
    return folder / "drawn.mp4"
