"""Results as HTML. Every text is escaped."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING

from aia import AIAError, limits
from aia.hub import ALL_MODELS
from app import text

if TYPE_CHECKING:
    from aia import Inspection
    from aia.inspection.ablation import Ranking
    from aia.inspection.batch import Classified
    from app.result import Result

TOP = 5  # labels shown
_NUMBERS = itertools.count()


def header() -> str:
    """Title and tagline on one line; an info mark tells more."""
    return (
        f'<header class="aia-head"><h1>{text.TITLE}</h1><p class="tagline">{text.TAGLINE}</p>'
        f"{info('about-page', text.ABOUT, text.INTRO)}</header>"
    )


def info(name: str, label: str, *paragraphs: str) -> str:
    """A mark that opens an explanation. The browser closes it again by Escape and by a press elsewhere.

    Args:
        name: The explanation's id on the page.
        label: What it explains.
        *paragraphs: The explanation.
    """
    words = "".join(f"<p>{escape(paragraph)}</p>" for paragraph in paragraphs)
    return (
        f'<button type="button" class="info" popovertarget="{name}" aria-label="{escape(label)}" title="{escape(label)}">'
        f'<i aria-hidden="true">i</i></button><div popover id="{name}" class="panel">{words}</div>'
    )


def intro(sentence: str, name: str, *paragraphs: str) -> str:
    """A sentence in a muted color with an info mark behind it."""
    return f'<div class="intro"><p class="quiet">{escape(sentence)}</p>{info(name, text.MORE, *paragraphs)}</div>'


def about_clips(*known: str) -> str:
    """An info mark: sentences on what is known, the formats of clips, and how long a clip is kept."""
    megabytes = limits.MAX_UPLOAD_BYTES >> 20
    privacy = text.PRIVACY.format(time=text.KEPT_FOR, seconds=limits.MAX_SECONDS, megabytes=megabytes)
    formats = f"{text.CLIP_BOX['drop']} {text.CLIP_BOX['formats']}"
    return info("about-clips", text.ABOUT_CLIPS, *known, formats, privacy)


def error(sentence: str) -> str:
    """An error. It stays until it is closed or the next run succeeds.

    Each has its number: the same sentence is a new one, which the page brings into view and a screen reader reads again.
    """
    return (
        f'<div class="problem" role="alert" data-number="{next(_NUMBERS)}"><span>{escape(sentence)}</span>'
        f'<button type="button" class="close" aria-label="{text.CLOSE}">×</button></div>'
    )


def muted(sentence: str) -> str:
    """A sentence in a muted color."""
    return f'<p class="quiet">{escape(sentence)}</p>'


def cards(tasks: Sequence[str], chosen: str, asked: Mapping[str, Classified | AIAError]) -> str:
    """A card for each group: what its model says about the clip. A press shows that model's gates.

    Args:
        tasks: The tasks of the groups.
        chosen: The one that is looked into.
        asked: What the models say; a group that is missing still has to answer.
    """
    inside = "".join(_card(task, asked.get(task), pressed=task == chosen) for task in tasks)
    return f'<div class="cards" role="group" aria-label="{escape(text.ASKED)}">{inside}</div>{_knows(chosen)}'


def _card(task: str, answer: Classified | AIAError | None, *, pressed: bool) -> str:
    group = text.GROUPS[task]
    says, probability, known = text.card(answer) if answer else (group.brief, "", False)
    kind = "" if known else " refused" if answer else " waiting"
    title = str(answer) if isinstance(answer, AIAError) else text.knows_of(task)
    return (
        f'<button type="button" class="card{kind}" data-task="{escape(task)}" aria-pressed="{str(pressed).lower()}" '
        f'title="{escape(title)}"><span class="group">{escape(group.title)} <span class="number">{probability}</span></span>'
        f'<span class="says">{escape(says)}</span></button>'
    )


def _knows(task: str) -> str:
    return f'<p class="knows">{escape(text.knows_of(task))}</p>' if task in text.GROUPS else ""


def only_one(task: str) -> str:
    """What replaces the cards if a visitor has chosen one model: what its group knows, and a button that asks all."""
    return (
        f'<div class="only"><div>{_knows(task)}<p>{escape(text.ONLY_ONE)}</p></div>'
        f'<button type="button" data-task="{ALL_MODELS}">{escape(text.ASK_ALL_AGAIN)}</button></div>'
    )


def result(inspection: Inspection, *, run: bool = True) -> str:
    """The answer with its bar, the next label, the answer without the gates, and warnings.

    The five most probable labels and (`run`) the details of the run are one click away.
    """
    notes = [*inspection.clip.warnings, *([text.BLIND] if inspection.config.blind_to_order else [])]
    warnings = "".join(f'<p class="note" role="status">{escape(note)}</p>' for note in notes)
    title, sentence = text.headline(inspection)
    best = float(inspection.probabilities.max())
    details = f'<p class="quiet small">{escape(text.run_details(inspection))}</p>' if run else ""
    summary = f"{escape(sentence)} · {escape(text.runner_up(inspection))}"
    return (
        f'<section class="result{_class(inspection)}" aria-label="Result">'
        f'<div class="answer"><h2 id="label">{escape(title)}</h2>{_track(best)}</div>'
        f"<details><summary>{summary}</summary>{_scores(inspection)}{details}</details>"
        f"{_held(inspection)}{warnings}</section>"
    )


def _held(inspection: Inspection) -> str:
    """The answer with all gates at their mean, if it was computed, and a button that opens What if."""
    held = inspection.held
    if held is None:
        return ""
    return (
        f'<p class="held"><span>{escape(text.with_gates_held(inspection, held))}</span>'
        f'<button type="button" data-open-tab="tab-what-if">{text.TABS["what-if"]}</button></p>'
    )


def _answer(inspection: Inspection) -> str:
    """Only the answer and the most probable labels."""
    title, _ = text.headline(inspection)
    return f'<div class="result{_class(inspection)}"><p class="label">{escape(title)}</p>{_scores(inspection)}</div>'


def _class(inspection: Inspection) -> str:
    """The CSS class of a result below the model's threshold."""
    return "" if inspection.is_confident else " unknown"


