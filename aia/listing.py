"""Lists the clips of a data set: a folder per class, a table, a pattern, shards, a file, or an address that fsspec reads."""

from __future__ import annotations

import json
import os
import re
import tarfile
import tempfile
import time
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import fsspec

from aia.errors import AIAError
from aia.limits import MAX_UPLOAD_BYTES
from aia.text_files import read_labels, read_table

# endings of the files that are taken from folders and shards
VIDEOS = (
    ".3gp",
    ".asf",
    ".avi",
    ".flv",
    ".gif",
    ".m4v",
    ".mkv",
    ".mov",
    ".mp4",
    ".mpeg",
    ".mpg",
    ".ts",
    ".webm",
    ".wmv",
)
TRAIN_SPLITS, HELD_OUT_SPLITS = ("train", "background"), ("val", "validation")
SPLITS = ("train", *HELD_OUT_SPLITS, "test")  # names of folders
OTHER_NAMES = {"training": "train", "dev": "val", "valid": "val", "testing": "test"}  # of splits
TABLES = (".csv", ".tsv")
SHARDS = ".tar"
LABELS_FILE = "labels.txt"
GROUP_COLUMNS = ("group", "scene")  # of a table; the first that it has
TRIES = 3  # for one remote file
PAUSE_SECONDS = 0.5  # before the second; doubled before each further one
_HEADS = 1 << 16  # bytes fetched at a time to list a shard
_NOTE_BYTES = 1 << 20  # a larger file is not a label


@dataclass(frozen=True)
class Item:
    """One clip of a data set.

    Attributes:
        path: Relative to the data set, or absolute if a table has it so.
        address: Where it is read from: a local path, or an address with its protocol; the shard's for a clip in a shard.
        label: Its class in the data; None if unknown.
        group: Scene or source video: clips of one group are not independent observations.
        split: "train", "val", "test", ...
        span: Start and end in the shard, in bytes; None for a file of its own.
    """

    path: str
    address: str
    label: str | None = None
    group: str | None = None
    split: str | None = None
    span: tuple[int, int] | None = None


class Place(NamedTuple):
    """A file system, and a folder or file in it, by the file system's own name."""

    fs: Any
    name: str

    @property
    def is_local(self) -> bool:
        """Whether it is on this machine."""
        return isinstance(self.fs, fsspec.implementations.local.LocalFileSystem)

    def at(self, name: str) -> Place:
        """Another place of the same file system."""
        return self._replace(name=name)

    def address(self, name: str) -> str:
        """A name of this file system with its protocol, or a local path."""
        return name if self.is_local else str(self.fs.unstrip_protocol(name))

    def relative(self, name: str) -> str:
        """A file below this folder, by its path from here."""
        return name[len(self.name.rstrip("/")) :].lstrip("/") if name.startswith(self.name.rstrip("/")) else name


def list_clips(
    data: str | os.PathLike[str], *, root: str | None = None, group_column: str | None = None, split: str | None = None
) -> list[Item]:
    """Lists the clips of a data set, in the order of its table or of their names.

    Args:
        data: A folder (`CLASS/...` or `SPLIT/CLASS/...`, or with one table in it), a table with the column file and, if it
            has them, label, split and group or scene; a pattern such as "clips/*.mp4"; one video; shards (see `_shard`), by
            their folder, a pattern or one of them; or the address of any of these that fsspec reads, such as
            "s3://bucket/folder".
        root: Folder that a table's files are in. By default the folder with the table's name beside it, or else the table's
            own.
        group_column: The column of a table that has the group; group or scene by default.
        split: Only the clips of this split.

    Raises:
        AIAError: Nothing is there, it cannot be reached, a table cannot be read, or there are no videos.
    """
    address = os.fspath(data)
    place = place_of(address)
    try:
        items = _items(place, address, root, group_column)
    except AIAError:
        raise
    except Exception as error:  # each file system has errors of its own
        raise AIAError(
            f"{address} cannot be read ({reason(error)}); check the address and your access to it."
        ) from None
    if not items:
        raise AIAError(
            f"{address} holds no videos (such as *.mp4); give a folder, a table, a pattern of videos, or shards (*.tar)."
        )
    chosen = [item for item in items.values() if split in (None, item.split)]
    if not chosen:
        raise AIAError(f"{address} has no clips of the split {split!r:.60}.")
    return chosen


