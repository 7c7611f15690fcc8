"""The endpoints for programs and language models (MCP), one for each thing that the page can do."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import wraps
from typing import TYPE_CHECKING, Any

import gradio as gr

from aia import AIAError
from aia.hub import ALL_MODELS
from aia.visualization import export
from aia.visualization.view import SCHEMA, View
from app import text
from app.clip_box import ClipFile
from app.gradio_internals import describe_value
from app.result import Result
from app.service import exports, models, requests

if TYPE_CHECKING:
    from aia.inspection.batch import Classified

LIST = {"anyOf": [{"type": "array", "items": {"type": "string"}}, {"type": "string"}]}  # as text: separated by commas
CLIP = {"path": "clip.mp4", "url": "clip.mp4", "meta": {"_type": "gradio.FileData"}}  # in the examples of "Use via API"


def endpoints(names: Sequence[str], queue: dict[str, Any]) -> None:
    """Adds the endpoints to the page that is being built. The page turns their errors into sentences.

    They are bound to hidden components, so that Gradio checks their files.

    Args:
        names: The models that the page offers.
        queue: Options of events that run a model.
    """
    first = names[0] if names else ""

    def list_models() -> list[dict[str, Any]]:
        """Lists the models of this page: name, group, network, labels, and whether it has gates. The first is the default."""
        return [_description(name) for name in names]

    def classify(video: str, model: str = first) -> dict[str, Any]:
        """Classifies a short video: a gesture, a movement of the camera or an action, as the model knows.

        Returns the label, whether the model is sure (if not, it does not know the clip and the label is only the closest),
        the probability of every label, the model's name and the 0-based indices of the frames that the network saw. For
        "all" these stand in "answers" for each group of models (see list_models), or an "error".

        Args:
            video: The video file.
            model: A name from list_models, or "all": one model of each group answers.
        """
        if model == ALL_MODELS and model not in names:
            answers = requests.classify_all(video, models.asked_models(names))
            return {"model": ALL_MODELS, "answers": {task: _classified(answer) for task, answer in answers.items()}}
        return _answer(requests.inspect_video(video, model, names))

    def inspect(video: str, model: str = first, block: str = "") -> tuple[dict[str, Any], str, str]:
        """Classifies a video and records the attention gates of every block.

        Returns a JSON summary (label, sure, scores, frames, per-channel means and temporal profile of every block),
        gates.npz with every gate, and overlay.mp4 of one block.

        Args:
            video: The video file.
            model: A name from list_models.
            block: The block to draw; empty for the one that the page shows first.
        """
        inspection = requests.inspect_video(video, model, names).inspection
        folder = exports.export_folder()
        files = {path.name: str(path) for path in export.save(inspection, folder, block=block or None)}
        drawn = inspection.block(block or inspection.first_block) if inspection.blocks else None
        return export.summary(inspection, drawn), files["gates.npz"], files["overlay.mp4"]

    def what_if(
        video: str,
        model: str = first,
        mode: str = "mean",
        blocks: list[str] | str = "*",
        units: list[str] | str = "C,T,H,W",
    ) -> dict[str, Any]:
        """Switches attention gates and says how the prediction moves.

        Returns "before" and "after" (as classify does) and "change_of_logits" for every label.

        Args:
            video: The video file.
            model: A name from list_models, with gates.
            mode: "mean" (a gate's mean over the clip), "identity" (1) or "shuffle" (other frames' gates).
            blocks: Names of blocks, as a list or separated by commas; "*" for all.
            units: Which of the gates C, T, H, W, as a list or separated by commas.
        """
        before = requests.inspect_video(video, model, names)
        chosen_units = [unit.strip() for unit in _joined(units).split(",")]
        switches = requests.switches_for(before.inspection, mode, _joined(blocks), chosen_units)
        after = requests.inspect_video(video, model, names, switches=switches)
        gains = after.inspection.logits - before.inspection.logits
        return {
            "before": _answer(before),
            "after": _answer(after),
            "change_of_logits": dict(zip(before.inspection.labels, gains.tolist(), strict=True)),
        }

    def rank_blocks(video: str, model: str = first, mode: str = "mean") -> dict[str, Any]:
        """Says which block's gates matter most for the prediction: each block's gates are switched off in turn.

        Returns the label that is followed and, from the largest change of its logit, each block with that change, the
        label's probability then, and the answer then.

        Args:
            video: The video file.
            model: A name from list_models, with gates.
            mode: What a block's gates are switched to: "mean", "identity" or "shuffle".
        """
        ranking = requests.rank_blocks(video, model, names, mode)
        blocks = [
            {
                "block": effect.block,
                "change": effect.logit_delta,
                "probability": effect.probability,
                "answer": effect.label,
            }
            for effect in ranking.effects
        ]
        return {"label": ranking.label, "mode": ranking.mode, "blocks": blocks}

    def compare(
        video: str, model: str = first, other_model: str = "", other_video: str | None = None, backwards: bool = False
    ) -> dict[str, Any]:
        """Compares two models on a clip, or a model on two clips, or on a clip played forwards and backwards.

        Returns "a" and "b" (as classify does) and "words", one sentence on what they say about each other.

        Args:
            video: The video file of side A.
            model: The model of side A, a name from list_models.
            other_model: The model of side B; empty for the same.
            other_video: The video file of side B; none for the same.
            backwards: Plays the clip of side B backwards.
        """
        a = requests.inspect_video(video, model, names)
        b = requests.inspect_video(
            other_video or video, other_model or model, names, backwards=_flag("backwards", backwards)
        )
        return {"a": _answer(a), "b": _answer(b), "words": text.compared(a, b)}

    def lesson(video: str, model: str = first, block: str = "", unit: str = "") -> dict[str, Any]:
        """Shows what one attention unit computes on a clip, stage by stage: pooling, convolution, sigmoid, product.

        Returns shapes, kernel, and pictures (base64 of bytes with their lowest and highest value) of every stage.

        Args:
            video: The video file.
            model: A name from list_models, with gates.
            block: Empty for the model's default block, or its first.
            unit: "C", "T", "H" or "W" (in composites such as "1.C"); empty for the first.
        """
        return json.loads(requests.trace_block(video, model, names, block, unit))

    def export_view(
        video: str, model: str = first, format: str = "figure.png", view: dict[str, Any] | str | None = None
    ) -> str:
        """Draws one view of the gates as a file: a picture, a figure for a paper, a film, or numbers.

        Args:
            video: The video file.
            model: A name from list_models.
            format: One of the page's files, such as frame.png, figure.pdf, film.mp4, gates.npz or values.csv.
            view: An object with any of block, gate, frame, channel, scale, colours, opacity, cells.
        """
        inspection = requests.inspect_video(video, model, names).inspection
        return str(export.export_view(inspection, _view(view), format, exports.export_folder()))

    def as_python(video: str, model: str = first, view: dict[str, Any] | str | None = None) -> str:
        """Writes a short Python script that reproduces one view of the gates with the library.

        Args:
            video: The video file.
            model: A name from list_models.
            view: An object with any of block, gate, frame, channel, scale, colours, opacity, cells.
        """
        result = requests.inspect_video(video, model, names)
        return exports.script(result, _view(view).checked(result.inspection))

    with gr.Column(visible=False):
        video, other_video = (describe_value(ClipFile(label=label), example=CLIP) for label in ("video", "other_video"))
        model = describe_value(gr.Textbox(first, label="model"), {"type": "string", "default": first}, first)
        other_model, block, unit = (
            describe_value(gr.Textbox("", label=label), {"type": "string", "default": ""}, "")
            for label in ("other_model", "block", "unit")
        )
        mode = _choice("mode", [mode for _, mode in text.MODES], "mean")
        format = _choice("format", list(export.FORMATS), "figure.png")
        blocks = describe_value(gr.JSON(["*"], label="blocks"), LIST | {"default": ["*"]}, ["*"])
        units = describe_value(gr.JSON([*"CTHW"], label="units"), LIST | {"default": [*"CTHW"]}, ["C", "T"])
        backwards = describe_value(gr.Checkbox(False, label="backwards"), {"type": "boolean", "default": False}, True)
        view = describe_value(gr.JSON(label="view"), SCHEMA, {"gate": "T", "frame": 3, "scale": "clip"})
        listed = describe_value(gr.JSON(label="models"), {"type": "array", "items": {"type": "object"}})
        answer, summary = (describe_value(gr.JSON(label=label), {"type": "object"}) for label in ("answer", "summary"))
        program, file = gr.Textbox(label="program"), gr.File(label="file")
        npz, mp4 = gr.File(label="gates_npz"), gr.File(label="overlay_mp4")
        for function, inputs, outputs in (
            (list_models, [], listed),
            (classify, [video, model], answer),
            (inspect, [video, model, block], [summary, npz, mp4]),
            (what_if, [video, model, mode, blocks, units], answer),
            (rank_blocks, [video, model, mode], answer),
            (compare, [video, model, other_model, other_video, backwards], answer),
            (lesson, [video, model, block, unit], answer),
            (export_view, [video, model, format, view], file),
            (as_python, [video, model, view], program),
        ):
            gr.Button().click(
                _with_defaults(function),
                inputs,
                outputs,
                api_name=function.__name__,
                api_description=_summary(function) + (f" {text.CLIP_OF_A_TOOL}" if inputs else ""),
                **(queue if inputs else {}),
            )


def _choice(label: str, names: Sequence[str], first: str) -> gr.Textbox:
    """One of some names. It is a text box: for an unknown name our code explains the error, a menu would use Gradio's words."""
    schema = {"type": "string", "enum": list(names), "default": first}
    return describe_value(gr.Textbox(first, label=label), schema, first)


