"""The blocks of torchvision's trunks with AIA and the temporal shift in them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torchvision.models import mobilenetv2, resnet

from aia.modeling import fast_training, recording
from aia.modeling.attention import Unit
from aia.modeling.attention_settings import ATTENTION_SETTINGS

SHIFT_DIV = 8  # one eighth of the channels looks forward, one eighth back (TSM, and the published AIA code)


class Attention(nn.Module):
    """AIA in one block: a module, the average of two ("+") or a cascade of two ("->").

    Two units inside one composite never share weights.

    Args:
        attention: A name in `aia.modeling.attention_settings.ATTENTION_SETTINGS`, except "none".
        block: The block's name, such as "layer1.0".
    """

    def __init__(self, attention: str, block: str) -> None:
        super().__init__()
        setting = ATTENTION_SETTINGS[attention]
        self.combination = setting.combination
        self.block = block
        self.fused = False  # whether compiled passes are used if they can run; see `AIANet.optimize`
        modules = [module.build() for module in setting.modules]
        self.first = modules[0]
        self.second = modules[1] if len(modules) > 1 else None
        for prefix, module in zip(setting.prefixes, modules, strict=True):
            for unit in module.children():
                assert isinstance(unit, Unit)
                unit.location = recording.GateLocation(block, prefix + unit.axis)

    def forward(self, x: Tensor) -> Tensor:
        """Gates the block's inner feature.

        Args:
            x: `[B * T, C, H, W]`, the T frames of a clip in a row.

        Returns:
            The gated feature, same shape.
        """
        v = recording.split_clips(x)
        out = self._gated(self.first, v)
        if self.second is not None:
            cascade = self.combination == "cascade"
            out = self._gated(self.second, out) if cascade else 0.5 * out + 0.5 * self._gated(self.second, v)
        recording.record_features(self.block, v, out)
        return out.flatten(0, 1)

    def _gated(self, module: nn.Module, v: Tensor) -> Tensor:
        compiled = self.fused and fast_training.usable(module, v)
        out: Tensor = fast_training.forward(module, v) if compiled else module(v)
        return out


class TemporalShift(nn.Module):
    """TSM's shift: some channels come from the next frame, some from the previous one, zeros at the clip's ends."""

    def forward(self, x: Tensor) -> Tensor:
        """Shifts `x` `[B * T, C, H, W]` along T; same shape."""
        v = recording.split_clips(x)
        fold = v.shape[2] // SHIFT_DIV
        out = torch.zeros_like(v)
        out[:, :-1, :fold] = v[:, 1:, :fold]
        out[:, 1:, fold : 2 * fold] = v[:, :-1, fold : 2 * fold]
        out[:, :, 2 * fold :] = v[:, :, 2 * fold :]
        return out.flatten(0, 1)


class Bottleneck(resnet.Bottleneck):  # type: ignore[misc]  # torchvision has no types
    """torchvision's bottleneck with the published places: the shift before conv1, AIA between bn2 and its ReLU."""

    takes_shift = True

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.shift: nn.Module = nn.Identity()
        self.attention: nn.Module = nn.Identity()

    def place(self, attention: nn.Module) -> None:
        """Puts AIA into the block."""
        self.attention = attention

    def forward(self, x: Tensor) -> Tensor:
        """`[B * T, C, H, W]` -> `[B * T, C', H', W']`."""
        out = self.relu(self.bn1(self.conv1(self.shift(x))))
        out = self.relu(self.attention(self.bn2(self.conv2(out))))
        out = self.bn3(self.conv3(out))
        result: Tensor = self.relu(out + (x if self.downsample is None else self.downsample(x)))
        return result


class BasicBlock(resnet.BasicBlock):  # type: ignore[misc]  # torchvision has no types
    """torchvision's basic block; no placement was published for it.

    The analogous place: a bottleneck's AIA sits after a 3x3 convolution's BN, before the ReLU inside the residual
    branch. A basic block has one such place, between bn1 and its ReLU. The shift is before conv1, as in a bottleneck.
    """

    takes_shift = True

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.shift: nn.Module = nn.Identity()
        self.attention: nn.Module = nn.Identity()

    def place(self, attention: nn.Module) -> None:
        """Puts AIA into the block."""
        self.attention = attention

    def forward(self, x: Tensor) -> Tensor:
        """`[B * T, C, H, W]` -> `[B * T, C', H', W']`."""
        out = self.relu(self.attention(self.bn1(self.conv1(self.shift(x)))))
        out = self.bn2(self.conv2(out))
        result: Tensor = self.relu(out + (x if self.downsample is None else self.downsample(x)))
        return result


class InvertedResidual(mobilenetv2.InvertedResidual):  # type: ignore[misc]  # torchvision has no types
    """torchvision's MobileNetV2 block; no placement was published for it.

    The analogous place: AIA after the 3x3 (depthwise) convolution's BN, before its activation, on the expanded width.
    The shift is at the branch's input, and only in blocks with a shortcut, as in TSM's own MobileNetV2: without a shortcut
    the shifted channels' own values would be lost.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.shift: nn.Module = nn.Identity()

    @property
    def takes_shift(self) -> bool:
        """Whether the block has a shortcut."""
        return bool(self.use_res_connect)

    @property
    def depthwise(self) -> nn.Sequential:
        """The depthwise stage: convolution, BN, AIA if there is any, activation."""
        stage: nn.Sequential = self.conv[-3]
        return stage

    def place(self, attention: nn.Module) -> None:
        """Puts AIA into the block. The activation behind it has no weights, so torchvision's names stay."""
        self.depthwise.insert(2, attention)

    def forward(self, x: Tensor) -> Tensor:
        """`[B * T, C, H, W]` -> `[B * T, C', H', W']`."""
        out: Tensor = self.conv(self.shift(x))
        return x + out if self.use_res_connect else out


def resnet_trunk(block: type[Bottleneck] | type[BasicBlock], stages: Sequence[int]) -> nn.Module:
    """A ResNet of torchvision without its classifier."""
    trunk: nn.Module = resnet.ResNet(block, list(stages))
    trunk.fc = nn.Identity()
    return trunk


def mobilenet_trunk() -> nn.Module:
    """The MobileNetV2 of torchvision without its classifier."""
    trunk: nn.Module = mobilenetv2.mobilenet_v2(block=InvertedResidual)
    trunk.classifier = nn.Identity()
    return trunk
