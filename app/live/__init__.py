"""The tab "Live": the camera's picture with the gates over it, while a visitor moves. A component of our own on `gr.HTML`."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from string import Template

import gradio as gr

from aia import limits
from aia.hub import ALL_MODELS
from aia.visualization import render
from app import browser, text

SECONDS = (2.0, 2.5, 3.0)  # of a window: shortest, default, longest
COLORS = ("viridis", render.DIFFERENCE, render.DIFFERENCE_DARK)


def component(
    menu: Sequence[tuple[str, str]], chosen: str | None, asked: Iterable[str], tasks: Mapping[str, str]
) -> gr.HTML:
    """The whole tab as one component. Its script is the viewer's, with which it shares how gates are drawn.

    When a visitor looks at a moment, the event `select` has the path of its file and the model in its `gr.EventData`.

    Args:
        menu: What the menu of models shows, and their names.
        chosen: The name that is chosen at first.
        asked: Tasks of the groups that `ALL_MODELS` asks.
        tasks: The task of each model.
    """
    words = text.LIVE
    options = {
        "words": words,
        "colours": {name: base64.b64encode(render.colormap_table(name).tobytes()).decode() for name in COLORS},
        "all": ALL_MODELS,
        "groups": {task: [text.GROUPS[task].title, text.GROUPS[task].brief] for task in asked},
        "tasks": dict(tasks),
        "side": limits.MAX_LIVE_SIDE,
    }
    choices = "".join(
        f'<option value="{escape(name)}"{" selected" * (name == chosen)}>{escape(label)}</option>'
        for label, name in menu
    )
    low, usual, high = SECONDS
    values = {name: escape(word) for name, word in words.items()}
    html = Template(browser.read("live/live.html")).substitute(
        values, choices=choices, shortest=low, usual=usual, longest=high
    )
    return gr.HTML(
        "",
        html_template=html,
        css_template=browser.style("live/live.css"),
        js_on_load=f"startLive(element, trigger, {json.dumps(options)});",  # a tab can lose properties
        apply_default_css=False,
        elem_id="live",
    )
