"""Events of the page. Each handler returns what changes: the name of a component -> its new value."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import wraps
from typing import Any

import gradio as gr

import aia
from aia import limits
from aia.hub import ALL_MODELS
from aia.visualization import export
from aia.visualization.view import View
from aia.visualization.view import limits as scale_limits
from app import errors, learn, text, viewer
from app.result import Result
from app.service import exports, models, requests, surveys
from app.ui import examples, html

log = logging.getLogger(__name__)
# For which a choice waits for its download, in one of a few places. The download itself goes on.
CHOOSE_SECONDS = min(20, limits.MAX_DOWNLOAD_SECONDS)
FIRST_EXAMPLE = next(iter(requests.EXAMPLES))

Updates = dict[str, Any]  # name of a component -> its new value
Best = Mapping[str, str]  # task of a group -> the model that answers for it; empty on a page with one group
# Components that a new result changes. Those of the previous result are emptied.
RESULT = (
    *("problem", "shown", "other", "cards", "summary", "viewer", "known", "where", "other_model"),
    *("what_if", "ranking", "compared", "lesson", "file", "python", "side"),
)
NO_PROBLEM = gr.update(value="", visible=False)


def _problem(sentence: str) -> Updates:
    """An error above the result. The result stays."""
    return {"problem": gr.update(value=html.error(sentence), visible=True)}


def result_gone() -> Updates:
    """The server has no result, though the page may show one: it was deleted, or the server was restarted."""
    return _problem(text.RESULT_GONE)


def _or_problem(handler: Callable[..., Updates]) -> Callable[..., Updates]:
    """Turns an error into a sentence above the result. The result stays."""

    @wraps(handler)
    def safe(*args, **kwargs) -> Updates:
        try:
            return {"problem": NO_PROBLEM} | handler(*args, **kwargs)
        except Exception as error:
            return _problem(errors.sentence(error))

    return safe


def show(
    video: str | None,
    model: str,
    offered: Sequence[str],
    best: Best,
    step: requests.Step,
    *,
    shown: Result | None = None,
) -> Updates:
    """A new result. It replaces the previous result and its comparison.

    Args:
        video: The clip; None if there is none.
        model: Name of the model, or `ALL_MODELS`.
        offered: The names that this visitor may use.
        best: The model that answers for each group.
        step: Told of every step.
        shown: The result that the page shows. It stays after an error, and the sentence says so.
    """
    try:
        if model == ALL_MODELS and best:
            current = models.group(shown.model) if shown else ""
            result = requests.ask_all(video, best, current=current, step=step)
        else:
            result = requests.inspect_video(video, model, offered, step=step)
        return {"problem": NO_PROBLEM} | _result(result, best)
    except Exception as error:
        return _no_result(error, shown)


def _no_result(error: Exception, shown: Result | None) -> Updates:
    """Why there is no new result."""
    problem = _problem(errors.sentence(error) + (text.KEPT if shown else ""))
    return problem | {"video": None} if isinstance(error, requests.Gone) else problem  # the box asks for a clip again


def look_into(shown: Result | None, task: str, best: Best, step: requests.Step) -> Updates:
    """What the model of another group says about the same clip, in detail. The cards stay."""
    try:
        result = _existing(shown)
        other = requests.inspect_video(result.video, best[task], [best[task]], step=step)
        return {"problem": NO_PROBLEM} | _result(replace(other, asked=result.asked), best)
    except Exception as error:
        return _no_result(error, shown)


def look_at_moment(
    video: str | None,
    model: str,
    task: str,
    offered: Sequence[str],
    best: Best,
    step: requests.Step,
    *,
    shown: Result | None = None,
) -> Updates:
    """A new result from a moment of Live; see `show`. Where all groups are asked, it looks into the one that Live showed."""
    updates = show(video, model, offered, best, step, shown=shown)
    result = updates.get("shown")
    if model == ALL_MODELS and task in best and result and models.group(result.model) != task:
        updates |= look_into(result, task, best, step)
    return updates


@_or_problem
def look_at_surveyed(target: Mapping[str, Any], offered: Sequence[str], best: Best, step: requests.Step) -> Updates:
    """An example, or a clip of a survey on this machine, by the survey's model.

    Args:
        target: What the tab's script sends, which may be anything; see `app.survey.component`.
        offered: The names of models that this visitor may use.
        best: The model that answers for each group.
        step: Told of every step.
    """
    model, example, key = (str(target.get(name, "")) for name in ("model", "example", "survey"))
    if example in requests.EXAMPLES:
        requests.checked(example, model, offered)
        result = examples.of_example(example, model)
    else:
        result = requests.inspect_video(surveys.clip(key, target.get("clip")), model, offered, step=step)
    return _result(result, best) | {"model": model, "video": None}


def ask_the_others(shown: Result | None, best: Best) -> Updates:
    """Fills the cards of an example, whose own group was asked first."""
    if shown is None or shown.asked is None or shown.asked:
        return {}
    try:
        asked = examples.asked(requests.example_of(shown.video), best)
    except Exception as error:
        return _problem(errors.sentence(error))
    return {"shown": replace(shown, asked=asked), "cards": html.cards([*best], models.group(shown.model), asked)}


def choose(model: str, offered: Sequence[str], best: Best, own: list[str], refusal: str) -> Updates:
    """Downloads and loads the chosen model, and shows its labels.

    Args:
        model: Any name, or `ALL_MODELS`.
        offered: The names that the page offers to everybody.
        best: The model that answers for each group.
        own: The names that this visitor has added; a new name is appended.
        refusal: The sentence for a new name; "" if this visitor may add one.

    Raises:
        AIAError: The model is refused or cannot be loaded. The page keeps its result.
    """
    if model == ALL_MODELS and best:
        for name in best.values():
            with suppress(aia.AIAError):  # its card says why
                models.download(name, CHOOSE_SECONDS)
        return {"known": html.about_clips(*map(text.knows_of, best))}
    if model not in (*offered, *own) and (refusal or not isinstance(model, str)):
        raise aia.AIAError((refusal or text.UNKNOWN_MODEL).format(name=str(model)[:100]))
    models.download(model, CHOOSE_SECONDS)
    labels = models.get(model).network.config.labels
    if model not in (*offered, *own):
        own.append(model)
    choices = models.choices([*offered, *own])
    return {"known": html.about_clips(text.knows(labels)), "other_model": gr.update(choices=choices), "own": own}


def load_link(query: dict[str, str], offered: Sequence[str], best: Best) -> Updates:
    """The model of a link, or the first of the page, with the prepared answer of the link's example.

    A link to the model of a group opens with all groups asked. The box of the clip stays empty: it invites an upload.
    """
    example, model, sentence = _parse_link(query, offered, best)
    problem = _problem(sentence) if sentence else {"problem": NO_PROBLEM}
    chosen = ALL_MODELS if model in best.values() else model
    cards = _cards(model, {} if chosen == ALL_MODELS else None, best)
    return problem | {"model": chosen, "cards": cards, "summary": ""} | examples.first_paint(example, model)


def run_first_example(query: dict[str, str], offered: Sequence[str], best: Best) -> Updates:
    """The result of the example that `load_link` chose. It does not set the model: the visitor may have changed it."""
    example, model, _ = _parse_link(query, offered, best)
    try:
        result = examples.of_example(example, model)
        return _result(replace(result, asked={}) if model in best.values() else result, best)
    except Exception as error:
        return _problem(errors.sentence(error))


def _parse_link(query: dict[str, str], offered: Sequence[str], best: Best) -> tuple[str, str, str]:
    """Example, model and problem of a link. The first of the page replace those that do not exist; the problem says so.

    An example without a model gets that of its group where all groups are asked.
    """
    example = query.get("example") or FIRST_EXAMPLE
    usual = best.get(requests.group_of_example(example), offered[0]) if offered[0] in best.values() else offered[0]
    model = query.get("model") or usual
    missing = [
        *([text.OF_MODEL.format(name=model[:100])] if model not in offered else []),
        *([text.OF_EXAMPLE.format(name=example[:60])] if example not in requests.EXAMPLES else []),
    ]
    problem = text.OLD_LINK.format(missing=" and ".join(missing)) if missing else ""
    if not missing and "frame" in query and "example" not in query:  # a view of a visitor's own clip
        problem = text.CLIPLESS_LINK
    example = example if example in requests.EXAMPLES else FIRST_EXAMPLE
    return example, model if model in offered else offered[0], problem


def _cards(model: str, asked: Mapping[str, Any] | None, best: Best) -> str:
    """The cards of all groups, or that one model alone was asked; nothing on a page with one group."""
    if not best:
        return ""
    if asked is None:
        return html.only_one(models.group(model))
    return html.cards([*best], models.group(model), asked)


def _result(result: Result, best: Best) -> Updates:
    """A new result, for the components in `RESULT`."""
    inspection = result.inspection
    known = [text.knows(inspection.labels)] if result.asked is None else [*map(text.knows_of, best)]
    return {
        "shown": result,
        "other": None,
        "cards": _cards(result.model, result.asked, best),
        "summary": html.result(inspection),
        "viewer": gr.update(value=viewer.value(*requests.answer(result)), other=""),
        "known": html.about_clips(*known),
        "where": gr.update(choices=text.where_choices(inspection), value="*"),
        "other_model": result.model,
        "what_if": "",
        "ranking": "",
        "compared": "",
        "lesson": "",
        "file": gr.update(value=None, visible=False),
        "python": gr.update(value="", visible=False),
        "side": gr.update(value="A", visible=False),
    }


def _existing(result: Result | None) -> Result:
    """The result that the page shows.

    Raises:
        AIAError: The server has deleted it.
    """
    if result is None:
        raise aia.AIAError(text.RESULT_GONE)
    return result


@_or_problem
def what_if(shown: Result | None, mode: str, where: str, units: Sequence[str], step: requests.Step) -> Updates:
    """The same clip with gates switched."""
    before = _existing(shown)
    switches = requests.switches_for(before.inspection, mode, where, units)
    other = requests.inspect_video(before.video, before.model, [before.model], switches=switches, step=step)
    title = text.side_title(other)
    return _side_b(other, text.what_changed(before.inspection, other.inspection, title), title) | {
        "what_if": html.change(before.inspection, other.inspection, title),
        "compared": "",
    }


def _side_b(other: Result, verdict: str, title: str) -> Updates:
    """Side B of the viewer, with its title and a sentence that compares it with side A."""
    answer, channels = requests.answer(other)
    return {
        "other": other,
        "viewer": gr.update(other=viewer.value(answer | {"title": title, "verdict": verdict}, channels)),
        "side": gr.update(visible=True),
    }


def try_out(shown: Result | None, name: str, offered: Sequence[str], step: requests.Step) -> Updates:
    """One of the viewer's experiments, as side B.

    Args:
        shown: The result of the page.
        name: A name of `text.VIEWER["tries"]`.
        offered: The names of models that this visitor may use.
        step: Told of every step.
    """
    if name == "gates-off":
        return what_if(shown, "mean", "*", list("CTHW"), step)
    if name == "backwards" or shown is None:
        return compare(shown, shown.model if shown else "", text.BACKWARDS, None, offered, step)
    return compare(shown, models.without_gates(shown.model), text.SAME, None, offered, step)


def remove_other() -> Updates:
    """Removes side B."""
    return {
        "other": None,
        "viewer": gr.update(other=""),
        "what_if": "",
        "compared": "",
        "file": gr.update(value=None, visible=False),
        "python": gr.update(value="", visible=False),
        "side": gr.update(value="A", visible=False),
    }


@_or_problem
def rank_blocks(shown: Result | None, mode: str) -> Updates:
    """Which block's gates matter most for this prediction."""
    result = _existing(shown)
    ranking = requests.rank_blocks(result.video, result.model, [result.model], mode)
    return {"ranking": html.ranking(ranking, [block.name for block in result.inspection.blocks])}


