"""The page: what is where, and which event calls which handler."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import gradio as gr

import aia
from aia import limits, render
from app import handlers, models, text, views

ASSETS = Path(__file__).resolve().parents[1] / "assets"
STYLE = Path(__file__).with_name("style.css")
EXAMPLES = {  # file in assets/examples -> label on the page
    "swipe-left": "swipe left",
    "swipe-up": "swipe up",
    "circle": "circle",
    "check-mark": "check mark",
    "cross": "cross",
    "star": "star",
    "square": "square",
    "no-gesture-waving": "waving (no gesture)",
}
DELETE_AFTER_SECONDS = 3600
CLIP_HEIGHT = 370  # pixels; fixed, so that nothing jumps when the clip appears
SESSIONS = 200  # visitors whose last result is kept; some MB each
QUEUE = 32  # visitors who may wait; the next one is told that the page is full
CONCURRENCY = 1  # forward passes at a time: two cores gain nothing from more

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
    button_primary_background_fill_hover_dark="*primary_600",
    button_primary_text_color="white",
)
TO_RESULT = """() => {
    const shown = document.querySelector("#problem .problem") || document.querySelector("#summary");
    if (innerWidth < 720) shown.scrollIntoView({behavior: "smooth"});
}"""


def build(extra_models: Sequence[str] = ()) -> gr.Blocks:
    """Builds the page.

    Args:
        extra_models: Folders or Hub repositories to offer beside the shipped models; the first one is the default.
    """
    names = models.offered(extra_models)
    with gr.Blocks(title=text.TITLE, analytics_enabled=False, delete_cache=(600, DELETE_AFTER_SECONDS)) as page:
        seen = gr.State(None, time_to_live=DELETE_AFTER_SECONDS)
        gr.HTML(views.header(text.device_words(aia.hub.best_device().type)))
        with gr.Row():
            with gr.Column(scale=4, min_width=320, elem_classes="controls"):
                video = gr.Video(label=text.UPLOAD, sources=["upload", "webcam"], height=CLIP_HEIGHT, elem_id="clip")
                examples = gr.Examples(
                    [[str(ASSETS / "examples" / f"{name}.mp4")] for name in EXAMPLES],
                    video,
                    label=text.EXAMPLES,
                    example_labels=list(EXAMPLES.values()),
                )
                choices = [(models.title(name), name) for name in names]
                model = gr.Dropdown(choices, value=names[0] if names else None, label=text.MODEL, elem_id="model")
                known = gr.HTML(views.quiet(text.knows(models.labels(names[0]) if names else ())))
                run = gr.Button(text.RUN, variant="primary", elem_id="run")
                gr.HTML(views.quiet(_privacy_words()))
            with gr.Column(scale=7, min_width=320):
                problem = gr.HTML(visible=False, elem_id="problem")
                summary = gr.HTML(views.empty(text.EMPTY_TITLE, text.EMPTY), elem_id="summary")
                plain = gr.HTML(views.empty(text.NO_GATES_TITLE, text.NO_GATES), visible=False, elem_id="no-gates")
                with gr.Column(visible=False, elem_id="gates") as gates:
                    sentence = gr.HTML(elem_id="sentence")
                    with gr.Row(elem_id="look"):
                        block = gr.Dropdown([], label=text.BLOCK, elem_id="block", scale=5, min_width=230)
                        opacity = gr.Slider(
                            0, 1, 0.5, step=0.05, label=text.OPACITY, elem_id="opacity", scale=3, min_width=140
                        )
                        scale = gr.Radio(
                            list(text.SCALES),
                            value=text.ABSOLUTE,
                            label=text.SCALE,
                            elem_id="scale",
                            scale=3,
                            min_width=140,
                        )
                        colours = gr.Dropdown(
                            list(render.COLOUR_MAPS), value="viridis", label=text.COLOUR_MAP, scale=2, min_width=110
                        )
                    overlay = gr.HTML(elem_id="overlay")
                frames = gr.HTML(elem_id="frames")
                with gr.Column(visible=False) as details:
                    strip = gr.HTML(elem_id="strip")
                    channels = gr.HTML(elem_id="channels")
                    profile = gr.HTML(elem_id="profile")
                    gr.HTML(f'<p class="limits">{text.LIMITS}</p>')

        drawn = [sentence, overlay, strip, channels, profile]
        result = [problem, seen, summary, frames, known, gates, details, plain, block, *drawn]

        def show(video, name, block, opacity, scale, colours, before, progress=gr.Progress()):  # noqa: B008  gradio's way
            return handlers.show(video, name, handlers.Look(block, opacity, scale, colours), before, names, progress)

        def show_with_other_model(video, *rest, progress=gr.Progress()):  # noqa: B008
            return show(video, *rest, progress) if video else [gr.skip()] * len(result)

        inputs = [video, model, block, opacity, scale, colours, seen]
        private = {"api_visibility": "private", "concurrency_id": "model", "concurrency_limit": CONCURRENCY}
        shown = [summary, sentence, overlay]
        started = [video.upload, video.stop_recording, run.click, examples.load_input_event.then]
        for event in started:
            event(None, js=TO_RESULT)
            event(show, inputs, result, show_progress_on=shown, **private).then(None, js=TO_RESULT)
        model.input(lambda name: views.quiet(text.knows(models.labels(name))), model, known, api_visibility="private")
        model.input(show_with_other_model, inputs, result, show_progress_on=shown, **private)
        look = [seen, block, opacity, scale, colours]
        quick = {
            "api_visibility": "private",
            "show_progress": "hidden",
            "trigger_mode": "always_last",
            "concurrency_limit": 4,
        }
        gr.on([block.input, opacity.input, scale.input, colours.input], handlers.redraw, look, drawn, **quick)
        _endpoints(names)
    page.queue(max_size=QUEUE, api_open=False)  # no way around the queue
    return page


def _endpoints(names: list[str]) -> None:
    """The endpoints for programs: hidden components, so that files pass Gradio's own checks."""
    with gr.Column(visible=False):
        video, name = gr.Video(label="video"), gr.Textbox(names[0] if names else "", label="model")
        block, answer = gr.Textbox("", label="block"), gr.JSON(label="answer")
        summary, npz, mp4 = gr.JSON(label="summary"), gr.File(label="gates_npz"), gr.File(label="overlay_mp4")

        def classify(video, model, progress=gr.Progress()):  # noqa: B008
            return handlers.classify_api(video, model, names, progress)

        def inspect(video, model, block="", progress=gr.Progress()):  # noqa: B008
            return handlers.inspect_api(video, model, block, names, progress)

        shared = {"concurrency_id": "model", "concurrency_limit": CONCURRENCY}
        gr.Button().click(
            classify, [video, name], answer, api_name="classify", api_description=text.CLASSIFY_API, **shared
        )
        gr.Button().click(
            inspect,
            [video, name, block],
            [summary, npz, mp4],
            api_name="inspect",
            api_description=text.INSPECT_API,
            **shared,
        )


def launch_options() -> dict:
    """What `launch` needs beside host and port."""
    return {
        "theme": THEME,
        "css_paths": STYLE,
        "max_file_size": limits.MAX_UPLOAD_BYTES,
        "show_error": False,  # our own sentences still show; Gradio's may hold paths
        "footer_links": ["api"],
        "ssr_mode": False,
        "state_session_capacity": SESSIONS,
        "enable_monitoring": False,
    }


def _privacy_words() -> str:
    return text.PRIVACY.format(seconds=limits.MAX_SECONDS, megabytes=limits.MAX_UPLOAD_BYTES >> 20)
