"""Results as HTML: small functions, every text escaped."""

from __future__ import annotations

import base64
from html import escape

import numpy as np

from aia import Inspection, render
from aia.inspection import BlockGates
from app import text

TOP = 5  # labels shown
STRIP_WIDTH = 240  # pixels of one frame in a film strip


def header(device: str) -> str:
    """Title and tagline."""
    return (
        f'<header class="aia-head"><h1>{text.TITLE}</h1><span class="chip">Runs on {escape(device)}</span>'
        f'<p class="tagline">{text.TAGLINE}</p><p class="intro">{text.INTRO}</p></header>'
    )


def empty(title: str, sentence: str) -> str:
    """What stands where nothing can be shown: why, and what to do."""
    return (
        '<div class="empty"><svg viewBox="0 0 120 64" aria-hidden="true">'
        + "".join(
            f'<rect x="{x}" y="12" width="24" height="40" rx="3" fill="var(--aia-{i})"/>'
            for i, x in enumerate((2, 32, 62, 92))
        )
        + f"</svg><h2>{escape(title)}</h2><p>{escape(sentence)}</p></div>"
    )


def error(sentence: str) -> str:
    """What could not be done; it stays until the next run."""
    return f'<div class="problem" role="alert">{escape(sentence)}</div>'


def words(sentence: str) -> str:
    """A sentence about what is seen."""
    return f'<p class="words">{escape(sentence)}</p>'


def quiet(sentence: str) -> str:
    """A sentence that stays in the background."""
    return f'<p class="quiet">{escape(sentence)}</p>'


def result(seen: Inspection) -> str:
    """The answer, the five most probable labels as bars, warnings, and where it ran."""
    rows = "".join(
        f'<li><span class="name">{escape(label)}</span><span class="track"><span style="width:{100 * p:.1f}%"></span></span>'
        f'<span class="number">{text.percent(p)}</span></li>'
        for label, p in list(seen.scores.items())[:TOP]
    )
    notes = [*seen.clip.warnings, *([text.BLIND] if seen.config.blind_to_order else [])]
    warnings = "".join(f'<p class="note" role="status">{escape(note)}</p>' for note in notes)
    title, sentence = text.headline(seen)
    return (
        f'<section class="result{"" if seen.sure else " unknown"}" aria-label="Result"><h2 id="label">{escape(title)}</h2>'
        f'<p class="quiet">{escape(sentence)}</p><ol class="scores">{rows}</ol>{warnings}'
        f'<p class="quiet small">{escape(text.ran(seen))}</p></section>'
    )


def player(mp4: bytes, colour_map: str, scale: tuple[float, float], label: str) -> str:
    """The overlay as a looping video, with its colour scale under it."""
    return (
        f'<figure class="player"><video src="data:video/mp4;base64,{_base64(mp4)}" aria-label="{escape(label)}" '
        f"autoplay loop muted playsinline controls></video>{legend(colour_map, scale)}</figure>"
    )


def legend(colour_map: str, scale: tuple[float, float]) -> str:
    """The colour scale with its numbers."""
    table = render.colour_table(colour_map)
    stops = ", ".join("rgb({},{},{})".format(*table[i]) for i in range(0, 256, 15))
    absolute = scale == (0, 1)
    low, high = (text.LEGEND_LOW, text.LEGEND_HIGH) if absolute else (f"{scale[0]:.2f}", f"{scale[1]:.2f}")
    note = f'<p class="quiet small">{text.LEGEND_ABSOLUTE if absolute else text.LEGEND_STRETCHED}</p>'
    return (
        f'<figcaption><div class="legend"><span>{low}</span><span class="scale" style="background:linear-gradient(to right, '
        f'{stops})"><i>{sum(scale) / 2:.2g}</i></span><span>{high}</span></div>{note}</figcaption>'
    )


def strip(title: str, frames: np.ndarray, times: np.ndarray) -> str:
    """Frames side by side with their times."""
    figures = ""
    for number, (frame, time) in enumerate(zip(frames, times, strict=True), start=1):
        source = f"data:image/webp;base64,{_base64(render.webp(frame, STRIP_WIDTH))}"
        figures += f'<figure><img src="{source}" alt="{title}: {number}"><figcaption>{time:.2f} s</figcaption></figure>'
    return f'<h3>{title}</h3><div class="strip">{figures}</div>'


def channels(block: BlockGates, colour_map: str) -> str:
    """The per-channel gates: chart, words, and all of them as a table."""
    values = block.channel_mean
    ends = "<span>strongest</span><span>weakest</span>"
    bars = _chart(render.channel_bars(values, colour_map=colour_map), ends) if len(values) > 1 else ""
    rows = "".join(f"<tr><td>{c}</td><td>{v:.3f}</td></tr>" for c, v in enumerate(values))
    return (
        f'<h3>{text.CHANNELS} <span class="quiet">{escape(block.name)}</span></h3><p class="quiet">{text.CHANNELS_HELP}</p>'
        f'{bars}<p id="channels-named">{escape(text.channels_named(block))}</p>'
        f"<details><summary>All {len(values)} values</summary><div class=table><table><thead><tr><th>Channel</th>"
        f"<th>Mean gate</th></tr></thead><tbody>{rows}</tbody></table></div></details>"
    )


def profile(block: BlockGates, times: np.ndarray, colour_map: str) -> str:
    """The gate over time."""
    line = render.profile_line(block.temporal_profile, times, colour_map=colour_map)
    every = -(-len(times) // 8)
    marks = "".join(f"<span>{t:.2f}</span>" for i, t in enumerate(times) if i % every == 0)
    return (
        f'<h3>{text.PROFILE} <span class="quiet">{escape(block.name)}</span></h3><p class="quiet">{text.PROFILE_HELP}</p>'
        f"{_chart(line, marks, 'even')}"
    )


def _chart(svg: str, marks: str, spread: str = "") -> str:
    """A drawing with the scale 0 to 1 at its left and marks under it."""
    return (
        f'<div class="chart"><div class="ticks"><span>1</span><span>0.5</span><span>0</span></div>{svg}'
        f'<div class="marks {spread}">{marks}</div></div>'
    )


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
