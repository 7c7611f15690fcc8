"""The files of a survey: written completely or not at all, and read to find what is already done."""

from __future__ import annotations

import hashlib
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from aia import files
from aia.datasets.places import place_of, reason
from aia.errors import AIAError
from aia.surveys.schema import About, part_names

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]  # the usual sign of a missing module

ROWS = 256  # of a part; each has about 100 kB
SECONDS = 60.0  # after which a part is written with fewer
_OBJECT_STORES = ("s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "hf")  # show an object when it is complete
_MUST_AGREE = {
    "weights": "other weights",
    "config_hash": "another configuration",
    "precision": "another precision",
    "reference": "another reference",
    "ablate": "another --ablate",
    "data": "other data",
    "root": "another --root",
    "split": "another --split",
    "group_column": "another --group-column",
    "schema": "another version of this program",
}


def folder_of(out: str) -> str:
    """A folder by its full path, which means the same to every process of this machine, or an address as it is.

    Raises:
        AIAError: There is no such file system, or its package is missing.
    """
    place = place_of(out)
    return place.name if place.is_local else out


def write_part(folder: str, table: pa.Table, about: About) -> None:
    """Writes rows as one part, completely or not at all. The same clips give the same name, so a repeat adds no duplicates.

    Raises:
        AIAError: It cannot be written.
    """
    paths = "\n".join(sorted(table.column("path").to_pylist()))
    name = f"part-{hashlib.sha256(paths.encode('utf-8', 'surrogateescape')).hexdigest()[:16]}.parquet"
    sink = pa.BufferOutputStream()
    metadata = {**(table.schema.metadata or {}), **about.metadata()}
    pq.write_table(table.replace_schema_metadata(metadata), sink, compression="zstd", use_dictionary=False)
    content = sink.getvalue()
    if _is_address(folder):
        _upload(folder, name, content.to_pybytes())
        return
    with files.writing(Path(folder) / name) as part:
        part.write_bytes(content)


def surveyed(folder: str, about: About) -> tuple[set[str], About]:
    """The paths of the clips that a folder already has rows of, and the `About` of its parts.

    Args:
        folder: Need not exist.
        about: Of the survey to come.

    Returns:
        The paths, and `about` as the folder has it, which may have another name for the model.

    Raises:
        AIAError: The parts are of another network, other data or other options, or one is damaged.
    """
    filesystem, root = place_of(folder)
    paths: set[str] = set()
    known: About | None = None
    try:
        names = part_names(filesystem, root)
    except Exception as error:  # each file system has errors of its own
        raise AIAError(
            f"{folder} cannot be read ({type(error).__name__}); check the address and your access."
        ) from None
    for name in names:
        try:
            with filesystem.open(name) as file:
                table = pq.read_table(file, columns=["path"])
            known = known or About.from_metadata(table.schema.metadata)
        except (OSError, KeyError, ValueError, pa.ArrowException):
            raise AIAError(
                f"{name} is not a part of a survey or is damaged; remove it, or give another --out."
            ) from None
        paths.update(table.column("path").to_pylist())
    if known is None:
        return paths, about
    for field, words in _MUST_AGREE.items():
        has, wants = getattr(known, field), getattr(about, field)
        is_older = has is None or (field == "root" and not has)  # a survey that does not name it
        if has != wants and not is_older:
            raise AIAError(f"{folder} holds a survey of {known.model} with {words}; give another --out.")
    return paths, known


@contextmanager
def claimed(out: str) -> Iterator[str]:
    """Creates a folder and keeps other surveys of this machine out of it while the block runs. Yields it as `folder_of` does.

    Raises:
        AIAError: It cannot be written, or another survey is writing to it; the sentence names it as given.
    """
    folder = folder_of(out)
    if _is_address(folder):
        _upload(folder, ".aia-check", b"")
        yield folder
        return
    try:
        with files.writing_into(folder):
            pass
    except files.NotWritten as error:
        raise files.NotWritten(out + str(error).removeprefix(folder), error.reason) from None
    lock = os.open(folder, os.O_RDONLY) if fcntl else None
    try:
        if lock is not None:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise AIAError(f"Another survey is writing to {out}; wait for it, or give another --out.") from None
        for rest in Path(folder).glob(".aia-*"):  # left by a killed run
            shutil.rmtree(rest, ignore_errors=True)
        yield folder
    finally:
        if lock is not None:
            os.close(lock)


def _upload(folder: str, name: str, content: bytes) -> None:
    filesystem, root = place_of(folder)
    try:
        filesystem.makedirs(root, exist_ok=True)
        whole = f"{root.rstrip('/')}/{name}"
        if folder.partition("://")[0] in _OBJECT_STORES:
            filesystem.pipe_file(whole, content)
            return
        part = f"{root.rstrip('/')}/.aia-{uuid.uuid4().hex}"
        filesystem.pipe_file(part, content)
        if filesystem.exists(whole):  # a repeat
            filesystem.rm_file(part)
        else:
            filesystem.mv(part, whole)
    except Exception as error:  # each file system has errors of its own
        raise AIAError(f"{folder} cannot be written ({reason(error)}); check the address and your access.") from None


def _is_address(folder: str) -> bool:
    return "://" in folder