def place_of(address: str) -> Place:
    """The file system of a path or an address, and its name there.

    Raises:
        AIAError: There is no such file system, or its package is missing.
    """
    try:
        return Place(*fsspec.core.url_to_fs(address))
    except ImportError as error:  # says which package it needs
        raise AIAError(f"{address} cannot be read without another package: {str(error).splitlines()[0]}") from None
    except Exception as error:  # each file system has errors of its own
        raise AIAError(
            f"{address} is not an address that can be read ({reason(error)}); check how it begins."
        ) from None


def _items(place: Place, address: str, root: str | None, group_column: str | None) -> dict[str, Item]:
    fs, name = place
    if any(sign in name for sign in "*?[") and not (place.is_local and os.path.lexists(name)):
        top = name[: min(name.index(sign) for sign in "*?[" if sign in name)].rpartition("/")[0]
        return _videos(place.at(top), sorted(fs.glob(name)))
    if fs.isdir(name):
        inside = sorted(file for file in _names(fs, name) if _is_table(file))
        if len(inside) > 1:
            raise AIAError(f"{address} holds {len(inside)} csv files; give one of them instead of the folder.")
        if inside:
            return _table(place.at(inside[0]), place.address(inside[0]), root, group_column)
        return _videos(place, sorted(fs.find(name)))
    if not fs.exists(name):
        raise AIAError(f"{address} was not found; check the path or address.")
    if _is_table(name):
        return _table(place, address, root, group_column)
    return _videos(place.at(name.rpartition("/")[0]), [name])


def _names(fs: Any, folder: str) -> list[str]:
    return [str(entry) for entry in fs.ls(folder, detail=False)]


def _is_table(name: str) -> bool:
    path = PurePosixPath(name)
    return path.suffix.lower() in TABLES and not path.name.startswith((".", "~"))


def _videos(top: Place, names: list[str]) -> dict[str, Item]:
    """Videos and shards below a folder."""
    items: dict[str, Item] = {}
    for name in names:
        path = top.relative(name)
        if any(part.startswith(".") for part in path.split("/")):
            continue
        if path.lower().endswith(SHARDS):
            items |= _shard(top, name)
        elif path.lower().endswith(VIDEOS):
            split, label = _folders(path)
            path = path.encode("utf-8", "backslashreplace").decode()  # a local name may be any bytes
            items[path] = Item(path, top.address(name), label, split=split)
    return items


def _folders(path: str) -> tuple[str | None, str | None]:
    """Split and class by the folders of a path: the first one is the class, or the split and the second one the class."""
    *folders, _ = path.split("/")
    split = folders.pop(0) if folders and folders[0] in SPLITS else None
    return split, folders[0] if folders else None


def _shard(top: Place, name: str) -> dict[str, Item]:
    """The videos of a tar in the layout of WebDataset: the files of one clip share a name up to its first dot.

    Beside `key.mp4`, a file `key.cls` has the class: its name, or its line (from 0) in the labels.txt beside the shard. Or
    `key.json` has label, and perhaps group (or scene) and split. Otherwise the folder in the tar is the class. The name of
    the shard or of its folder begins with the split: "train-000.tar".
    """
    shard, address = top.relative(name), top.address(name)
    file = _content(top.at(f"{name.rpartition('/')[0]}/{LABELS_FILE}"))
    labels = read_labels(*file) if file else ()
    videos: dict[str, tarfile.TarInfo] = {}
    notes: dict[str, dict[str, str]] = {}
    try:
        with top.fs.open(name, block_size=_HEADS) as stream, tarfile.open(fileobj=stream, mode="r:") as tar:
            for member in tar:
                folder, _, base = member.name.removeprefix("./").rpartition("/")
                key, _, ending = base.partition(".")
                if not member.isfile() or not key:
                    continue
                if base.lower().endswith(VIDEOS):
                    videos[f"{folder}/{key}"] = member
                elif ending.lower() in ("cls", "json") and member.size <= _NOTE_BYTES:
                    content = tar.extractfile(member)
                    assert content is not None
                    notes.setdefault(f"{folder}/{key}", {}).update(_note(ending.lower(), content.read(), labels))
    except (tarfile.TarError, EOFError):
        raise AIAError(f"{address} is not a readable tar; shards must be complete and not compressed.") from None
    items = {}
    for key, member in videos.items():
        note, inside = notes.get(key, {}), member.name.removeprefix("./")
        split, label = _folders(inside)
        path = f"{shard}/{inside}".encode("utf-8", "backslashreplace").decode()
        items[path] = Item(
            path,
            address,
            note.get("label") or label,
            note.get("group") or note.get("scene"),
            note.get("split") or split or _split_of(name),
            (member.offset_data, member.offset_data + member.size),
        )
    return items


