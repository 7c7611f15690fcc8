"""Which event of the page calls which handler. No event is an endpoint for programs."""

from __future__ import annotations

import json
from typing import Any

import gradio as gr

from aia.hub import ALL_MODELS
from app import gradio_internals, text
from app.server.guard import is_from_elsewhere
from app.service import models, requests
from app.ui import handlers, html

CONCURRENCY = 1  # forward passes at a time: two cores gain nothing from more
MODEL_QUEUE = {"concurrency_id": "model", "concurrency_limit": CONCURRENCY}
HUB_QUEUE: dict[str, Any] = {"concurrency_id": "hub", "concurrency_limit": 8}  # the Hub may answer slowly
DOWNLOAD_QUEUE = {"concurrency_id": "download", "concurrency_limit": 8}  # downloads wait in a queue of their own
PRIVATE: dict[str, Any] = {"api_visibility": "private"}
HEAVY = {**PRIVATE, **MODEL_QUEUE, "trigger_mode": "always_last"}  # of several quick choices the last one counts
Parts = dict[str, Any]  # name of a component -> the component

# Functions of page.js. The last input becomes what only the browser knows: the view, or whether it shows a result.
SCROLL_TO_RESULT = "() => scrollToResult()"
SHOW_SIDE_B = "() => showSideB()"
END_TRY = "() => endTry()"
SHOW_SURVEYED_CLIP = "() => showSurveyedClip()"
AFTER_RESULT = "() => afterResult()"
AFTER_LESSON = "() => afterLesson()"
WITH_VIEW = "(...inputs) => withView(...inputs)"
WITH_RESULT_SHOWN = "(...inputs) => withResultShown(...inputs)"
WITH_BLOCK_SHOWN = "(...inputs) => withBlockShown(...inputs)"


def bind(page: gr.Blocks, parts: Parts, names: list[str], allow_custom: bool) -> None:
    """Binds every event.

    Args:
        page: The page that is being built.
        parts: Its components by their names.
        names: The models that the page offers.
        allow_custom: Whether visitors may add other models.
    """
    _bind_result(parts, names, allow_custom)
    _bind_opening(page, parts, names)
    if allow_custom:
        _bind_hub(page, parts, names)
    _bind_side_b(parts, names)
    _bind_tabs(parts)
    _bind_exports(parts)
    _bind_survey(parts, names)


def _bind_result(parts: Parts, names: list[str], allow_custom: bool) -> None:
    """A new result: from a clip, the button, an example, or another model."""

    def show(video, model, shown, own, progress=gr.Progress()):  # noqa: B008  gradio's way
        return _update(parts, handlers.show(video, model, [*names, *own], best, _step(progress), shown=shown))

    def show_other_model(video, model, shown, own, has_result, progress=gr.Progress()):  # noqa: B008
        video = video or (shown and shown.video)  # the box may have been emptied since
        if video:
            return show(video, model, shown, own, progress)
        return _update(parts, handlers.result_gone()) if has_result else _nothing(parts)

    def choose(model, own, request: gr.Request, progress=gr.Progress()):  # noqa: B008
        progress(0, desc=text.STEP_MODEL)
        refusal = text.NOT_FROM_HERE if is_from_elsewhere(request.headers) else ""
        refusal = refusal if allow_custom else text.UNKNOWN_MODEL
        return _update(parts, handlers.choose(model, names, best, own, refusal))

    def press_card(video, shown, own, event: gr.EventData, progress=gr.Progress()):  # noqa: B008
        task = gradio_internals.event_values(event).get("task")
        if task == ALL_MODELS and best:
            asked = show(video or (shown and shown.video), ALL_MODELS, shown, own, progress)
            return {parts["model"]: ALL_MODELS} | asked
        if task not in best:
            return _nothing(parts)
        return _update(parts, handlers.look_into(shown, task, best, _step(progress)))

    def look_at_moment(shown, own, event: gr.EventData, progress=gr.Progress()):  # noqa: B008
        values = {name: str(value) for name, value in gradio_internals.event_values(event).items()}
        path, model, offered = values.get("path", ""), values.get("model", ""), [*names, *own]
        video = path if gradio_internals.is_uploaded(path) else None
        step = _step(progress)
        updates = handlers.look_at_moment(video, model, values.get("task", ""), offered, best, step, shown=shown)
        chosen = {"model": model} if model in (ALL_MODELS, *offered) else {}
        return _update(parts, updates | {"video": video} | chosen)

    best = _best(names)
    video, model, own = parts["video"], parts["model"], parts["own"]
    inputs = [video, model, parts["shown"], own]
    on_summary: dict[str, Any] = {"show_progress_on": [parts["summary"]]}
    outputs = [*_select(parts, *handlers.RESULT), video]
    for event in (video.upload, parts["run"].click, gradio_internals.on_example_loaded(parts["examples"])):
        event(None, js=SCROLL_TO_RESULT)
        event(show, inputs, outputs, **on_summary, **HEAVY).then(None, js=AFTER_RESULT)
    loaded = model.input(
        choose,
        [model, own],
        _select(parts, "known", "other_model", "own"),
        **on_summary,
        **PRIVATE,
        **DOWNLOAD_QUEUE,
        trigger_mode="multiple",
    )
    shown_again = loaded.success(
        show_other_model, [*inputs, parts["view"]], outputs, js=WITH_RESULT_SHOWN, **on_summary, **HEAVY
    )
    shown_again.then(None, js=AFTER_RESULT)
    pressed = parts["cards"].select(press_card, [video, parts["shown"], own], [*outputs, model], **on_summary, **HEAVY)
    pressed.then(None, js=AFTER_RESULT)
    pressed.failure(None, js=AFTER_RESULT)  # Gradio skips `then` after a failed request
    frozen = parts["live"].select(look_at_moment, [parts["shown"], own], [*outputs, model], **on_summary, **HEAVY)
    frozen.then(None, js=AFTER_RESULT)


