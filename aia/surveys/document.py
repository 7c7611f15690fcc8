"""A small document of headings, paragraphs, tables and figures, written as Markdown and as HTML. Every text is escaped."""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from aia.evaluation.report import table

_SPECIAL = re.compile(r"([\\`*_\[\]<>|~$&])")
_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#0f172a;background:#fff}"
    "table{border-collapse:collapse;display:block;overflow-x:auto}th,td{padding:.25rem .6rem;border-bottom:1px solid #cbd5e1;"
    "text-align:left;vertical-align:top}td{font-variant-numeric:tabular-nums}img{max-width:100%;height:auto}"
    "figure{margin:1rem 0}figcaption{color:#475569;font-size:.9rem}"
)


@dataclass(frozen=True)
class Heading:
    """A heading of a level from 1."""

    text: str
    level: int = 2


@dataclass(frozen=True)
class Table:
    """A table with a header."""

    header: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True)
class Picture:
    """A figure: the file's name, its content as PNG, and what it shows."""

    file: str
    content: bytes
    caption: str


Part = str | Heading | Table | Picture  # a text is a paragraph


def markdown(parts: Sequence[Part]) -> str:
    """The document as Markdown; pictures are named by their files."""
    return "\n\n".join(map(_markdown, parts)) + "\n"


def _markdown(part: Part) -> str:
    if isinstance(part, Heading):
        return f"{'#' * part.level} {_plain(part.text)}"
    if isinstance(part, Table):
        return table([*map(_plain, part.header)], [[*map(_plain, row)] for row in part.rows])
    if isinstance(part, Picture):
        return f"![{_plain(part.caption)}]({part.file})"
    return _plain(part)


def _plain(text: str) -> str:
    """A text that Markdown shows as it is, on one line."""
    return _SPECIAL.sub(r"\\\1", " ".join(text.split()))


def html(parts: Sequence[Part]) -> str:
    """The document as one HTML file that loads nothing."""
    title = next((part.text for part in parts if isinstance(part, Heading)), "")
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; img-src data:; style-src 'unsafe-inline'\">"
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body>\n"
        + "\n".join(map(_html, parts))
        + "\n</body></html>\n"
    )


def _html(part: Part) -> str:
    if isinstance(part, Heading):
        return f"<h{part.level}>{escape(part.text)}</h{part.level}>"
    if isinstance(part, Table):
        head = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in part.header)
        rows = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in part.rows)
        return f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
    if isinstance(part, Picture):
        data, caption = base64.b64encode(part.content).decode(), escape(part.caption)
        return f'<figure><img src="data:image/png;base64,{data}" alt="{caption}"><figcaption>{caption}</figcaption></figure>'
    return f"<p>{escape(part)}</p>"
