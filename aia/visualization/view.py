"""A view: which gate of an inspection is drawn, and how. The page, every export and a script draw the same view."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Integral
from typing import Any, Literal, get_args

import numpy as np

from aia.errors import AIAError
from aia.inspection.inspection import Inspection
from aia.modeling.config import is_number, plain_number
from aia.visualization import render
from aia.visualization.render import COLORMAPS, Colormap

Scale = Literal["typical", "absolute", "clip", "block"]
SCALES: tuple[Scale, ...] = get_args(Scale)
_GATES = ("combined", *(f"{module}{unit}" for module in ("", "1.", "2.") for unit in "CTHW"))
_MAX_NAME = 100  # characters of a block's name
_MAX_NUMBER = 10**6  # beyond any frame or channel
_NO_GATES = "This network has no AIA, so it has no gates to look at; choose one with AIA, such as CinST or STinC."
_INDEX = {"type": "integer", "minimum": 0, "maximum": _MAX_NUMBER}
SCHEMA: dict[str, Any] = {  # JSON Schema of the objects that `View.from_state` takes
    "type": "object",
    "properties": {
        "block": {
            "type": "string",
            "maxLength": _MAX_NAME,
            "default": "",
            "description": "The block, such as features.12; empty for the one that the page shows first.",
        },
        "gate": {
            "type": "string",
            "enum": list(_GATES),
            "default": "combined",
            "description": "combined for the gate that multiplies the block's feature, or one of its units.",
        },
        "frame": {**_INDEX, "default": 0, "description": "The frame in the foreground, 0-based."},
        "channel": {
            "anyOf": [_INDEX, {"type": "null"}],
            "default": None,
            "description": "One channel's own gate, 0-based; null for the mean over channels.",
        },
        "scale": {
            "anyOf": [
                {"type": "string", "enum": list(SCALES)},
                {"type": "array", "items": {"type": "number"}, "minItems": 2, "maxItems": 2},
            ],
            "default": "typical",
            "description": "typical draws the difference from what is usual for the model, or as absolute where that is "
            "unknown. The others draw the gate; the values of the first and last color are 0 and 1, those of the clip or of "
            "the block, or two numbers.",
        },
        "colours": {
            "type": "string",
            "enum": list(COLORMAPS),
            "default": "viridis",
            "description": "The colormap of the gate; differences have their own.",
        },
        "opacity": {
            "type": "number",
            "minimum": 0,
            "maximum": 1,
            "default": 0.5,
            "description": "Of the map over the frame.",
        },
        "cells": {
            "type": "boolean",
            "default": False,
            "description": "Draws each value as a rectangle; else values in between are interpolated.",
        },
    },
}


@dataclass(frozen=True)
class View:
    """Which gate is drawn, and how.

    Attributes:
        block: The block, such as "features.12"; "" for the inspection's `first_block`.
        gate: "combined" for the gate that multiplies the block's feature, or one of its units: "C", "T", "H", "W", in a
            composite of two modules "1.C", "2.T", ...
        frame: The frame in the foreground, 0-based.
        channel: One channel's own gate, 0-based; None for the mean over channels. A C gate is the same for all of them.
        scale: "typical" draws how far the gate is from what is usual for the network, see `BlockGates.deviation`; a gate
            whose usual values are unknown is drawn as with "absolute". The other scales draw the gate itself. The values of
            their first and last color: "absolute" 0 and 1, "clip" the gate's lowest and highest over all blocks, "block"
            those in this block, or two numbers. All frames have the same scale.
        colours: The colormap of the gate, one of `aia.visualization.render.COLORMAPS`. A difference has a map of its own.
        opacity: Opacity of the map over the frame, 0 to 1.
        cells: Draws each value of the map as a rectangle; else values in between are interpolated.

    Raises:
        AIAError: A value has the wrong type or is out of range; the sentence names the field.

    Example:
        >>> import aia
        >>> aia.View("features.12", gate="T", opacity=2)
        Traceback (most recent call last):
        aia.errors.AIAError: The view's opacity must be a number from 0 to 1.
    """

    block: str = ""
    gate: str = "combined"
    frame: int = 0
    channel: int | None = None
    scale: Scale | tuple[float, float] = "typical"
    colours: Colormap = "viridis"
    opacity: float = 0.5
    cells: bool = False

    def __post_init__(self) -> None:
        _require(isinstance(self.block, str) and len(self.block) <= _MAX_NAME, "block", "a block's name")
        _require(self.gate in _GATES, "gate", "combined, C, T, H or W, or with a module's number, such as 1.C")
        _require(_is_index(self.frame), "frame", f"a whole number from 0 to {_MAX_NUMBER}")
        index = self.channel is None or _is_index(self.channel)
        _require(index, "channel", f"a whole number from 0 to {_MAX_NUMBER}, or empty for the mean")
        if isinstance(self.scale, list):  # JSON has lists only
            object.__setattr__(self, "scale", tuple(self.scale))
        _require(
            _is_range(self.scale) or self.scale in SCALES,
            "scale",
            f"one of {', '.join(SCALES)}, or two numbers, the lower first",
        )
        _require(self.colours in COLORMAPS, "colours", f"one of {', '.join(COLORMAPS)}")
        _require(is_number(self.opacity) and 0 <= self.opacity <= 1, "opacity", "a number from 0 to 1")
        _require(self.cells in (True, False), "cells", "true or false")
        # NumPy's numbers become plain ones, since a script is written from their repr
        for field, kind in (("frame", int), ("channel", int), ("opacity", float), ("cells", bool)):
            if getattr(self, field) is not None:
                object.__setattr__(self, field, kind(getattr(self, field)))
        if isinstance(self.scale, tuple):
            object.__setattr__(self, "scale", tuple(map(plain_number, self.scale)))

    @classmethod
    def from_state(cls, state: Any) -> View:
        """Builds a view from untrusted data.

        Args:
            state: A JSON object, or query parameters with every value as text. Unknown keys are ignored. Missing, null and
                empty values have their defaults.

        Raises:
            AIAError: Not an object, or a value of the wrong type or out of range.

        Example:
            >>> import aia
            >>> aia.View.from_state({"block": "features.12", "frame": "3"}) == aia.View("features.12", frame=3)
            True
        """
        if not isinstance(state, Mapping):
            raise AIAError("A view is an object with fields such as block, gate and frame; give one.")
        fields: dict[str, Any] = {field.name: state.get(field.name) for field in dataclasses.fields(cls)}
        fields = {name: value for name, value in fields.items() if value not in (None, "")}
        for name in fields.keys() & {"frame", "channel", "opacity"}:
            fields[name] = _number(fields[name])
        if isinstance(fields.get("cells"), str):
            fields["cells"] = {"true": True, "1": True, "false": False, "0": False}.get(fields["cells"].lower())
        return cls(**fields)

    def fitted(self, inspection: Inspection) -> View:
        """The nearest view that the inspection has. Another clip or network may lack the view's block, gate or frame."""
        frame = min(self.frame, len(inspection.clip.frames) - 1)
        if not inspection.blocks:
            return dataclasses.replace(self, block="", gate="combined", channel=None, frame=frame)
        names = {block.name: block for block in inspection.blocks}
        block = names[self.block if self.block in names else inspection.first_block]
        gate = self.gate if self.gate in block.gates else "combined"
        channel = self.channel if self.channel is not None and self.channel < block.shape[1] else None
        return dataclasses.replace(self, block=block.name, gate=gate, channel=channel, frame=frame)

    def checked(self, inspection: Inspection) -> View:
        """This view with its block named, and with the scale that it is drawn by.

        Raises:
            AIAError: The inspection has no such block, gate, frame or channel.
        """
        if self.frame >= len(inspection.clip.frames):
            raise AIAError(
                f"The clip has no frame {self.frame}; its frames are 0 to {len(inspection.clip.frames) - 1}."
            )
        if not inspection.blocks:
            if (self.block, self.gate, self.channel) != ("", "combined", None):
                raise AIAError(_NO_GATES)
            return self
        block = inspection.block(self.block or inspection.first_block)
        block.gate_map(self.gate, self.channel)
        known = block.has_deviation(self.gate, self.channel)
        scale = "absolute" if self.scale == "typical" and not known else self.scale
        return dataclasses.replace(self, block=block.name, scale=scale)

    @property
    def colormap(self) -> str:
        """The colormap that a view of `checked` is drawn with, for `aia.visualization.render.colormap_table`."""
        return render.DIFFERENCE if self.scale == "typical" else self.colours


