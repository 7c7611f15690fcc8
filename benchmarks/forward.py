"""Times networks with AIA against the same trunk without it, for the paper's claim "almost free"."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from aia.kernels import build
from aia.kernels.layout import DIMS
from aia.modeling import recording
from aia.modeling.attention import CinST, Unit
from aia.modeling.blocks import Attention
from aia.modeling.config import AIAConfig
from aia.modeling.network import AIANet
from benchmarks.table import Options, Table, timed

TRUNK = "plain trunk, quick form"
_SEED = 0


def tables(options: Options) -> Iterator[Table]:
    """ResNet-50 at 8 x 224 x 224 in float32, and in bfloat16 if the device multiplies it; the given network in float32."""
    model = options.load()
    published = AIAConfig(("a", "b"), arch="resnet50", temporal="tsn", num_segments=8, input_size=224)
    yield forward(published, model.device, "float32", options.repeats)
    if build.multiplies_bfloat16() or model.device.type == "cuda":
        yield forward(published, model.device, "bfloat16", options.repeats)
    yield forward(model.config, model.device, "float32", options.repeats)


def forward(config: AIAConfig, device: torch.device, precision: str, repeats: int) -> Table:
    """Times one clip through a backbone, without AIA and with CinST and STinC, in our quick form and in others.

    Args:
        config: Of the network; its attention is replaced.
        device: Where to run.
        precision: Of the quick form; the others run in float32.
        repeats: Rounds that count.
    """
    torch.manual_seed(_SEED)
    x = torch.randn(1, config.num_segments, 3, config.input_size, config.input_size, device=device)

    def network(attention: str) -> AIANet:
        torch.manual_seed(_SEED)  # the weights must be the same; their values do not matter
        return AIANet(dataclasses.replace(config, attention=attention, default_block="")).eval().to(device)

    quick = {kind: network(kind).optimize(precision) for kind in ("none", "cinst", "stinc")}
    layout = network("none")
    layout.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # PyTorch's types lack it
    parts = {
        TRUNK: _pass(quick["none"], x),
        "CinST, quick form": _pass(quick["cinst"], x),
        "STinC, quick form": _pass(quick["stinc"], x),
        "plain trunk, torchvision's": _pass(network("none"), x),
        "plain trunk, torchvision's, channels last": _pass(layout, x),
        "CinST as attention.py writes it": _pass(network("cinst"), x),
        "CinST in the published code's way": _pass(_published(network("cinst")), x),
    }
    title = (
        f"One clip through {config.arch}, {config.temporal.upper()}, {config.num_segments} x {config.input_size} x "
        f"{config.input_size}, quick form in {precision}, the others in float32"
    )
    return timed(title, parts, baseline=TRUNK, repeats=repeats, warm_up=2)


def _pass(network: nn.Module, x: Tensor) -> Callable[[], object]:
    def run() -> Tensor:
        with torch.inference_mode():
            logits: Tensor = network(x)
            return logits.cpu()  # waits for the device

    return run


class _Published(nn.Module):
    """CinST as in the published code: each unit transposes the whole feature, pools it, and expands its gate again."""

    def __init__(self, attention: Attention) -> None:
        super().__init__()
        assert isinstance(attention.first, CinST)
        self.module = attention.first

    def forward(self, x: Tensor) -> Tensor:
        v = recording.split_clips(x)
        weighted = v * self._gate(self.module.C, v)
        gates = [self._gate(unit, weighted) for unit in (self.module.T, self.module.H, self.module.W)]
        return (v * (gates[0] + gates[1] + gates[2]) / 3).flatten(0, 1)

    def _gate(self, unit: Unit, v: Tensor) -> Tensor:
        transposed = v.transpose(1, DIMS[unit.axis]).contiguous()  # the pooled axis comes first
        pooled = torch.cat((torch.max(transposed, 1)[0].unsqueeze(1), torch.mean(transposed, 1).unsqueeze(1)), dim=1)
        gate = torch.sigmoid(unit.bn(unit.conv(pooled)))
        return gate.expand_as(transposed).transpose(1, DIMS[unit.axis]).contiguous()


def _published(network: AIANet) -> AIANet:
    for module in list(network.modules()):
        for name, child in module.named_children():
            if isinstance(child, Attention):
                setattr(module, name, _Published(child))
    return network
