"""One way of looking at an inspection. The page, every export and a program draw the same view, so they agree."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

import numpy as np

from aia.errors import AIAError
from aia.inspection.inspection import Inspection
from aia.visualization.render import COLORMAPS

SCALES = ("absolute", "clip", "block")
_GATES = ("combined", *(f"{module}{unit}" for module in ("", "1.", "2.") for unit in "CTHW"))
_MAX_NAME = 100  # characters of a block's name
_MAX_NUMBER = 10**6  # beyond any frame or channel
_NO_GATES = "This network has no AIA, so it has no gates to look at; choose one with AIA, such as CinST or STinC."
_INDEX = {"type": "integer", "minimum": 0, "maximum": _MAX_NUMBER}
SCHEMA: dict[str, Any] = {  # of a view as a JSON object: what `View.from_state` takes, for programs that ask
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
            "default": "absolute",
            "description": "The values of the first and last colour: 0 and 1, those of the clip or the block, or two numbers.",
        },
        "colours": {
            "type": "string",
            "enum": list(COLORMAPS),
            "default": "viridis",
            "description": "The colour map.",
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
    """Which gate is looked at, and how it is drawn.

    Attributes:
        block: The block, such as "features.12"; "" for the inspection's `first_block`.
        gate: "combined" for the gate that multiplies the block's feature, or one of its units: "C", "T", "H", "W", in a
            composite of two modules "1.C", "2.T", ...
        frame: The frame in the foreground, 0-based.
        channel: One channel's own gate, 0-based; None for the mean over channels. A C gate is the same for all of them.
        scale: The values of the first and the last colour: "absolute" 0 and 1, "clip" the gate's lowest and highest over
            all blocks, "block" those in this block, or two numbers. Never those of one frame.
        colours: One of `aia.visualization.render.COLORMAPS`.
        opacity: Of the map over the frame, 0 to 1.
        cells: Draws each value of the map as a rectangle; else values in between are interpolated.

    Raises:
        AIAError: A value has the wrong type or lies out of range; the sentence names the field.
    """

    block: str = ""
    gate: str = "combined"
    frame: int = 0
    channel: int | None = None
    scale: str | tuple[float, float] = "absolute"
    colours: str = "viridis"
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
        ends = isinstance(self.scale, tuple) and len(self.scale) == 2 and all(map(_is_finite, self.scale))
        ends = ends and self.scale[0] <= self.scale[1]
        _require(ends or self.scale in SCALES, "scale", f"one of {', '.join(SCALES)}, or two numbers, the lower first")
        _require(self.colours in COLORMAPS, "colours", f"one of {', '.join(COLORMAPS)}")
        number = isinstance(self.opacity, Real) and not isinstance(self.opacity, bool)
        _require(number and 0 <= self.opacity <= 1, "opacity", "a number from 0 to 1")
        _require(self.cells in (True, False), "cells", "true or false")
        # plain numbers, also where NumPy's came in: a program is written from their repr
        for field, kind in (("frame", int), ("channel", int), ("opacity", float), ("cells", bool)):
            if getattr(self, field) is not None:
                object.__setattr__(self, field, kind(getattr(self, field)))

    @classmethod
    def from_state(cls, state: Any) -> View:
        """Builds a view from untrusted data.

        Args:
            state: A JSON object, or query parameters with every value as text. Unknown keys are ignored; what is
                missing, null or empty has its default.

        Raises:
            AIAError: Not an object, or a value of the wrong type or out of range.
        """
        if not isinstance(state, Mapping):
            raise AIAError("A view is an object with fields such as block, gate and frame; give one.")
        given = {field.name: state.get(field.name) for field in dataclasses.fields(cls)}
        given = {name: value for name, value in given.items() if value not in (None, "")}
        for name in given.keys() & {"frame", "channel", "opacity"}:
            given[name] = _number(given[name])
        if isinstance(given.get("cells"), str):
            given["cells"] = {"true": True, "1": True, "false": False, "0": False}.get(given["cells"].lower())
        return cls(**given)

    def fitted(self, seen: Inspection) -> View:
        """The nearest view that the inspection has, as the page shows it: beside another clip or network not all is there."""
        frame = min(self.frame, len(seen.clip.frames) - 1)
        if not seen.blocks:
            return dataclasses.replace(self, block="", gate="combined", channel=None, frame=frame)
        names = {block.name: block for block in seen.blocks}
        block = names[self.block if self.block in names else seen.first_block]
        gate = self.gate if self.gate in block.gates else "combined"
        there = self.channel is not None and self.channel < block.shape[1]
        channel = self.channel if there else None
        return dataclasses.replace(self, block=block.name, gate=gate, channel=channel, frame=frame)

    def checked(self, seen: Inspection) -> View:
        """This view with its block named.

        Raises:
            AIAError: The inspection has no such block, gate, frame or channel.
        """
        if self.frame >= len(seen.clip.frames):
            raise AIAError(f"The clip has no frame {self.frame}; its frames are 0 to {len(seen.clip.frames) - 1}.")
        if not seen.blocks:
            if (self.block, self.gate, self.channel) != ("", "combined", None):
                raise AIAError(_NO_GATES)
            return self
        block = seen.block(self.block or seen.first_block)
        block.gate_map(self.gate, self.channel)
        return dataclasses.replace(self, block=block.name)


def values(seen: Inspection, view: View) -> np.ndarray:
    """The gate that a view looks at, in every frame.

    Returns:
        float32 `[T, h, w]`, usually in (0, 1); see `aia.inspection.inspection.BlockGates.gate_map` for h and w.

    Raises:
        AIAError: There is no such view of this inspection.
    """
    view = view.checked(seen)
    if not seen.blocks:
        raise AIAError(_NO_GATES)
    return seen.block(view.block).gate_map(view.gate, view.channel)


def limits(seen: Inspection, view: View) -> tuple[float, float]:
    """The values of a view's first and last colour; in the scale "clip" a block that lacks the channel gives its mean.

    Raises:
        AIAError: There is no such view of this inspection.
    """
    maps = [values(seen, view)]
    if isinstance(view.scale, tuple):
        return view.scale
    if view.scale == "absolute":
        return 0.0, 1.0
    if view.scale == "clip":
        for block in seen.blocks:
            lacks = view.channel is not None and view.channel >= block.shape[1]
            maps.append(block.gate_map(view.gate, None if lacks else view.channel))
    return float(min(map.min() for map in maps)), float(max(map.max() for map in maps))


def _require(fine: Any, field: str, expected: str) -> None:
    if not fine:
        raise AIAError(f"The view's {field} must be {expected}.")


def _is_index(value: Any) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool) and 0 <= value <= _MAX_NUMBER


def _is_finite(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool) and abs(value) <= sys.float_info.max


def _number(value: Any) -> Any:
    """A number sent as text, and 3.0 as 3; anything else as it came, to be refused."""
    try:
        value = float(value) if isinstance(value, str) else value
    except ValueError:
        return value
    return int(value) if isinstance(value, float) and value.is_integer() else value
