"""The gates of one block on one clip, and the maps and profiles that follow from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypedDict

import numpy as np

from aia.errors import AIAError
from aia.modeling.attention_settings import ATTENTION_SETTINGS, Combination
from aia.modeling.reference import COMBINED, BlockReference

LIMIT_SPREADS = 3.0  # standard deviations of the reference clips that `BlockGates.deviation_limit` stands for
SMALLEST_STD = 0.003  # a smaller one means nothing: a browser gets the gates of channels in steps of up to 1/127
FLAT_SPREAD = 0.02  # a map, a profile or the channels' means are flat if they span less than this (of 0 to 1)


class Applied(TypedDict):
    """Which gates multiply a block's feature.

    Attributes:
        c: The unit C that multiplies, such as "C" or "2.C"; None if there is none.
        st: The prefix of the units T, H and W whose mean multiplies, such as "" or "1."; None if there are none.
        how: How the two are combined: "single" if there is only one, "average", or "cascade" (their product).
    """

    c: str | None
    st: str | None
    how: Combination


@dataclass(frozen=True)
class Highlights:
    """The extreme values of one block's gate, and where they are.

    Attributes:
        low: Smallest value of the spatio-temporal map.
        high: Largest value of the map.
        mean: Mean value of the map.
        flat: Whether the map spans less than `FLAT_SPREAD`.
        peak_frame: Frame of the largest value, 0-based.
        peak_place: Place of the largest value in the part of the picture that the network saw: (x, y) as fractions.
        open_frame: Frame with the largest mean.
        closed_frame: Frame with the smallest mean.
        steady: Whether the frames' means span less than `FLAT_SPREAD`.
        channels_flat: Whether the channels' means span less than `FLAT_SPREAD`.
        strongest: The five channels with the largest mean gate.
        weakest: The five channels with the smallest mean gate.
    """

    low: float
    high: float
    mean: float
    flat: bool
    peak_frame: int
    peak_place: tuple[float, float]
    open_frame: int
    closed_frame: int
    steady: bool
    channels_flat: bool
    strongest: tuple[int, ...]
    weakest: tuple[int, ...]

    def __repr__(self) -> str:
        x, y = self.peak_place
        return f"Highlights({self.low:.3f} to {self.high:.3f}, peak in frame {self.peak_frame} at ({x:.2f}, {y:.2f}))"


@dataclass(frozen=True, eq=False)
class BlockGates:
    """The gates of one block, as they were used on one clip.

    The gate that multiplies the block's feature X follows from the factorized gates alone. With G = (T + H + W) / 3 it is
    G for ST and CinST, and C for C and STinC. A cascade multiplies by the product of its two modules' gates, an average by
    their mean.

    Attributes:
        name: The block, such as "layer1.0".
        attention: The network's setting, such as "cinst".
        gates: Unit -> float32 array in (0, 1): C `[T, 1, H, W]`, T `[1, C, H, W]`, H `[T, C, 1, W]`, W `[T, C, H, 1]`. In a
            composite the first module's units are called "1.C", ... and the second's "2.C", ...
        input: The module's input, `[T, C, H, W]`; only if features were asked for.
        output: The module's output, `[T, C, H, W]`; only if features were asked for.
        reference: What is typical for these gates; None if the network has no reference, or one of another shape.
    """

    name: str
    attention: str
    gates: Mapping[str, np.ndarray]
    input: np.ndarray | None = None
    output: np.ndarray | None = None
    reference: BlockReference | None = None

    def __repr__(self) -> str:
        shape = "x".join(map(str, self.shape))
        return f"BlockGates({self.name!r}, {self.attention!r}, gates {', '.join(self.gates)} of {shape})"

    @property
    def shape(self) -> tuple[int, ...]:
        """(T, C, H, W) of the feature that the gates multiply; C is 1 for the setting "c", whose gate has no channels."""
        return np.broadcast_shapes(*(gate.shape for gate in self.gates.values()))

    @property
    def applied(self) -> Applied:
        """Which gates multiply the feature, and how they are combined."""
        setting = ATTENTION_SETTINGS[self.attention]
        applied = Applied(c=None, st=None, how=setting.combination)
        for units in setting.multipliers:
            if "T" in units[0]:
                applied["st"] = units[0].removesuffix("T")
            else:
                applied["c"] = units[0]
        return applied

    @property
    def channel_mean(self) -> np.ndarray:
        """Mean over (T, H, W) of the gate that multiplies X, for each channel, `[C]`.

        STinC multiplies by C, which has one value for all channels; for it this is the mean of G, which steers C. The setting
        "c" has no gate per channel and gives one value, `[1]`.
        """
        groups, combination = self._multipliers()
        if all(gate.shape[1] == 1 for group in groups for gate in group):
            steering = [gate for gate in self.gates.values() if gate.shape[1] > 1]  # the units that steer C, if any
            groups = [steering] if steering else groups
        if combination == "average":
            return _mean([_mean([gate.mean(axis=(0, 2, 3)) for gate in group]) for group in groups])
        return _product_mean(groups)

    @property
    def spatiotemporal_map(self) -> np.ndarray:
        """Mean over channels of the gate that multiplies X, `[T, H, W]`: where and when features pass."""
        return self.gate_map()

    def gate_map(self, gate: str = "combined", channel: int | None = None) -> np.ndarray:
        """One gate in every frame, of one channel or as the mean over channels.

        Args:
            gate: "combined" for the gate that multiplies X, else one of the block's units, such as "T" or "1.C".
            channel: A channel of X, 0-based; None for the mean. A C gate has one value for all channels.

        Returns:
            float32 `[T, h, w]` as the gate is: H has one row `[T, 1, W]`, W one column `[T, H, 1]`, T equal frames.

        Raises:
            AIAError: The block has no such gate or channel.
        """
        frames, channels = self.shape[:2]
        if channel is not None and channels > 1 and not 0 <= channel < channels:
            raise AIAError(f"{self.name} has no channel {channel}; its channels are 0 to {channels - 1}.")
        if gate == "combined":
            groups, combination = self._multipliers()
            if channel is None and combination == "cascade" and sum(group[0].shape[1] > 1 for group in groups) > 1:
                return _mean_over(_combined([_mean(group) for group in groups], combination), 1)
            return _combined([_mean([_of_channel(gate, channel) for gate in group]) for group in groups], combination)
        self.num_channels(gate)  # raises if there is no such gate or channel
        values = _of_channel(self.gates[gate], channel)
        return np.broadcast_to(values, (frames, *values.shape[1:]))

    def num_channels(self, gate: str = COMBINED) -> int:
        """How many channels a gate tells apart: 1 if it has one value for all of them.

        Raises:
            AIAError: The block has no such gate.
        """
        if gate == COMBINED:
            return int(max(unit.shape[1] for group in self._multipliers()[0] for unit in group))
        if gate not in self.gates:
            raise AIAError(f"{self.name} has no gate {gate!r}; choose combined, {', '.join(self.gates)}.")
        return int(self.gates[gate].shape[1])

    @property
    def temporal_profile(self) -> np.ndarray:
        """Mean of the map in each frame, `[T]`."""
        return _mean_over(self.spatiotemporal_map, (1, 2))

    @property
    def highlights(self) -> Highlights:
        """The extreme values of the block's gate."""
        values, channels = self.spatiotemporal_map, self.channel_mean
        frame, row, column = np.unravel_index(values.argmax(), values.shape)
        order = np.argsort(-channels, kind="stable")
        profile = values.mean(axis=(1, 2))
        return Highlights(
            low=float(values.min()),
            high=float(values.max()),
            mean=float(values.mean()),
            flat=bool(np.ptp(values) < FLAT_SPREAD),
            peak_frame=int(frame),
            peak_place=((column + 0.5) / values.shape[2], (row + 0.5) / values.shape[1]),
            open_frame=int(profile.argmax()),
            closed_frame=int(profile.argmin()),
            steady=bool(np.ptp(profile) < FLAT_SPREAD),
            channels_flat=bool(np.ptp(channels) < FLAT_SPREAD),
            strongest=tuple(order[:5].tolist()),
            weakest=tuple(order[::-1][:5].tolist()),
        )

    def has_deviation(self, gate: str = COMBINED, channel: int | None = None) -> bool:
        """Whether it is known what is typical for this gate, of one channel or as the mean over channels.

        The combined gate of one channel in a cascade has no reference: the mean of a product over clips would need as much
        memory as the feature.
        """
        if self.reference is None:
            return False
        cascade = ATTENTION_SETTINGS[self.attention].combination == "cascade"
        own = channel is not None and len(self.reference.channel_spread.get(gate, ())) > 1
        return not (gate == COMBINED and cascade and own)

    def deviation(self, gate: str = COMBINED, channel: int | None = None) -> np.ndarray:
        """How much more open a gate is than usual, in every frame: `gate_map` less its mean over the reference clips.

        Args:
            gate: See `gate_map`.
            channel: See `gate_map`.

        Returns:
            float32 `[T, h, w]` in (-1, 1), negative where the gate is less open than usual.

        Raises:
            AIAError: The block has no such gate or channel, or nothing is known about what is typical for it.
        """
        values = self.gate_map(gate, channel)
        difference: np.ndarray = values - self.typical(gate, channel)
        return difference

    def typical(self, gate: str = COMBINED, channel: int | None = None) -> np.ndarray:
        """The mean of a gate's map over the reference clips, `[T, h, w]`.

        Raises:
            AIAError: The block has no such gate or channel, or nothing is known about what is typical for it.
        """
        reference = self._known(gate, channel)
        if channel is None or len(reference.channel_spread[gate]) == 1:
            return reference.map_mean[gate]
        return BlockGates(self.name, self.attention, reference.gates).gate_map(gate, channel)

    def deviation_limit(self, gate: str = COMBINED, channel: int | None = None) -> float:
        """The deviation drawn in the last color: `LIMIT_SPREADS` standard deviations of the reference clips' own differences.

        It is the same for all clips and frames, so that a color always means the same.

        Raises:
            AIAError: As in `deviation`.
        """
        reference = self._known(gate, channel)
        spread = reference.channel_spread[gate]
        if channel is None or len(spread) == 1:
            own = np.sqrt(np.square(reference.map_std[gate], dtype=np.float64).mean())
        else:
            own = spread[channel]
        return LIMIT_SPREADS * max(float(own), SMALLEST_STD)

    @property
    def channel_deviation(self) -> np.ndarray:
        """`channel_mean` less its mean over the reference clips, `[C]`.

        Raises:
            AIAError: The block has no reference.
        """
        difference: np.ndarray = self.channel_mean - self._known().channel_mean
        return difference

    @property
    def channel_zscore(self) -> np.ndarray:
        """How unusual each channel is: `channel_deviation` in standard deviations over the reference clips, `[C]`.

        Raises:
            AIAError: The block has no reference.
        """
        return _zscore(self.channel_deviation, self._known().channel_std)

    @property
    def profile_deviation(self) -> np.ndarray:
        """`temporal_profile` less its mean over the reference clips, `[T]`.

        Raises:
            AIAError: The block has no reference.
        """
        difference: np.ndarray = self.temporal_profile - self._known().profile_mean
        return difference

    def profile_limit(self, gate: str = COMBINED, channel: int | None = None) -> float:
        """The limit of the axis of a difference profile, smaller than `deviation_limit` since frames differ less than places.

        It is `LIMIT_SPREADS` standard deviations of the combined gate's mean in a frame over the reference clips. For other
        gates and for channels, whose profiles are not stored, it is a third of `deviation_limit`.

        Raises:
            AIAError: As in `deviation`.
        """
        reference = self._known(gate, channel)
        if gate != COMBINED or (channel is not None and len(reference.channel_spread[gate]) > 1):
            return self.deviation_limit(gate, channel) / 3
        spread = np.sqrt(np.square(reference.profile_std, dtype=np.float64).mean())
        return LIMIT_SPREADS * max(float(spread), SMALLEST_STD)

    @property
    def profile_zscore(self) -> np.ndarray:
        """How unusual each frame is: `profile_deviation` in standard deviations over the reference clips, `[T]`.

        Raises:
            AIAError: The block has no reference.
        """
        return _zscore(self.profile_deviation, self._known().profile_std)

    def _known(self, gate: str = COMBINED, channel: int | None = None) -> BlockReference:
        self.gate_map(gate, channel)  # raises if there is no such gate or channel
        if self.reference is None:
            raise AIAError(
                f"Nothing is known about what is typical for {self.name}: this network has no reference for such clips. "
                "Make one with `python -m aia reference`."
            )
        if not self.has_deviation(gate, channel):
            raise AIAError(
                f"What is typical for one channel of a cascade's combined gate is not stored; choose one of the units "
                f"{', '.join(self.gates)}, or all channels."
            )
        return self.reference

    @property
    def multiplier(self) -> np.ndarray:
        """The gate that multiplies X in full, `[T, C, H, W]`; C is 1 if it is the same for all channels."""
        groups, combination = self._multipliers()
        return _combined([_mean(group) for group in groups], combination)

    def apply(self, x: np.ndarray) -> np.ndarray:
        """Multiplies a feature `[T, C, H, W]` by the recorded gates, as the block did."""
        gated: np.ndarray = x * self.multiplier
        return gated

    def _multipliers(self) -> tuple[list[list[np.ndarray]], Combination]:
        """For each module, the gates whose mean multiplies X, and how the modules are combined."""
        setting = ATTENTION_SETTINGS[self.attention]
        return [[self.gates[unit] for unit in units] for units in setting.multipliers], setting.combination


