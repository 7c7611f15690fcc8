"""The viewer: a component of our own on `gr.HTML`. The browser draws it from one answer and one file of the server."""

from __future__ import annotations

import base64
import json
import secrets
from typing import Any

import gradio as gr

from aia import files
from aia.visualization import render
from app import browser, gradio_internals, text


def component(content: dict[str, Any] | None = None, **options) -> gr.HTML:
    """Makes the viewer.

    Args:
        content: The first `value`; None for nothing.
        **options: Options of `gr.HTML`.

    Returns:
        A component with two properties that events may set: `value`, and `other` for a second side ("" for none).
    """
    tables = {
        name: base64.b64encode(render.colormap_table(name).tobytes()).decode()
        for name in (*render.COLORMAPS, render.DIFFERENCE, render.DIFFERENCE_DARK)
    }
    return gr.HTML(
        content,
        html_template=browser.read("viewer/viewer.html"),
        css_template=browser.style("viewer/viewer.css"),
        head=browser.head("viewer"),
        # Short, since Gradio searches it some forty times for every event that changes the component.
        js_on_load="startViewer(element, props, watch, trigger);",
        apply_default_css=False,  # Gradio's own is for running text
        other="",
        colours=tables,
        words=text.VIEWER,
        **options,
    )


def value(answer: dict[str, Any], channels: bytes = b"") -> dict[str, Any]:
    """One side, in the form that the component takes.

    The gates of the channels are most of an answer, and the viewer draws the means without them. They are a file of their own
    that the browser fetches once. It has a random name in Gradio's upload folder, which Gradio empties.

    Args:
        answer: From `aia.visualization.web.pack`.
        channels: The bytes that `pack` returned with it; empty for none.
    """
    file = None
    if channels:
        path = gradio_internals.upload_folder() / f"{secrets.token_hex(16)}.bin"
        with files.writing_into(path.parent) as part:
            (part / path.name).write_bytes(channels)
        file = gr.FileData(path=str(path)).model_dump()
    return {"answer": json.dumps(answer, separators=(",", ":")), "channels": file}
