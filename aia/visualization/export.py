"""Writes an inspection, or one view of it, as files. `FORMATS` is the registry of the formats of a view."""

from __future__ import annotations

import csv
import dataclasses
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from aia import files
from aia.errors import AIAError
from aia.inspection.gates import BlockGates
from aia.inspection.inspection import Inspection
from aia.visualization import figure, render
from aia.visualization.view import View

# How far a mean gate is from what is usual, and how many standard deviations of the reference clips that is.
UNUSUAL = ("difference", "zscore")


@dataclass(frozen=True)
class ExportFormat:
    """A format that a view can be exported in.

    Attributes:
        name: Such as "figure.pdf"; its end is the file's extension.
        description: What the file holds, in one line for menus.
        write: Writes the file, from an inspection, a view that the inspection has, and a path. Raises an `AIAError` if the
            inspection has nothing to write.
    """

    name: str
    description: str
    write: Callable[[Inspection, View, Path], None]

    @property
    def file_name(self) -> str:
        """The name of the file, such as "aia-figure.pdf"."""
        return f"aia-{self.name}"


def _write_frame(inspection: Inspection, view: View, path: Path) -> None:
    render.write_png(path, figure.frame_picture(inspection, view))


def _write_strip(inspection: Inspection, view: View, path: Path) -> None:
    render.write_png(path, figure.strip_picture(inspection, view))


def _write_gates(inspection: Inspection, view: View | None, path: Path) -> None:
    content: dict[str, Any] = {**arrays(inspection)}
    np.savez_compressed(path, **content)


def _write_values(inspection: Inspection, view: View, path: Path) -> None:
    _write_csv(path, figure.TABLE_HEADER, figure.table(inspection, view))


def _write_channels(inspection: Inspection, view: View | None, path: Path) -> None:
    rows = (
        (block.name, channel, f"{mean:.6f}", *unusual)
        for block in inspection.blocks
        for channel, (mean, unusual) in enumerate(zip(block.channel_mean, _unusual_channels(block), strict=True))
    )
    _write_csv(path, ("block", "channel", "mean_gate", *UNUSUAL), rows)


def _unusual_channels(block: BlockGates) -> list[tuple[str, str]]:
    """The values of `UNUSUAL` for each channel; empty if unknown."""
    if block.reference is None:
        return [("", "")] * len(block.channel_mean)
    return _as_text(block.channel_deviation, block.channel_zscore)


def _unusual_frames(block: BlockGates) -> list[tuple[str, str]]:
    if block.reference is None:
        return [("", "")] * len(block.temporal_profile)
    return _as_text(block.profile_deviation, block.profile_zscore)


def _as_text(differences: np.ndarray, zscores: np.ndarray) -> list[tuple[str, str]]:
    return [(f"{difference:.6f}", f"{zscore:.3f}") for difference, zscore in zip(differences, zscores, strict=True)]


def _write_summary(inspection: Inspection, view: View, path: Path) -> None:
    block = inspection.block(view.block) if inspection.blocks else None
    _write_json(path, {**summary(inspection, block), "view": dataclasses.asdict(view)})


# Menus list the formats in this order. docs/how-to/add-an-export-format.md shows how to add one.
FORMATS: dict[str, ExportFormat] = {
    format.name: format
    for format in (
        ExportFormat("frame.png", "this frame with the gate", _write_frame),
        ExportFormat("strip.png", "all frames with the gate", _write_strip),
        *(
            ExportFormat(f"figure.{ending}", format.description, partial(figure.paper_figure, format=ending))
            for ending, format in figure.FIGURE_FORMATS.items()
        ),
        ExportFormat("film.mp4", "all frames as a film", figure.film),
        ExportFormat("gates.npz", "every gate, for NumPy", _write_gates),
        ExportFormat("values.csv", "the map's numbers", _write_values),
        ExportFormat("channels.csv", "mean gate per channel", _write_channels),
        ExportFormat("inspection.json", "answer and network", _write_summary),
    )
}


def export_view(inspection: Inspection, view: View, format: str, folder: str | Path) -> Path:
    """Writes one view, or the data behind it, as one file.

    Args:
        inspection: From `aia.inspect`.
        view: What to draw. gates.npz and channels.csv hold all blocks, for every view.
        format: A key of `FORMATS`, which also has the file's name.
        folder: Created if missing.

    Returns:
        The file.

    Raises:
        AIAError: The inspection has no such view, the format does not exist, the network has no gates and the format is
            values.csv, or the file cannot be written.
    """
    return save(inspection, folder, view=view, formats=[format])[0]


