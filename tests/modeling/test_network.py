"""The network against the paper: equations, places, names, shapes."""

import numpy as np
import pytest
import torch
from conftest import LABELS, others_long, small_net

from aia import AIAConfig, AIAError, AIANet
from aia.modeling import recording
from aia.modeling.blocks import Attention, TemporalShift
from aia.modeling.config import ARCHS, ATTENTIONS


def by_the_paper(attention: str, units: dict, x: torch.Tensor) -> torch.Tensor:
    """The definitions of the paper, written out naively in float64 on `[B, T, C, H, W]`; `units[number][axis]` are units."""

    def u(number, axis, v, mean_over_channels=False):
        unit = units[number][axis]
        dim = {"C": 2, "T": 1, "H": 3, "W": 4}[axis]
        order = {"C": (0, 1, 3, 4), "T": (0, 2, 3, 4), "H": (0, 1, 2, 4), "W": (0, 1, 3, 2)}[axis]
        rest = [d for d in range(5) if d != dim]
        pooled = torch.stack([v.max(dim).values, v.mean(dim)], 1)
        permutation = [0, 1] + [2 + rest[1:].index(d) for d in order[1:]]
        z = torch.nn.functional.conv3d(pooled.permute(permutation), unit.conv.weight, padding=1)
        bn = unit.bn
        z = (z - bn.running_mean) / torch.sqrt(bn.running_var + bn.eps) * bn.weight + bn.bias
        gate = torch.sigmoid(z)[:, 0]
        back = [0] + [1 + order[1:].index(d) for d in rest[1:]]
        gate = gate.permute(back).unsqueeze(dim)
        return gate.mean(2, keepdim=True) if mean_over_channels else gate

    def g(number, v, mean=False):
        return (u(number, "T", v, mean) + u(number, "H", v, mean) + u(number, "W", v, mean)) / 3

    one = {
        "c": lambda n, v: v * u(n, "C", v),
        "st": lambda n, v: v * g(n, v),
        "cinst": lambda n, v: v * g(n, v * u(n, "C", v)),
        "stinc": lambda n, v: v * u(n, "C", v * g(n, v)),
        "stinc-2022-06": lambda n, v: v * u(n, "C", v * g(n, v, mean=True)),
    }
    if "->" in attention:
        first, second = attention.split("->")
        return one[second](1, one[first](0, x))
    if "+" in attention:
        first, second = attention.split("+")
        return 0.5 * one[first](0, x) + 0.5 * one[second](1, x)
    return one[attention](0, x)


@pytest.mark.parametrize("attention", ATTENTIONS[1:])
def test_every_setting_is_the_papers_formula(attention):
    torch.manual_seed(1)
    module = Attention(attention, "here").double().eval()
    for tensor in module.state_dict().values():
        if tensor.is_floating_point():
            tensor.uniform_(0.2, 1.2)
    x = torch.randn(2 * 5, 7, 6, 9, dtype=torch.double)
    parts = [part for part in (module.first, module.second) if part is not None]
    units = [{unit.axis: unit for unit in part.children()} for part in parts]
    with torch.no_grad(), recording.segments_per_clip(5):
        out = module(x)
        wanted = by_the_paper(attention, units, x.view(2, 5, 7, 6, 9)).flatten(0, 1)
    assert torch.allclose(out, wanted, atol=1e-12)


def test_two_units_of_a_composite_never_share_weights():
    module = Attention("stinc+cinst", "here")
    weights = [p for name, p in module.named_parameters() if "conv" in name]
    assert len(weights) == 8 and len({p.data_ptr() for p in weights}) == 8


@pytest.mark.slow
@pytest.mark.parametrize("arch", others_long(ARCHS, "resnet50", "mobilenet_v2"))
@pytest.mark.parametrize("temporal", ["tsn", "tsm"])
def test_every_trunk_takes_any_length_and_any_size(arch, temporal):
    net = small_net("cinst", temporal, arch)
    with torch.no_grad():
        for batch, segments, height, width in ((1, 8, 32, 32), (2, 1, 37, 50), (1, 3, 64, 33)):
            assert net(torch.randn(batch, segments, 3, height, width)).shape == (batch, len(LABELS))


@pytest.mark.parametrize("shape", [(8, 3, 64, 64), (1, 8, 1, 64, 64), (1, 8, 3, 31, 64), (1, 0, 3, 64, 64)])
def test_another_shape_is_refused_with_a_sentence(net, shape):
    with pytest.raises(AIAError, match="B, T, 3, H, W"):
        net(torch.zeros(shape))


