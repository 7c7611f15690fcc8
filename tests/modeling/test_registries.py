"""A backbone and an attention setting are added by one entry each: a toy of both is added, used as any other, and removed."""

from __future__ import annotations

import copy
import dataclasses

import numpy as np
import pytest
import torch
from conftest import LABELS, others_long
from torch import nn

import aia
from aia.inspection.trace import trace_block
from aia.modeling import recording
from aia.modeling.attention import CinST
from aia.modeling.attention_settings import ATTENTION_SETTINGS, AttentionSetting, ModuleKind
from aia.modeling.backbones import BACKBONES, Backbone
from aia.modeling.blocks import Attention
from aia.visualization.trace_view import trace_view
from aia.visualization.web import pack


class ToyBlock(nn.Module):
    """A convolution, AIA and an activation, with a shortcut."""

    takes_shift = True

    def __init__(self, width: int) -> None:
        super().__init__()
        self.shift, self.attention = nn.Identity(), nn.Identity()
        self.conv = nn.Conv2d(width, width, 3, padding=1)

    def place(self, attention: nn.Module) -> None:
        self.attention = attention

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + torch.relu(self.attention(self.conv(self.shift(x))))


def toy_trunk() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 16, 4, stride=4), ToyBlock(16), ToyBlock(16), nn.AdaptiveAvgPool2d(1), nn.Flatten()
    )


class RectifiedCinST(CinST):
    """X . G(relu(X) . U_C(relu(X)))."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        positive = x.relu()
        return x * self.gate(positive * self.C(positive))


TOY_BACKBONE = Backbone("toy", blocks=("1", "2"), width=16, last_features="2", build=toy_trunk)
RECTIFIED = ModuleKind("rectified", "Rectified CinST", ("C", "T", "H", "W"), ("T", "H", "W"), RectifiedCinST)
CINST = ATTENTION_SETTINGS["cinst"].modules[0]
TOY_SETTINGS = [
    AttentionSetting("rectified", (RECTIFIED,)),
    AttentionSetting("cinst->rectified", (CINST, RECTIFIED), "cascade"),
    AttentionSetting("rectified+cinst", (RECTIFIED, CINST), "average"),
]


@pytest.fixture
def toy_backbone():
    BACKBONES["toy"] = TOY_BACKBONE
    yield TOY_BACKBONE
    del BACKBONES["toy"]


@pytest.fixture(params=TOY_SETTINGS, ids=lambda setting: setting.name)
def toy_setting(request):
    ATTENTION_SETTINGS[request.param.name] = request.param
    yield request.param
    del ATTENTION_SETTINGS[request.param.name]


def network(arch: str, attention: str, temporal: str = "tsm") -> aia.AIANet:
    torch.manual_seed(0)
    config = aia.AIAConfig(
        LABELS, arch=arch, temporal=temporal, attention=attention, input_size=64, resize=64, default_block=""
    )
    return aia.AIANet(config).eval()


def check(net: aia.AIANet, clip, blocks: tuple[str, ...], folder) -> None:
    """A network is recorded, optimized, inspected, traced, packed for the browser, saved and loaded like any other."""
    setting = ATTENTION_SETTINGS[net.config.attention]
    units = [unit for module in setting.units for unit in module]
    plain = aia.inspect(net, clip, features=True)
    assert net.block_names == blocks and net.config.blocks == blocks
    for block in plain.blocks:
        assert list(block.gates) == units
        assert np.abs(block.apply(block.input) - block.output).max() < 1e-5
    net.optimize()
    quick = aia.inspect(net, clip)
    assert np.allclose(quick.logits, plain.logits, atol=1e-5)
    off = aia.inspect(net, clip, switches=[aia.Switch("identity", blocks[0])])
    assert not np.allclose(off.logits, plain.logits, atol=1e-5)
    trace = trace_block(net, clip, blocks[0])
    assert tuple(trace.units) == tuple(units) and trace_view(trace)["combination"] == setting.combination
    answer, _ = pack(plain)
    assert answer["attention"] == setting.name and len(answer["blocks"]) == len(blocks)
    net.save_pretrained(folder)
    assert np.allclose(aia.inspect(aia.load(folder, device="cpu"), clip).logits, plain.logits, atol=1e-5)


@pytest.mark.parametrize("attention", others_long(["cinst", "stinc", "c->st"], "cinst"))
def test_a_backbone_is_one_entry(toy_backbone, attention, clip, tmp_path):
    net = network("toy", attention)
    assert net.head.in_features == 16 and net.config.title.endswith(", toy")
    check(net, clip, ("1", "2"), tmp_path)
    assert net.optimize("bfloat16").precision == "float32", "without a quick form there is no other precision"


@pytest.mark.slow
def test_a_setting_is_one_entry(toy_setting, clip, tmp_path):
    net = network("resnet18", toy_setting.name)
    assert toy_setting.title in net.config.title and "Rectified CinST" in net.config.title
    check(net, clip, BACKBONES["resnet18"].blocks, tmp_path)


def test_a_setting_trains_without_passes_of_its_own(toy_setting):
    quick = Attention(toy_setting.name, "block").train()
    reference, x = copy.deepcopy(quick), torch.randn(2 * 5, 7, 6, 9)
    quick.fused = True
    outputs = []
    for module in (quick, reference):
        with recording.segments_per_clip(5), recording.recording() as recorded:
            outputs.append(module(x))
        outputs[-1].square().sum().backward()
        assert len(recorded.gates) == sum(map(len, toy_setting.units))
    assert torch.allclose(*outputs, atol=1e-6)
    for own, other in zip(quick.parameters(), reference.parameters(), strict=True):
        assert torch.allclose(own.grad, other.grad, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("field", ["arch", "attention"])
def test_what_was_removed_is_refused(field):
    with pytest.raises(aia.AIAError, match=field):
        dataclasses.replace(aia.AIAConfig(LABELS), **{field: "toy"})


@pytest.mark.slow
def test_the_entries_say_what_the_networks_are():
    for name, backbone in BACKBONES.items():
        config = aia.AIAConfig(LABELS, arch=name, attention="none")
        with torch.device("meta"), recording.segments_per_clip(1):
            net = aia.AIANet(config)
            features = net.backbone(torch.zeros(1, 3, 64, 64, device="meta"))
        assert features.shape == (1, backbone.width) and net.head.in_features == backbone.width
        assert all(hasattr(net.backbone.get_submodule(block), "place") for block in backbone.blocks)
        net.backbone.get_submodule(backbone.last_features)
    for setting in ATTENTION_SETTINGS.values():
        for module in setting.modules:
            built = [unit.axis for unit in module.build().children()]
            assert sorted(built, key="CTHW".index) == list(module.units) and set(module.multiplies) <= set(built)
