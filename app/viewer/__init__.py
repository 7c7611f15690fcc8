"""The viewer: a component of our own on `gr.HTML`, drawn in the browser from one answer of the server."""

from __future__ import annotations

import base64
from pathlib import Path

import gradio as gr

from aia import render
from app import text

_HERE = Path(__file__).parent


def component(value: str = "", **options) -> gr.HTML:
    """Makes the viewer.

    Args:
        value: What it shows first: JSON of `aia.pack.pack`, or "" for nothing.
        **options: Of `gr.HTML`.

    Returns:
        A component with two properties that events may set: `value`, and `other` for a second side ("" for none).
    """
    colours = {name: base64.b64encode(render.colour_table(name).tobytes()).decode() for name in render.COLOUR_MAPS}
    return gr.HTML(
        value,
        html_template=_read("viewer.html"),
        css_template=_read("viewer.css"),
        js_on_load=f"{script()}\nstartViewer(element, props, watch, trigger);",
        apply_default_css=False,  # it is made for running text
        other="",
        colours=colours,
        words=text.VIEWER,
        **options,
    )


def script() -> str:
    """The viewer's functions, as one script."""
    return "\n".join(map(_read, ("answer.js", "pixels.js", "viewer.js")))


def _read(name: str) -> str:
    return (_HERE / name).read_text(encoding="utf-8")
