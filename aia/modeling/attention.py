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

from typing import NamedTuple

import torch
from torch import Tensor, nn

from aia.kernels.layout import DIMS, PUBLISHED, Axis
from aia.modeling import recording

AXES = PUBLISHED  # the axes of each unit's pooled maps, response and kernel


class Stages(NamedTuple):
    """The stages of a unit, in the order in which they are computed; its three axes are `AXES[unit.axis]`.

    Attributes:
        pooled: Maximum and mean over the unit's axis, `[B, 2, *axes]`.
        response: Of the 3-D convolution, `[B, *axes]`.
        normalized: The response after batch norm, `[B, *axes]`.
        gate: Its sigmoid, as the table at `Unit` says.
    """

    pooled: Tensor
    response: Tensor
    normalized: Tensor
    gate: Tensor


class Unit(nn.Module):
    """U_A: pools one axis, convolves over the other three, and gives a gate in (0, 1).

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
        axis: "C", "T", "H" or "W", the axis that is pooled.
        channel_mean: Averages the gate over channels before use (the published STinC until 2022-08-05).
    """

    def __init__(self, axis: Axis, *, channel_mean: bool = False) -> None:
        super().__init__()
        self.axis: Axis = axis
        self.channel_mean = channel_mean
        self.location = recording.GateLocation("", axis)  # the block that holds the unit sets it
        self.conv = nn.Conv3d(2, 1, 3, padding=1, bias=False)
        self.bn = nn.BatchNorm3d(1)

    def stages(self, v: Tensor) -> Stages:
        """Computes the gate of `v` `[B, T, C, H, W]`, and every stage before it."""
        dim = DIMS[self.axis]
        pooled = torch.stack((v.amax(dim), v.mean(dim)), dim=1)  # [B, 2, *the three other axes]
        if self.axis == "W":
            pooled = pooled.transpose(3, 4)  # [B, 2, T, C, H] -> [B, 2, T, H, C]: the published kernel's axes
        response = self.conv(pooled)
        normalized = self.bn(response)
        gate = torch.sigmoid(normalized).squeeze(1)
        if self.axis == "W":
            gate = gate.transpose(2, 3)
        gate = gate.unsqueeze(dim)
        if self.channel_mean:
            gate = gate.mean(dim=2, keepdim=True).expand_as(gate)
        return Stages(pooled, response.squeeze(1), normalized.squeeze(1), gate)

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
        u: Tensor = self.C(x)
        return x * u


class ST(nn.Module):
    """X . G(X), the mean of three gates."""

    def __init__(self, *, channel_mean: bool = False) -> None:
        super().__init__()
        self.T = Unit("T", channel_mean=channel_mean)
        self.H = Unit("H", channel_mean=channel_mean)
        self.W = Unit("W", channel_mean=channel_mean)

    def gate(self, v: Tensor) -> Tensor:
        """G(V), `[B, T, C, H, W]`."""
        g: Tensor = (self.T(v) + self.H(v) + self.W(v)) / 3
        return g

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
        u: Tensor = self.C(x * self.gate(x))
        return x * u
