"""The tab "Survey": what gates do over a whole data set, drawn in the browser from one small file of numbers."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence

import gradio as gr

from aia.visualization import render
from app import browser, text


def component(
    surveys: Mapping[str, str], models: Sequence[str], examples: Mapping[str, str], local: Sequence[str] = ()
) -> gr.HTML:
    """The whole tab as one component.

    When a visitor wants to see a clip, the event `select` has in its `gr.EventData` the "model" and either the name of an
    "example", or the key of a "survey" with the number of a "clip" of it. After the answer call `showSurveyedClip()`.

    Args:
        surveys: Key -> title; the file of a survey is fetched from survey/KEY.json.
        models: Names of the models that the page offers.
        examples: Label -> name of the page's example with it.
        local: Keys of the surveys whose clips are on this machine and may be shown.
    """
    tables = {"light": render.DIFFERENCE, "dark": render.DIFFERENCE_DARK}
    return gr.HTML(
        "",
        html_template=browser.read("survey/survey.html"),
        css_template=browser.style("survey/survey.css"),
        head=browser.head("survey"),
        js_on_load="startSurvey(element, props, trigger);",
        apply_default_css=False,
        surveys=[{"key": key, "title": title} for key, title in surveys.items()],
        page={"models": list(models), "examples": dict(examples), "local": list(local)},
        colours={
            name: base64.b64encode(render.colormap_table(table).tobytes()).decode() for name, table in tables.items()
        },
        words=text.SURVEY,
        elem_id="survey",
    )
