"""The page: its layout, and how it is launched."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gradio as gr
from starlette.middleware import Middleware

from aia import limits
from aia.hub import ALL_MODELS, DEFAULT_MODEL
from aia.visualization import export
from app import browser, gradio_internals, learn, live, survey, text, viewer
from app.clip_box import ClipBox
from app.server.blocks import Page
from app.server.guard import Guard
from app.server.live import Live
from app.server.references import References
from app.server.surveys import Surveys
from app.service import api, models, references, requests, surveys
from app.ui import events, examples, handlers, html
from app.ui.first_paint import FirstPaint

STYLE = Path(__file__).with_name("style.css")

THEME = gr.themes.Base(
    primary_hue=gr.themes.colors.teal,
    neutral_hue=gr.themes.colors.slate,
    radius_size=gr.themes.sizes.radius_md,
    spacing_size=gr.themes.sizes.spacing_md,
    font=["system-ui", "-apple-system", "Segoe UI", "Roboto", "sans-serif"],
    font_mono=["ui-monospace", "Consolas", "monospace"],
).set(  # white on teal-700 is legible, on the default teal-500 it is not
    button_primary_background_fill="*primary_700",
    button_primary_background_fill_hover="*primary_800",
    button_primary_background_fill_dark="*primary_700",
    button_primary_background_fill_hover_dark="*primary_800",
    button_primary_text_color="white",
)


def build(
    extra_models: Sequence[str] = (), *, allow_custom: bool = False, survey_folders: Sequence[str] = ()
) -> gr.Blocks:
    """Builds the page.

    Args:
        extra_models: Folders or Hub repositories to offer besides the shipped models; the first one is the default.
        allow_custom: Whether visitors may type the name of any other model: `--allow-any-model`.
        survey_folders: Reports of surveys to offer besides the shipped ones: `--survey`.

    Raises:
        AIAError: One of the survey folders is none.
    """
    surveys.offer(survey_folders)
    names = models.offered(extra_models)
    age = limits.DELETE_AFTER_SECONDS
    with Page(title=text.TITLE, analytics_enabled=False, fill_width=True, delete_cache=(min(600, age), age)) as page:
        page.offered = names
        parts = _layout(names, allow_custom)
        api.endpoints(names, events.MODEL_QUEUE)  # before the events: Gradio adds a number to a name that is taken
        events.bind(page, parts, names, allow_custom)
    gradio_internals.skip_usage_summary()
    page.queue(max_size=limits.QUEUE, api_open=False)  # no way around the queue
    return page


def _layout(names: list[str], allow_custom: bool) -> dict[str, Any]:
    """Lays the page out. Returns every component that an event reads or changes, by its name."""
    first = names[0] if names else None
    chosen, best = models.first_choice(names), models.asked_models(names)
    known = [*map(text.knows_of, best)] if chosen == ALL_MODELS else [text.knows(models.labels(first) if first else ())]
    ready = examples.first_paint(handlers.FIRST_EXAMPLE, first)
    parts: dict[str, Any] = {
        "shown": gr.State(None, time_to_live=limits.DELETE_AFTER_SECONDS),
        "other": gr.State(None, time_to_live=limits.DELETE_AFTER_SECONDS),
        "own": gr.State([]),  # models that this visitor has added
        "view": gr.JSON(visible=False),
    }
    with gr.Row(elem_id="bar"):
        gr.HTML(html.header(), elem_id="head")
        parts["model"] = gr.Dropdown(
            models.menu(names),
            value=chosen,
            label=text.ANY_MODEL if allow_custom else text.MODEL,
            container=False,
            elem_id="model",
            allow_custom_value=allow_custom,
        )
    with gr.Row(elem_id="clips"):
        parts["video"] = video = ClipBox(label=text.UPLOAD, elem_id="clip")
        parts["run"] = gr.Button(text.RUN, elem_id="run")
        parts["known"] = gr.HTML(html.about_clips(*known), elem_id="known")
        parts["examples"] = _examples(video, text.EXAMPLES)
    with gr.Column(elem_id="desk"):  # style.css places the parts of the tabs and of the viewer in its grid
        parts["problem"] = gr.HTML(visible=False, js_on_load="startProblem(element, props, watch);", elem_id="problem")
        with gr.Column(elem_id="answer"):
            parts["cards"] = gr.HTML(
                html.cards([*best], models.group(first), {}) if first and chosen == ALL_MODELS else "",
                visible=models.asks_all(names),
                js_on_load="startCards(element, trigger, watch);",
                apply_default_css=False,  # Gradio's own is for running text
                elem_id="cards",
            )
            parts["summary"] = gr.HTML(ready.get("summary", ""), elem_id="summary")
        with gr.Tabs(overflow_behavior="wrap", elem_id="tabs"):
            gr.Tab(text.TABS["look"], elem_id="tab-look")
            with gr.Tab(text.TABS["live"], elem_id="tab-live"):
                tasks = {name: models.group(name) for name in names}
                parts["live"] = live.component(models.menu(names), chosen, best, tasks)
            with gr.Tab(text.TABS["what-if"], elem_id="tab-what-if") as parts["what_if_tab"]:
                parts |= _what_if()
                parts["rerank"] = gr.Button("again", elem_id="rerank", elem_classes="unseen")
            with gr.Tab(text.TABS["compare"], elem_id="tab-compare"):
                parts |= _compare(names, first)
            with gr.Tab(text.TABS["learn"], elem_id="tab-learn") as parts["learn_tab"]:
                parts["lesson"] = learn.component()
                parts["relearn"] = gr.Button("again", elem_id="relearn", elem_classes="unseen")
            with gr.Tab(text.TABS["survey"], elem_id="tab-survey"):
                parts["survey"] = _survey(names)
            with gr.Tab(text.TABS["take"], elem_id="tab-take"):
                parts |= _export()
        parts["viewer"] = viewer.component(ready.get("viewer"), elem_id="viewer")
    gr.HTML(f'<p class="limits">{text.LIMITS}</p>')
    return parts


def _examples(video: ClipBox, label: str) -> Any:
    files = [[str(requests.example_file(name))] for name in requests.EXAMPLES]
    names = list(requests.EXAMPLES.values())
    examples = gr.Examples(files, video, label=label, example_labels=names, examples_per_page=len(files))
    gradio_internals.keep_latest_choice(examples)
    return examples


def _what_if() -> dict[str, Any]:
    gr.HTML(html.intro(text.WHAT_IF, "what-if-help", *text.MODES_HELP))
    with gr.Row():
        units = gr.CheckboxGroup(list("CTHW"), value=list("CTHW"), label=text.UNITS, elem_id="units", min_width=200)
        where = gr.Dropdown([(text.ALL_BLOCKS, "*")], value="*", label=text.WHERE, elem_id="where", min_width=200)
        gradio_internals.take_any_text(where)
    mode = gr.Radio(list(text.MODES), value="mean", label=text.MODE, elem_id="mode")
    with gr.Row():
        switch = gr.Button(text.SWITCH, variant="primary", elem_id="switch", min_width=140)
        rank = gr.Button(text.RANK, elem_id="rank", min_width=140)
    changed, ranking = gr.HTML(elem_id="what-if"), gr.HTML(elem_id="ranking")
    controls = {"units": units, "where": where, "mode": mode, "switch": switch, "rank": rank}
    return {**controls, "what_if": changed, "ranking": ranking}


def _compare(names: list[str], first: str | None) -> dict[str, Any]:
    gr.HTML(html.muted(text.COMPARE))
    with gr.Row():
        model = gr.Dropdown(
            models.choices(names), value=first, label=text.OTHER_MODEL, elem_id="other-model", min_width=240
        )
        gradio_internals.take_any_text(model)
        which = gr.Radio(
            [text.SAME, text.BACKWARDS, text.ANOTHER_CLIP],
            value=text.BACKWARDS,
            label=text.WHICH,
            elem_id="which",
            min_width=240,
        )
    with gr.Column(visible=False) as another:
        video = ClipBox(label=text.OTHER_VIDEO, elem_id="other-clip")
        _examples(video, text.EXAMPLES)
    compare = gr.Button(text.RUN_COMPARE, variant="primary", elem_id="run-compare")
    controls = {"other_model": model, "which": which, "another": another, "other_video": video, "compare": compare}
    return {**controls, "compared": gr.HTML(elem_id="compared")}


def _survey(names: list[str]) -> gr.HTML:
    offered = surveys.offered()
    return survey.component(
        {key: one.title for key, one in offered.items()},
        names,
        {label: name for name, label in requests.EXAMPLES.items()},
        [key for key, one in offered.items() if one.clips],
    )


def _export() -> dict[str, Any]:
    gr.HTML(html.muted(text.TAKE))
    formats = [(f"{name}: {format.description}", name) for name, format in export.FORMATS.items()]
    format = gr.Dropdown(formats, value=next(iter(export.FORMATS)), label=text.FORMAT, elem_id="format")
    side = gr.Radio(["A", "B"], value="A", label=text.OF_SIDE, elem_id="side", visible=False)
    make = gr.Button(text.MAKE, variant="primary", elem_id="make")
    file = gr.File(label=text.FORMAT, visible=False, interactive=False, elem_id="file", height=80)
    show_python = gr.Button(text.PYTHON, elem_id="python-button")
    gr.HTML(html.muted(text.PYTHON_HELP))
    code = gr.Code(  # without a language: Gradio's colors are too pale to read
        language=None,
        visible=False,
        interactive=False,
        label="Python",
        elem_id="python",
        wrap_lines=True,
        buttons=["copy"],
    )
    return {"format": format, "side": side, "make": make, "file": file, "show_python": show_python, "python": code}


def launch_options(page: gr.Blocks) -> dict:
    """Options of the page's `launch` besides host and port."""
    return {
        "theme": THEME,
        "css_paths": [browser.TOKENS, STYLE],
        "head": _preload(page) + browser.head("page"),
        "i18n": gr.I18n(en=text.GRADIO),
        "max_file_size": limits.MAX_UPLOAD_BYTES,
        "app_kwargs": {
            "middleware": [
                Middleware(References),
                Middleware(Surveys),
                Middleware(Live),
                Middleware(Guard),
                Middleware(FirstPaint),
            ]
        },
        "show_error": False,  # our own sentences are still shown; Gradio's may hold paths
        "run_history": False,  # Gradio would keep clips and answers in the visitor's browser, or in a bucket on the Hub
        "share": False,
        "footer_links": ["api"],
        "ssr_mode": False,
        "state_session_capacity": limits.SESSIONS,
        "enable_monitoring": False,
        "mcp_server": True,
        "root_path": _root_path(),
    }


def _preload(page: gr.Blocks) -> str:
    """Lets a browser load what the page and its first model need while it still reads the page's first script."""
    kinds = {".js": 'rel="modulepreload"', ".css": 'rel="preload" as="style"'}
    links = [f'{kinds[Path(file).suffix]} href="{file}"' for file in gradio_internals.component_files(page)]
    if key := references.shipped_key(DEFAULT_MODEL):
        address = f"reference/{key}/{references.MAPS}"
        links.append(f'rel="preload" as="fetch" crossorigin fetchpriority="low" href="{address}"')
    return "".join(f"<link {link}>" for link in links)


def _root_path() -> str:
    """GRADIO_ROOT_PATH, a path or a whole address. A path gets a slash at its start and none at its end, as Gradio needs it."""
    root = os.environ.get("GRADIO_ROOT_PATH", "").strip("/")
    return root if not root or root.startswith(("http://", "https://")) else f"/{root}"
