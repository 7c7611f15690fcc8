"""A view: the values it shows, the scale of its colours, and what a browser may send for it."""

import dataclasses
import json

import numpy as np
import pytest
from conftest import small_net

from aia import AIAError, View, inspect
from aia.modeling.config import ATTENTIONS
from aia.visualization.view import limits, values


def mean_of_three(gates, module=""):
    return (gates[f"{module}T"] + gates[f"{module}H"] + gates[f"{module}W"]) / 3


# What multiplies the feature, written out from the paper, [T, C, H, W] by broadcasting.
MULTIPLIES = {
    "c": lambda g: g["C"],
    "st": mean_of_three,
    "cinst": mean_of_three,
    "stinc": lambda g: g["C"],
    "stinc-2022-06": lambda g: g["C"],
    "c+st": lambda g: 0.5 * g["1.C"] + 0.5 * mean_of_three(g, "2."),
    "c->st": lambda g: g["1.C"] * mean_of_three(g, "2."),
    "st->c": lambda g: mean_of_three(g, "1.") * g["2.C"],
    "cinst->stinc": lambda g: mean_of_three(g, "1.") * g["2.C"],
    "stinc->cinst": lambda g: g["1.C"] * mean_of_three(g, "2."),
    "stinc+cinst": lambda g: 0.5 * g["1.C"] + 0.5 * mean_of_three(g, "2."),
}


@pytest.fixture(scope="module")
def inspection(net, clip):
    return inspect(net, clip)


@pytest.fixture(scope="module")
def plain(clip):
    return inspect(small_net("none"), clip)


@pytest.mark.slow
@pytest.mark.parametrize("attention", [a for a in ATTENTIONS if a != "none"])
def test_a_view_shows_the_gate_that_the_network_used_of_every_unit_and_channel(attention, clip):
    inspection = inspect(small_net(attention), clip, features=True)
    for block in (inspection.blocks[0], inspection.blocks[-1]):
        full = np.broadcast_to(MULTIPLIES[attention](block.gates), block.input.shape)
        view = View(block.name)
        assert np.allclose(values(inspection, view), full.mean(axis=1), atol=1e-6)
        assert np.array_equal(values(inspection, view), block.spatiotemporal_map)
        for channel in (0, 7, block.input.shape[1] - 1):
            shown = values(inspection, View(block.name, channel=channel))
            assert shown.dtype == np.float32 and np.allclose(shown, full[:, channel], atol=1e-6)
            assert np.allclose(block.input[:, channel] * shown, block.output[:, channel], atol=1e-4)
        for unit, gate in block.gates.items():
            native = np.repeat(gate, 8, axis=0) if unit.endswith("T") else gate
            assert np.allclose(values(inspection, View(block.name, unit)), native.mean(axis=1), atol=1e-6)
            channel = 0 if unit.endswith("C") else 7
            assert np.array_equal(values(inspection, View(block.name, unit, channel=7)), native[:, channel])


def test_gates_keep_their_own_shape(inspection):
    _, _, height, width = inspection.block("layer1.0").shape
    shapes = {gate: values(inspection, View("layer1.0", gate)).shape for gate in ("combined", "C", "T", "H", "W")}
    whole = (8, height, width)
    assert shapes == {"combined": whole, "C": whole, "T": whole, "H": (8, 1, width), "W": (8, height, 1)}


def test_an_empty_block_is_the_one_to_look_at_first(inspection):
    assert View().checked(inspection).block == inspection.first_block
    assert np.array_equal(values(inspection, View()), inspection.block(inspection.first_block).spatiotemporal_map)


def test_scales_reach_over_the_gate_the_block_or_all_blocks(inspection):
    own = inspection.block("layer2.0").gates["H"].mean(axis=1)
    every = [block.gates["H"].mean(axis=1) for block in inspection.blocks]
    view = View("layer2.0", "H")
    assert limits(inspection, view) == (0, 1)
    assert limits(inspection, dataclasses.replace(view, scale="block")) == pytest.approx((own.min(), own.max()))
    lowest, highest = min(map(np.min, every)), max(map(np.max, every))
    assert limits(inspection, dataclasses.replace(view, scale="clip")) == pytest.approx((lowest, highest))


@pytest.mark.parametrize("scale", ["absolute", "clip", "block"])
def test_a_scale_is_the_same_for_every_frame(inspection, scale):
    assert len({limits(inspection, View("layer1.1", frame=frame, scale=scale)) for frame in range(8)}) == 1


