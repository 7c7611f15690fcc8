"""The backbones that a network can have, one entry each; all code that depends on a backbone reads its entry."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

_LONG_STAGE = 23  # stages with at least this many blocks use every second block
_INVERTED_RESIDUALS = 17  # blocks of MobileNetV2


@dataclass(frozen=True)
class Backbone:
    """One backbone.

    Attributes:
        name: As in a configuration; torchvision's name, too, if it has such a network.
        blocks: The blocks that hold AIA and the temporal shift, in order, by their names in the trunk. Each has an attribute
            `shift`, says by `takes_shift` whether the shift belongs there, and holds AIA after `place(attention)`; see
            `blocks.py`.
        width: Channels of the feature that goes into the linear layer.
        last_features: The module of the trunk that gives the last feature map.
        build: Makes the trunk without its classifier, from frames `[B * T, 3, H, W]` to features `[B * T, width]`.
        quick: Makes the trunk's quick form for inference from the trunk and the type of its features, see
            `fast_inference.py`; None if the trunk has none.
        half_is_quick: Whether half precision was measured to be quicker on processors that multiply bfloat16.
        stages: Blocks in each stage of a ResNet, which tell one published checkpoint's backbone from another's; or ().
        bottlenecks: Whether these are bottlenecks.
    """

    name: str
    blocks: tuple[str, ...]
    width: int
    last_features: str
    build: Callable[[], nn.Module]
    quick: Callable[[Any, torch.dtype], Callable[[Tensor], Tensor]] | None = None
    half_is_quick: bool = False
    stages: tuple[int, ...] = ()
    bottlenecks: bool = False


# These import torch, which takes seconds; checking a configuration does not need it.


def _build_resnet(stages: tuple[int, ...], bottlenecks: bool) -> nn.Module:
    from aia.modeling import blocks

    return blocks.resnet_trunk(blocks.Bottleneck if bottlenecks else blocks.BasicBlock, stages)


def _build_mobilenet() -> nn.Module:
    from aia.modeling import blocks

    return blocks.mobilenet_trunk()


def _quick_resnet(trunk: nn.Module, dtype: torch.dtype) -> Callable[[Tensor], Tensor]:
    from aia.modeling import fast_inference

    return fast_inference.QuickResNet(trunk, dtype)


def _quick_mobilenet(trunk: nn.Module, dtype: torch.dtype) -> Callable[[Tensor], Tensor]:
    from aia.modeling import fast_inference

    return fast_inference.QuickMobileNet(trunk, dtype)


def _resnet(name: str, stages: tuple[int, ...], *, bottlenecks: bool) -> Backbone:
    return Backbone(
        name=name,
        blocks=tuple(
            f"layer{stage}.{i}"
            for stage, count in enumerate(stages, start=1)
            for i in range(0, count, 2 if count >= _LONG_STAGE else 1)
        ),
        width=2048 if bottlenecks else 512,
        last_features="layer4",
        build=partial(_build_resnet, stages, bottlenecks),
        quick=_quick_resnet,
        half_is_quick=True,
        stages=stages,
        bottlenecks=bottlenecks,
    )


BACKBONES: dict[str, Backbone] = {
    backbone.name: backbone
    for backbone in (
        _resnet("resnet18", (2, 2, 2, 2), bottlenecks=False),
        _resnet("resnet34", (3, 4, 6, 3), bottlenecks=False),
        _resnet("resnet50", (3, 4, 6, 3), bottlenecks=True),
        _resnet("resnet101", (3, 4, 23, 3), bottlenecks=True),
        Backbone(
            name="mobilenet_v2",
            blocks=tuple(f"features.{i}" for i in range(1, _INVERTED_RESIDUALS + 1)),
            width=1280,
            last_features="features",
            build=_build_mobilenet,
            quick=_quick_mobilenet,
        ),
    )
}
