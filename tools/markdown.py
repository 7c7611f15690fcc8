"""Writes generated parts of a Markdown file, between the lines `<!-- NAME:begin -->` and `<!-- NAME:end -->`."""

from __future__ import annotations

from pathlib import Path

from aia import files
from aia.errors import AIAError

DOCS = Path(__file__).resolve().parents[1] / "docs"


def put(name: str, content: str, document: Path) -> None:
    """Replaces the text between the markers of a name.

    Raises:
        AIAError: The document lacks a marker.
    """
    begin, end = f"<!-- {name}:begin -->", f"<!-- {name}:end -->"
    before, opened, rest = document.read_text(encoding="utf-8").partition(begin)
    _, closed, after = rest.partition(end)
    if not (opened and closed):
        raise AIAError(f"{document.name} needs the lines {begin} and {end}; the tables come between them.")
    files.write_text(document, f"{before}{begin}\n\n{content}\n\n{end}{after}")