def _zscore(difference: np.ndarray, std: np.ndarray) -> np.ndarray:
    scores: np.ndarray = difference / np.maximum(std, SMALLEST_STD)
    return scores


def _of_channel(gate: np.ndarray, channel: int | None) -> np.ndarray:
    """One channel of a gate `[T, C, H, W]`, or its mean over channels; a C gate has one channel for all."""
    if gate.shape[1] == 1:
        return gate[:, 0]
    return _mean_over(gate, 1) if channel is None else gate[:, channel]


def _mean_over(values: np.ndarray, axis: int | tuple[int, ...]) -> np.ndarray:
    mean: np.ndarray = values.mean(axis=axis)
    return mean


def _mean(gates: Sequence[np.ndarray]) -> np.ndarray:
    total = gates[0]
    for gate in gates[1:]:
        total = total + gate
    return total if len(gates) == 1 else total / len(gates)


def _combined(gates: Sequence[np.ndarray], combination: Combination) -> np.ndarray:
    """The gate that multiplies X: the mean or the product of the modules' gates."""
    if combination == "average":
        return _mean(gates)
    product = gates[0]
    for gate in gates[1:]:
        product = product * gate
    return product


def _product_mean(groups: Sequence[Sequence[np.ndarray]]) -> np.ndarray:
    """Mean over (T, H, W) of the product of the groups' mean gates, `[C]` or `[1]`."""
    plain = [_mean(group) for group in groups if group[0].shape[1] == 1]
    own = [group for group in groups if group[0].shape[1] > 1]
    if len(own) != 1:
        return _mean_over(_combined([*plain, *(_mean(group) for group in own)], "cascade"), (0, 2, 3))
    means = []
    for gate in own[0]:  # never the full product: the other factors are averaged over the axis that this gate lacks
        lacking = tuple(axis for axis in (0, 2, 3) if gate.shape[axis] == 1)
        factors = [_combined(plain, "cascade").mean(axis=lacking, keepdims=True)] if plain else []
        means.append(_combined([*factors, gate], "cascade").mean(axis=(0, 2, 3)))
    return _mean(means)
