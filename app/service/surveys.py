"""The surveys that the page offers: the shipped ones, and those of folders that were named when the page was started."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from aia import AIAError
from aia.locations import ASSETS
from app import text

FOLDER = ASSETS / "surveys"
SUMMARY, LOCATIONS = "summary.json", "locations.json"  # as `aia report` writes them
FORMAT = "aia-survey-summary"


@dataclass(frozen=True)
class Survey:
    """A survey of the page.

    Attributes:
        title: Its name in the menu.
        content: The file that browsers get.
        clips: Where its clips are, if they may be shown.
    """

    title: str
    content: bytes
    clips: tuple[str, ...] = field(default=(), repr=False)


_offered: dict[str, Survey] = {}


def offer(folders: Sequence[str | Path] = ()) -> None:
    """Reads the shipped surveys and those of folders, which come first. The page then offers them.

    Args:
        folders: Written by `aia report`. Everybody who can reach the page may see their numbers, and their clips if
            locations.json is beside them.

    Raises:
        AIAError: A folder has no such survey.
    """
    found = {f"own-{number}": _read(Path(folder) / SUMMARY, folder) for number, folder in enumerate(folders, start=1)}
    found |= {path.stem: _read(path, path) for path in sorted(FOLDER.glob("*.json"), key=_place)}
    _offered.clear()
    _offered.update(found)


def offered() -> dict[str, Survey]:
    """The surveys of the page by their keys."""
    return dict(_offered)


def content(key: str) -> bytes | None:
    """The file of a survey, or None."""
    return _offered[key].content if key in _offered else None


def clip(key: str, number: object) -> str:
    """Where a clip of a survey is.

    Raises:
        AIAError: There is no such clip on this machine.
    """
    clips = _offered[key].clips if key in _offered else ()
    if not isinstance(number, int) or not 0 <= number < len(clips) or not Path(clips[number]).is_file():
        raise AIAError(text.NO_SURVEYED_CLIP)
    return clips[number]


def _place(path: Path) -> tuple[int, str]:
    """Surveys are in the order of the groups of models, by the first word of their names; others come last."""
    groups, group = list(text.GROUPS), path.stem.partition("-")[0]
    return groups.index(group) if group in groups else len(groups), path.stem


def _read(path: Path, given: str | Path) -> Survey:
    try:
        data = path.read_bytes()
        summary = json.loads(data)
        if summary["format"] != FORMAT or not isinstance(summary["title"], str):
            raise ValueError
        locations = path.with_name(LOCATIONS)
        clips = json.loads(locations.read_bytes()) if locations.is_file() else []
        if clips and len(clips) != len(summary["clips"]):
            raise ValueError
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        raise AIAError(text.NO_SURVEY.format(name=given)) from None
    title = re.sub(r"\s+", " ", summary["title"]) or path.parent.name
    return Survey(title, data, tuple(map(str, clips)))
