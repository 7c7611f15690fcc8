"""Decodes frames directly to a smaller size: the time saved, and the effect on the predictions."""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from aia.inspection.inspection import probabilities
from aia.modeling.preprocess import preprocess
from aia.synthetic.gestures import LABELS, render_gesture
from aia.video.clip import sample_indices
from aia.video.reader import read_clip
from aia.visualization.render import write_mp4
from benchmarks.table import Options, Table

ENOUGH = 0.01  # largest acceptable change of a probability, if no label changes
SIDES = (None, 640, 320, 256)  # pixels, the longer one; None for the source's own
HEIGHT, WIDTH = 720, 1280


def table(options: Options) -> Table:
    """Reads drawn clips of eight frames each at several sizes, down to twice the input of the shipped networks."""
    model = options.load()
    count = model.config.num_segments
    rounds, answers = [], []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "drawn.mp4"
        for label in LABELS:
            drawn = render_gesture(
                label, 0, height=HEIGHT, width=WIDTH, indices=lambda frames: sample_indices(frames, count)
            )
            write_mp4(path, drawn.frames, 10)
            for _ in range(options.repeats):
                spent, answer = {}, {}
                for side in SIDES:
                    start = time.perf_counter()
                    x = preprocess(read_clip(path, count, max_side=side).frames, model.config)
                    spent[side] = 1000 * (time.perf_counter() - start)
                    with torch.inference_mode():
                        answer[side] = probabilities(model, model(x.to(model.device))[0].float().cpu())
                rounds.append(spent)
            answers.append(answer)
    return Table(
        f"Decoding straight to a smaller size: {len(LABELS)} clips of {count} frames, {WIDTH} x {HEIGHT}, "
        f"{model.config.title}; enough would be {ENOUGH} and no other label",
        [
            {
                "longer side": side or "as it is",
                "read and preprocess, ms": statistics.median(spent[side] for spent in rounds),
                "largest change of a probability": f"{max(np.abs(a[side] - a[None]).max() for a in answers):.4f}",
                "other labels": sum(a[side].argmax() != a[None].argmax() for a in answers),
            }
            for side in SIDES
        ],
    )