def values(inspection: Inspection, view: View) -> np.ndarray:
    """The values that a view draws, in every frame: a gate, or in the scale "typical" its difference from what is usual.

    Returns:
        float32 `[T, h, w]`; a gate is in (0, 1), a difference in (-1, 1). See `aia.inspection.gates.BlockGates.gate_map` for
        h and w.

    Raises:
        AIAError: There is no such view of this inspection.
    """
    view = view.checked(inspection)
    if not inspection.blocks:
        raise AIAError(_NO_GATES)
    block = inspection.block(view.block)
    if view.scale == "typical":
        return block.deviation(view.gate, view.channel)
    return block.gate_map(view.gate, view.channel)


def limits(inspection: Inspection, view: View) -> tuple[float, float]:
    """The values of a view's first and last color; in the scale "clip" a block that lacks the channel gives its mean.

    Raises:
        AIAError: There is no such view of this inspection.
    """
    view = view.checked(inspection)
    maps = [values(inspection, view)]
    if isinstance(view.scale, tuple):
        return view.scale
    if view.scale == "typical":
        limit = inspection.block(view.block).deviation_limit(view.gate, view.channel)
        return -limit, limit
    if view.scale == "absolute":
        return 0.0, 1.0
    if view.scale == "clip":
        for block in inspection.blocks:
            lacks = view.channel is not None and view.channel >= block.shape[1]
            maps.append(block.gate_map(view.gate, None if lacks else view.channel))
    return float(min(map.min() for map in maps)), float(max(map.max() for map in maps))


def _require(valid: object, field: str, expected: str) -> None:
    if not valid:
        raise AIAError(f"The view's {field} must be {expected}.")


def _is_index(value: Any) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool) and 0 <= int(value) <= _MAX_NUMBER


def _is_finite(value: Any) -> bool:
    return is_number(value) and bool(abs(plain_number(value)) <= sys.float_info.max)


def _is_range(value: Any) -> bool:
    return isinstance(value, tuple) and len(value) == 2 and all(map(_is_finite, value)) and bool(value[0] <= value[1])


def _number(value: Any) -> Any:
    """Converts a number sent as text, and 3.0 to 3; other values stay, and are refused later."""
    try:
        value = float(value) if isinstance(value, str) else value
    except ValueError:
        return value
    return int(value) if isinstance(value, float) and value.is_integer() else value