@_or_problem
def compare(
    shown: Result | None, model: str, which: str, video: str | None, offered: Sequence[str], step: requests.Step
) -> Updates:
    """Another model or another clip as side B."""
    result = _existing(shown)
    another = which == text.ANOTHER_CLIP
    if another and not video:
        raise aia.AIAError(text.NO_OTHER_VIDEO)
    try:
        backwards = which == text.BACKWARDS
        clip = video if another else result.video
        other = requests.inspect_video(clip, model, offered, backwards=backwards, step=step)
    except requests.Gone as error:
        return _problem(errors.sentence(error)) | ({"other_video": None} if another else {})
    return _side_b(other, text.compared(result, other), text.side_titles(result, other)[1]) | {
        "compared": html.comparison(result, other),
        "what_if": "",
    }


@_or_problem
def lesson(shown: Result | None, block: str, unit: str) -> Updates:
    """The stages of one block on the visitor's own clip."""
    result = _existing(shown)
    if not result.inspection.blocks:
        return {"lesson": learn.notice(text.NOTHING_TO_LEARN)}
    block = block or result.inspection.first_block
    stages = requests.trace_block(result.video, result.model, [result.model], block, unit)
    return {"lesson": stages}


def first_lesson(shown: Result | None, block: Any, gate: Any) -> Updates:
    """The lesson on the block and the gate that the viewer shows, if the result has them: it may show an older result."""
    found = next((one for one in shown.inspection.blocks if one.name == block), None) if shown else None
    return lesson(
        shown, found.name if found else "", next((unit for unit in found.gates if unit == gate), "") if found else ""
    )


