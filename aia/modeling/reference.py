"""What is typical for a network's gates: their means and spreads over reference clips, such as the training clips."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain

import numpy as np

from aia.errors import AIAError
from aia.modeling.attention_settings import ATTENTION_SETTINGS, AttentionSetting
from aia.modeling.config import AIAConfig

MAX_CLIPS, MAX_KIND = 10**9, 100  # characters of a kind
COMBINED = "combined"  # the gate that multiplies a block's feature
AXES_OF_UNITS = "TCHW"  # of a gate `[T, C, H, W]`; a unit's own axis has length 1


@dataclass(frozen=True, eq=False)
class BlockReference:
    """The gates of one block over the reference clips; a "gate" is "combined" or one of the block's units.

    Attributes:
        gates: Unit -> mean over the clips, in the unit's factorized shape, such as T `[1, C, H, W]`.
        map_mean: Gate -> mean over the clips of its mean over channels, `[T, h, w]`.
        map_std: Gate -> standard deviation over the clips of the same map, `[T, h, w]`.
        channel_spread: Gate -> root mean square, over clips and places, of how far one channel's gate is from its own mean,
            `[C]`. A gate that does not tell channels apart has `[1]`.
        channel_mean: Mean over the clips of `BlockGates.channel_mean`, `[C]`.
        channel_std: Its standard deviation over the clips, `[C]`.
        profile_mean: Mean over the clips of `BlockGates.temporal_profile`, `[T]`.
        profile_std: Its standard deviation over the clips, `[T]`.
    """

    gates: Mapping[str, np.ndarray]
    map_mean: Mapping[str, np.ndarray]
    map_std: Mapping[str, np.ndarray]
    channel_spread: Mapping[str, np.ndarray]
    channel_mean: np.ndarray
    channel_std: np.ndarray
    profile_mean: np.ndarray
    profile_std: np.ndarray

    def __repr__(self) -> str:
        return f"BlockReference(gates {', '.join(self.gates)} of {'x'.join(map(str, self.shape))})"

    @property
    def shape(self) -> tuple[int, ...]:
        """(T, C, H, W) of the feature that the gates multiply."""
        return np.broadcast_shapes(*(gate.shape for gate in self.gates.values()))


@dataclass(frozen=True, eq=False)
class Reference:
    """What is typical for a network's gates.

    Attributes:
        blocks: By block, in order.
        num_clips: How many clips it was made from, 2 or more.
        kind: What these clips are, such as "training clips".
        num_segments: Frames per clip.
        input_size: Side of the network's input in pixels.
        weights: `AIANet.fingerprint` of the network that it was made with.

    Raises:
        AIAError: There are fewer than two clips or more than `MAX_CLIPS`, or the kind is not a short line of text.
    """

    blocks: Mapping[str, BlockReference]
    num_clips: int
    kind: str
    num_segments: int
    input_size: int
    weights: str

    def __post_init__(self) -> None:
        if not 2 <= self.num_clips <= MAX_CLIPS or not self.kind.strip() or not self.kind.isprintable():
            raise AIAError("The reference does not say how many clips of which kind it was made from; make it again.")
        if len(self.kind) > MAX_KIND:
            raise AIAError(
                f"The kind of the reference clips has more than {MAX_KIND} characters; say it in a word or two."
            )

    def __repr__(self) -> str:
        return f"Reference({self.num_clips} {self.kind:.60}, {len(self.blocks)} blocks)"

    def arrays(self) -> dict[str, np.ndarray]:
        """Every array under one name, such as "features.12/map_mean/combined" or "features.12/channel_std"."""
        named: dict[str, np.ndarray] = {}
        for name, block in self.blocks.items():
            for field, value in vars(block).items():
                parts = value if isinstance(value, Mapping) else {"": value}
                named |= {f"{name}/{field}/{gate}".rstrip("/"): array for gate, array in parts.items()}
        return named


def from_arrays(
    arrays: Mapping[str, np.ndarray],
    config: AIAConfig,
    *,
    num_clips: int,
    kind: str,
    num_segments: int,
    input_size: int,
    weights: str,
) -> Reference:
    """Builds a reference from the arrays of `Reference.arrays`, which are not trusted.

    Args:
        arrays: By name.
        config: The network that the reference belongs to.
        num_clips: See `Reference`.
        kind: See `Reference`.
        num_segments: See `Reference`.
        input_size: See `Reference`.
        weights: See `Reference`.

    Raises:
        AIAError: The arrays do not fit the network or each other, or a value is out of range.
    """
    if (num_segments, input_size) != (config.num_segments, config.input_size):
        raise AIAError(
            f"The reference was made with {num_segments} frames of {input_size} px, but the network takes "
            f"{config.num_segments} of {config.input_size} px; make it again."
        )
    setting, left = ATTENTION_SETTINGS[config.attention], dict(arrays)
    blocks = {name: _block(name, left, setting, num_segments) for name in (config.blocks if setting.modules else ())}
    if left:
        raise AIAError(f"The reference has the unexpected {min(left)[:80]!r}; make it again.")
    return Reference(blocks, num_clips, kind, num_segments, input_size, weights)


def _block(name: str, left: dict[str, np.ndarray], setting: AttentionSetting, frames: int) -> BlockReference:
    """Takes the arrays of one block out of `left`."""

    def take(key: str, *shape: int | None) -> np.ndarray:
        """An array whose shape is known, except for the axes that are None."""
        array = left.pop(f"{name}/{key}", None)
        if array is None:
            raise AIAError(f"The reference lacks {name}/{key}; make it again.")
        fits = array.ndim == len(shape) and all(b in (None, a) for a, b in zip(array.shape, shape, strict=True))
        if not fits or not array.size:
            raise AIAError(f"The reference has another shape for {name}/{key}; make it again.")
        values = array.astype(np.float32)
        if not (np.isfinite(values).all() and values.min() >= 0 and values.max() <= 1):
            raise AIAError(f"The reference holds values in {name}/{key} that no gate can have; make it again.")
        return values

    gates = {
        u: take(f"gates/{u}", *(1 if axis == u[-1] else None for axis in AXES_OF_UNITS))
        for u in chain.from_iterable(setting.units)
    }
    try:
        shape = np.broadcast_shapes(*(gate.shape for gate in gates.values()))
    except ValueError:
        shape = ()
    whole = {
        unit: tuple(1 if a == unit[-1] else n for a, n in zip(AXES_OF_UNITS, shape, strict=False)) for unit in gates
    }
    if shape[:1] != (frames,) or any(gate.shape != whole[unit] for unit, gate in gates.items()):
        raise AIAError(f"The gates of {name} in the reference do not fit together; make it again.")
    sizes = {COMBINED: (frames, *shape[2:])} | {unit: (frames, *size[2:]) for unit, size in whole.items()}
    own = {unit: size[1] for unit, size in whole.items()}
    own[COMBINED] = max(own[unit] for group in setting.multipliers for unit in group)
    return BlockReference(
        gates=gates,
        map_mean={gate: take(f"map_mean/{gate}", *size) for gate, size in sizes.items()},
        map_std={gate: take(f"map_std/{gate}", *size) for gate, size in sizes.items()},
        channel_spread={gate: take(f"channel_spread/{gate}", own[gate]) for gate in sizes},
        channel_mean=take("channel_mean", shape[1]),
        channel_std=take("channel_std", shape[1]),
        profile_mean=take("profile_mean", frames),
        profile_std=take("profile_std", frames),
    )
