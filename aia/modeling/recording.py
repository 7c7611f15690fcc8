"""What the gates did in one forward pass, and switching them: no hooks, nothing left on the model.

Requests share one model, so nothing of a request is stored on it. The recorder and the switches live in context
variables, which every thread has of its own; the AIA units look them up as they compute.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from aia.errors import AIAError

if TYPE_CHECKING:
    from torch import Tensor

MODES = ("identity", "mean", "scale", "shuffle")
SHUFFLE_SEED = 154  # one that mixes 8 and 16 frames well: old and new place are uncorrelated (|r| < 0.05)

DIMS = {"C": 2, "T": 1, "H": 3, "W": 4}  # where each axis lies in [B, T, C, H, W]


class GateLocation(NamedTuple):
    """Where a unit sits: the block, and the unit in it ("C", or "1.C" and "2.C" in a composite of two modules)."""

    block: str
    unit: str


@dataclass(frozen=True)
class Switch:
    """Changes gates in one pass.

    Attributes:
        mode: "identity" sets the gate to 1, "mean" to its mean over the clip (one number per gate, so the scale of the
            activations stays), "scale" multiplies it by `factor`, "shuffle" gives every frame another frame's gate (see
            `shuffle_order`; a gate without a frame axis, unit T, stays as it is).
        block: A block's name such as "layer1.0", a stage such as "layer1", or "*" for all.
        unit: "C", "T", "H", "W", a composite's own such as "2.C", or "*" for all. "C" means the C of both modules.
        factor: For "scale": 0 or more.

    Raises:
        AIAError: An unknown mode or unit, or a negative or infinite factor.
    """

    mode: str = "identity"
    block: str = "*"
    unit: str = "*"
    factor: float = 1.0

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise AIAError(f"A gate can be switched to {', '.join(MODES)}, not {self.mode!r}.")
        if self.unit != "*" and self.unit.split(".")[-1] not in ("C", "T", "H", "W"):
            raise AIAError(f"A gate's unit is C, T, H, W or *, not {self.unit!r}.")
        if not 0 <= self.factor < float("inf"):
            raise AIAError(f"A gate can be scaled by 0 or more, not by {self.factor!r}.")

    def covers(self, location: GateLocation) -> bool:
        """Whether the switch is meant for the unit at `site`."""
        block = self.block == "*" or location.block == self.block or location.block.startswith(self.block + ".")
        unit = self.unit == "*" or location.unit == self.unit or location.unit.split(".")[-1] == self.unit
        return block and unit

    def __call__(self, gate: Tensor) -> Tensor:
        """The switched gate `[B, T or 1, C or 1, H or 1, W or 1]`, same shape."""
        if self.mode == "identity":
            return gate.new_ones(()).expand_as(gate)
        if self.mode == "mean":
            return gate.mean(dim=(1, 2, 3, 4), keepdim=True).expand_as(gate)
        if self.mode == "shuffle":
            return gate[:, shuffle_order(gate.shape[1])]
        return gate * self.factor


def shuffle_order(num_frames: int) -> list[int]:
    """Which frame's gate each frame gets by "shuffle": fixed for `num_frames`, and from 2 on never its own."""
    # The frames stand in a circle, in random order, and each takes its neighbour's gate: none can meet its own.
    circle = np.random.RandomState(SHUFFLE_SEED + num_frames).permutation(num_frames)
    return np.roll(circle, 1)[circle.argsort()].tolist()


@dataclass
class Recording:
    """Filled while a pass runs.

    Attributes:
        switches: Applied in this order.
        per_clip: Switches of each clip of the batch, applied after `switches`; empty where all clips are alike.
        features: Whether the inputs and outputs of the modules are kept too (large).
        gates: The gates as used (after switching), by site, each `[B, ...]` in its factorised shape.
        inputs: By block, `[B, T, C, H, W]`, only with `features`.
        outputs: By block, `[B, T, C, H, W]`, only with `features`.
    """

    switches: tuple[Switch, ...] = ()
    per_clip: tuple[Sequence[Switch], ...] = ()
    features: bool = False
    gates: dict[GateLocation, Tensor] = field(default_factory=dict)
    inputs: dict[str, Tensor] = field(default_factory=dict)
    outputs: dict[str, Tensor] = field(default_factory=dict)


_recording: ContextVar[Recording | None] = ContextVar("aia_recording", default=None)
_num_segments: ContextVar[int] = ContextVar("aia_num_segments", default=1)


@contextmanager
def recording(
    switches: Sequence[Switch] = (), *, per_clip: Sequence[Sequence[Switch]] = (), features: bool = False
) -> Iterator[Recording]:
    """Records, and switches, the gates of the forward passes that this thread runs inside the block.

    Args:
        switches: Changes to make, in order.
        per_clip: Changes that only one clip of the batch gets, after `switches`: one sequence for each of its clips. So
            many a "what if" runs in one forward pass.
        features: Also keeps what went into and out of every block's module.

    Yields:
        The recording; a second forward pass overwrites the first.
    """
    seen = Recording(tuple(switches), tuple(per_clip), features)
    token = _recording.set(seen)
    try:
        yield seen
    finally:
        _recording.reset(token)


@contextmanager
def segments_per_clip(num_segments: int) -> Iterator[None]:
    """Says to the modules inside how many frames of a batch belong to one clip."""
    token = _num_segments.set(num_segments)
    try:
        yield
    finally:
        _num_segments.reset(token)


def num_segments() -> int:
    """Frames per clip in the pass that is running."""
    return _num_segments.get()


def is_recording() -> bool:
    """Whether anybody looks at the gates of the pass that is running."""
    return _recording.get() is not None


def wants_features() -> bool:
    """Whether the inputs and outputs of the modules are wanted too."""
    seen = _recording.get()
    return seen is not None and seen.features


def record_gate(location: GateLocation, gate: Tensor) -> Tensor:
    """Called by a unit with the gate it computed; returns the gate to use."""
    seen = _recording.get()
    if seen is None:
        return gate
    gate = _switched(gate, location, seen.switches)
    if seen.per_clip:
        import torch  # takes seconds the first time, and a switch can be named without

        clips = zip(gate.split(1), seen.per_clip, strict=True)
        gate = torch.cat([_switched(one, location, switches) for one, switches in clips])
    seen.gates[location] = gate.detach()
    return gate


def _switched(gate: Tensor, location: GateLocation, switches: Sequence[Switch]) -> Tensor:
    for switch in switches:
        if switch.covers(location):
            gate = switch(gate)
    return gate


def record_features(block: str, x: Tensor, out: Tensor) -> None:
    """Called by a block's module with its input and output, `[B, T, C, H, W]`."""
    seen = _recording.get()
    if seen is not None and seen.features:
        seen.inputs[block] = x.detach()
        seen.outputs[block] = out.detach().clone()  # the activation behind the module works in place
