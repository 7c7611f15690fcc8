"""The page: what is where, and which event calls which handler."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import gradio as gr
from starlette.middleware import Middleware

from aia import limits
from aia.visualization import export
from app import browser, learn, text, viewer
from app.clip_box import ClipBox
from app.server.blocks import Page
from app.server.guard import Guard, is_from_elsewhere
from app.service import api, models, requests
from app.ui import examples, handlers, html
from app.ui.english import English

STYLE = Path(__file__).with_name("style.css")
CONCURRENCY = 1  # forward passes at a time: two cores gain nothing from more
MODEL_QUEUE = {"concurrency_id": "model", "concurrency_limit": CONCURRENCY}
DOWNLOAD_QUEUE = {"concurrency_id": "download", "concurrency_limit": 8}  # who waits for the Hub waits apart

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
WITH_VIEW = "(...inputs) => withView(...inputs)"
WITH_RESULT_SHOWN = "(...inputs) => withResultShown(...inputs)"


def build(extra_models: Sequence[str] = (), *, allow_custom: bool = False) -> gr.Blocks:
    """Builds the page.

    Args:
        extra_models: Folders or Hub repositories to offer beside the shipped models; the first one is the default.
        allow_custom: Whether visitors may type the name of any other model: `--allow-any-model`.
    """
    names = models.offered(extra_models)
    age = limits.DELETE_AFTER_SECONDS
    with Page(title=text.TITLE, analytics_enabled=False, delete_cache=(min(600, age), age)) as page:
        parts = _layout(names, allow_custom)
        api.endpoints(names, MODEL_QUEUE)  # before the events, which then leave them their names
        _events(page, parts, names, allow_custom)
    # Or else Gradio sums up all requests after every one of them, for a page that is off.
    os.environ.setdefault("GRADIO_ANALYTICS_CACHE_FREQUENCY", "1000000")
    page.queue(max_size=limits.QUEUE, api_open=False)  # no way around the queue
    return page


def _layout(names: list[str], allow_custom: bool) -> dict[str, gr.components.Component]:
    """Every component that an event reads or changes, by its name."""
    first = names[0] if names else None
    ready = examples.first_paint(handlers.FIRST_EXAMPLE, first)
    parts = {
        "header": gr.HTML(html.header()),
        "shown": gr.State(None, time_to_live=limits.DELETE_AFTER_SECONDS),
        "other": gr.State(None, time_to_live=limits.DELETE_AFTER_SECONDS),
        "own": gr.State([], time_to_live=limits.DELETE_AFTER_SECONDS),  # models that this visitor has brought in
        "view": gr.JSON(visible=False),
    }
    with gr.Row():
        with gr.Column(scale=4, min_width=320, elem_classes="controls"):
            parts |= _controls(names, first, allow_custom)
        with gr.Column(scale=9, min_width=320):
            parts["problem"] = gr.HTML(
                visible=False, js_on_load="startProblem(element, props, watch);", elem_id="problem"
            )
            parts["summary"] = gr.HTML(ready.get("summary", ""), elem_id="summary")
            with gr.Tabs():
                with gr.Tab(text.TABS["look"], elem_id="tab-look"):
                    parts["sentence"] = gr.HTML(ready.get("sentence", ""), elem_id="sentence")
                with gr.Tab(text.TABS["what-if"], elem_id="tab-what-if") as parts["what_if_tab"]:
                    parts |= _what_if()
                    parts["rerank"] = gr.Button("again", elem_id="rerank", elem_classes="unseen")
                with gr.Tab(text.TABS["compare"], elem_id="tab-compare"):
                    parts |= _compare(names, first)
                with gr.Tab(text.TABS["learn"], elem_id="tab-learn") as parts["learn_tab"]:
                    parts["lesson"] = learn.component()
                    parts["relearn"] = gr.Button("again", elem_id="relearn", elem_classes="unseen")
                with gr.Tab(text.TABS["take"], elem_id="tab-take"):
                    parts |= _take_away()
            parts["viewer"] = viewer.component(ready.get("viewer"), elem_id="viewer")
            gr.HTML(f'<p class="limits">{text.LIMITS}</p>')
    return parts


def _controls(names: list[str], first: str | None, allow_custom: bool) -> dict[str, gr.components.Component]:
    video = ClipBox(label=text.UPLOAD, elem_id="clip")
    examples = _examples(video, text.EXAMPLES)
    label = text.ANY_MODEL if allow_custom else text.MODEL
    model = gr.Dropdown(
        models.choices(names), value=first, label=label, elem_id="model", allow_custom_value=allow_custom
    )
    known = gr.HTML(html.muted(text.knows(models.labels(first) if first else ())))
    run = gr.Button(text.RUN, variant="primary", elem_id="run")
    gr.HTML(html.muted(_privacy_words()))
    return {"video": video, "examples": examples, "model": model, "known": known, "run": run}


def _examples(video: ClipBox, label: str) -> gr.Examples:
    files = [[str(requests.EXAMPLES_FOLDER / f"{name}.mp4")] for name in requests.EXAMPLES]
    names = list(requests.EXAMPLES.values())
    examples = gr.Examples(files, video, label=label, example_labels=names, examples_per_page=12)
    # Or else a choice is lost that is made while the one before is still being fetched.
    examples.root_block.fns[examples.load_input_event["id"]].trigger_mode = "always_last"
    return examples


def _what_if() -> dict[str, gr.components.Component]:
    gr.HTML(html.muted(text.WHAT_IF))
    with gr.Row():
        units = gr.CheckboxGroup(list("CTHW"), value=list("CTHW"), label=text.UNITS, elem_id="units", min_width=220)
        where = gr.Dropdown([(text.ALL_BLOCKS, "*")], value="*", label=text.WHERE, elem_id="where", min_width=220)
    mode = gr.Radio(list(text.MODES), value="mean", label=text.MODE, elem_id="mode")
    gr.HTML(html.muted(text.MODES_HELP))
    with gr.Row():
        switch = gr.Button(text.SWITCH, variant="primary", elem_id="switch")
        rank = gr.Button(text.RANK, elem_id="rank")
    changed, ranking = gr.HTML(elem_id="what-if"), gr.HTML(elem_id="ranking")
    found = {"units": units, "where": where, "mode": mode, "switch": switch, "rank": rank}
    return {**found, "what_if": changed, "ranking": ranking}


def _compare(names: list[str], first: str | None) -> dict[str, gr.components.Component]:
    gr.HTML(html.muted(text.COMPARE))
    with gr.Row():
        model = gr.Dropdown(
            models.choices(names), value=first, label=text.OTHER_MODEL, elem_id="other-model", min_width=240
        )
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
    found = {"other_model": model, "which": which, "another": another, "other_video": video, "compare": compare}
    return {**found, "compared": gr.HTML(elem_id="compared")}


def _take_away() -> dict[str, gr.components.Component]:
    gr.HTML(html.muted(text.TAKE))
    with gr.Row():
        formats = [(f"{name}: {what}", name) for name, (_, what) in export.FORMATS.items()]
        format = gr.Dropdown(formats, value=next(iter(export.FORMATS)), label=text.FORMAT, elem_id="format", scale=3)
        side = gr.Radio(["A", "B"], value="A", label=text.OF_SIDE, elem_id="side", scale=1)
    make = gr.Button(text.MAKE, variant="primary", elem_id="make")
    file = gr.File(label=text.FORMAT, visible=False, interactive=False, elem_id="file", height=80)
    show_python = gr.Button(text.PYTHON, elem_id="python-button")
    gr.HTML(html.muted(text.PYTHON_HELP))
    code = gr.Code(  # without a language: the colours of Gradio's are too pale to read
        language=None, visible=False, interactive=False, label="Python", elem_id="python", buttons=["copy"]
    )
    return {"format": format, "side": side, "make": make, "file": file, "show_python": show_python, "python": code}


def _events(page: gr.Blocks, parts: dict, names: list[str], allow_custom: bool) -> None:
    """Binds every event; none is an endpoint."""

    def update(found: handlers.Shown) -> dict:
        return {parts[name]: value for name, value in found.items()}

    def show(video, model, shown, own, progress=gr.Progress()):  # noqa: B008  gradio's way
        return update(handlers.show(video, model, [*names, *own], _told(progress), kept=shown is not None))

    def show_other_model(video, model, shown, own, told, progress=gr.Progress()):  # noqa: B008
        video = video or (shown and shown.video)  # the result stays when its clip is taken out of the box
        if video:
            return show(video, model, shown, own, progress)
        return update(handlers.gone()) if told else {parts["problem"]: gr.skip()}

    def choose(model, own, request: gr.Request, progress=gr.Progress()):  # noqa: B008
        progress(0, desc=text.STEP_MODEL)
        refusal = text.NOT_FROM_HERE if is_from_elsewhere(request.headers) else ""
        return update(handlers.choose(model, names, own, refusal if allow_custom else text.UNKNOWN_MODEL))

    def load_link(request: gr.Request):
        return update(handlers.load_link(dict(request.query_params), names))

    def run_first_example(request: gr.Request):
        return update(handlers.run_first_example(dict(request.query_params), names))

    def what_if(shown, mode, where, units, progress=gr.Progress()):  # noqa: B008
        return update(handlers.what_if(shown, mode, where, units, _told(progress)))

    def rank(shown, mode):
        return update(handlers.rank(shown, mode))

    def rank_once(shown, mode, ranking, told):
        if shown and not shown.seen.blocks:
            return {parts["ranking"]: html.muted(text.NOTHING_TO_SWITCH)}
        return rank(shown, mode) if (shown or told) and not ranking else {parts["problem"]: gr.skip()}

    def compare(shown, model, which, video, own, progress=gr.Progress()):  # noqa: B008
        return update(handlers.compare(shown, model, which, video, [*names, *own], _told(progress)))

    def lesson(shown, event: gr.EventData):
        chosen = event._data if isinstance(event._data, dict) else {}
        return update(handlers.lesson(shown, chosen.get("block", ""), chosen.get("unit", "")))

    def first_lesson(shown, told):
        return update(handlers.lesson(shown, "", "")) if shown or told else {parts["problem"]: gr.skip()}

    def make_file(shown, other, side, format, view):
        return update(handlers.make_file(shown, other, side, view, format))

    def python(shown, other, side, view):
        return update(handlers.python(shown, other, side, view))

    result = [parts[name] for name in handlers.RESULT]
    private = {"api_visibility": "private"}
    heavy = {**private, **MODEL_QUEUE, "trigger_mode": "always_last"}  # whoever chooses quickly gets the last choice
    video, model, shown, problem, other = (parts[name] for name in ("video", "model", "shown", "problem", "other"))
    own = parts["own"]
    on_summary = {"show_progress_on": [parts["summary"]]}
    for event in (video.upload, parts["run"].click, parts["examples"].load_input_event.then):
        event(None, js="() => scrollToResult()")
        event(show, [video, model, shown, own], [*result, video], **on_summary, **heavy).then(
            None, js="() => afterResult()"
        )
    chosen = [parts["known"], parts["other_model"], own]
    ready = model.input(
        choose, [model, own], chosen, **on_summary, **private, **DOWNLOAD_QUEUE, trigger_mode="multiple"
    )
    by_model = {
        "inputs": [video, model, shown, own, parts["view"]],
        "outputs": [*result, video],
        "js": WITH_RESULT_SHOWN,
    }
    again = ready.success(show_other_model, **by_model, **on_summary, **heavy)
    again.then(None, js="() => afterResult()")
    page.load(None, js="() => { correctRoot(); remakeDeletedFiles(); }")
    if names:
        first = [problem, model, parts["viewer"], parts["summary"], parts["sentence"]]
        # One after the other: what is prepared would take the place of the whole answer.
        prepared = page.load(load_link, None, first, show_progress="hidden", queue=False, **private)
        whole = prepared.then(run_first_example, None, [*result, parts["header"]], show_progress="hidden", **heavy)
        whole.then(None, js="() => afterResult()")

    viewer_, changed, compared = parts["viewer"], parts["what_if"], parts["compared"]
    side_b = [problem, other, viewer_, changed, compared]
    settings = [shown, parts["mode"], parts["where"], parts["units"]]
    parts["switch"].click(what_if, settings, side_b, show_progress_on=[changed], **heavy)
    compare_with = [shown, parts["other_model"], parts["which"], parts["other_video"], own]
    parts["compare"].click(compare, compare_with, [*side_b, parts["other_video"]], show_progress_on=[compared], **heavy)
    made = [parts[name] for name in ("file", "python", "side")]
    viewer_.clear(lambda: update(handlers.drop()), None, [*side_b[1:], *made], **private)
    ranking = parts["ranking"]
    ranked = {"outputs": [problem, ranking], "show_progress_on": [ranking], **heavy}
    parts["rank"].click(rank, [shown, parts["mode"]], **ranked)
    tab = {"js": WITH_RESULT_SHOWN, **heavy}
    gr.on(
        [parts["what_if_tab"].select, parts["rerank"].click],
        rank_once,
        [shown, parts["mode"], ranking, parts["view"]],
        **{**ranked, **tab},
    )
    parts["which"].change(
        lambda which: gr.update(visible=which == text.ANOTHER_CLIP), parts["which"], parts["another"], **private
    )
    taught = [problem, parts["lesson"]]
    gr.on([parts["learn_tab"].select, parts["relearn"].click], first_lesson, [shown, parts["view"]], taught, **tab)
    parts["lesson"].select(lesson, shown, taught, show_progress="hidden", **heavy)
    seen = [shown, other, parts["side"]]
    take = {"js": WITH_VIEW, **private}
    parts["make"].click(make_file, [*seen, parts["format"], parts["view"]], [problem, parts["file"]], **take)
    parts["show_python"].click(python, [*seen, parts["view"]], [problem, parts["python"]], **take)


def _told(progress: gr.Progress):
    return lambda share, what: progress(share, desc=what)


def launch_options() -> dict:
    """What `launch` needs beside host and port."""
    return {
        "theme": THEME,
        "css_paths": [browser.TOKENS, STYLE],
        "head": browser.head("page"),
        "max_file_size": limits.MAX_UPLOAD_BYTES,
        "app_kwargs": {"middleware": [Middleware(Guard), Middleware(English)]},
        "show_error": False,  # our own sentences still show; Gradio's may hold paths
        "run_history": False,  # Gradio would keep clips and answers in the visitor's browser, or in a bucket on the Hub
        "share": False,
        "footer_links": ["api"],
        "ssr_mode": False,
        "state_session_capacity": limits.SESSIONS,
        "enable_monitoring": False,
        "mcp_server": True,
        "root_path": _root_path(),
    }


def _root_path() -> str:
    """GRADIO_ROOT_PATH, a path or a whole address; of a path Gradio needs the first slash, and not the last one."""
    root = os.environ.get("GRADIO_ROOT_PATH", "").strip("/")
    return root if not root or root.startswith(("http://", "https://")) else f"/{root}"


def _privacy_words() -> str:
    megabytes = limits.MAX_UPLOAD_BYTES >> 20
    return text.PRIVACY.format(time=text.KEPT_FOR, seconds=limits.MAX_SECONDS, megabytes=megabytes)
