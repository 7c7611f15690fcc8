"""Writes a short script that reproduces a view with the library."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from aia.modeling.recording import Switch
from aia.visualization.view import View


def as_python(
    model_name: str,
    video: str | Path,
    view: View,
    *,
    switches: Sequence[Switch] = (),
    backwards: bool = False,
    precision: str = "float32",
    reference_clips: str = "",
) -> str:
    """Writes a script that reproduces a view: it prints the prediction, and writes the frame's picture and the figure.

    Args:
        model_name: What `aia.load` takes.
        video: The file to read; any name is safe, since it is quoted.
        view: The view to reproduce.
        switches: Changes to the gates, in order.
        backwards: Whether the clip is reversed.
        precision: Precision of the network, see `AIANet.optimize`.
        reference_clips: A folder of videos to measure what is typical on, for a model without a reference of its own.

    Returns:
        Python source; the same for the same arguments.
    """
    options = "" if precision == "float32" else f", precision={precision!r}"
    changes = f", switches=[{', '.join(_call(switch) for switch in switches)}]" if switches else ""
    return "\n".join(
        [
            *(["from pathlib import Path", ""] if reference_clips else []),
            "import aia",
            "from aia.visualization.export import export_view",
            "",
            f"model = aia.load({str(model_name)!r}{options})",
            *([f"videos = sorted(Path({reference_clips!r}).glob('*.mp4'))"] if reference_clips else []),
            *(["model.reference = aia.compute_reference(model, videos)"] if reference_clips else []),
            f"clip = aia.read_clip({str(video)!r}, num_segments=model.config.num_segments)",
            *(["clip = clip.backwards()"] if backwards else []),
            f"inspection = aia.inspect(model, clip{changes})",
            'print(f"{inspection.label}: {inspection.probabilities.max():.1%}")',
            "",
            f"view = {_call(view)}",
            'export_view(inspection, view, "frame.png", folder=".")',
            'export_view(inspection, view, "figure.pdf", folder=".")',
            "",
        ]
    )


def _call(value: Any) -> str:
    """The call that recreates a dataclass: its first field, then by name the fields that differ from their default."""
    first, *others = dataclasses.fields(value)
    named = [f"{f.name}={getattr(value, f.name)!r}" for f in others if getattr(value, f.name) != f.default]
    return f"aia.{type(value).__name__}({', '.join([repr(getattr(value, first.name)), *named])})"