def test_over_the_clip_a_block_without_the_channel_counts_with_its_mean(inspection):
    maps = [
        block.gates["T"][:, 100] if block.shape[1] > 100 else block.gates["T"].mean(axis=1)
        for block in inspection.blocks
    ]
    assert {block.shape[1] > 100 for block in inspection.blocks} == {True, False}
    expected = (min(map(np.min, maps)), max(map(np.max, maps)))
    assert limits(inspection, View("layer4.0", "T", channel=100, scale="clip")) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("view", "message"),
    [
        (View("layer9.0"), "no gates at 'layer9.0'"),
        (View("layer1.0", "1.C"), "no gate '1.C'; choose combined, C, T, H, W"),
        (View("layer1.0", frame=8), "no frame 8; its frames are 0 to 7"),
        (View("layer1.0", channel=64), "no channel 64; its channels are 0 to 63"),
        (View("layer1.0", "C", channel=64), "no channel 64"),
    ],
)
def test_what_an_inspection_does_not_have_is_named(inspection, view, message):
    for use in (values, limits, lambda inspection, view: view.checked(inspection)):
        with pytest.raises(AIAError, match=message):
            use(inspection, view)


def test_a_network_without_gates_has_frames_to_look_at_and_no_values(plain):
    assert View(frame=3).checked(plain) == View(frame=3)
    for view in (View(), View(scale="clip")):
        for use in (values, limits):
            with pytest.raises(AIAError, match="no gates to look at"):
                use(plain, view)
    for view in (View("layer1.0"), View(gate="C"), View(channel=1)):
        with pytest.raises(AIAError, match="no gates to look at"):
            view.checked(plain)


def test_a_view_survives_the_way_through_a_browser():
    view = View("layer2.1", "2.T", 3, 12, "clip", "magma", 0.25, True)
    assert View.from_state(json.loads(json.dumps(dataclasses.asdict(view)))) == view
    texts = {"block": "layer2.1", "gate": "2.T", "frame": "3", "channel": "12", "scale": "clip", "colours": "magma"}
    assert View.from_state({**texts, "opacity": "0.25", "cells": "true"}) == view
    assert View.from_state({**texts, "opacity": 0.25, "frame": 3.0, "cells": 1}) == view
    for cells in ("false", "0", 0, False):
        assert View.from_state({**texts, "opacity": "0.25", "cells": cells}) == dataclasses.replace(view, cells=False)


def test_what_is_missing_empty_or_unknown_changes_nothing():
    fields = [field.name for field in dataclasses.fields(View)]
    for state in ({}, dict.fromkeys(fields), dict.fromkeys(fields, ""), {"model": "x", "__class__": 1, "": []}):
        assert View.from_state(state) == View()


def test_numbers_of_numpy_become_plain_ones():
    scale = (np.float32(0.25), np.int64(1))
    view = View(frame=np.int64(2), channel=np.argmax([0, 1]), scale=scale, opacity=np.float32(0.5), cells=np.True_)
    assert repr(view) == repr(View(frame=2, channel=1, scale=(0.25, 1), opacity=0.5, cells=True))
    assert View.from_state(json.loads(json.dumps(dataclasses.asdict(view)))) == view


HOSTILE = {
    "block": [5, "x" * 101, ["layer1.0"], {"a": 1}],
    "gate": ["X", "3.C", "c", "1.", "C\n", "combined ", 7, ["C"]],
    "frame": [-1, "-1", 1.5, "1.5", "one", "nan", float("nan"), float("inf"), "1e309", 10**5000, True, [0], {}],
    "channel": [-1, "two", "mean", 0.5, "9" * 5000, 10**400, False, []],
    "scale": ["frame", "Absolute", 1, ["clip"], {}],
    "colours": ["jet", "VIRIDIS", 3, ["viridis"]],
    "opacity": [-0.1, 1.1, "half", "nan", float("inf"), "1e400", 10**5000, True, [0.5]],
    "cells": ["maybe", 2, "2", [], {}, 0.5],
}


@pytest.mark.parametrize("field", HOSTILE)
def test_a_hostile_value_is_refused_in_one_sentence_that_names_the_field(field):
    for value in HOSTILE[field]:
        with pytest.raises(AIAError, match=f"^The view's {field} must be [^\n]*[.]$"):
            View.from_state({field: value})


@pytest.mark.parametrize("state", [None, [], "block", 3, [("block", "layer1.0")]])
def test_what_is_no_object_is_no_view(state):
    with pytest.raises(AIAError, match="A view is an object"):
        View.from_state(state)


def test_a_name_with_half_a_character_is_refused_like_any_unknown_block(inspection):
    with pytest.raises(AIAError, match="no gates at"):
        View.from_state({"block": "\ud800"}).checked(inspection)
