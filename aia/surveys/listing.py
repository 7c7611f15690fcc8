"""What a survey is made of: a folder by class, a table, a pattern, a file, or an address that fsspec reads."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import fsspec

from aia.errors import AIAError
from aia.limits import MAX_UPLOAD_BYTES
from aia.text_files import read_table
from aia.training.data import OTHER_NAMES, SPLITS, VIDEOS, spellings

TABLES = (".csv", ".tsv")
GROUP_COLUMNS = ("group", "scene")  # of a table; the first that it has
TRIES = 3  # for one remote file
PAUSE_SECONDS = 0.5  # before the second; doubled before each further one


@dataclass(frozen=True)
class Item:
    """One clip to survey; see the columns of the same names in `schema.SCHEMA`.

    Attributes:
        path: Relative to what is surveyed, or whole if a table says so.
        address: Where it is read: a local path, or an address with its protocol.
    """

    path: str
    address: str
    label: str | None = None
    group: str | None = None
    split: str | None = None


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
            has them, label, split and group or scene; a pattern such as "clips/*.mp4"; one video; or the address of any of
            these that fsspec reads, such as "s3://bucket/folder".
        root: Folder that a table's files are in. By default the folder with the table's name beside it, or else the table's
            own.
        group_column: Of a table.
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
        raise AIAError(f"{address} holds no videos (such as *.mp4); give a folder, a table or a pattern of videos.")
    chosen = [item for item in items.values() if split in (None, item.split)]
    if not chosen:
        raise AIAError(f"{address} has no clips of the split {split!r:.60}.")
    return chosen


def place_of(address: str) -> Place:
    """The file system of a path or an address, and what it calls it.

    Raises:
        AIAError: There is no such file system, or its package is missing.
    """
    try:
        return Place(*fsspec.core.url_to_fs(address))
    except ImportError as error:  # says which package it needs
        raise AIAError(f"{address} cannot be read without another package: {str(error).splitlines()[0]}") from None
    except Exception as error:  # each file system has errors of its own
        raise AIAError(f"{address} is no address that can be read ({reason(error)}); check how it begins.") from None


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
    """Videos below a folder. The first folder on the way is the class, or the split and the second one the class."""
    items = {}
    for name in names:
        path = top.relative(name)
        *folders, file = path.split("/")
        if not file.lower().endswith(VIDEOS) or any(part.startswith(".") for part in (*folders, file)):
            continue
        split = folders.pop(0) if folders and folders[0] in SPLITS else None
        path = path.encode("utf-8", "backslashreplace").decode()  # a local name may be any bytes
        items[path] = Item(path, top.address(name), folders[0] if folders else None, split=split)
    return items


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


def with_labels(items: list[Item], classes: Mapping[str, str]) -> list[Item]:
    """Replaces the data's own names of classes by the network's labels, as of `Recipe.classes`."""
    return [replace(item, label=classes.get(item.label, item.label)) if item.label else item for item in items]


@contextmanager
def local_file(item: Item) -> Iterator[Path]:
    """The clip as a file on this machine; a remote one is downloaded for as long as the block runs.

    Raises:
        AIAError: It is missing, too large, or cannot be reached in `TRIES` attempts.
    """
    if "://" not in item.address:
        yield Path(item.address)
        return
    place = place_of(item.address)
    with tempfile.TemporaryDirectory(prefix="aia-") as folder:
        path = Path(folder) / ("clip" + PurePosixPath(place.name).suffix[:10])
        for attempt in range(TRIES):
            try:
                if (place.fs.size(place.name) or 0) > MAX_UPLOAD_BYTES:
                    raise AIAError(
                        f"“{item.path}” is larger than {MAX_UPLOAD_BYTES >> 20} MB: cut it or save it smaller."
                    )
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
    """What a file system says of a failure, in a few words."""
    text = next(iter(str(error).splitlines()), "")[:200]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