def save(
    inspection: Inspection,
    folder: str | Path,
    *,
    block: str | None = None,
    view: View | None = None,
    formats: Sequence[str] | None = None,
) -> list[Path]:
    """Writes an inspection: all of its files or, on an error, none.

    Without `formats` these are inspection.json, gates.npz, channels.csv, frames.csv and, of one block, overlay.png and
    overlay.mp4, which are "strip.png" and "film.mp4" of `FORMATS`: the difference from what is usual, or the gate where that
    is unknown. If the network has no gates, they show the plain frames.

    Args:
        inspection: From `aia.inspect`.
        folder: Created if missing.
        block: The block to draw; the inspection's `first_block` by default.
        view: The view that `formats` draw; the combined gate of `block` by default.
        formats: Keys of `FORMATS`, to write these formats instead.

    Returns:
        The files.

    Raises:
        AIAError: The inspection has no such block or view, a format does not exist, or the folder cannot be written.

    Example:
        >>> import aia, tempfile
        >>> model = aia.load("tsm-mobilenetv2-cinst", device="cpu")
        >>> inspection = aia.inspect(model, "assets/examples/circle.mp4")
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     files = aia.save(inspection, folder, formats=["figure.pdf", "values.csv"])
        >>> print(*(file.name for file in files))
        aia-figure.pdf aia-values.csv
    """
    if formats is None:
        return _save_all(inspection, folder, block)
    chosen = [_format(name) for name in formats]
    view = (view or View(block or "")).checked(inspection)
    with files.writing_into(folder) as part:
        for format in chosen:
            format.write(inspection, view, part / format.file_name)
    return [Path(folder) / format.file_name for format in chosen]


def _format(name: object) -> ExportFormat:
    if not isinstance(name, str) or name not in FORMATS:
        raise AIAError(f"A view can be exported as {', '.join(FORMATS)}; choose one of them.")
    return FORMATS[name]


def _save_all(inspection: Inspection, folder: str | Path, name: str | None) -> list[Path]:
    block = inspection.block(name or inspection.first_block) if name or inspection.blocks else None
    names = ("inspection.json", "gates.npz", "channels.csv", "frames.csv", "overlay.png", "overlay.mp4")
    with files.writing_into(folder) as part:
        text, gates, channels, frames, png, mp4 = (part / name for name in names)
        _write_json(text, summary(inspection, block))
        _write_gates(inspection, None, gates)
        _write_channels(inspection, None, channels)
        _write_csv(
            frames,
            ("block", "frame", "source_index", "seconds", "mean_gate", *UNUSUAL),
            (
                (b.name, t, inspection.clip.indices[t], f"{inspection.clip.times[t]:.4f}", f"{mean:.6f}", *unusual)
                for b in inspection.blocks
                for t, (mean, unusual) in enumerate(zip(b.temporal_profile, _unusual_frames(b), strict=True))
            ),
        )
        view = View(block.name if block else "")
        _write_strip(inspection, view, png)
        figure.film(inspection, view, mp4)
    return [Path(folder) / name for name in names]


def summary(inspection: Inspection, drawn: BlockGates | None = None) -> dict[str, Any]:
    """The inspection without its arrays, as JSON types; `drawn` is the block that goes with it as a picture."""
    clip, reference = inspection.clip, inspection.reference
    return {
        "model": inspection.model,
        "network": inspection.title,
        **inspection.answer(),
        "held": inspection.held.answer() if inspection.held else None,
        "reference": {"clips": reference.num_clips, "kind": reference.kind} if reference else None,
        "device": inspection.device,
        "precision": inspection.precision,
        "seconds": dict(inspection.seconds),
        "switches": [vars(switch) for switch in inspection.switches],
        "clip": {
            "indices": clip.indices.tolist(),
            "times": clip.times.tolist(),
            "fps": clip.fps,
            "duration": clip.duration,
            "num_frames": clip.num_frames,
            "warnings": list(clip.warnings),
        },
        "seen_box": list(inspection.seen_box),
        "drawn_block": drawn.name if drawn else None,
        "blocks": [
            {
                "name": block.name,
                "attention": block.attention,
                "units": {unit: list(gate.shape) for unit, gate in block.gates.items()},
                "channel_mean": block.channel_mean.tolist(),
                "temporal_profile": block.temporal_profile.tolist(),
            }
            for block in inspection.blocks
        ],
    }


def arrays(inspection: Inspection) -> dict[str, np.ndarray]:
    """Every array of an inspection: "logits", "times", "indices", "<block>/<unit>" and "<block>/map".

    With a reference also "<block>/deviation", the map less what is usual.
    """
    named = {"logits": inspection.logits, "times": inspection.clip.times, "indices": inspection.clip.indices}
    for block in inspection.blocks:
        named |= {f"{block.name}/{unit}": gate for unit, gate in block.gates.items()}
        named[f"{block.name}/map"] = block.spatiotemporal_map
        if block.has_deviation():
            named[f"{block.name}/deviation"] = block.deviation()
    return named


def _write_json(path: Path, data: dict[str, Any]) -> None:
    path.write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")


def _write_csv(path: Path, header: Iterable[str], rows: Iterable[Iterable[object]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows(rows)
