"""The lesson shows what the network computed: every stage, for every setting."""

import base64
import json

import numpy as np
import pytest
from conftest import clip_of, moving_frames, others_long, small_net
from packed import unpacked

import aia
from aia.inspection.trace import SETTINGS, trace_block
from aia.modeling.attention_settings import ATTENTION_SETTINGS
from aia.modeling.config import ATTENTIONS
from aia.visualization.trace_view import FEATURE_VALUES, trace_view

TRUNKS = [
    ("resnet34", "layer2.3"),
    ("resnet50", "layer4.2"),
    ("resnet101", "layer3.22"),
    ("mobilenet_v2", "features.9"),
]
WITH_GATES = [attention for attention in ATTENTIONS if attention != "none"]
ROUNDING = {"rtol": 1e-5, "atol": 1e-5}


def check_against_the_network(net, clip, block):
    trace = trace_block(net, clip, block)
    inspection = aia.inspect(net, clip, features=True)
    used = inspection.block(block)
    assert np.allclose(trace.x, used.input, **ROUNDING) and np.allclose(trace.output, used.output, **ROUNDING)
    assert list(trace.units) == list(used.gates)
    for name, unit in trace.units.items():
        assert np.allclose(unit.gate, used.gates[name], **ROUNDING), name
        if not unit.channel_mean:
            sigmoid = 0.5 + 0.5 * np.tanh(unit.normalized / 2)
            assert np.allclose(
                unit.gate.squeeze(), sigmoid.swapaxes(1, 2 if name[-1] == "W" else 1).squeeze(), **ROUNDING
            )
    assert np.allclose(used.apply(trace.x), trace.output, **ROUNDING)
    assert np.allclose(trace.probabilities["trained"], inspection.probabilities, **ROUNDING)
    return trace


def gates_of(trace, module, count):
    """The mean of T, H and W, and the gate of C, of one of `count` modules; None where the module lacks it."""
    prefix = "" if count == 1 else f"{module}."
    units = trace.units
    st = [units[prefix + axis].gate for axis in "THW" if prefix + axis in units]
    return (sum(st) / 3 if st else None), units[prefix + "C"].gate if prefix + "C" in units else None


@pytest.mark.slow
@pytest.mark.parametrize("attention", others_long(WITH_GATES, "cinst", "stinc", "cinst->stinc"))
def test_every_stage_is_what_the_network_used(attention, clip):
    net = small_net(attention, "tsn")
    check_against_the_network(net, clip, "layer3.1")
    check_against_the_network(net.optimize(), clip, "layer3.1")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arch", "block"),
    others_long(TRUNKS, TRUNKS[0], TRUNKS[-1]),
)
def test_every_trunk_has_its_lesson(arch, block, clip):
    trace = check_against_the_network(small_net("cinst", "tsm", arch), clip, block)
    assert trace.block == block and block in trace.blocks


@pytest.mark.slow
@pytest.mark.parametrize("attention", others_long(WITH_GATES, "cinst", "stinc", "cinst->stinc"))
def test_units_look_at_and_multiply_what_their_module_says(attention, clip):
    trace = trace_block(small_net(attention), clip, "layer1.0")
    kinds, combination = ATTENTION_SETTINGS[attention].kinds, ATTENTION_SETTINGS[attention].combination
    x, outputs = trace.x, []
    for module, kind in enumerate(kinds, start=1):
        g, c = gates_of(trace, module, len(kinds))
        inner = {"cinst": c, "stinc": g, "stinc-2022-06": g}.get(kind)
        for unit in trace.units.values():
            if unit.kind != kind:
                continue
            axis = unit.unit[-1]
            outer = kind in ("c", "st") or (axis == "C") == kind.startswith("stinc")
            assert np.allclose(unit.module_input, x, **ROUNDING)
            assert np.allclose(unit.unit_input, x * inner if outer and inner is not None else x, **ROUNDING)
            assert np.allclose(unit.product, x * (c if axis == "C" else g), **ROUNDING)
        outputs.append(x * (g if kind in ("st", "cinst") else c))
        if combination == "cascade":
            x = outputs[-1]
    assert np.allclose(trace.output, np.mean(outputs, axis=0) if combination == "average" else outputs[-1], **ROUNDING)


@pytest.mark.slow
@pytest.mark.parametrize("axis", ["C", "T", "H", "W"])
def test_a_unit_worked_out_by_hand_gives_the_same_stages(axis, clip):
    unit = trace_block(small_net(), clip, "layer3.0").units[axis]
    v = unit.unit_input.astype(np.float64)
    place = "TCHW".index(axis)
    order = [letter for letter in "TCHW" if letter != axis]
    maps = [values.transpose([order.index(letter) for letter in unit.axes]) for values in (v.max(place), v.mean(place))]
    assert np.allclose(unit.pooled, maps, **ROUNDING)

    padded = np.pad(maps, [(0, 0), (1, 1), (1, 1), (1, 1)])
    response = np.zeros(maps[0].shape)
    for which, i, j, k in np.ndindex(2, 3, 3, 3):
        a, b, c = response.shape
        response += unit.kernel[which, i, j, k] * padded[which, i : i + a, j : j + b, k : k + c]
    assert np.allclose(unit.response, response, rtol=1e-4, atol=1e-4)

    norm = unit.norm
    normalised = norm.weight * (response - norm.mean) / np.sqrt(norm.var + norm.eps) + norm.bias
    assert np.allclose(unit.normalized, normalised, rtol=1e-4, atol=1e-4)
    gate = (1 / (1 + np.exp(-normalised))).transpose([unit.axes.index(letter) for letter in order])
    assert np.allclose(unit.gate, np.expand_dims(gate, place), rtol=1e-4, atol=1e-4)


