"""The quick form of a network gives what `blocks.py` and `attention.py` give, and follows changed weights at once."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from conftest import LABELS, others_long, small_net
from torch import nn

import aia
from aia.inspection.trace import trace_block
from aia.kernels import build
from aia.modeling import fast_inference, recording
from aia.modeling.backbones import BACKBONES
from aia.modeling.blocks import Attention
from aia.modeling.config import ATTENTIONS
from tools.export_table import BLOCKS, one_block

COMPILED = [pytest.param(True, id="compiled"), pytest.param(False, id="without-a-compiler")]
OTHER_VECTORS = [pytest.param(lanes, id=f"vectors-of-{lanes}") for lanes in (4, 8, 16)]  # of other processors
SHAPES = [
    (1, 8, 64, 9, 7),
    (2, 5, 24, 7, 5),
    (1, 3, 16, 1, 4),
    (2, 1, 8, 4, 4),
    (1, 8, 10, 2, 1),
    (1, 2, 1, 3, 3),
    (1, 4, 40, 33, 18),
]


@pytest.fixture
def compiled(request, monkeypatch):
    """Whether the compiled passes may be used in a test; a number asks for passes with vectors of so many values."""
    if request.param and build.library("inference.c") is None:
        pytest.skip("no C compiler here: attention.py runs instead")
    if request.param is not True:
        passes = build.library("inference.c", f"LANES={request.param}") if request.param else None
        assert bool(passes) == bool(request.param)
        monkeypatch.setattr(fast_inference, "_passes", lambda dtype: passes)
    return request.param


def error(got: torch.Tensor, wanted: torch.Tensor) -> float:
    """Largest difference over the largest value."""
    return ((got.double() - wanted.double()).abs().max() / wanted.double().abs().max()).item()


def sharp(attention: str) -> Attention:
    """A module with lively weights."""
    module = Attention(attention, "block").eval()
    for name, tensor in module.state_dict().items():
        if name.endswith("running_var"):
            tensor.uniform_(0.2, 2)
        elif tensor.is_floating_point():
            tensor.add_(0.5 * torch.randn_like(tensor))
    return module


@pytest.mark.slow
@pytest.mark.parametrize("compiled", COMPILED + OTHER_VECTORS, indirect=True)
@pytest.mark.parametrize("attention", others_long(ATTENTIONS[1:], "cinst", "stinc", "cinst->stinc"))
def test_a_module_gives_what_attention_py_gives(attention, compiled):
    torch.manual_seed(0)
    module = sharp(attention)
    for shape in SHAPES:
        b, t, c, h, w = shape
        x = torch.randn(b * t, c, h, w).contiguous(memory_format=torch.channels_last)
        quick = fast_inference._Gates(module, fast_inference.RELU6, x.device, torch.float32)
        with torch.inference_mode(), recording.segments_per_clip(t):
            with recording.recording() as wanted_gates:
                wanted = module(x).clamp(0, 6)
            with recording.recording() as gates:
                got = quick(x.clone(memory_format=torch.channels_last))
        assert error(got, wanted) < 1e-5, shape
        assert gates.gates.keys() == wanted_gates.gates.keys()
        for site, gate in wanted_gates.gates.items():
            assert gates.gates[site].shape == gate.shape
            assert (gates.gates[site] - gate).abs().max() < 1e-5, shape


def whole(cases):
    """Cases with whole trunks, which take long together."""
    return [pytest.param(*case, marks=pytest.mark.long) for case in cases]


@pytest.fixture
def small_trunks(monkeypatch):
    """Trunks of one block, by its kind."""
    for kind in BLOCKS:
        monkeypatch.setitem(BACKBONES, kind, one_block(kind))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arch", "temporal", "attention"),
    [
        *(("basic", "tsn", attention) for attention in ATTENTIONS),
        *((kind, "tsm", attention) for kind in ("bottleneck", "inverted") for attention in ATTENTIONS[::3]),
        *whole(("resnet18", "tsn", attention) for attention in ATTENTIONS),
        *whole(("mobilenet_v2", "tsm", attention) for attention in ATTENTIONS),
        *whole(("resnet50", "tsm", attention) for attention in ("none", "cinst", "stinc", "stinc+cinst")),
    ],
)
def test_a_network_gives_what_the_reference_gives(arch, temporal, attention, small_trunks):
    reference = small_net(attention, temporal, arch, size=64)
    nets = reference, copy.deepcopy(reference).double(), copy.deepcopy(reference).optimize()
    for size in (48, 59):
        expect_the_same(*nets, torch.randn(2, 3, 3, size, size - 4, generator=torch.Generator().manual_seed(1)))


def expect_the_same(reference: aia.AIANet, double: aia.AIANet, quick: aia.AIANet, clip: torch.Tensor) -> None:
    with torch.inference_mode():
        with recording.recording(features=True) as wanted_seen:
            wanted = reference(clip)
        exact = double(clip.double())
        with recording.recording(features=True) as seen:
            got = quick(clip)
        plain = quick(clip)
    # As near to the exact numbers as the reference, which is itself off by rounding.
    assert error(got, exact) < 1e-5 + 2 * error(wanted, exact)
    assert error(plain, got) < 1e-6  # without a recorder the last product and the activation are one
    for kept, wanted_kept in (
        (seen.gates, wanted_seen.gates),
        (seen.inputs, wanted_seen.inputs),
        (seen.outputs, wanted_seen.outputs),
    ):
        assert kept.keys() == wanted_kept.keys()
        assert all(error(kept[key], wanted_kept[key]) < 1e-4 for key in kept)


@pytest.mark.slow
@pytest.mark.parametrize("arch", others_long(["resnet18", "resnet50", "mobilenet_v2"], "mobilenet_v2"))
def test_the_smallest_pictures_work(arch):
    net = small_net("cinst", "tsm", arch)
    quick, half = copy.deepcopy(net).optimize(), copy.deepcopy(net).optimize("bfloat16")
    for size in ((32, 32), (32, 64), (64, 32), (40, 100)):
        clip = torch.randn(1, 2, 3, *size)
        with torch.inference_mode():
            assert error(net(clip), quick(clip)) < 1e-5, size
            assert error(half(clip), quick(clip)) < 1e-5, "too small for half precision"


@pytest.mark.long
def test_shipped_models_say_the_same(video):
    for name in aia.available_models():
        clip = aia.read_clip(video, 8)
        wanted, got = (aia.inspect(aia.load(name, device="cpu", optimize=quick), clip) for quick in (False, True))
        assert abs(got.probabilities - wanted.probabilities).max() < 1e-5
        for one, other in zip(got.blocks, wanted.blocks, strict=True):
            assert abs(one.spatiotemporal_map - other.spatiotemporal_map).max() < 1e-5


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arch", "attention"),
    [
        *(("basic", attention) for attention in ("none", "cinst", "stinc", "c->st", "stinc-2022-06")),
        *((kind, attention) for kind in ("bottleneck", "inverted") for attention in ("none", "cinst", "stinc")),
        ("mobilenet_v2", "stinc"),
        *whole(("resnet18", attention) for attention in ("none", "cinst", "stinc", "c->st", "stinc-2022-06")),
        *whole((arch, attention) for arch in ("resnet50", "mobilenet_v2") for attention in ("none", "cinst", "stinc")),
    ],
)
def test_half_precision_agrees(arch, attention, small_trunks):
    net = small_net(attention, "tsm", arch, size=64)
    net.head.weight.data *= 10  # probabilities that differ
    clips = torch.randn(6, 4, 3, 64, 64, generator=torch.Generator().manual_seed(2))
    with torch.inference_mode():
        wanted = net(clips).softmax(1)
        got = net.optimize("bfloat16")(clips).softmax(1)
    assert (got - wanted).abs().max() < 0.02
    sure = wanted.topk(2).values.diff().abs().squeeze() > 0.04
    assert (got.argmax(1) == wanted.argmax(1))[sure].all()


@pytest.mark.slow
@pytest.mark.parametrize("attention", others_long(["cinst", "stinc", "stinc+cinst", "stinc-2022-06"], "cinst"))
def test_switches_work_alike(attention):
    net = small_net(attention, "tsn", "resnet18", size=64)
    quick = copy.deepcopy(net).optimize()
    clip = torch.randn(2, 5, 3, 64, 64, generator=torch.Generator().manual_seed(3))
    for mode in ("identity", "mean", "scale", "shuffle"):
        switches = [aia.Switch(mode, "layer2", "H", 0.5), aia.Switch(mode, "*", "C", 2.0)]
        answers = []
        for network in (net, quick):
            with torch.inference_mode(), recording.recording(switches, per_clip=[[], [aia.Switch("mean")]]):
                answers.append(network(clip))
        assert error(answers[1], answers[0]) < 1e-5, mode


@pytest.mark.slow
@pytest.mark.parametrize("arch", ["resnet18", "mobilenet_v2"])
def test_without_fused_convolutions_the_numbers_are_the_same(arch, monkeypatch):
    monkeypatch.setattr(fast_inference, "_fuses", lambda weight: False)
    net, clip = small_net("cinst", "tsm", arch, size=64), torch.randn(1, 3, 3, 64, 64)
    with torch.inference_mode():
        assert error(net.optimize()(clip), small_net("cinst", "tsm", arch, size=64)(clip)) < 1e-5
        assert net.optimize("bfloat16")(clip).isfinite().all()


def change_in_place(net):
    with torch.no_grad():
        net.backbone.layer3[0].conv2.weight.mul_(1.5)


def write_through_data(net):
    net.backbone.layer3[0].conv2.weight.data.mul_(1.5)
    net.optimize()  # nothing tells of such a write


def change_a_gate(net):
    with torch.no_grad():
        net.backbone.layer3[0].attention.first.C.conv.weight.neg_()


def change_by_training(net):
    net.train()
    net(torch.randn(2, 3, 3, 64, 64)).square().sum().backward()
    torch.optim.SGD(net.parameters(), 0.1).step()
    net.eval()


def load_other_weights(net):
    net.load_state_dict(small_net(size=64, seed=5).state_dict(), assign=True)


def replace_a_module(net):
    net.backbone.layer2[1] = copy.deepcopy(net.backbone.layer2[1])
    nn.init.zeros_(net.backbone.layer2[1].bn2.weight)


@pytest.mark.slow
@pytest.mark.parametrize(
    "change",
    [change_in_place, write_through_data, change_a_gate, change_by_training, load_other_weights, replace_a_module],
    ids=lambda f: f.__name__,
)
def test_changed_weights_count_at_once(change):
    net = small_net(size=64).optimize()
    clip = torch.randn(1, 3, 3, 64, 64, generator=torch.Generator().manual_seed(4))
    with torch.inference_mode():
        before = net(clip)
    change(net)
    reference = small_net(size=64)
    if change is replace_a_module:
        replace_a_module(reference)
    reference.load_state_dict(net.state_dict())
    with torch.inference_mode():
        got, wanted = net(clip), reference(clip)
    assert error(got, before) > 1e-3
    assert error(got, wanted) < 1e-5


def test_hooks_of_a_user_are_called():
    net, seen = small_net(size=64).optimize(), []
    clip = torch.randn(1, 3, 3, 64, 64)
    with torch.inference_mode():
        wanted = net(clip)
        hook = net.backbone.layer2.register_forward_hook(lambda module, given, out: seen.append(out.shape))
        got = net(clip)
    assert len(seen) == 1
    assert error(got, wanted) < 1e-5
    hook.remove()
    with torch.inference_mode():
        net(clip)
    assert len(seen) == 1


@pytest.mark.parametrize("compiled", COMPILED, indirect=True)
@pytest.mark.parametrize("place", ["layer2", "layer2.0.attention", "layer2.0.attention.first.H.conv"])
def test_hooks_that_were_there_first_are_called_until_they_are_removed(place, compiled):
    net, calls = small_net(size=64).optimize(), []
    clip = torch.randn(1, 3, 3, 64, 64)
    hook = net.backbone.get_submodule(place).register_forward_hook(lambda *_: calls.append(place))
    with torch.inference_mode():
        net(clip)
        hook.remove()
        net(clip)
    assert calls == [place]


@pytest.mark.slow
def test_weights_stay_as_they_were_and_can_be_saved_and_copied(tmp_path):
    net = small_net(size=64)
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    with torch.inference_mode():
        wanted = net.optimize()(torch.ones(1, 2, 3, 64, 64))
        copied = copy.deepcopy(net)(torch.ones(1, 2, 3, 64, 64))
    after = net.state_dict()
    assert before.keys() == after.keys() and all(torch.equal(before[name], after[name]) for name in before)
    net.save_pretrained(tmp_path / "model", config=net.config)
    with torch.inference_mode():
        again = aia.load(tmp_path / "model", device="cpu")(torch.ones(1, 2, 3, 64, 64))
    assert error(copied, wanted) < 1e-6 and error(again, wanted) < 1e-6


@pytest.mark.slow
def test_gradients_pass_through_an_optimised_network():
    net = small_net(size=64).optimize()
    clip = torch.randn(1, 2, 3, 64, 64, requires_grad=True)
    net(clip)[0, 0].backward()
    assert clip.grad.abs().sum() > 0


@pytest.mark.slow
def test_an_unknown_precision_is_refused(tmp_path):
    net = small_net()
    net.save_pretrained(tmp_path, config=net.config)
    with pytest.raises(aia.AIAError, match="float32"):
        aia.load(tmp_path, precision="int4")


@pytest.mark.slow
def test_the_result_and_its_program_say_the_precision(video, tmp_path):
    net = small_net(size=64)
    net.save_pretrained(tmp_path, config=net.config)
    seen = aia.inspect(aia.load(tmp_path, device="cpu", precision="bfloat16"), aia.read_clip(video, 8))
    assert seen.precision == "bfloat16" and set(seen.scores) == set(LABELS)
    from aia.visualization.snippet import as_python

    assert "precision='bfloat16'" in as_python("m", "v.mp4", aia.View(), precision=seen.precision)
    assert "precision" not in as_python("m", "v.mp4", aia.View())


@pytest.mark.slow
def test_half_precision_can_be_recorded_switched_and_followed_stage_by_stage(clip):
    net = small_net("cinst", "tsm", "resnet18", size=64).optimize("bfloat16")
    seen = aia.inspect(net, clip, switches=[aia.Switch("mean", "layer2.0")], features=True)
    block = seen.block("layer3.0")
    assert abs(block.apply(block.input) - block.output).max() < 0.01 * abs(block.output).max()
    units = trace_block(net, clip, "layer3.0").units
    assert abs(units["C"].gate - aia.inspect(net, clip).block("layer3.0").gates["C"]).max() < 1e-3


def test_the_quickest_precision_is_half_only_where_the_processor_multiplies_it():
    cpu = torch.device("cpu")
    assert fast_inference.best_precision(BACKBONES["mobilenet_v2"], cpu) == "float32"
    quick = build.multiplies_bfloat16() and build.library("inference.c") is not None
    assert fast_inference.best_precision(BACKBONES["resnet50"], cpu) == ("bfloat16" if quick else "float32")


@pytest.mark.parametrize("attention", ["c", "st", "cinst", "stinc"])
def test_numbers_that_overflow_are_not_hidden(attention, clip):
    net = small_net(attention, "tsn", "resnet18").optimize()
    with torch.no_grad():
        net.backbone.layer2[0].conv1.weight.mul_(1e38)
    for look in (aia.inspect, aia.rank_blocks, lambda net, clip: trace_block(net, clip, net.block_names[0])):
        with pytest.raises(aia.AIAError, match="not finite"):
            look(net, clip)


def test_a_clip_that_overflows_leaves_the_others_of_its_batch_their_answers():
    net = small_net("cinst", "tsm", "resnet18", size=64).optimize()
    clips = torch.randn(3, 4, 3, 64, 64, generator=torch.Generator().manual_seed(6))
    clips[1, 2, 0, 30:, 30:] = 3e38
    with torch.inference_mode():
        together, alone = net(clips), net(clips[::2])
    assert error(together[::2], alone) < 1e-5 and not together[1].isfinite().any()


@pytest.mark.slow
@pytest.mark.parametrize("compiled", COMPILED, indirect=True)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64], ids=str)
def test_a_network_that_is_cast_as_a_whole_still_answers(dtype, compiled, clip):
    net = small_net("cinst", "tsm", "resnet18", size=64).optimize()
    wanted = aia.inspect(net, clip)
    got = aia.inspect(net.to(dtype), clip)
    assert np.abs(got.probabilities - wanted.probabilities).max() < 0.02
    assert trace_block(net, clip, "layer2.0").units.keys() == wanted.block("layer2.0").gates.keys()


def test_defaults_that_another_library_sets_change_no_gate(clip):
    net = small_net("cinst", "tsm", "resnet18", size=64).optimize()
    before = aia.inspect(net, clip)
    torch.set_default_dtype(torch.float16)
    try:
        after = aia.inspect(net, clip)
    finally:
        torch.set_default_dtype(torch.float32)
    assert before.scores == after.scores
    assert all(np.array_equal(gate, after.block(b.name).gates[u]) for b in before.blocks for u, gate in b.gates.items())


def test_a_workspace_beyond_two_gib_is_no_negative_number():
    passes = build.library("inference.c")
    if passes is None:
        pytest.skip("no C compiler here: attention.py runs instead")
    assert fast_inference._workspace_bytes(passes, torch.Size((64, 64, 512, 512, 32))) > 2**31
