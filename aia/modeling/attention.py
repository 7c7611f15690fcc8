"""The four units and the modules made of them: the paper, readable.

Hao et al., "Attention in Attention: Modeling Context Correlation for Efficient Video Classification", IEEE TCSVT 32(10),
2022, and the authors' published code. X is a clip's feature, here always `[B, T, C, H, W]`; `.` is the element-wise product:

    P_A(V) = stack(max over A, mean over A)
    U_A(V) = sigmoid(BN(K_A * P_A(V)))          K_A: one 3x3x3 convolution, 2 -> 1 channels
    G(V)   = (U_T(V) + U_H(V) + U_W(V)) / 3

    C     = X . U_C(X)            CinST = X . G(X . U_C(X))
    ST    = X . G(X)              STinC = X . U_C(X . G(X))
"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor, nn

from aia.modeling import fast_training, recording
from aia.modeling.config import split_attention
from aia.modeling.recording import DIMS

# The axes of each unit's pooled maps, in the order in which the published kernels run over them.
AXES = {"C": "THW", "T": "CHW", "H": "TCW", "W": "THC"}


class Stages(NamedTuple):
    """What a unit computes, in this order; its three axes are `AXES[unit.axis]`.

    Attributes:
        pooled: Maximum and mean over the unit's axis, `[B, 2, *axes]`.
        response: Of the 3-D convolution, `[B, *axes]`.
        normalised: The response after batch norm, `[B, *axes]`.
        gate: Its sigmoid, as the table at `Unit` says.
    """

    pooled: Tensor
    response: Tensor
    normalised: Tensor
    gate: Tensor


class Unit(nn.Module):
    """U_A: pools one axis away, convolves over the other three, and answers with a gate in (0, 1).

    The gate is broadcast back along the pooled axis:

    ====  =====================  ================================================================
    axis  gate                   what it can say
    ====  =====================  ================================================================
    C     `[B, T, 1, H, W]`      where and when, one value for all channels
    T     `[B, 1, C, H, W]`      where, per channel; the same for every frame
    H     `[B, T, C, 1, W]`      which column and when, per channel
    W     `[B, T, C, H, 1]`      which row and when, per channel
    ====  =====================  ================================================================

    Args:
        axis: "C", "T", "H" or "W", the axis that is pooled away.
        channel_mean: Averages the gate over channels before use (the published STinC until 2022-08-05).
    """

    def __init__(self, axis: str, *, channel_mean: bool = False) -> None:
        super().__init__()
        self.axis = axis
        self.channel_mean = channel_mean
        self.location = recording.GateLocation("", axis)  # the network says where the unit sits
        self.conv = nn.Conv3d(2, 1, 3, padding=1, bias=False)
        self.bn = nn.BatchNorm3d(1)

    def stages(self, v: Tensor) -> Stages:
        """Computes the gate of `v` `[B, T, C, H, W]` and all that leads to it."""
        dim = DIMS[self.axis]
        pooled = torch.stack((v.amax(dim), v.mean(dim)), dim=1)  # [B, 2, *the three axes that are left]
        if self.axis == "W":
            pooled = pooled.transpose(3, 4)  # [B, 2, T, C, H] -> [B, 2, T, H, C]: the published kernel's axes
        response = self.conv(pooled)
        normalised = self.bn(response)
        gate = torch.sigmoid(normalised).squeeze(1)
        if self.axis == "W":
            gate = gate.transpose(2, 3)
        gate = gate.unsqueeze(dim)
        if self.channel_mean:
            gate = gate.mean(dim=2, keepdim=True).expand_as(gate)
        return Stages(pooled, response.squeeze(1), normalised.squeeze(1), gate)

    def forward(self, v: Tensor) -> Tensor:
        """Computes the gate of `v` `[B, T, C, H, W]`; see the table for its shape."""
        return recording.record_gate(self.location, self.stages(v).gate)


class C(nn.Module):
    """X . U_C(X)."""

    def __init__(self) -> None:
        super().__init__()
        self.C = Unit("C")

    def forward(self, x: Tensor) -> Tensor:
        """Gates `x` `[B, T, C, H, W]`."""
        return x * self.C(x)


class ST(nn.Module):
    """X . G(X), the mean of three gates."""

    def __init__(self, *, channel_mean: bool = False) -> None:
        super().__init__()
        self.T = Unit("T", channel_mean=channel_mean)
        self.H = Unit("H", channel_mean=channel_mean)
        self.W = Unit("W", channel_mean=channel_mean)

    def gate(self, v: Tensor) -> Tensor:
        """G(V), `[B, T, C, H, W]`."""
        return (self.T(v) + self.H(v) + self.W(v)) / 3

    def forward(self, x: Tensor) -> Tensor:
        """Gates `x` `[B, T, C, H, W]`."""
        return x * self.gate(x)


class CinST(ST):
    """X . G(X . U_C(X)): the channel context steers the spatio-temporal gates; the output multiplies the original X."""

    def __init__(self) -> None:
        super().__init__()
        self.C = Unit("C")

    def forward(self, x: Tensor) -> Tensor:
        """Gates `x` `[B, T, C, H, W]`."""
        return x * self.gate(x * self.C(x))


class STinC(ST):
    """X . U_C(X . G(X)): the spatio-temporal context steers the channel gate."""

    def __init__(self, *, channel_mean: bool = False) -> None:
        super().__init__(channel_mean=channel_mean)
        self.C = Unit("C")

    def forward(self, x: Tensor) -> Tensor:
        """Gates `x` `[B, T, C, H, W]`."""
        return x * self.C(x * self.gate(x))


def _module(kind: str) -> nn.Module:
    if kind == "stinc-2022-06":
        return STinC(channel_mean=True)
    return {"c": C, "st": ST, "cinst": CinST, "stinc": STinC}[kind]()


class Attention(nn.Module):
    """What sits in one block: a module, the average of two ("+") or a cascade of two ("->").

    Two units inside one composite never share weights.

    Args:
        attention: One of `aia.modeling.config.ATTENTIONS` except "none".
        block: The block's name, such as "layer1.0".
    """

    def __init__(self, attention: str, block: str) -> None:
        super().__init__()
        kinds, self.combination = split_attention(attention)
        self.block = block
        self.fused = False  # whether to take the compiled passes where they can run; see `AIANet.optimize`
        self.first = _module(kinds[0])
        self.second = _module(kinds[1]) if len(kinds) == 2 else None
        for prefix, module in (("1.", self.first), ("2.", self.second)):
            for unit in module.children() if module is not None else ():
                unit.location = recording.GateLocation(block, unit.axis if self.second is None else prefix + unit.axis)

    def forward(self, x: Tensor) -> Tensor:
        """Gates the block's inner feature.

        Args:
            x: `[B * T, C, H, W]`, the T frames of a clip in a row.

        Returns:
            The gated feature, same shape.
        """
        v = x.unflatten(0, (-1, recording.num_segments()))  # [B * T, C, H, W] -> [B, T, C, H, W]
        first, second = self.first, self.second
        if self.fused and fast_training.usable(v):
            first, second = partial(fast_training.forward, first), partial(fast_training.forward, second)
        if self.combination == "cascade":
            out = second(first(v))
        elif self.combination == "average":
            out = 0.5 * first(v) + 0.5 * second(v)
        else:
            out = first(v)
        recording.record_features(self.block, v, out)
        return out.flatten(0, 1)
