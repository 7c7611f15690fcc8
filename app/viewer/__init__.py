"""The viewer: a component of our own on `gr.HTML`, drawn in the browser from one answer of the server and one file."""

from __future__ import annotations

import base64
import json
import secrets
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.utils import get_upload_folder

from aia import files
from aia.visualization import render
from app import browser, text


def component(shown: dict[str, Any] | None = None, **options) -> gr.HTML:
    """Makes the viewer.

    Args:
        shown: What it shows first, a `value`; None for nothing.
        **options: Of `gr.HTML`.

    Returns:
        A component with two properties that events may set: `value`, and `other` for a second side ("" for none).
    """
    colours = {name: base64.b64encode(render.colormap_table(name).tobytes()).decode() for name in render.COLORMAPS}
    return gr.HTML(
        shown,
        html_template=browser.read("viewer/viewer.html"),
        css_template=browser.style("viewer/viewer.css"),
        head=browser.head("viewer"),
        # Short, since Gradio searches it some forty times for every event that changes the component.
        js_on_load='startViewer(element, props, watch, () => trigger("clear"));',
        apply_default_css=False,  # it is made for running text
        other="",
        colours=colours,
        words=text.VIEWER,
        **options,
    )


def value(answer: dict[str, Any], channels: bytes = b"") -> dict[str, Any]:
    """One side, as the component takes it.

    The channels' gates are most of it, and the means are drawn without: they go as a file of their own, which the browser
    fetches once, not as text. It lies in Gradio's cache, which Gradio empties, under a name that nobody can guess.

    Args:
        answer: Of `aia.visualization.web.pack`.
        channels: Its bytes; empty for none.
    """
    file = None
    if channels:
        path = Path(get_upload_folder(), f"{secrets.token_hex(16)}.bin")
        with files.writing_into(path.parent) as part:
            (part / path.name).write_bytes(channels)
        file = gr.FileData(path=str(path)).model_dump()
    return {"answer": json.dumps(answer, separators=(",", ":")), "channels": file}
