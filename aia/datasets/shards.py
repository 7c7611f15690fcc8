"""Clips in shards: tar files in the layout of WebDataset, of which each clip is read by its place in the file."""

from __future__ import annotations

import json
import re
import tarfile
from collections.abc import Sequence
from typing import Any

from aia.datasets.places import SPLITS, VIDEOS, Item, Place, as_text, by_folders, split_name
from aia.errors import AIAError

ENDING = ".tar"
_FETCHED = 1 << 16  # bytes at a time, to list a shard
_NOTE_BYTES = 1 << 20  # a larger file is not a label
_RECORD = 20 * tarfile.BLOCKSIZE  # a tar is padded with zeros to a multiple of it


def clips_in(top: Place, name: str, labels: Sequence[str], groups: Sequence[str]) -> dict[str, Item]:
    """The videos of a shard, by their path: that of the shard and the one in it.

    The files of one clip share a name up to its first dot. Beside `key.mp4`, a file `key.cls` has the class: its name, or its
    line (from 0) in labels.txt. Or `key.json` has label, and perhaps group (or scene) and split. Otherwise the folder in the
    tar is the class. The name of the shard or of its folder begins with the split: "train-000.tar".

    Args:
        top: Folder that the paths are relative to.
        name: Of the shard, in the file system of `top`.
        labels: The lines of labels.txt.
        groups: Keys of a note that may have the group; the first that it has.

    Raises:
        AIAError: The shard is damaged, compressed, sparse, or several in one.
    """
    shard, address = top.relative(name), top.address(name)
    videos: list[tuple[str, str, tuple[int, int]]] = []  # key, path, span
    notes: dict[str, dict[str, str]] = {}
    try:
        with top.fs.open(name, block_size=_FETCHED) as stream, tarfile.open(fileobj=stream, mode="r:") as tar:
            for member in tar:
                parts = [part for part in member.name.split("/") if part not in ("", ".")]
                if not member.isfile() or not parts or any(part.startswith(".") for part in parts):
                    continue
                key, _, ending = parts[-1].partition(".")
                key, ending = "/".join((*parts[:-1], key)), ending.lower()
                if ending in ("cls", "json") and member.size <= _NOTE_BYTES:
                    content = tar.extractfile(member)
                    assert content is not None
                    notes.setdefault(key, {}).update(_note(ending, content.read(), labels))
                elif parts[-1].lower().endswith(VIDEOS):
                    if member.issparse():  # its bytes are not in one piece
                        raise AIAError(f"{address} has sparse files; write it without --sparse.")
                    span = (member.offset_data, member.offset_data + member.size)
                    videos.append((key, "/".join(parts), span))
            stream.seek(tar.offset)  # tarfile takes any damage after the first member for the end
            rest = stream.read(_RECORD)
            if not rest or rest.strip(b"\0"):
                raise tarfile.ReadError
    except (tarfile.TarError, EOFError):
        raise AIAError(f"{address} is not a readable tar; shards must be complete and not compressed.") from None
    items, folders = {}, by_folders(inside for _, inside, _ in videos)
    for key, inside, span in videos:
        note = notes.get(key, {})
        folder_split, folder = folders[inside]
        label = note.get("label") or folder
        group = next((note[name] for name in groups if note.get(name)), None)
        split = note.get("split") or folder_split or _split_of(shard)
        path = as_text(f"{shard}/{inside}")
        items[path] = Item(
            path, address, label and as_text(label), group and as_text(group), split and as_text(split), span
        )
    return items


def _note(ending: str, content: bytes, labels: Sequence[str]) -> dict[str, str]:
    """The fields of a .cls or .json file beside a video."""
    text = content.decode("utf-8-sig", "replace").strip()
    if ending == "cls":
        return {"label": _label(text, labels)}
    try:
        values: Any = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    if not isinstance(values, dict):
        return {}
    note = {name: str(value) for name, value in values.items() if isinstance(value, str) or type(value) is int}
    if type(values.get("label")) is int:
        note["label"] = _label(note["label"], labels)
    return {**note, "split": split_name(note.get("split", ""))}


def _label(text: str, labels: Sequence[str]) -> str:
    is_line = text.isdecimal() and len(text) < 10 and int(text) < len(labels)
    return labels[int(text)] if is_line else text


def _split_of(shard: str) -> str | None:
    """The split that the name of a shard, or of its folder in the data, begins with."""
    for part in reversed(shard.split("/")[-2:]):
        word = re.split(r"[^a-z]", part.lower(), maxsplit=1)[0]
        if (split := split_name(word)) in SPLITS:
            return split
    return None