@pytest.mark.slow
def test_the_effect_is_that_of_switching_the_gates_of_this_block(net, clip):
    trace = trace_block(net, clip, "layer2.0")
    assert tuple(trace.probabilities) == SETTINGS
    for mode in ("mean", "identity"):
        switched = aia.inspect(net, clip, switches=[aia.Switch(mode, "layer2.0")], features=True)
        assert np.allclose(trace.probabilities[mode], switched.probabilities, **ROUNDING)
        size = np.sqrt(np.square(switched.block("layer2.0").output).mean())
        assert trace.sizes[mode] == pytest.approx(size, rel=1e-4)
    assert trace.sizes["identity"] == pytest.approx(trace.sizes["input"])
    assert trace.sizes["trained"] < trace.sizes["input"]


@pytest.mark.slow
def test_a_lesson_leaves_nothing_on_the_model(net, clip):
    before = aia.inspect(net, clip).logits
    trace_block(net, clip, "layer1.0")
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in net.modules())
    assert np.array_equal(aia.inspect(net, clip).logits, before)


def test_hooks_of_a_user_are_called_by_the_networks_own_passes_only(clip):
    net, calls = small_net(), []
    net.backbone.layer2[0].attention.first.T.register_forward_hook(lambda *_: calls.append("T"))
    trace_block(net, clip, "layer2.0")
    assert len(calls) == len(SETTINGS)


def test_the_frames_are_those_the_network_saw():
    net = small_net()
    config = aia.AIAConfig(**{**net.config.to_dict(), "resize": 64, "input_size": 48})
    net.config = config
    frames = moving_frames(8, 96, 128)
    trace = trace_block(net, clip_of(frames), "layer1.0")
    assert np.array_equal(trace.frames, frames[:, 12:84, 27:99]), "48 of 64 rows and of 85 columns, from the middle"


def values_of(view, packed):
    return unpacked(packed, base64.b64decode(view["data"]), view["bits"])


def half_a_level(packed):
    return 0.5001 * packed["step"] + 1e-6


def test_a_view_holds_the_numbers_of_the_lesson(net, clip):
    trace = trace_block(net, clip, "layer2.1")
    for name, unit in trace.units.items():
        view = json.loads(json.dumps(trace_view(trace, name)))
        channels = view["channels"]
        assert np.abs(values_of(view, view["x"]) - trace.x[:, channels]).max() < half_a_level(view["x"])
        maps = {"max": unit.pooled[0], "mean": unit.pooled[1], "response": unit.response}
        for key, values in maps.items():
            if "C" in unit.axes:
                values = values.take(view[key]["channels"], unit.axes.index("C"))
                around = (0,) if key == "response" else (-1, 0, 1)
                assert {c + d for c in channels for d in around} & set(range(128)) == set(view[key]["channels"])
            assert np.abs(values_of(view, view[key]) - values).max() < half_a_level(view[key])
        for other, gate in view["gates"].items():
            values = trace.units[other].gate
            values = values if other == "C" else values[:, channels]
            assert np.abs(values_of(view, gate) - values.squeeze("TCHW".index(other))).max() < half_a_level(gate)
        assert sum(view["histogram"]) == unit.normalized.size
        assert np.allclose(view["kernel"], unit.kernel, atol=1e-6)


def test_the_channels_of_a_view_are_the_strongest_and_the_weakest_unless_others_are_named(net, clip):
    trace = trace_block(net, clip, "layer2.1")
    means = trace.x.mean(axis=(0, 2, 3))
    channels = trace_view(trace)["channels"]
    assert [means[c] for c in channels] == [*sorted(means, reverse=True)[:3], means.min()]
    assert trace_view(trace, "T", [5, 0])["x"]["channels"] == [5, 0]


@pytest.mark.slow
@pytest.mark.parametrize("block", others_long(["features.1", "features.2"], "features.1"))
def test_a_view_of_a_large_block_stays_small(block):
    net = small_net("cinst", "tsm", "mobilenet_v2", size=128)
    trace = trace_block(net, clip_of(moving_frames(8, 128, 128)), block)
    for unit in trace.units:
        assert len(json.dumps(trace_view(trace, unit))) < 300_000


@pytest.mark.long
def test_of_a_very_large_feature_rows_and_columns_are_left_out():
    net = small_net("cinst", "tsn", size=192)
    trace = trace_block(net, clip_of(moving_frames(16, 192, 192)), "layer1.0")
    view = trace_view(trace, "C")
    stride = view["x"]["stride"]
    assert stride > 1 and values_of(view, view["x"]).size <= FEATURE_VALUES
    shown = trace.x[:, view["channels"]][..., ::stride, ::stride]
    assert np.abs(values_of(view, view["x"]) - shown).max() < half_a_level(view["x"])
    assert len(json.dumps(view)) < 300_000


def test_what_cannot_be_followed_is_said_in_a_sentence(net, clip):
    with pytest.raises(aia.AIAError, match="has no AIA"):
        trace_block(small_net("none"), clip, "layer1.0")
    with pytest.raises(aia.AIAError, match=r"no block 'layer9\.0'.*layer1\.0"):
        trace_block(net, clip, "layer9.0")
    trace = trace_block(net, clip, "layer1.0")
    with pytest.raises(aia.AIAError, match=r"no unit 'X'.*C, T, H, W"):
        trace_view(trace, "X")
    with pytest.raises(aia.AIAError, match="channels 0 to 63"):
        trace_view(trace, "C", [64])
