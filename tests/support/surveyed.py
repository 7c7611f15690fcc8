"""What the tests of surveys share: a small data set and a model, and rows that can be compared."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from conftest import moving_frames, small_net

import aia
from aia.visualization.render import write_mp4

CLASSES = ("left", "right")


def data_set(folder: Path, clips: int = 6) -> Path:
    """Clips in a folder for each class, one of them broken, and files that are no clips."""
    for kind in CLASSES:
        (folder / kind).mkdir(parents=True)
    for number in range(clips):
        frames = moving_frames(9 + number % 5, 48, 64, seed=number)
        write_mp4(folder / CLASSES[number % 2] / f"{number:03d}.mp4", frames, 10)
    (folder / "left" / "broken.mp4").write_bytes(b"no video" * 99)
    (folder / "left" / ".hidden.mp4").write_bytes(b"no video")
    (folder / "notes.txt").write_text("no clip")
    return folder


def model_folder(folder: Path, data: Path, attention: str = "cinst") -> str:
    """A small model with a reference, saved."""
    net = small_net(attention)
    if net.block_names:
        net.reference = aia.compute_reference(net, sorted(data.glob("*/0*.mp4"))[:4])
    net.save_pretrained(folder, config=net.config)
    return str(folder)


def assert_same_rows(rows: list[dict], others: list[dict], tolerance: float = 1e-5) -> None:
    """Equal words and order, and numbers that differ by rounding only."""
    assert len(rows) == len(others)
    for row, other in zip(rows, others, strict=True):
        _assert_same(row, other, tolerance)


def _assert_same(one, other, tolerance):
    if isinstance(one, dict):
        assert one.keys() == other.keys()
        for name in one.keys() - {"unusual"}:
            _assert_same(one[name], other[name], tolerance)
        if one.get("unusual"):  # standard scores are quotients by small numbers, so their order may differ by rounding
            scores = [[entry["zscore"] for entry in row["unusual"]] for row in (one, other)]
            assert np.abs(scores[0]) == pytest.approx(np.abs(scores[1]), abs=100 * tolerance)
    elif isinstance(one, list) and one and isinstance(one[0], dict):
        assert len(one) == len(other)
        for left, right in zip(one, other, strict=True):
            _assert_same(left, right, tolerance)
    elif isinstance(one, str) or one is None or isinstance(one, bool):
        assert one == other
    else:
        assert one == pytest.approx(other, abs=tolerance, rel=tolerance) if not _words(one) else one == other


def _words(values) -> bool:
    return isinstance(values, list) and any(isinstance(value, str) for value in values)
