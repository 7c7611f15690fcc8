"""The box for a visitor's clip: any file, or a recording of the camera. A component of our own on `gr.HTML`.

Gradio's video box refuses files by the type that the browser guesses, mirrors the preview of every camera but not the
recording, and reports an error for each clip that the browser cannot play. This box uploads any file: the server decides.
"""

from __future__ import annotations

import json
from html import escape
from pathlib import Path
from string import Template
from typing import Any, Literal

from gradio.data_classes import FileData, GradioRootModel

from aia import limits
from app import browser, gradio_internals, text

COUNTDOWN_SECONDS = 3


class ClipFile(gradio_internals.HTML):
    """A program's clip, without a box. Gradio's own video component would load a film player into every page."""

    data_model = FileData

    def preprocess(self, payload: FileData | None) -> str | None:  # type: ignore[override]  # gr.HTML's value is text
        """The path of an uploaded clip."""
        return payload.path if payload else None

    def api_info(self) -> dict[str, Any]:
        """The JSON Schema that programs and tools get."""
        return {key: value for key, value in FileData.model_json_schema().items() if key != "description"}


class _Content(GradioRootModel):
    """The value in the browser. Gradio's front end sends "" for a box that was emptied."""

    root: FileData | Literal[""] | None


class ClipBox(gradio_internals.HTML):
    """A visitor's clip. Events receive its path and may set it. The event "upload" follows when a visitor gives a new clip."""

    data_model = _Content

    def __init__(self, value: str | None = None, *, label: str, elem_id: str | None = None, **others):
        """Makes the box.

        Args:
            value: The path of a clip.
            label: What the clip is for.
            elem_id: The element's id on the page.
            **others: Options of `gr.HTML`. Gradio passes them when an event changes the box.
        """
        options = {
            "words": text.CLIP_BOX,
            "most": limits.MAX_UPLOAD_BYTES,
            "countdown": COUNTDOWN_SECONDS,
            "seconds": text.RECORD_SECONDS,
        }
        super().__init__(
            value,
            label=label,
            html_template=_html(label),
            css_template=browser.style("clip_box/clip_box.css"),
            head=browser.head("clip_box"),
            # Options stand here: in a tab, other properties can get lost.
            js_on_load=f"startClipBox(element, props, watch, trigger, {json.dumps(options)});",
            apply_default_css=False,
            elem_id=elem_id,
            **others,
        )

    def preprocess(self, payload: _Content | None) -> str | None:  # type: ignore[override]  # gr.HTML's value is text
        """The path of an uploaded clip."""
        return payload.root.path if payload and payload.root else None

    def postprocess(self, value: str | None) -> FileData | None:  # type: ignore[override]  # gr.HTML's value is text
        """The file of a path, in the form that the browser takes."""
        return FileData(path=value, orig_name=Path(value).name) if value else None


def _html(label: str) -> str:
    words = text.CLIP_BOX | {"label": label}
    return Template(browser.read("clip_box/clip_box.html")).substitute(
        {name: escape(word) for name, word in words.items()}
    )
