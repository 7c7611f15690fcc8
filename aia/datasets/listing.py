"""Lists the clips of a data set: a folder per class, a table, a pattern, shards, a file, or an address that fsspec reads."""

from __future__ import annotations

import logging
import math
import os
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

from fsspec.utils import glob_translate

from aia.datasets import shards
from aia.datasets.places import VIDEOS, Item, Place, as_text, by_folders, place_of, reading, split_name
from aia.errors import AIAError
from aia.text_files import check_size, read_labels, read_table

TABLES = (".csv", ".tsv")
LABELS_FILE = "labels.txt"
GROUPS = ("group", "scene")  # columns of a table, or keys in a shard
_SIGNS = "*?["  # of a pattern
log = logging.getLogger(__name__)


def list_clips(
    data: str | os.PathLike[str],
    *,
    root: str | None = None,
    groups: Sequence[str] = GROUPS,
    group_column: str | None = None,
    split: str | None = None,
) -> list[Item]:
    """Lists the clips of a data set, in the order of its table or of their names.

    Args:
        data: A folder (`CLASS/...` or `SPLIT/CLASS/...`, or with one table in it), a table with the column file and, if it
            has them, label, split and group or scene; a pattern such as "clips/*.mp4"; one video; shards (see
            `aia.datasets.shards.clips_in`), by their folder, a pattern or one of them; or the address of any of these that
            fsspec reads, such as "s3://bucket/folder". Beside videos or a table, tar files are ignored. Folders behind
            links on this machine count.
        root: Folder that a table's files are in. By default the folder with the table's name beside it, or else the table's
            own.
        groups: Columns of a table, or keys in a shard, that may have the group; the first that a clip has.
        group_column: One that a table must have, or a key that a shard must have, instead of `groups`.
        split: Only the clips of this split.

    Raises:
        AIAError: Nothing is there, it cannot be reached, a table or shard cannot be read, there are no videos, or the data
            are not of a kind that has a `root` or a `group_column`.
    """
    place = place_of(data)
    with reading(data):
        items = _items(place, os.fspath(data), root, groups, group_column)
    if not items:
        raise AIAError(
            f"{data} holds no videos (such as *.mp4); give a folder, a table, a pattern of videos, or shards (*.tar)."
        )
    wanted = split and split_name(split)
    chosen = [item for item in items.values() if wanted in (None, item.split)]
    if not chosen:
        raise AIAError(f"{data} has no clips of the split {split!r:.60}.")
    return chosen


def labels_beside(data: str | os.PathLike[str]) -> tuple[str, bytes] | None:
    """Name and content of labels.txt in a folder, or beside a table, a shard or a pattern; None if there is none.

    Raises:
        AIAError: There is no such file system, or it cannot be reached.
    """
    place = place_of(data)
    with reading(data):
        return _labels(place if place.fs.isdir(place.name) else _top(place))


def _items(
    place: Place, address: str, root: str | None, groups: Sequence[str], group_column: str | None
) -> dict[str, Item]:
    fs, name = place
    names: Iterable[str]
    if _is_pattern(place):
        top, names = _top(place), _matching(place)
    elif fs.isdir(name):
        inside = sorted(file for file in _names(fs, name) if _is_table(file))
        if len(inside) > 1:
            raise AIAError(f"{address} holds {len(inside)} csv files; give one of them instead of the folder.")
        if inside:
            return _table(place.at(inside[0]), place.address(inside[0]), root, groups, group_column)
        top, names = place, _below(name) if place.is_local else fs.find(name)
    elif not fs.exists(name):
        raise AIAError(f"{address} was not found; check the path or address.")
    elif _is_table(place.path):
        return _table(place, address, root, groups, group_column)
    else:
        top, names = _top(place), [name]
    if root is not None:
        raise AIAError(f"--root is the folder of a table's files, and {address} is no table; leave it out.")
    return _files(top, sorted(names), address, groups, group_column)


def _is_pattern(place: Place) -> bool:
    """Whether a name is a pattern. An existing file is not taken for one."""
    return any(sign in place.path for sign in _SIGNS) and not (place.is_local and os.path.lexists(place.name))


def _top(place: Place) -> Place:
    """The folder of a file, or the one below which a pattern looks."""
    path = place.path
    if _is_pattern(place):
        path = path[: min(path.index(sign) for sign in _SIGNS if sign in path)]
    return place.at(path.rpartition("/")[0])


def _matching(place: Place) -> list[str]:
    """The files that a pattern stands for."""
    if not place.is_local:
        return list(place.fs.glob(place.name))
    top, is_match = _top(place).name, re.compile(glob_translate(place.name)).match
    depth = math.inf if "**" in place.name else place.name.count("/") - top.count("/")
    return [name for name in _below(top, depth) if is_match(name)]