def _bind_opening(page: gr.Blocks, parts: Parts, names: list[str]) -> None:
    """The page opens: the prepared answer of an example, then its computed result."""

    def load_link(request: gr.Request):
        return _update(parts, handlers.load_link(dict(request.query_params), names, best))

    def run_first_example(shown, request: gr.Request):
        if shown:  # the visitor was quicker
            return _nothing(parts)
        return _update(parts, handlers.run_first_example(dict(request.query_params), names, best))

    def ask_the_others(shown):
        return _update(parts, handlers.ask_the_others(shown, best)) or _nothing(parts)

    best = _best(names)
    report = f"reportLostRequests({json.dumps(text.LOST)});"
    page.load(None, js=f"() => {{ correctRoot(); remakeDeletedFiles(); openTabs(); {report} }}")
    if names:
        first = _select(parts, "problem", "model", "viewer", "cards", "summary")
        # One after the other: otherwise the prepared answer could replace the computed result.
        prepared = page.load(load_link, None, first, show_progress="hidden", queue=False, **PRIVATE)
        result = _select(parts, *handlers.RESULT)
        computed = prepared.then(run_first_example, parts["shown"], result, show_progress="hidden", **HEAVY)
        computed.then(None, js=AFTER_RESULT)
        if best:
            others = _select(parts, "problem", "shown", "cards")
            computed.then(ask_the_others, parts["shown"], others, show_progress="hidden", **HEAVY)


def _bind_hub(page: gr.Blocks, parts: Parts, names: list[str]) -> None:
    """The menu also lists the Hub's models, for visitors who may name any model."""

    def list_hub(request: gr.Request):
        if is_from_elsewhere(request.headers):
            return gr.skip()
        return gr.update(choices=models.menu_with_hub(names))

    page.load(list_hub, None, parts["model"], show_progress="hidden", **PRIVATE, **HUB_QUEUE)


def _bind_side_b(parts: Parts, names: list[str]) -> None:
    """Side B of the viewer: switched gates, another model or another clip."""

    def what_if(shown, mode, where, units, progress=gr.Progress()):  # noqa: B008
        return _update(parts, handlers.what_if(shown, mode, where, units, _step(progress)))

    def compare(shown, model, which, video, own, progress=gr.Progress()):  # noqa: B008
        return _update(parts, handlers.compare(shown, model, which, video, [*names, *own], _step(progress)))

    def remove_other():
        return _update(parts, handlers.remove_other())

    def try_out(shown, own, event: gr.EventData, progress=gr.Progress()):  # noqa: B008
        name = str(gradio_internals.event_values(event).get("try"))
        if name not in text.VIEWER["tries"]:
            return _nothing(parts)
        return _update(parts, handlers.try_out(shown, name, [*names, *own], _step(progress)))

    side_b = ("other", "viewer", "what_if", "compared", "side")
    switched = gr.on(
        # another switch counts at once
        [parts["switch"].click, parts["mode"].input, parts["where"].input, parts["units"].input],
        what_if,
        _select(parts, "shown", "mode", "where", "units"),
        _select(parts, "problem", *side_b),
        show_progress_on=[parts["what_if"]],
        **HEAVY,
    )
    compared = parts["compare"].click(
        compare,
        _select(parts, "shown", "other_model", "which", "other_video", "own"),
        _select(parts, "problem", *side_b, "other_video"),
        show_progress_on=[parts["compared"]],
        **HEAVY,
    )
    tried = parts["viewer"].select(
        try_out,
        _select(parts, "shown", "own"),
        _select(parts, "problem", *side_b, "other_video"),
        show_progress="hidden",  # the button itself shows it
        **HEAVY,
    )
    for done in (switched, compared, tried):
        done.then(None, js=SHOW_SIDE_B)
    tried.failure(None, js=END_TRY)  # Gradio skips `then` after a failed request
    parts["which"].change(
        lambda which: gr.update(visible=which == text.ANOTHER_CLIP), parts["which"], parts["another"], **PRIVATE
    )
    parts["viewer"].clear(remove_other, None, _select(parts, *side_b, "file", "python"), **PRIVATE)


