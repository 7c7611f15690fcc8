"""Makes a network's reference: what is typical for its gates over many clips."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

from aia.errors import AIAError
from aia.inspection.gates import BlockGates
from aia.inspection.inspection import inspect
from aia.modeling.attention_settings import ATTENTION_SETTINGS
from aia.modeling.network import AIANet
from aia.modeling.reference import COMBINED, BlockReference, Reference
from aia.video.clip import Clip


def compute_reference(
    model: AIANet, clips: Iterable[Clip | str | os.PathLike[str]], *, kind: str = "clips"
) -> Reference:
    """Measures what is typical for a network's gates. Keeps sums only, so that any number of clips fits in memory.

    Args:
        model: From `aia.load`, with AIA.
        clips: From `aia.read_clip`, with the model's `num_segments`; or paths of videos.
        kind: What the clips are, in a word or two for a sentence: "training clips".

    Returns:
        The reference. Assign it to `model.reference`, and `inspect` gives it to every block.

    Raises:
        AIAError: The model has no AIA, a clip cannot be read or has another number of frames, or there are fewer than two.

    Example:
        >>> import aia
        >>> model = aia.load("tsn-mobilenetv2-stinc", device="cpu")
        >>> clips = [f"assets/examples/{name}.mp4" for name in ("circle", "star", "swipe-left")]
        >>> aia.compute_reference(model, clips, kind="example clips")
        Reference(3 example clips, 17 blocks)
    """
    if not model.block_names:
        raise AIAError("This model has no gates, so there is nothing to measure; choose one with AIA.")
    sums: dict[str, _BlockSums] = {}
    count = 0
    for clip in clips:
        inspection = inspect(model, clip)
        if len(inspection.clip.frames) != model.config.num_segments:
            raise AIAError(
                f"A reference clip has {len(inspection.clip.frames)} frames, but the network takes "
                f"{model.config.num_segments}; read it with num_segments={model.config.num_segments}."
            )
        for block in inspection.blocks:
            sums.setdefault(block.name, _BlockSums()).add(block)
        count += 1
    if count < 2:
        raise AIAError("A reference needs at least two clips, preferably a hundred; give more.")
    setting = ATTENTION_SETTINGS[model.config.attention]
    linear = setting.combination != "cascade"
    blocks = {name: block.reference(count, model.config.attention, linear=linear) for name, block in sums.items()}
    config = model.config
    return Reference(blocks, count, kind, config.num_segments, config.input_size, model.fingerprint())


@dataclass
class _Sums:
    """Sums of an array and of its squares."""

    total: np.ndarray | float = 0.0
    squares: np.ndarray | float = 0.0

    def add(self, values: np.ndarray) -> None:
        values = values.astype(np.float64)
        self.total = self.total + values
        self.squares = self.squares + values * values

    def mean(self, count: int) -> np.ndarray:
        return np.asarray(self.total / count, np.float32)

    def std(self, count: int) -> np.ndarray:
        variance = self.squares / count - np.square(self.total / count)
        return np.sqrt(np.maximum(variance, 0)).astype(np.float32)


@dataclass
class _BlockSums:
    gates: dict[str, _Sums] = field(default_factory=dict)
    maps: dict[str, _Sums] = field(default_factory=dict)
    squares: dict[str, np.ndarray] = field(default_factory=dict)  # gate -> mean over places, for each channel
    channels: _Sums = field(default_factory=_Sums)
    profile: _Sums = field(default_factory=_Sums)

    def add(self, block: BlockGates) -> None:
        for unit, values in block.gates.items():
            self.gates.setdefault(unit, _Sums()).add(values)
        for gate in (COMBINED, *block.gates):
            self.maps.setdefault(gate, _Sums()).add(block.gate_map(gate))
            self.squares[gate] = self.squares.get(gate, np.zeros(())) + _by_channel(block, gate)
        self.channels.add(block.channel_mean)
        self.profile.add(block.temporal_profile)

    def reference(self, count: int, attention: str, *, linear: bool) -> BlockReference:
        gates: Mapping[str, np.ndarray] = {unit: sums.mean(count) for unit, sums in self.gates.items()}
        exact = BlockGates("", attention, {unit: np.asarray(s.total / count) for unit, s in self.gates.items()})
        spread = {}
        for gate, squares in self.squares.items():
            # Without the means of a product, the spread is measured around zero: nothing draws it (see `has_deviation`).
            mean_squares = _by_channel(exact, gate) if linear or gate != COMBINED else 0
            spread[gate] = np.sqrt(np.maximum(squares / count - mean_squares, 0)).astype(np.float32)
        return BlockReference(
            gates=gates,
            map_mean={gate: sums.mean(count) for gate, sums in self.maps.items()},
            map_std={gate: sums.std(count) for gate, sums in self.maps.items()},
            channel_spread=spread,
            channel_mean=self.channels.mean(count),
            channel_std=self.channels.std(count),
            profile_mean=self.profile.mean(count),
            profile_std=self.profile.std(count),
        )


def _by_channel(block: BlockGates, gate: str) -> np.ndarray:
    """Mean over places of the square of each channel's gate, float64 `[C]`."""
    values = block.gates[gate] if gate != COMBINED else block.multiplier
    mean: np.ndarray = np.square(values, dtype=np.float64).mean(axis=(0, 2, 3))
    return mean
