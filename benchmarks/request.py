"""Times a request from the upload to the viewer's data, against bare PyAV decoding and a bare network."""

from __future__ import annotations

import dataclasses
import json
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import av
import numpy as np
import torch

from aia.inspection.inspection import Inspection, inspect
from aia.modeling import recording
from aia.modeling.network import AIANet
from aia.modeling.preprocess import preprocess
from aia.synthetic.gestures import render_gesture
from aia.video.clip import Clip
from aia.video.reader import read_clip
from aia.visualization import render, web
from benchmarks.page import served
from benchmarks.table import Options, Table, timed

FPS = 30
DRAWN = (3, 240, 320), (10, 720, 1280)  # seconds, height and width of the clips that are drawn
BASELINE = "bare decoding of the same frames + bare forward"


def tables(options: Options) -> Iterator[Table]:
    """Times a request and its parts, for a small clip and for one of a camera's size.

    The bare decoding is PyAV's up to the last needed frame, with the needed ones converted to RGB. The bare forward pass is
    the same trunk without gates, in its fastest layout.
    """
    model = options.load()
    trunk = _without_gates(model)
    with tempfile.TemporaryDirectory() as folder, served(options) as page:
        for path in [options.video] if options.video else _drawn(Path(folder)):
            clip = read_clip(path, model.config.num_segments)
            height, width = clip.frames.shape[1:3]
            answer, channels = web.pack(inspect(model, clip))
            sent = f"{len(json.dumps(answer)) / 1e6:.2f} + {len(channels) / 1e6:.2f} MB sent (means and pictures + channels)"
            about = f"clip {clip.duration:.1f} s, {width} x {height}, {clip.num_frames} frames; {sent}"
            title = f"{model.config.title} ({model.name}) on {model.device}; {about}"
            parts = _parts(model, trunk, path, clip) | {
                "the same through a running page": lambda path=path: page.visit(path)
            }
            yield timed(title, parts, baseline=BASELINE, repeats=options.repeats)


def _parts(model: AIANet, trunk: AIANet, path: Path, clip: Clip) -> dict[str, Callable[[], object]]:
    """The timed parts, by name."""
    x = preprocess(clip.frames, model.config).to(model.device)
    inspection = inspect(model, clip)

    def bare() -> None:
        _decoded(path, clip.indices)
        _forward(trunk, x)

    def recorded() -> None:
        with recording.recording():
            _forward(model, x)

    def answer(inspection: Inspection = inspection) -> None:
        json.dumps(web.pack(inspection)[0])

    return {
        BASELINE: bare,
        "bare decoding": lambda: _decoded(path, clip.indices),
        "bare forward": lambda: _forward(trunk, x),
        "decode": lambda: read_clip(path, model.config.num_segments),
        "preprocess": lambda: preprocess(clip.frames, model.config),
        "forward with gates, all recorded": recorded,
        "pack the viewer's answer": answer,
        "whole request": lambda: answer(inspect(model, read_clip(path, model.config.num_segments))),
    }


def _decoded(path: Path, indices: np.ndarray) -> list[np.ndarray]:
    """The frames of these indices, as anyone would read them with PyAV."""
    wanted, frames = set(indices.tolist()), []
    with av.open(str(path)) as container:
        for index, frame in enumerate(container.decode(video=0)):
            if index in wanted:
                frames.append(frame.to_ndarray(format="rgb24"))
            if len(frames) == len(wanted):
                break
    return frames


def _forward(network: AIANet, x: torch.Tensor) -> None:
    with torch.inference_mode():
        network(x).cpu()  # waits for the device


def _without_gates(model: AIANet) -> AIANet:
    trunk = AIANet(dataclasses.replace(model.config, attention="none")).eval().to(model.device)
    own = model.state_dict()
    trunk.load_state_dict({name: own[name] for name in trunk.state_dict()})
    return trunk.optimize(model.precision)


def _drawn(folder: Path) -> Iterator[Path]:
    for seconds, height, width in DRAWN:
        drawn = render_gesture("swipe left", 0, height=height, width=width, fps=FPS, duration=seconds)
        path = folder / f"{height}.mp4"
        render.write_mp4(path, drawn.frames, FPS)
        yield path
