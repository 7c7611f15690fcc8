"""An inspection as files: numbers for programs, pictures for people."""

from __future__ import annotations

import csv
import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np

from aia import files
from aia.errors import AIAError
from aia.inspection.gates import BlockGates
from aia.inspection.inspection import Inspection
from aia.visualization import figure, render
from aia.visualization.view import View

# What a view can be taken away as: its file's name, and what is in it.
FORMATS = {
    "frame.png": ("aia-frame.png", "The frame with the gate over it, as a picture"),
    "strip.png": ("aia-strip.png", "All frames with the gate over them, as one picture"),
    "figure.png": ("aia-figure.png", "A figure for a paper, 7 inches wide, 200 dots an inch"),
    "figure.svg": ("aia-figure.svg", "The same figure for the web and for drawing programs"),
    "figure.pdf": ("aia-figure.pdf", "The same figure for LaTeX and for print"),
    "film.mp4": ("aia-film.mp4", "All frames with the gate over them, as a film"),
    "gates.npz": ("aia-gates.npz", "Every gate of every block, as NumPy arrays"),
    "values.csv": ("aia-values.csv", "The numbers behind the map, one a line"),
    "channels.csv": ("aia-channels.csv", "The mean gate of every channel of every block"),
    "inspection.json": ("aia-inspection.json", "The answer, the clip, the network and this view"),
}


def export_view(seen: Inspection, view: View, format: str, folder: str | Path) -> Path:
    """Writes one view, or what lies behind it, as one file.

    Args:
        seen: The inspection.
        view: What is looked at. gates.npz and channels.csv hold all blocks, whatever the view.
        format: A key of `FORMATS`, which has the file's name.
        folder: Made if missing.

    Returns:
        The file.

    Raises:
        AIAError: There is no such view or format, the network has no gates and the format is values.csv, or the file
            cannot be written.
    """
    if not isinstance(format, str) or format not in FORMATS:
        raise AIAError(f"A view can be exported as {', '.join(FORMATS)}; choose one of them.")
    view = view.checked(seen)
    with files.writing_into(folder) as part:
        _export(seen, view, format, part / FORMATS[format][0])
    return Path(folder) / FORMATS[format][0]


def _export(seen: Inspection, view: View, format: str, path: Path) -> None:
    match format:
        case "frame.png":
            render.write_png(path, figure.frame_picture(seen, view))
        case "strip.png":
            render.write_png(path, figure.strip_picture(seen, view))
        case "figure.png" | "figure.svg" | "figure.pdf":
            figure.paper_figure(seen, view, path, path.suffix[1:])
        case "film.mp4":
            figure.film(seen, view, path)
        case "gates.npz":
            np.savez_compressed(path, **arrays(seen))
        case "values.csv":
            _write_csv(path, figure.TABLE_HEADER, figure.table(seen, view))
        case "channels.csv":
            _write_channels(path, seen)
        case "inspection.json":
            shown = seen.block(view.block) if seen.blocks else None
            _write_json(path, {**summary(seen, shown), "view": dataclasses.asdict(view)})


def save(seen: Inspection, folder: str | Path, *, block: str | None = None) -> list[Path]:
    """Writes an inspection.

    Args:
        seen: What to write.
        folder: Made if missing. Gets inspection.json, gates.npz, channels.csv, frames.csv and, of one block, overlay.png
            and overlay.mp4 (the absolute scale 0 to 1); without gates, the plain frames.
        block: The block to draw; the inspection's `first_block` by default.

    Returns:
        The files.

    Raises:
        AIAError: There is no such block, or the folder cannot be written: then none of the files is.
    """
    shown = seen.block(block or seen.first_block) if block or seen.blocks else None
    names = ("inspection.json", "gates.npz", "channels.csv", "frames.csv", "overlay.png", "overlay.mp4")
    with files.writing_into(folder) as part:
        text, gates, channels, frames, png, mp4 = (part / name for name in names)
        _write_json(text, summary(seen, shown))
        np.savez_compressed(gates, **arrays(seen))
        _write_channels(channels, seen)
        _write_csv(
            frames,
            ("block", "frame", "source_index", "seconds", "mean_gate"),
            (
                (b.name, t, seen.clip.indices[t], f"{seen.clip.times[t]:.4f}", f"{v:.6f}")
                for b in seen.blocks
                for t, v in enumerate(b.temporal_profile)
            ),
        )
        pictures = draw(seen, shown)
        render.write_png(png, render.strip(pictures))
        render.write_mp4(mp4, pictures, render.playback_fps(len(pictures), seen.clip.duration))
    return [Path(folder) / name for name in names]


def draw(
    seen: Inspection, block: BlockGates | None, *, opacity: float = 0.5, colour_map: str = "viridis"
) -> np.ndarray:
    """The frames with a block's map over them and a legend under them, uint8 `[T, H', W, 3]`; plain without a block."""
    if block is None:
        return seen.clip.frames
    pictures = render.overlay(
        seen.clip.frames, block.spatiotemporal_map, seen_box=seen.seen_box, opacity=opacity, colour_map=colour_map
    )
    captions = [f"{block.name} · {time:.2f} s" for time in seen.clip.times]
    return render.with_legend(pictures, captions, colour_map=colour_map)


def summary(seen: Inspection, shown: BlockGates | None = None) -> dict[str, Any]:
    """The inspection without its arrays, as JSON types."""
    clip = seen.clip
    return {
        "model": seen.model,
        "network": seen.title,
        "label": seen.label,
        "sure": seen.is_confident,
        "scores": seen.scores,
        "device": seen.device,
        "precision": seen.precision,
        "seconds": dict(seen.seconds),
        "switches": [vars(switch) for switch in seen.switches],
        "clip": {
            "indices": clip.indices.tolist(),
            "times": clip.times.tolist(),
            "fps": clip.fps,
            "duration": clip.duration,
            "num_frames": clip.num_frames,
            "warnings": list(clip.warnings),
        },
        "seen_box": list(seen.seen_box),
        "drawn_block": shown.name if shown else None,
        "blocks": [
            {
                "name": block.name,
                "attention": block.attention,
                "units": {unit: list(gate.shape) for unit, gate in block.gates.items()},
                "channel_mean": block.channel_mean.tolist(),
                "temporal_profile": block.temporal_profile.tolist(),
            }
            for block in seen.blocks
        ],
    }


def arrays(seen: Inspection) -> dict[str, np.ndarray]:
    """Every array of an inspection: "logits", "times", "indices", "<block>/<unit>" and "<block>/map"."""
    found = {"logits": seen.logits, "times": seen.clip.times, "indices": seen.clip.indices}
    for block in seen.blocks:
        found |= {f"{block.name}/{unit}": gate for unit, gate in block.gates.items()}
        found[f"{block.name}/map"] = block.spatiotemporal_map
    return found


def _write_json(path: Path, data: dict[str, Any]) -> None:
    path.write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")


def _write_channels(path: Path, seen: Inspection) -> None:
    rows = ((b.name, c, f"{v:.6f}") for b in seen.blocks for c, v in enumerate(b.channel_mean))
    _write_csv(path, ("block", "channel", "mean_gate"), rows)


def _write_csv(path: Path, header: tuple[str, ...], rows) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows(rows)
