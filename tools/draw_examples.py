"""The example clips of the page: `python -m tools.draw_examples assets/examples` draws them again."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from aia import console, files
from aia.modeling.config import NO_GESTURE
from aia.synthetic.camera_scenes import render_camera
from aia.synthetic.gestures import OPEN, Look, render_gesture
from aia.synthetic.hands import SKINS
from aia.synthetic.trajectories import idle_path
from aia.visualization.render import write_mp4


@dataclass(frozen=True)
class Example:
    """One example clip: its label, seed, length in seconds, look and, without a gesture, the idle movement."""

    label: str
    seed: int
    seconds: float
    look: Look
    idle: str = "wave"


def write_examples(folder: Path, fps: int = 20) -> list[Path]:
    """Write the example clips of the public page: an H.264 MP4, 320x240, for each of `EXAMPLES`; return their paths."""
    written = []
    for name, example in EXAMPLES.items():
        rng = np.random.default_rng(example.seed)
        path = idle_path(example.idle, rng) if example.label == NO_GESTURE else None
        clip = render_gesture(
            example.label, example.seed, fps=fps, duration=example.seconds, look=example.look, path=path
        )
        with files.writing_into(folder) as part:
            write_mp4(part / f"{name}.mp4", clip.frames, fps, crf=24)
        written.append(folder / f"{name}.mp4")
    return written


def write_camera_examples(folder: Path, fps: int = 20) -> list[Path]:
    """Write the example clips of camera movement, an H.264 MP4 for each of `CAMERA_EXAMPLES`; return their paths."""
    written = []
    for name, (label, scene, seed) in CAMERA_EXAMPLES.items():
        with files.writing_into(folder) as part:
            write_mp4(part / f"{name}.mp4", render_camera(label, scene, seed, fps=fps), fps, crf=24)
        written.append(folder / f"{name}.mp4")
    return written


_CREAM, _SKY, _MINT, _PEACH, _LILAC = (
    (245, 236, 218),
    (205, 225, 240),
    (205, 232, 215),
    (248, 214, 190),
    (222, 212, 238),
)
_WHITE, _OAK, _TEAL = (244, 243, 238), (222, 190, 148), (40, 96, 108)
_NAVY, _RED, _GREEN, _MUSTARD = (60, 84, 140), (186, 74, 70), (84, 140, 104), (214, 166, 66)
EXAMPLES: dict[str, Example] = {
    "swipe-up": Example("swipe up", 2, 2.5, Look("desk", _CREAM, SKINS[2], _NAVY, 0.5)),
    "swipe-down": Example("swipe down", 2, 2.5, Look("curtain", _MINT, SKINS[5], band=(212, 175, 80))),
    "swipe-left": Example("swipe left", 5, 2.5, Look("room", _SKY, SKINS[3], _RED, 0.4, "stripes")),
    "swipe-right": Example("swipe right", 3, 2.5, Look("landscape", None, SKINS[1], _MUSTARD, 0.6, shadow=0)),
    "square": Example("square", 1, 4.0, Look("shelves", _CREAM, SKINS[6], _WHITE, 0.5)),
    "circle": Example("circle (counter-clockwise)", 1, 3.5, Look("wall", _PEACH, SKINS[4], shadow=0.35)),
    "check-mark": Example("check mark", 2, 2.8, Look("plants", _WHITE, SKINS[0], _GREEN, 0.5, "checks")),
    "caret": Example("caret", 2, 3.0, Look("cabinet", _OAK, SKINS[7], band=(235, 235, 240))),
    "cross": Example("cross (X)", 0, 3.5, Look("desk", _LILAC, SKINS[3], left=True)),
    "star": Example("star", 1, 4.0, Look("wall", _TEAL, SKINS[1], _MUSTARD, 0.6, shadow=0.4)),
    "no-gesture-waving": Example(
        NO_GESTURE, 3, 3.0, Look("landscape", None, SKINS[5], _NAVY, 0.5, poses=(OPEN,), thumb=True, shadow=0)
    ),
    "no-gesture-wandering": Example(
        NO_GESTURE, 3, 3.5, Look("room", _MINT, SKINS[2], enters=True, leaves=True), "wander"
    ),
}

CAMERA_EXAMPLES = {  # file -> movement, scene, seed
    "pan-left": ("pan left", "landscape", 1),
    "pan-right": ("pan right", "shelves", 1),
    "tilt-up": ("tilt up", "room", 1),
    "zoom-in": ("zoom in", "landscape", 3),
    "zoom-out": ("zoom out", "shelves", 2),
    "roll-clockwise": ("roll clockwise", "desk", 1),
}


def main() -> None:
    """Write the example clips into a folder given on the command line."""
    parser = argparse.ArgumentParser(description="Write the drawn example clips.")
    parser.add_argument("folder", type=Path, help="where the MP4 files go")
    folder = parser.parse_args().folder
    write_examples(folder)
    write_camera_examples(folder / "camera")


if __name__ == "__main__":
    raise SystemExit(console.run(main))
