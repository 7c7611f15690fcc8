"""Recording and switching gates."""

import threading

import numpy as np
import pytest
import torch
from conftest import clip_of, moving_frames, small_net

import aia
from aia import AIAError, Switch
from aia.inspection.inspection import inspect
from aia.modeling import recording
from aia.modeling.config import ATTENTIONS

SHAPES = {"C": (8, 1, None, None), "T": (1, "C", None, None), "H": (8, "C", 1, None), "W": (8, "C", None, 1)}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("attention", "temporal", "arch"),
    [(attention, "tsn", "resnet18") for attention in ATTENTIONS[1:]]
    + [("cinst", "tsm", "mobilenet_v2"), ("stinc", "tsm", "resnet50")],
)
def test_the_gates_shown_are_the_gates_used(attention, temporal, arch, clip):
    net = small_net(attention, temporal, arch)
    seen = inspect(net, clip, features=True)
    assert [b.name for b in seen.blocks] == list(net.block_names)
    for block in seen.blocks:
        _, channels, height, width = block.input.shape
        for unit, gate in block.gates.items():
            full = {"C": channels, None: None}
            wanted = tuple(
                full.get(n, n) if n is not None else (height if i == 2 else width)
                for i, n in enumerate(SHAPES[unit[-1]])
            )
            assert gate.shape == wanted and gate.dtype == np.float32 and 0 < gate.min() <= gate.max() < 1
        assert np.abs(block.apply(block.input) - block.output).max() < 1e-5

        # what is shown of the gate, against the gate built in full
        full = block.apply(np.ones_like(block.input))
        assert np.allclose(block.spatiotemporal_map, full.mean(axis=1), atol=1e-6)
        assert np.allclose(block.temporal_profile, full.mean(axis=(1, 2, 3)), atol=1e-6)
        if attention in ("stinc", "stinc-2022-06"):  # C multiplies; per channel G is shown, which steers it
            full = sum(block.gates[axis] for axis in "THW") / 3 + np.zeros_like(block.input)
        if attention == "c":
            assert np.allclose(block.channel_mean, [full.mean()], atol=1e-6)
        else:
            assert np.allclose(block.channel_mean, full.mean(axis=(0, 2, 3)), atol=1e-6)


def test_composites_give_each_modules_own_units(clip):
    block = inspect(small_net("stinc+cinst"), clip).blocks[0]
    assert list(block.gates) == ["1.C", "1.T", "1.H", "1.W", "2.C", "2.T", "2.H", "2.W"]


def test_recording_changes_nothing_and_leaves_nothing(net, clip):
    x = aia.modeling.preprocess.preprocess(clip.frames, net.config)
    before = set(vars(net)), {name: set(vars(m)) for name, m in net.named_modules()}
    with torch.inference_mode():
        plain = net(x)[0].numpy()
    assert np.array_equal(inspect(net, clip).logits, plain)
    assert (set(vars(net)), {name: set(vars(m)) for name, m in net.named_modules()}) == before
    assert all(not m._forward_hooks and not m._forward_pre_hooks for m in net.modules())


def test_switching_off_and_on_again_is_bit_equal(net, clip):
    first = inspect(net, clip)
    off = inspect(net, clip, switches=[Switch("identity")])
    assert not np.array_equal(off.logits, first.logits)
    assert np.array_equal(inspect(net, clip).logits, first.logits)


class Boom(torch.nn.Module):
    def forward(self, x):
        raise RuntimeError("boom")


def test_an_error_in_the_middle_of_a_pass_leaves_no_switch_behind(clip):
    net = small_net()
    first = inspect(net, clip).logits
    whole, net.backbone.layer3[1] = net.backbone.layer3[1], Boom()
    with pytest.raises(RuntimeError, match="boom"):
        inspect(net, clip, switches=[Switch("identity", "layer1")])
    net.backbone.layer3[1] = whole
    assert np.array_equal(inspect(net, clip).logits, first)


@pytest.mark.slow
@pytest.mark.parametrize("unit", ["C", "T", "H", "W"])
def test_switches_do_what_they_say_and_only_there(net, clip, unit):
    plain = inspect(net, clip, features=True)
    for mode in ("identity", "mean", "scale"):
        seen = inspect(net, clip, switches=[Switch(mode, "layer3.1", unit, factor=0.5)], features=True)
        for before, after in zip(plain.blocks, seen.blocks, strict=True):
            if before.name.startswith(("layer1", "layer2", "layer3.0")):
                assert all(np.array_equal(before.gates[u], after.gates[u]) for u in before.gates)
        gate, was = seen.block("layer3.1").gates[unit], plain.block("layer3.1").gates[unit]
        if mode == "identity":
            assert (gate == 1).all()
        elif mode == "mean":
            assert np.ptp(gate) == 0 and (unit != "C" or np.isclose(gate.flat[0], was.mean()))
        if unit == "C" and mode == "scale":
            assert np.allclose(gate, 0.5 * was)
        block = seen.block("layer3.1")
        assert np.abs(block.apply(block.input) - block.output).max() < 1e-5


def test_switches_apply_in_order_and_to_stages(net, clip):
    seen = inspect(net, clip, switches=[Switch("identity", "layer2"), Switch("scale", "layer2.1", factor=0.25)])
    assert all((g == 1).all() for g in seen.block("layer2.0").gates.values())
    assert all((g == 0.25).all() for g in seen.block("layer2.1").gates.values())
    assert all((g != 1).any() for g in seen.block("layer3.0").gates.values())


def test_a_shuffle_gives_every_frame_the_gate_of_another_and_mixes_their_order():
    for count in range(2, 65):
        order = recording.shuffle_order(count)
        assert sorted(order) == list(range(count)) and order == recording.shuffle_order(count)
        assert all(place != frame for place, frame in enumerate(order))
        assert count < 4 or len(set(np.diff(order) % count)) > 1, "neither played backwards nor begun elsewhere"
    assert recording.shuffle_order(1) == [0]


