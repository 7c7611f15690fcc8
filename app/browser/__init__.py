"""What the page's components share in the browser, and how their files become scripts: there is no build step."""

from __future__ import annotations

from pathlib import Path

APP = Path(__file__).parents[1]
TOKENS = APP / "browser" / "tokens.css"  # colors, spacing, radii and fonts of every style sheet

# The files of each script in the order in which they are joined, under `app/`. `// @ts-check` in an editor reads the
# same lists in the jsconfig.json beside the files; `python -m tools.lint_scripts` checks the joined scripts.
SCRIPTS: dict[str, tuple[str, ...]] = {
    "page": ("browser/server_root.js", "browser/viewer_of_page.js", "ui/lost_requests.js", "ui/page.js"),
    "clip_box": ("browser/server_root.js", "clip_box/camera.js", "clip_box/clip_box.js"),
    "viewer": (
        "browser/arrays.js",
        "browser/elements.js",
        "browser/server_root.js",
        "viewer/answer.js",
        "viewer/maps.js",
        "viewer/typical.js",
        "viewer/pixels.js",
        "viewer/links.js",
        "viewer/state.js",
        "viewer/nodes.js",
        "viewer/words.js",
        "viewer/drawing.js",
        "viewer/channels.js",
        "viewer/input.js",
        "clip_box/camera.js",
        "live/frames.js",
        "live/channel.js",
        "live/drawing.js",
        "live/history.js",
        "live/input.js",
        "live/live.js",
        "viewer/viewer.js",
    ),
    "learn": (
        "browser/arrays.js",
        "browser/elements.js",
        "browser/viewer_of_page.js",
        "learn/tensors.js",
        "learn/grid.js",
        "learn/pictures.js",
        "learn/charts.js",
        "learn/stages.js",
        "learn/learn.js",
    ),
    "survey": (
        "browser/elements.js",
        "browser/server_root.js",
        "browser/viewer_of_page.js",
        "survey/summary.js",
        "survey/blocks.js",
        "survey/channels.js",
        "survey/profiles.js",
        "survey/lead.js",
        "survey/tab.js",
        "survey/survey.js",
    ),
}

# The functions of each script that others may call; the rest stays private.
EXPORTS: dict[str, tuple[str, ...]] = {
    "page": (
        "correctRoot",
        "remakeDeletedFiles",
        "scrollToResult",
        "afterResult",
        "afterLesson",
        "withView",
        "withResultShown",
        "withBlockShown",
        "openTabs",
        "reportLostRequests",
        "endTry",
        "showSideB",
        "startProblem",
        "startCards",
    ),
    "clip_box": ("startClipBox",),
    "viewer": ("startViewer", "startLive"),
    "survey": ("startSurvey", "showSurveyedClip"),
}


def read(file: str) -> str:
    """The text of a file under `app/`."""
    return (APP / file).read_text(encoding="utf-8")


def style(file: str) -> str:
    """A component's style sheet, after what the components share."""
    return read("browser/controls.css") + "\n" + read(file)


def script(name: str) -> str:
    """One of `SCRIPTS`, its files joined."""
    return "\n".join(map(read, SCRIPTS[name]))


def head(name: str) -> str:
    """One of `SCRIPTS` as an element of the page's head; `EXPORTS` become the page's."""
    shared = "".join(f"window.{export} = {export};\n" for export in EXPORTS[name])
    return f'<script>"use strict"; {{\n{script(name)}\n{shared}}}</script>'