def _note(ending: str, content: bytes, labels: Sequence[str]) -> dict[str, str]:
    """The fields of a .cls or .json file beside a video."""
    text = content.decode("utf-8", "replace").strip()
    if ending == "cls":
        is_line = text.isdecimal() and int(text) < len(labels)
        return {"label": labels[int(text)] if is_line else text}
    try:
        values = json.loads(text)
    except ValueError:
        return {}
    return {key: value for key, value in values.items() if isinstance(value, str)} if isinstance(values, dict) else {}


def _split_of(shard: str) -> str | None:
    """The split that the name of a shard, or of its folder, begins with."""
    for part in reversed(shard.split("/")[-2:]):
        word = re.split(r"[^a-z]", part.lower(), maxsplit=1)[0]
        if (split := OTHER_NAMES.get(word, word)) in SPLITS:
            return split
    return None


def _content(place: Place) -> tuple[str, bytes] | None:
    return (place.address(place.name), place.fs.cat_file(place.name)) if place.fs.isfile(place.name) else None


def labels_beside(data: str | os.PathLike[str]) -> tuple[str, bytes] | None:
    """Name and content of labels.txt in a folder, or beside a table, a shard or a pattern; None if there is none.

    Raises:
        AIAError: There is no such file system.
    """
    place = place_of(os.fspath(data))
    folder = place.name if place.fs.isdir(place.name) else re.split(r"[*?\[]", place.name)[0].rpartition("/")[0]
    return _content(place.at(f"{folder.rstrip('/')}/{LABELS_FILE}"))


def _table(table: Place, shown: str, root: str | None, group_column: str | None) -> dict[str, Item]:
    """The rows of a table. A file that is missing becomes an error later, like any that cannot be read."""
    if root is not None:
        folder = place_of(root)
    else:
        beside = table.at(table.name[: -len(PurePosixPath(table.name).suffix)])
        folder = beside if table.fs.isdir(beside.name) else table.at(table.name.rpartition("/")[0])
    groups = (group_column.lower(),) if group_column else GROUP_COLUMNS
    needed = ("file", groups[0]) if group_column else ("file",)
    items: dict[str, Item] = {}
    for line, row in read_table(shown, needed, ("label", "split", *groups), data=table.fs.cat_file(table.name)):
        if not row["file"]:
            raise AIAError(f"Line {line} of {shown} names no file; name one, or remove the line.")
        path, address = _file(folder, row["file"])
        group, split = next((row[name] for name in groups if row[name]), None), row["split"].lower()
        item = Item(path, address, row["label"] or None, group, OTHER_NAMES.get(split, split) or None)
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


def is_local(item: Item) -> bool:
    """Whether a clip is a file of its own on this machine."""
    return item.span is None and "://" not in item.address


@contextmanager
def local_file(item: Item) -> Iterator[Path]:
    """The clip as a file on this machine; one that is remote or in a shard is copied for as long as the block runs.

    Raises:
        AIAError: It is missing, too large, or cannot be reached in `TRIES` attempts.
    """
    if is_local(item):
        yield Path(item.address)
        return
    place = place_of(item.address)
    with tempfile.TemporaryDirectory(prefix="aia-") as folder:
        path = Path(folder) / ("clip" + PurePosixPath(item.path).suffix[:10])
        for attempt in range(TRIES):
            try:
                size = item.span[1] - item.span[0] if item.span else place.fs.size(place.name) or 0
                if size > MAX_UPLOAD_BYTES:
                    raise AIAError(
                        f"“{item.path}” is larger than {MAX_UPLOAD_BYTES >> 20} MB: cut it or save it smaller."
                    )
                if item.span:
                    content = place.fs.cat_file(place.name, *item.span)
                    if len(content) != size:  # a server may ignore the requested range
                        raise OSError(f"{len(content)} bytes came instead of {size}")
                    path.write_bytes(content)
                else:
                    place.fs.get_file(place.name, str(path))
                break
            except FileNotFoundError:
                raise AIAError(f"“{item.path}” was not found: check the name.") from None
            except AIAError:
                raise
            except Exception as error:  # each file system has errors of its own
                if attempt + 1 == TRIES:
                    raise AIAError(f"“{item.path}” could not be read from its address ({reason(error)}).") from None
                time.sleep(PAUSE_SECONDS * 2**attempt)
        yield path


def reason(error: Exception) -> str:
    """A file system's error in a few words."""
    text = next(iter(str(error).splitlines()), "")[:200]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
