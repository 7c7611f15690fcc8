"""Files that are written as a whole or not at all."""

from __future__ import annotations

import errno
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from aia.errors import AIAError


class NotWritten(AIAError):
    """A place that cannot be written; `reason` holds the system's words for it."""

    def __init__(self, sentence: str, reason: str = "") -> None:
        super().__init__(sentence)
        self.reason = reason


@contextmanager
def writing(path: str | Path) -> Iterator[Path]:
    """Gives a temporary neighbor of a file to write to; it replaces the file when the block ends without an error.

    After an error, on a full disk or after Ctrl-C the file is as it was before. A device or a pipe cannot be replaced, so
    it is written directly.

    Args:
        path: The file; its folder must exist.

    Raises:
        NotWritten: The place cannot be written; the sentence names the path as it was given.
    """
    with _named(path, "file"):
        if _is_device(path):
            yield Path(path)
            return
        target = Path(os.path.realpath(path))  # a link stays a link
        _check(target)
        with _staged(target.parent) as part:
            yield part / target.name


@contextmanager
def writing_into(folder: str | Path) -> Iterator[Path]:
    """Gives a temporary folder to write to; its files move into `folder` when the block ends without an error.

    After an error, on a full disk or after Ctrl-C the folder is as it was before.

    Args:
        folder: Made if missing.

    Raises:
        NotWritten: The place cannot be written; the sentence names the folder as it was given.
    """
    target = Path(folder)
    with _named(folder, "folder"):
        missing = [one for one in (target, *target.parents) if not one.exists()]
        try:
            if not missing and not target.is_dir():
                raise _error(errno.ENOTDIR)
            target.mkdir(parents=True, exist_ok=True)
            with _staged(target) as part:
                yield part
        except BaseException:
            with suppress(OSError):
                for one in missing:
                    one.rmdir()
            raise


def write_text(path: str | Path, text: str) -> None:
    """Writes a text file in UTF-8, as a whole or not at all; errors as of `writing`."""
    with writing(path) as part:
        part.write_text(text, encoding="utf-8")


def check(path: str | Path) -> None:
    """Finds out before a long computation whether its file can be written; errors as of `writing`."""
    with writing(path):
        pass


@contextmanager
def _staged(target: Path) -> Iterator[Path]:
    """A folder inside `target`, whose files move up at the end."""
    with tempfile.TemporaryDirectory(prefix=".aia-", dir=target, ignore_cleanup_errors=True) as part:
        yield Path(part)
        moves = [(file, target / file.name) for file in sorted(Path(part).iterdir())]
        for _, place in moves:
            _check(place)
        for file, place in moves:
            if place.exists():
                shutil.copymode(place, file)
            file.replace(place)


def _check(place: Path) -> None:
    """Refuses to replace a folder, and a file that is protected against writing."""
    if place.is_dir():
        raise _error(errno.EISDIR)
    if place.exists() and not os.access(place, os.W_OK):
        raise _error(errno.EACCES)


def _is_device(path: str | Path) -> bool:
    try:
        mode = Path(path).stat().st_mode
    except FileNotFoundError:
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def _error(number: int) -> OSError:
    return OSError(number, os.strerror(number))


@contextmanager
def _named(path: str | Path, kind: str) -> Iterator[None]:
    """Turns an error of the system into one sentence about `path`."""
    try:
        yield
    except (OSError, NotWritten) as error:
        # NumPy's error for a short write has no number and no words of the system.
        reason = error.reason if isinstance(error, NotWritten) else error.strerror or "the disk may be full"
        raise NotWritten(
            f"{path} cannot be written ({reason}): check the disk and the permissions, or give another {kind}.", reason
        ) from None