@_or_problem
def make_file(shown: Result | None, other: Result | None, letter: str, state: Any, format: str) -> Updates:
    """A file of the view that the viewer shows of side A or B."""
    result, view = _view_of_side(shown, other, letter, state)
    path = export.export_view(result.inspection, view, format, exports.export_folder())
    return {"file": gr.update(value=str(path), visible=True)}


@_or_problem
def python(shown: Result | None, other: Result | None, letter: str, state: Any) -> Updates:
    """A script that reproduces the view."""
    result, view = _view_of_side(shown, other, letter, state)
    return {"python": gr.update(value=exports.script(result, view), visible=True)}


def _view_of_side(shown: Result | None, other: Result | None, letter: str, state: Any) -> tuple[Result, View]:
    """A side and the view of it that the viewer shows.

    Both sides share one timeline and one scale, except "typical": there each model has its own limits.

    Raises:
        AIAError: There is no such side.
    """
    result = _existing(shown) if letter == "A" or shown is None else other
    if result is None:
        raise aia.AIAError(text.NO_SIDE_B)
    inspections = [side.inspection for side in (shown, other) if side]
    view, longest = View.from_state(state or {}), max(len(side.clip.frames) for side in inspections)
    frame = int((view.frame + 0.5) * len(result.inspection.clip.frames) / longest)
    view = replace(view, frame=frame).fitted(result.inspection)
    gated = [side for side in inspections if side.blocks]
    scales = {view.fitted(side).checked(side).scale for side in gated}
    if "absolute" in scales:  # the viewer draws differences only if they are known on both sides
        view = replace(view, scale="absolute")
    elif len(gated) > 1 and view.scale != "typical":
        ends = [scale_limits(side, view.fitted(side)) for side in gated]
        view = replace(view, scale=(min(low for low, _ in ends), max(high for _, high in ends)))
    return result, view