@pytest.mark.slow
@pytest.mark.parametrize("optimised", [False, True])
@pytest.mark.parametrize("attention", ["st", "cinst", "stinc"])
def test_shuffled_gates_are_the_same_gates_in_another_order_and_the_t_gate_stays(attention, optimised, clip):
    net = small_net(attention, "tsn")
    net = net.optimize() if optimised else net
    plain, order = inspect(net, clip), recording.shuffle_order(8)
    for unit, gate in plain.blocks[0].gates.items():
        seen = inspect(net, clip, switches=[Switch("shuffle", plain.blocks[0].name, unit)])
        assert np.array_equal(seen.blocks[0].gates[unit], gate if unit == "T" else gate[order])
        assert np.array_equal(seen.logits, plain.logits) == (unit == "T")


def test_order_is_what_a_shuffle_takes_from_a_tsn_with_aia(clip):
    net = small_net("cinst", "tsn")
    plain, seen = inspect(net, clip), inspect(net, clip, switches=[Switch("shuffle")])
    assert np.abs(seen.logits - plain.logits).max() > 1e-3
    one = clip_of(clip.frames[:1])  # a single frame has no order to lose
    assert np.array_equal(inspect(net, one, switches=[Switch("shuffle")]).logits, inspect(net, one).logits)


@pytest.mark.slow
@pytest.mark.parametrize("optimised", [False, True])
def test_clips_of_one_batch_can_each_have_switches_of_their_own(optimised, clip):
    model = small_net("stinc+cinst")
    model = model.optimize() if optimised else model
    everywhere = [Switch("scale", "layer2.1", factor=0.5)]
    per_clip = [
        [],
        [Switch("mean", "layer2.0")],
        [Switch("shuffle")],
        [Switch("identity", "layer2.1", "C"), Switch("scale", "layer2.1", "C", 0.25)],
    ]
    x = aia.modeling.preprocess.preprocess(clip.frames, model.config).expand(4, -1, -1, -1, -1)
    with torch.inference_mode(), recording.recording(everywhere, per_clip=per_clip) as seen:
        logits = model(x)
    for number, switches in enumerate(per_clip):
        alone = inspect(model, clip, switches=everywhere + switches)
        assert np.allclose(logits[number].numpy(), alone.logits, atol=1e-5)
        for block in alone.blocks:
            for unit, gate in block.gates.items():
                assert np.allclose(seen.gates[recording.GateLocation(block.name, unit)][number], gate, atol=1e-5)
    assert torch.pdist(logits).min() > 1e-3, "the clips must differ to tell them apart"


def test_switches_for_more_or_fewer_clips_than_the_batch_has_are_a_bug(net, clip):
    x = aia.modeling.preprocess.preprocess(clip.frames, net.config)
    with torch.inference_mode(), recording.recording(per_clip=[[], []]), pytest.raises(ValueError):
        net(x)


@pytest.mark.slow
def test_identity_everywhere_is_the_plain_trunk(clip):
    with_aia, plain = small_net("cinst"), small_net("none")
    plain.load_state_dict({k: with_aia.state_dict()[k] for k in plain.state_dict()})
    assert np.allclose(inspect(with_aia, clip, switches=[Switch()]).logits, inspect(plain, clip).logits, atol=1e-5)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Switch("off"),
        lambda: Switch(unit="X"),
        lambda: Switch(unit=5),
        lambda: Switch(block=None),
        lambda: Switch("scale", factor="x"),
        lambda: Switch("scale", factor=float("nan")),
        lambda: Switch("scale", factor=-1),
        lambda: Switch("scale", factor=float("inf")),
    ],
)
def test_a_wrong_switch_is_refused(make):
    with pytest.raises(AIAError, match=r"\.$"):
        make()


def test_a_switch_that_fits_no_gate_is_refused(net, clip):
    with pytest.raises(AIAError, match="layer9"):
        inspect(net, clip, switches=[Switch(block="layer9")])
    with pytest.raises(AIAError, match="No gate"):
        inspect(small_net("c"), clip, switches=[Switch(unit="T")])


@pytest.mark.slow
def test_requests_that_share_a_model_never_see_each_other(net):
    """Threads with other clips, lengths and switches, at once, each gets what it gets alone."""
    jobs = [
        (clip_of(moving_frames(count, seed=count)), switches)
        for count, switches in (
            (8, ()),
            (5, (Switch("identity", "layer2"),)),
            (8, (Switch("mean", unit="C"),)),
            (3, (Switch("scale", "layer4.1", "H", 0.3),)),
        )
    ]
    alone = [inspect(net, clip, switches=switches) for clip, switches in jobs]
    wrong, start = [], threading.Barrier(len(jobs))

    def work(number):
        torch.set_num_threads(1)
        start.wait()
        for _ in range(6):
            seen = inspect(net, jobs[number][0], switches=jobs[number][1])
            for a, b in zip(seen.blocks, alone[number].blocks, strict=True):
                for unit in a.gates:
                    if a.gates[unit].shape != b.gates[unit].shape or not np.allclose(
                        a.gates[unit], b.gates[unit], atol=1e-5
                    ):
                        wrong.append((number, a.name, unit))
            if not np.allclose(seen.logits, alone[number].logits, rtol=1e-4, atol=1e-5):
                wrong.append((number, "logits"))

    threads = [threading.Thread(target=work, args=(i,)) for i in range(len(jobs))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert not np.allclose(alone[0].logits, alone[2].logits, rtol=1e-4, atol=1e-5), (
        "the jobs must differ to tell them apart"
    )
