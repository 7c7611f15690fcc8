"""Writes files completely or not at all."""

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
    """A path that cannot be written; `reason` is the system's message."""

    def __init__(self, sentence: str, reason: str = "") -> None:
        super().__init__(sentence)
        self.reason = reason


@contextmanager
def writing(path: str | Path) -> Iterator[Path]:
    """Yields a temporary file to write to, which replaces `path` when the block ends without an error.

    After an error, on a full disk or after Ctrl-C the file is as it was before. A device or a pipe cannot be replaced, so
    it is written directly.

    Args:
        path: The file; its folder must exist.

    Raises:
        NotWritten: The path cannot be written; the sentence names it as given.
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
    """Yields a temporary folder to write to, whose files move into `folder` when the block ends without an error.

    After an error, on a full disk or after Ctrl-C the folder is as it was before.

    Args:
        folder: Created if missing.

    Raises:
        NotWritten: The folder cannot be written; the sentence names it as given.
    """
    target = Path(folder)
    with _named(folder, "folder"):
        missing = [path for path in (target, *target.parents) if not path.exists()]
        try:
            if not missing and not target.is_dir():
                raise _error(errno.ENOTDIR)
            target.mkdir(parents=True, exist_ok=True)
            with _staged(target) as part:
                yield part
        except BaseException:
            with suppress(OSError):
                for path in missing:
                    path.rmdir()
            raise


def write_text(path: str | Path, text: str) -> None:
    """Writes a text file in UTF-8. Errors as for `writing`."""
    with writing(path) as part:
        part.write_text(text, encoding="utf-8")


def check(path: str | Path) -> None:
    """Checks before a long computation whether its file can be written. Errors as for `writing`."""
    with writing(path):
        pass


@contextmanager
def _staged(target: Path) -> Iterator[Path]:
    """Yields a folder inside `target`, whose files move to `target` at the end."""
    with tempfile.TemporaryDirectory(prefix=".aia-", dir=target, ignore_cleanup_errors=True) as part:
        yield Path(part)
        moves = [(file, target / file.name) for file in sorted(Path(part).iterdir())]
        for _, destination in moves:
            _check(destination)
        for file, destination in moves:
            if destination.exists():
                shutil.copymode(destination, file)
            file.replace(destination)


def _check(path: Path) -> None:
    """Refuses to replace a folder or a write-protected file."""
    if path.is_dir():
        raise _error(errno.EISDIR)
    if path.exists() and not os.access(path, os.W_OK):
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
    """Turns a system error into one sentence about `path`."""
    try:
        yield
    except (OSError, NotWritten) as error:
        # NumPy's error for a short write has no number and no system message.
        reason = error.reason if isinstance(error, NotWritten) else error.strerror or "the disk may be full"
        raise NotWritten(
            f"{path} cannot be written ({reason}): check the disk and the permissions, or give another {kind}.", reason
        ) from None