def _below(folder: str, depth: float = math.inf, above: tuple[str, ...] = ()) -> Iterator[str]:
    """The files below a local folder, also behind links, which fsspec leaves out; not behind one to a folder above."""
    above = (*above, f"{os.path.realpath(folder).rstrip(os.sep)}{os.sep}")
    _, folders, files = next(os.walk(folder or "/"), ("", [], []))  # nothing in a folder that cannot be read
    yield from (f"{folder.rstrip('/')}/{name}" for name in files)
    for inside in (f"{folder.rstrip('/')}/{name}" for name in folders):
        leads_to = f"{os.path.realpath(inside).rstrip(os.sep)}{os.sep}"
        if depth > 1 and not any(one.startswith(leads_to) for one in above):
            yield from _below(inside, depth - 1, above)


def _labels(folder: Place) -> tuple[str, bytes] | None:
    file = folder.at(f"{folder.name.rstrip('/')}/{LABELS_FILE}")
    return (file.address(file.name), _content(file)) if file.fs.isfile(file.name) else None


def _content(file: Place) -> bytes:
    """The content of a text file."""
    check_size(file.address(file.name), file.fs.size(file.name) or 0)
    return bytes(file.fs.cat_file(file.name))


def _names(fs: Any, folder: str) -> list[str]:
    return [str(entry) for entry in fs.ls(folder, detail=False)]


def _is_table(name: str) -> bool:
    path = PurePosixPath(name)
    return path.suffix.lower() in TABLES and not path.name.startswith((".", "~"))


def _files(
    top: Place, names: Sequence[str], address: str, groups: Sequence[str], group_column: str | None
) -> dict[str, Item]:
    """The videos among some files below a folder, or those in the shards among them."""
    paths: dict[str, str] = {}  # path -> name
    for name in names:
        paths.setdefault(top.relative(name), name)  # a server may list a file with several queries
    shown = {path: name for path, name in paths.items() if not any(p.startswith(".") for p in path.split("/"))}
    tars = [name for path, name in shown.items() if path.lower().endswith(shards.ENDING)]
    items: dict[str, Item] = {}
    folders = by_folders(path for path in shown if path.lower().endswith(VIDEOS))
    for path, (split, label) in folders.items():
        text = as_text(path)
        items[text] = Item(text, top.address(shown[path]), label and as_text(label), split=split)
    if items and group_column:
        raise AIAError(f"A --group-column is of a table or of shards, and {address} is neither; leave it out.")
    if items and tars:  # perhaps the archive that the videos came in
        log.warning("%s: tar files beside videos are ignored: %d.", top.address(top.name), len(tars))
    elif tars:
        file = _labels(top)
        labels = read_labels(*file) if file else ()
        groups = (group_column, group_column.lower()) if group_column else groups
        for name in tars:
            inside = shards.clips_in(top, name, labels, groups)
            if inside and group_column and not any(item.group for item in inside.values()):
                raise AIAError(
                    f"No clip of {top.address(name)} has {group_column!r:.60} in its KEY.json; check --group-column."
                )
            items |= inside
    return items


def _table(
    table: Place, shown: str, root: str | None, groups: Sequence[str], group_column: str | None
) -> dict[str, Item]:
    """The rows of a table. A file that is missing becomes an error later, like any that cannot be read."""
    if root is not None:
        folder = place_of(root)
    else:
        beside = table.at(table.path[: -len(PurePosixPath(table.path).suffix)])
        folder = beside if table.fs.isdir(beside.name) else table.at(table.path.rpartition("/")[0])
    groups = (group_column.lower(),) if group_column else groups
    needed = ("file", groups[0]) if group_column else ("file",)
    items: dict[str, Item] = {}
    for line, row in read_table(shown, needed, ("label", "split", *groups), data=_content(table)):
        if not row["file"]:
            raise AIAError(f"Line {line} of {shown} names no file; name one, or remove the line.")
        path, address = _file(folder, row["file"])
        group, split = next((row[name] for name in groups if row[name]), None), split_name(row["split"])
        item = Item(path, address, row["label"] or None, group, split or None)
        if items.setdefault(path, item) != item:
            raise AIAError(
                f"Line {line} of {shown} names {path[:200]!r} again with another label, split or group; keep one."
            )
    return items


def _file(folder: Place, name: str) -> tuple[str, str]:
    """Path and address of a file that a table names, with the separators of any system."""
    if "://" in name:
        return name, name
    if folder.is_local:
        local = name if os.path.isfile(Path(folder.name) / name) else name.replace("\\", "/")  # noqa: PTH113
        found = next((s for s in spellings(local) if os.path.isfile(Path(folder.name) / s)), local)  # noqa: PTH113
        return local, str(Path(folder.name) / found)
    path = name.replace("\\", "/").lstrip("/")
    return path, folder.address(f"{folder.name.rstrip('/')}/{path}")


def spellings(path: str) -> tuple[str, ...]:
    """A path as it is, and with accents composed and decomposed."""
    return path, *(unicodedata.normalize(form, path) for form in ("NFC", "NFD"))


def with_labels(items: list[Item], classes: Mapping[str, str]) -> list[Item]:
    """Replaces the data's own names of classes by the network's labels, as in `Recipe.classes`."""
    return [replace(item, label=classes.get(item.label, item.label)) if item.label else item for item in items]
