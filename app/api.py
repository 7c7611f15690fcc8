"""The endpoints for programs and language models (MCP): one for each thing that the page can do."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import gradio as gr

from aia import export
from aia.view import View
from app import handlers, models, text, work


def endpoints(names: Sequence[str], queue: dict[str, Any]) -> None:
    """Adds the endpoints to the page that is being built, whose errors the page makes sentences of.

    They are bound to hidden components, so that files pass Gradio's own checks.

    Args:
        names: The models that the page offers.
        queue: Options of events that run a model.
    """
    first = names[0] if names else ""

    def list_models() -> list[dict[str, Any]]:
        """Lists the models of this page: name, network, labels, and whether it has gates. The first is the default."""
        return [_about(name) for name in names]

    def classify(video: str, model: str = first) -> dict[str, Any]:
        """Classifies a short video of a gesture.

        Returns the label, whether the model is sure (if not, it does not know the clip and the label is only the closest),
        the probability of every label, the model's name and the 0-based indices of the frames that the network saw.

        Args:
            video: The video file.
            model: A name from list_models.
        """
        return _answer(work.look(video, model, names))

    def inspect(video: str, model: str = first, block: str = "") -> tuple[dict[str, Any], str, str]:
        """Classifies a video and records the attention gates of every block.

        Returns a JSON summary (label, sure, scores, frames, per-channel means and temporal profile of every block),
        gates.npz with every gate, and overlay.mp4 of one block.

        Args:
            video: The video file.
            model: A name from list_models.
            block: The block to draw; empty for the one that the page shows first.
        """
        seen = work.look(video, model, names).seen
        files = {path.name: str(path) for path in export.save(seen, handlers.export_folder(), block=block or None)}
        shown = seen.block(block or seen.first_block) if seen.blocks else None
        return export.summary(seen, shown), files["gates.npz"], files["overlay.mp4"]

    def what_if(
        video: str, model: str = first, mode: str = "mean", blocks: str = "*", units: str = "C,T,H,W"
    ) -> dict[str, Any]:
        """Switches attention gates and says how the prediction moves.

        Returns "before" and "after" (as classify does) and "change_of_logits" for every label.

        Args:
            video: The video file.
            model: A name from list_models, with gates.
            mode: "mean" (a gate's mean over the clip), "identity" (1) or "shuffle" (other frames' gates).
            blocks: "*" for all, or names of blocks separated by commas.
            units: Which of the gates C, T, H, W, separated by commas.
        """
        before = work.look(video, model, names)
        chosen = [unit.strip() for unit in (units or "").split(",")]
        after = work.look(video, model, names, switches=work.switches_for(before.seen, mode, blocks, chosen))
        gains = after.seen.logits - before.seen.logits
        return {
            "before": _answer(before),
            "after": _answer(after),
            "change_of_logits": dict(zip(before.seen.labels, gains.tolist(), strict=True)),
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
        found = work.rank(video, model, names, mode)
        kept = ("block", "change", "probability", "answer")
        rows = [{name: getattr(effect, name) for name in kept} for effect in found.effects]
        return {"label": found.label, "mode": found.mode, "blocks": rows}

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
        a = work.look(video, model, names)
        b = work.look(other_video or video, other_model or model, names, backwards=backwards)
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
        work.check(video, model, names)
        return json.loads(work.lesson(video, model, block, unit))

    def export_view(
        video: str, model: str = first, format: str = "figure.png", view: dict[str, Any] | None = None
    ) -> str:
        """Draws one view of the gates as a file: a picture, a figure for a paper, a film, or numbers.

        Args:
            video: The video file.
            model: A name from list_models.
            format: One of the page's files, such as frame.png, figure.pdf, film.mp4, gates.npz or values.csv.
            view: An object with any of block, gate, frame, channel, scale, colours, opacity, cells.
        """
        seen = work.look(video, model, names).seen
        return str(export.export_view(seen, View.from_state(view or {}), format, handlers.export_folder()))

    def as_python(video: str, model: str = first, view: dict[str, Any] | None = None) -> str:
        """Writes a short Python program that makes one view of the gates again with the library.

        Args:
            video: The video file.
            model: A name from list_models.
            view: An object with any of block, gate, frame, channel, scale, colours, opacity, cells.
        """
        side = work.look(video, model, names)
        return handlers.program(side, View.from_state(view or {}).checked(side.seen))

    with gr.Column(visible=False):
        video, other_video = gr.Video(label="video"), gr.Video(label="other_video")
        model, other_model = gr.Textbox(first, label="model"), gr.Textbox("", label="other_model")
        block, unit = gr.Textbox("", label="block"), gr.Textbox("", label="unit")
        mode, blocks = gr.Textbox("mean", label="mode"), gr.Textbox("*", label="blocks")
        units, backwards = gr.Textbox("C,T,H,W", label="units"), gr.Checkbox(False, label="backwards")
        format, view = gr.Textbox("figure.png", label="format"), gr.JSON(label="view")
        answer, said = gr.JSON(label="answer"), gr.Textbox(label="program")
        summary, npz, mp4 = gr.JSON(label="summary"), gr.File(label="gates_npz"), gr.File(label="overlay_mp4")
        file = gr.File(label="file")
        for function, inputs, outputs in (
            (list_models, [], answer),
            (classify, [video, model], answer),
            (inspect, [video, model, block], [summary, npz, mp4]),
            (what_if, [video, model, mode, blocks, units], answer),
            (rank_blocks, [video, model, mode], answer),
            (compare, [video, model, other_model, other_video, backwards], answer),
            (lesson, [video, model, block, unit], answer),
            (export_view, [video, model, format, view], file),
            (as_python, [video, model, view], said),
        ):
            gr.Button().click(
                function,
                inputs,
                outputs,
                api_name=function.__name__,
                api_description=_summary(function),
                **(queue if inputs else {}),
            )


def _summary(function: Callable) -> str:
    """A docstring up to its arguments, on one line."""
    return " ".join(function.__doc__.split("Args:")[0].split())


def _about(name: str) -> dict[str, Any]:
    known = models.config(name)
    if known is None:  # only loading it would tell
        return {"name": name, "network": models.title(name), "labels": [], "gates": None}
    return {"name": name, "network": known.title, "labels": list(known.labels), "gates": known.attention != "none"}


def _answer(side: work.Side) -> dict[str, Any]:
    seen = side.seen
    answer = {"label": seen.label, "sure": seen.sure, "scores": seen.scores, "model": side.model}
    return {**answer, "frames": seen.clip.indices.tolist()}
