"""Records and switches the gates of a forward pass, without hooks and without storing anything on the model.

Several requests share one model. The recording and the switches are therefore context variables, and each thread has its own.
The AIA units read them while they compute.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, NamedTuple, get_args

import numpy as np

from aia.errors import AIAError
from aia.modeling.config import is_number, plain_number

if TYPE_CHECKING:
    from torch import Tensor

SwitchMode = Literal["identity", "mean", "scale", "shuffle"]
MODES: tuple[SwitchMode, ...] = get_args(SwitchMode)
SHUFFLE_SEED = 154  # mixes 8 and 16 frames well: old and new positions are uncorrelated (|r| < 0.05)


class GateLocation(NamedTuple):
    """A unit's block, and its name in the block: "C", or "1.C" and "2.C" in a composite of two modules."""

    block: str
    unit: str


@dataclass(frozen=True)
class Switch:
    """Changes gates in one pass.

    Attributes:
        mode: "identity" sets the gate to 1. "mean" sets it to its mean over the clip: one number per gate, so the scale of
            the activations stays. "scale" multiplies it by `factor`. "shuffle" gives every frame another frame's gate, see
            `shuffle_order`; unit T, which has no frame axis, stays as it is.
        block: A block's name such as "layer1.0", a stage such as "layer1", or "*" for all.
        unit: "C", "T", "H", "W", a unit of one module of a composite such as "2.C", or "*" for all. "C" means the C of both
            modules.
        factor: For "scale": 0 or more.

    Raises:
        AIAError: An unknown mode or unit, a block that is no text, or a factor that is no number, negative or infinite.

    Example:
        >>> import aia
        >>> aia.Switch("scale", "features.12", "C", factor=0.5)
        Switch(mode='scale', block='features.12', unit='C', factor=0.5)
    """

    mode: SwitchMode = "identity"
    block: str = "*"
    unit: str = "*"
    factor: float = 1.0

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise AIAError(f"A gate can be switched to {', '.join(MODES)}, not {self.mode!r}.")
        if not isinstance(self.block, str):
            raise AIAError(f"A gate's block is a name such as 'layer1.0', a stage or *, not {self.block!r:.60}.")
        unit = self.unit.split(".")[-1] if isinstance(self.unit, str) else ""
        if self.unit != "*" and unit not in ("C", "T", "H", "W"):
            raise AIAError(f"A gate's unit is C, T, H, W or *, not {self.unit!r}.")
        if not is_number(self.factor) or not 0 <= self.factor < float("inf"):
            raise AIAError(f"A gate can be scaled by 0 or more, not by {self.factor!r:.60}.")
        object.__setattr__(self, "factor", plain_number(self.factor))

    def covers(self, location: GateLocation) -> bool:
        """Whether the switch applies to the unit at `location`."""
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
    """The frame whose gate each frame gets under "shuffle": fixed for `num_frames`; never its own if there are two or more."""
    # A random cycle of frames: each takes the gate of the one before it.
    circle = np.random.RandomState(SHUFFLE_SEED + num_frames).permutation(num_frames)
    order: list[int] = np.roll(circle, 1)[circle.argsort()].tolist()
    return order


@dataclass
class Recording:
    """Filled while a pass runs.

    Attributes:
        switches: Applied in this order.
        per_clip: Switches of each clip of the batch, applied after `switches`; empty if no clip has its own.
        features: Whether the modules' inputs and outputs are kept too (large).
        gates: The gates as used (after switching), by location, each `[B, ...]` in its factorized shape.
        inputs: By block, `[B, T, C, H, W]`, only with `features`.
        outputs: By block, `[B, T, C, H, W]`, only with `features`.
    """

    switches: tuple[Switch, ...] = ()
    per_clip: tuple[Sequence[Switch], ...] = ()
    features: bool = False
    gates: dict[GateLocation, Tensor] = field(default_factory=dict)
    inputs: dict[str, Tensor] = field(default_factory=dict)
    outputs: dict[str, Tensor] = field(default_factory=dict)

    def __repr__(self) -> str:
        return (
            f"Recording({len(self.gates)} gates, {len(self.switches)} switches, features of {len(self.inputs)} blocks)"
        )


_recording: ContextVar[Recording | None] = ContextVar("aia_recording", default=None)
_num_segments: ContextVar[int | None] = ContextVar("aia_num_segments", default=None)


@contextmanager
def recording(
    switches: Sequence[Switch] = (), *, per_clip: Sequence[Sequence[Switch]] = (), features: bool = False
) -> Iterator[Recording]:
    """Records, and switches, the gates of the forward passes that this thread runs inside the `with` block.

    Args:
        switches: Changes, applied in order.
        per_clip: For each clip of the batch its own changes, applied after `switches`; so one forward pass can compute many
            variants.
        features: Also keeps the input and the output of every block's module.

    Yields:
        The recording; a second forward pass overwrites the first.
    """
    current = Recording(tuple(switches), tuple(per_clip), features)
    token = _recording.set(current)
    try:
        yield current
    finally:
        _recording.reset(token)


@contextmanager
def segments_per_clip(num_segments: int) -> Iterator[None]:
    """Tells the modules how many frames of a batch belong to one clip."""
    token = _num_segments.set(num_segments)
    try:
        yield
    finally:
        _num_segments.reset(token)


def num_segments() -> int:
    """Frames per clip in the current forward pass.

    Raises:
        AIAError: A part of a network runs alone, outside `segments_per_clip`.
    """
    count = _num_segments.get()
    if count is None:
        raise AIAError(
            "A part of a network that runs alone does not know the frames per clip; run it inside "
            "aia.modeling.recording.segments_per_clip(T)."
        )
    return count


def split_clips(x: Tensor) -> Tensor:
    """Frames `[B * T, C, H, W]` -> clips `[B, T, C, H, W]`, without a copy."""
    return x.unflatten(0, (-1, num_segments()))  # type: ignore[no-untyped-call, no-any-return]  # PyTorch's own has no types


def is_recording() -> bool:
    """Whether the gates of the current forward pass are recorded."""
    return _recording.get() is not None


def has_switches() -> bool:
    """Whether gates of the current forward pass may be changed."""
    current = _recording.get()
    return current is not None and bool(current.switches or current.per_clip)


def wants_features() -> bool:
    """Whether the modules' inputs and outputs are recorded too."""
    current = _recording.get()
    return current is not None and current.features


def record_gate(location: GateLocation, gate: Tensor) -> Tensor:
    """Called by a unit with the gate it computed; returns the gate to use."""
    current = _recording.get()
    if current is None:
        return gate
    gate = _switched(gate, location, current.switches)
    if current.per_clip:
        import torch  # takes seconds, and making a `Switch` does not need it

        clips = zip(torch.split(gate, 1), current.per_clip, strict=True)
        gate = torch.cat([_switched(clip, location, switches) for clip, switches in clips])
    current.gates[location] = gate.detach()
    return gate


def _switched(gate: Tensor, location: GateLocation, switches: Sequence[Switch]) -> Tensor:
    for switch in switches:
        if switch.covers(location):
            gate = switch(gate)
    return gate


def record_features(block: str, x: Tensor, out: Tensor) -> None:
    """Called by a block's module with its input and output, `[B, T, C, H, W]`."""
    current = _recording.get()
    if current is not None and current.features:
        current.inputs[block] = x.detach()
        current.outputs[block] = out.detach().clone()  # the activation after the module works in place