def _with_defaults(function: Callable) -> Callable:
    """The function with its defaults in place of null: some clients send null for an argument that was left out."""
    parameters = inspect.signature(function).parameters.values()
    defaults = [None if parameter.default is parameter.empty else parameter.default for parameter in parameters]

    @wraps(function)
    def filled(*values: Any) -> Any:
        return function(*(default if value is None else value for value, default in zip(values, defaults, strict=True)))

    return filled


def _joined(names: Any) -> str:
    """Names separated by commas, from such a text or from a list."""
    return ",".join(map(str, names)) if isinstance(names, list) else str(names)


def _flag(name: str, value: Any) -> bool:
    """True or false. Some clients send it as text.

    Raises:
        AIAError: The value is neither.
    """
    if isinstance(value, str):
        value = {"true": True, "false": False}.get(value.strip().lower())
    if not isinstance(value, bool):
        raise AIAError(text.NOT_A_FLAG.format(name=name))
    return value


def _view(value: Any) -> View:
    """A view from an object, from the JSON text of one, or from nothing.

    Raises:
        AIAError: The value is no view.
    """
    if isinstance(value, str):
        with suppress(ValueError, RecursionError):  # `from_state` then explains what a view is
            value = json.loads(value or "{}")
    return View.from_state({} if value is None else value)


def _summary(function: Callable) -> str:
    """A docstring up to its arguments, on one line."""
    return " ".join((function.__doc__ or "").split("Args:")[0].split())


def _description(name: str) -> dict[str, Any]:
    config = models.config(name)
    if config is None:  # not downloaded yet
        return {"name": name, "group": "", "network": models.title(name), "labels": [], "gates": None}
    return {
        "name": name,
        "group": models.group(name),
        "network": config.title,
        "labels": list(config.labels),
        "gates": config.attention != "none",
    }


def _classified(answer: Classified | AIAError) -> dict[str, Any]:
    if isinstance(answer, AIAError):
        return {"error": str(answer)}
    return {**answer.answer(), "model": answer.model, "frames": answer.indices.tolist()}


def _answer(result: Result) -> dict[str, Any]:
    inspection = result.inspection
    return {**inspection.answer(), "model": result.model, "frames": inspection.clip.indices.tolist()}
