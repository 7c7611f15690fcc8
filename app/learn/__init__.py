"""The tab "Learn": how attention in attention works, in seven steps, on the visitor's own clip."""

from __future__ import annotations

import base64
import json

import gradio as gr

import aia
from aia.visualization import render
from app import browser


def component() -> gr.HTML:
    """The whole tab as one component.

    Its value is what `payload` or `notice` returns; an empty value asks for a clip. When a visitor chooses another block or
    unit, the event `select` has both in its `gr.EventData`. Answer it with a new payload as the value: the step, the frame and
    the marked place stay.
    """
    color_maps = {
        name: base64.b64encode(render.colormap_table(name).tobytes()).decode() for name in ("viridis", "magma")
    }
    return gr.HTML(
        "",
        html_template=browser.read("learn/learn.html"),
        css_template=browser.style("learn/learn.css"),
        js_on_load=f"const COLOR_MAPS = {json.dumps(color_maps)};\n"
        + browser.script("learn"),  # a tab can lose properties
        apply_default_css=False,
        elem_id="learn",
    )


def payload(model: aia.AIANet, clip: aia.Clip, block: str, unit: str = "") -> str:
    """The stages of one block as the component's value.

    Args:
        model: A network with AIA.
        clip: The clip to show them on.
        block: One of the model's `block_names`.
        unit: The unit whose stages are shown; the block's first one by default.

    Raises:
        AIAError: The model has no AIA, no such block or no such unit.
    """
    from aia.inspection.trace import trace_block  # imports torch; the page starts without it
    from aia.visualization.trace_view import trace_view

    return json.dumps(trace_view(trace_block(model, clip, block), unit), separators=(",", ":"))


def notice(sentence: str) -> str:
    """A value that shows one sentence instead of a block, for example that the model has no AIA."""
    return json.dumps({"notice": sentence})