def _bind_tabs(parts: Parts) -> None:
    """The ranking and the lesson, which also start when their tab is opened."""

    def rank_blocks(shown, mode):
        return _update(parts, handlers.rank_blocks(shown, mode))

    def rank_blocks_once(shown, mode, ranking, has_result):
        if shown and not shown.inspection.blocks:
            return {parts["ranking"]: html.muted(text.NOTHING_TO_SWITCH)}
        return rank_blocks(shown, mode) if (shown or has_result) and not ranking else _nothing(parts)

    def lesson(shown, event: gr.EventData):
        chosen = gradio_internals.event_values(event)
        return _update(parts, handlers.lesson(shown, chosen.get("block", ""), chosen.get("unit", "")))

    def first_lesson(shown, looks):
        looks = looks if isinstance(looks, dict) else {}
        if not shown and not looks.get("shows"):
            return _nothing(parts)
        return _update(parts, handlers.first_lesson(shown, looks.get("block"), looks.get("gate")))

    when_opened: dict[str, Any] = {"js": WITH_RESULT_SHOWN, **HEAVY}
    ranked: dict[str, Any] = {"outputs": _select(parts, "problem", "ranking"), "show_progress_on": [parts["ranking"]]}
    parts["rank"].click(rank_blocks, _select(parts, "shown", "mode"), **ranked, **HEAVY)
    opened = [parts["what_if_tab"].select, parts["rerank"].click]
    gr.on(opened, rank_blocks_once, _select(parts, "shown", "mode", "ranking", "view"), **ranked, **when_opened)
    outputs = _select(parts, "problem", "lesson")
    opened = [parts["learn_tab"].select, parts["relearn"].click]
    gr.on(opened, first_lesson, _select(parts, "shown", "view"), outputs, js=WITH_BLOCK_SHOWN, **HEAVY)
    chosen = parts["lesson"].select(lesson, parts["shown"], outputs, show_progress="hidden", **HEAVY)
    chosen.then(None, js=AFTER_LESSON)
    chosen.failure(None, js="() => afterLesson(true)")  # Gradio skips `then` after a failed request


def _bind_exports(parts: Parts) -> None:
    """Files and the script of the view that the viewer shows."""

    def make_file(shown, other, side, format, view):
        return _update(parts, handlers.make_file(shown, other, side, view, format))

    def python(shown, other, side, view):
        return _update(parts, handlers.python(shown, other, side, view))

    # In the queue of new results: a file that was asked for before one never appears under it.
    of_view: dict[str, Any] = {"js": WITH_VIEW, **PRIVATE, **MODEL_QUEUE}
    sides = ("shown", "other", "side")
    parts["make"].click(
        make_file, _select(parts, *sides, "format", "view"), _select(parts, "problem", "file"), **of_view
    )
    parts["show_python"].click(python, _select(parts, *sides, "view"), _select(parts, "problem", "python"), **of_view)


def _bind_survey(parts: Parts, names: list[str]) -> None:
    """A clip that a number of a survey stands for."""

    def look(own, event: gr.EventData, progress=gr.Progress()):  # noqa: B008
        target = gradio_internals.event_values(event)
        return _update(parts, handlers.look_at_surveyed(target, [*names, *own], best, _step(progress)))

    best = _best(names)
    outputs = _select(parts, *handlers.RESULT, "model", "video")
    looked = parts["survey"].select(look, parts["own"], outputs, show_progress="hidden", **HEAVY)
    looked.then(None, js=SHOW_SURVEYED_CLIP)
    looked.failure(None, js="() => showSurveyedClip(true)")  # Gradio skips `then` after a failed request


def _best(names: list[str]) -> dict[str, str]:
    """The model that answers for each group; empty if there are not several to ask."""
    return models.asked_models(names) if models.asks_all(names) else {}


def _select(parts: Parts, *names: str) -> list[Any]:
    return [parts[name] for name in names]


def _update(parts: Parts, updates: handlers.Updates) -> dict[Any, Any]:
    return {parts[name]: value for name, value in updates.items()}


def _nothing(parts: Parts) -> dict[Any, Any]:
    """No component changes. Gradio needs at least one."""
    return {parts["problem"]: gr.skip()}


def _step(progress: gr.Progress) -> requests.Step:
    return lambda share, description: progress(share, desc=description)