def _scores(inspection: Inspection) -> str:
    rows = "".join(
        f'<li><span class="name">{escape(label)}</span>{_track(p)}<span class="number">{text.percent(p)}</span></li>'
        for label, p in list(inspection.scores.items())[:TOP]
    )
    return f'<ol class="scores">{rows}</ol>'


def _track(p: float) -> str:
    """A bar as long as a probability."""
    return f'<span class="track" aria-hidden="true"><span style="width:{100 * p:.1f}%"></span></span>'


def change(before: Inspection, after: Inspection, title: str) -> str:
    """A table of two answers to one clip: probabilities, and the change of each logit."""
    labels = list(dict.fromkeys([*list(before.scores)[:TOP], *list(after.scores)[:TOP]]))
    index = {label: before.labels.index(label) for label in labels}
    gains = {label: float(after.logits[i] - before.logits[i]) for label, i in index.items()}
    largest = max(1e-9, *(abs(gain) for gain in gains.values()))
    rows = "".join(
        f'<tr><th scope="row">{escape(label)}</th><td>{text.percent(before.scores[label])}</td>'
        f"<td>{text.percent(after.scores[label])}</td>{_gain(gains[label], largest)}</tr>"
        for label in labels
    )
    head = "".join(f'<th scope="col">{escape(column)}</th>' for column in ("Label", "As trained", "Switched"))
    return (
        f'<section aria-label="What if"><p class="words">{escape(text.what_changed(before, after, title))}</p>'
        f'<div class="wide-table"><table><thead><tr>{head}<th scope="col" colspan="2">Change of the score</th></tr></thead>'
        f"<tbody>{rows}</tbody></table></div></section>"
    )


def ranking(ranking: Ranking, blocks: Sequence[str]) -> str:
    """Which block's gates matter most: a row for each block, the largest change first.

    Args:
        ranking: From `aia.rank_blocks`.
        blocks: The names of the network's blocks, in its order.
    """
    number = {name: place for place, name in enumerate(blocks, 1)}
    largest = max(1e-9, *(abs(effect.logit_delta) for effect in ranking.effects))
    rows = "".join(
        f'<tr><th scope="row"><button type="button" data-show-block="{escape(effect.block)}">'
        f"{escape(text.numbered(effect.block, number))}</button></th>"
        f"{_gain(effect.logit_delta, largest)}<td>{text.percent(effect.probability)}</td>"
        f"<td>{escape(effect.label)}</td></tr>"
        for effect in ranking.effects
    )
    head = (
        '<th scope="col">Block</th><th scope="col" colspan="2">Change of the score</th><th scope="col">Probability then</th>'
        '<th scope="col">Answer then</th>'
    )
    return (
        f'<section aria-label="Ranking of the blocks"><p class="words">{escape(text.ranked(ranking, number))}</p>'
        f'<div class="wide-table tall"><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div></section>'
    )


def _gain(value: float, largest: float) -> str:
    """Two cells: a number with its sign, and a bar that goes from the center to the left (down) or to the right (up)."""
    half = 50 * abs(value) / largest
    left = 50 if value >= 0 else 50 - half
    side = "up" if value >= 0 else "down"
    return (
        f'<td class="number">{text.signed(value)}</td><td class="gain" aria-hidden="true">'
        f'<span class="{side}" style="left:{left:.1f}%;width:{half:.1f}%"></span></td>'
    )


def comparison(a: Result, b: Result) -> str:
    """Two results side by side."""
    sides = "".join(
        f"<div><h3>{letter}: {escape(title)}</h3>{_answer(result.inspection)}</div>"
        for letter, title, result in zip("AB", text.side_titles(a, b), (a, b), strict=True)
    )
    return (
        f'<section aria-label="Comparison"><p class="words">{escape(text.compared(a, b))}</p>'
        f'<div class="sides">{sides}</div></section>'
    )