@pytest.mark.slow
def test_the_published_places_of_resnet50_and_101():
    net = small_net(arch="resnet50")
    assert len(net.block_names) == 16
    widths = [net.backbone.get_submodule(name).conv2.out_channels for name in net.block_names]
    assert widths == [64] * 3 + [128] * 4 + [256] * 6 + [512] * 3
    deep = small_net(arch="resnet101", temporal="tsm")
    assert [n for n in deep.block_names if n.startswith("layer3")] == [f"layer3.{i}" for i in range(0, 23, 2)]
    shifts = [name for name, m in deep.backbone.named_modules() if isinstance(m, TemporalShift)]
    assert shifts == [f"{name}.shift" for name in deep.block_names], "odd blocks of layer3 have neither AIA nor shift"


@pytest.mark.slow
def test_aia_adds_as_few_weights_as_published():
    count = {a: sum(p.numel() for p in small_net(a, arch="resnet50").parameters()) for a in ("none", "cinst", "c")}
    # 16 blocks of four units; a unit has 2 x 27 weights and a batch norm of 2
    assert count["cinst"] - count["none"] == 16 * 4 * 56 == 3584
    assert count["c"] - count["none"] == 16 * 56


@pytest.mark.slow
def test_the_trunk_keeps_torchvisions_names():
    from torchvision.models import mobilenet_v2, resnet18

    for arch, make in (("resnet18", resnet18), ("mobilenet_v2", mobilenet_v2)):
        theirs = {k for k in make().state_dict() if not k.startswith(("fc.", "classifier."))}
        assert theirs <= {k.removeprefix("backbone.") for k in small_net(arch=arch).state_dict()}


def test_the_shift_moves_one_eighth_each_way_and_fills_with_zeros():
    x = torch.arange(1.0, 9.0).view(1, 8, 1, 1, 1).expand(1, 8, 16, 1, 1).flatten(0, 1)  # frame t holds t + 1
    with recording.segments_per_clip(8):
        out = TemporalShift()(x).view(8, 16)
    later, earlier, own = out[:, :2], out[:, 2:4], out[:, 4:]
    assert later[:, 0].tolist() == [2, 3, 4, 5, 6, 7, 8, 0]
    assert earlier[:, 0].tolist() == [0, 1, 2, 3, 4, 5, 6, 7]
    assert (own == x.view(8, 16)[:, 4:]).all()


@pytest.mark.parametrize("part", [TemporalShift(), Attention("c", "here")], ids=["shift", "attention"])
def test_a_part_that_runs_alone_asks_for_the_frames_per_clip(part):
    with pytest.raises(AIAError, match=r"segments_per_clip\(T\)"):
        part(torch.zeros(8, 16, 4, 4))


@pytest.mark.slow
def test_clips_of_one_batch_do_not_mix():
    net = small_net("stinc", "tsm")
    x = torch.randn(3, 4, 3, 48, 48)
    with torch.no_grad():
        together, alone = net(x), torch.cat([net(clip[None]) for clip in x])
    assert torch.allclose(together, alone, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize(("attention", "blind"), [("none", True), ("c", False), ("cinst", False), ("stinc", False)])
def test_tsn_without_aia_is_blind_to_order_and_with_aia_is_not(attention, blind):
    net = small_net(attention, "tsn").double()
    x = torch.randn(1, 6, 3, 48, 48, dtype=torch.double)
    with torch.no_grad():
        change = (net(x) - net(x.flip(1))).abs().max()
    assert (change < 1e-9) == blind


def test_a_new_module_roughly_halves_its_input():
    module = Attention("cinst", "here").eval()
    x = torch.rand(8, 16, 7, 7)
    with torch.no_grad(), recording.segments_per_clip(8):
        ratio = (module(x) / x).mean()
    assert 0.3 < ratio < 0.7


def test_titles_are_the_papers_words():
    assert AIAConfig(LABELS, temporal="tsm", attention="cinst->stinc").title == "TSM with CinST → STinC, resnet50"
    assert AIAConfig(LABELS, attention="none").title == "TSN with no AIA, resnet50"


def test_numbers_are_finite_on_extreme_input(net):
    with torch.no_grad():
        assert np.isfinite(net(torch.full((1, 8, 3, 48, 48), 1e3)).numpy()).all()


def test_the_network_is_an_ordinary_module(net):
    assert isinstance(net, AIANet) and net.block_names == tuple(f"layer{s}.{b}" for s in range(1, 5) for b in range(2))
