"""The box for a visitor's clip: a file of any kind, or a recording of the camera. A component of our own on `gr.HTML`.

Gradio's video box refuses files by the browser's guess of their type, mirrors every camera's preview but not its recording,
and reports an error for each clip that the browser cannot play. This one uploads any file: the server's reader decides.
"""

from __future__ import annotations

import json
from abc import ABCMeta
from html import escape
from pathlib import Path
from string import Template
from typing import Literal

import gradio as gr
from gradio.component_meta import updateable
from gradio.data_classes import FileData, GradioRootModel

from aia import limits
from app import browser, text

COUNTDOWN_SECONDS = 3


class _WritesNoStub(type(gr.HTML)):
    """Gradio's metaclass writes a .pyi file beside the source of every component's class; this one does not."""

    def __new__(cls, name, bases, attributes):
        return ABCMeta.__new__(cls, name, bases, attributes | {"__init__": updateable(attributes["__init__"])})


class _Held(GradioRootModel):
    """What the box holds in the browser; Gradio's front end writes nothing as "" once something was there."""

    root: FileData | Literal[""] | None


class ClipBox(gr.HTML, metaclass=_WritesNoStub):
    """A clip that a visitor gives. Events receive its path and may set it; "upload" follows a new clip of theirs."""

    data_model = _Held

    def __init__(self, value: str | None = None, *, label: str, elem_id: str | None = None, **others):
        """Makes the box.

        Args:
            value: The path of a clip.
            label: What the clip is for.
            elem_id: Its id on the page.
            **others: Of `gr.HTML`; Gradio makes the box again by them when an event changes it.
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

    def preprocess(self, payload: _Held | None) -> str | None:
        """The path of an uploaded clip."""
        return payload.root.path if payload and payload.root else None

    def postprocess(self, value: str | None) -> FileData | None:
        """A path as the browser takes it."""
        return FileData(path=value, orig_name=Path(value).name) if value else None


def _html(label: str) -> str:
    words = text.CLIP_BOX | {"label": label}
    return Template(browser.read("clip_box/clip_box.html")).substitute(
        {name: escape(word) for name, word in words.items()}
    )
