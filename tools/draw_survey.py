"""Draws a small data set for a survey: `python -m tools.draw_survey runs/drawn` writes LABEL/NUMBER.mp4 of every gesture."""

from __future__ import annotations

import argparse
from pathlib import Path

from aia import console, files
from aia.synthetic.gestures import LABELS, render_gesture
from aia.visualization.render import write_mp4

FIRST_SEED = 50_000  # the shipped models were trained with clips of seeds below 880


def draw(folder: Path, clips: int, fps: int = 15) -> None:
    """Writes a number of clips of each label, each with a random look."""
    for label in LABELS:
        with files.writing_into(folder / label) as part:
            for number in range(clips):
                frames = render_gesture(label, FIRST_SEED + number, fps=fps).frames
                write_mp4(part / f"{number:03}.mp4", frames, fps, crf=24)


def main() -> None:
    """Draws the clips into a folder given on the command line."""
    parser = argparse.ArgumentParser(description="Draw gesture clips for a survey.")
    parser.add_argument("folder", type=Path, help="where the clips go")
    parser.add_argument("--clips", type=int, default=10, help="of each label (10)")
    options = parser.parse_args()
    draw(options.folder, options.clips)


if __name__ == "__main__":
    raise SystemExit(console.run(main))
