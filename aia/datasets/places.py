"""Clips and where they are: on this machine, at an address that fsspec reads, or in a shard."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import fsspec
from fsspec.implementations.local import LocalFileSystem, make_path_posix

from aia.errors import AIAError
from aia.limits import MAX_UPLOAD_BYTES

# endings of the files that are taken from folders and shards
VIDEOS = (
    ".3g2",
    ".3gp",
    ".asf",
    ".avi",
    ".avif",
    ".flv",
    ".gif",
    ".m2ts",
    ".m4v",
    ".mkv",
    ".mov",
    ".mp4",
    ".mpeg",
    ".mpg",
    ".mts",
    ".ogv",
    ".ts",
    ".vob",
    ".webm",
    ".wmv",
)
TRAIN_SPLITS, HELD_OUT_SPLITS = ("train", "background"), ("val", "validation")
SPLITS = ("train", *HELD_OUT_SPLITS, "test")  # names of folders
OTHER_NAMES = {"training": "train", "dev": "val", "valid": "val", "testing": "test"}  # of splits
TRIES = 3  # for one remote file
PAUSE_SECONDS = 0.5  # before the second; doubled before each further one


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
        return isinstance(self.fs, LocalFileSystem)

    @property
    def path(self) -> str:
        """The name without the query of a web address, such as a signature."""
        is_web = self.name.startswith(("http://", "https://"))
        return self.name.partition("?")[0] if is_web else self.name

    def at(self, name: str) -> Place:
        """Another place of the same file system."""
        return self._replace(name=name)

    def address(self, name: str) -> str:
        """A name of this file system with its protocol, or a local path."""
        return name if self.is_local else str(self.fs.unstrip_protocol(name))

    def relative(self, name: str) -> str:
        """A file below this folder, by its path from here, without a query."""
        path, folder = self.at(name).path, self.path.rstrip("/")
        return path[len(folder) :].lstrip("/") if path.startswith(folder) else path


def data_set(text: str | os.PathLike[str]) -> str | Path:
    """A local path, or an address as it is."""
    text = os.fspath(text)
    return text if "://" in text else Path(text)


def place_of(address: str | os.PathLike[str]) -> Place:
    """The file system of a path or an address, and its name there.

    Raises:
        AIAError: There is no such file system, its package is missing, or the address is of a file in another one.
    """
    address = os.fspath(address)
    if "://" not in address:
        return Place(fsspec.filesystem("file"), make_path_posix(address).rstrip("/") or "/")
    if "::" in address:  # the name of a file in an archive would lose the archive
        raise AIAError(f"{address} is an address in another one; copy what is inside, or give shards (*.tar).")
    try:
        return Place(*fsspec.core.url_to_fs(address))
    except ImportError as error:  # says which package it needs
        raise AIAError(f"{address} cannot be read without another package: {str(error).splitlines()[0]}") from None
    except Exception as error:  # each file system has errors of its own
        raise AIAError(
            f"{address} is not an address that can be read ({reason(error)}); check how it begins."
        ) from None


@contextmanager
def reading(address: object) -> Iterator[None]:
    """Makes any error in the block an `AIAError` about an address: each file system has errors of its own."""
    try:
        yield
    except AIAError:
        raise
    except Exception as error:
        raise AIAError(
            f"{address} cannot be read ({reason(error)}); check the address and your access to it."
        ) from None


def split_name(word: str) -> str:
    """The usual name of a split: "Dev" is "val"."""
    return OTHER_NAMES.get(word.lower(), word.lower())


def split_folders(tops: Iterable[str]) -> dict[str, str]:
    """Which top folders of a data set are splits: name -> split.

    "train", "val", "validation" and "test" always are; other spellings, such as "Train" or "dev", if there is no other folder.

    Args:
        tops: All top folders with videos in them.
    """
    names = {top: split_name(top) for top in tops}
    return {top: name for top, name in names.items() if top in SPLITS or set(names.values()) <= {*SPLITS}}


def by_folders(paths: Iterable[str]) -> dict[str, tuple[str | None, str | None]]:
    """Split and class of all videos of a data set: the first folder of a path is the class, or the split before the class."""
    folders = {path: path.split("/")[:-1] for path in paths}
    splits = split_folders({inside[0] for inside in folders.values() if inside})
    found = {}
    for path, inside in folders.items():
        split = splits.get(inside[0]) if inside else None
        kinds = inside[1:] if split else inside
        found[path] = split, kinds[0] if kinds else None
    return found


def as_text(name: str) -> str:
    """A name that may be any bytes, as text that can be written."""
    return name.encode("utf-8", "backslashreplace").decode()


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
