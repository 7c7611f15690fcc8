"""One folder for whatever the page writes: uploads, answers, exports; it goes with the page, or with the next one."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows: there a killed page's folder stays
    fcntl = None

PREFIX = "aia-studio-"


@contextmanager
def folder() -> Iterator[Path]:
    """A folder apart from those of other pages on this machine, in which all temporary files of this process then lie.

    What a page left that was killed is deleted: its folder is held by a lock, which the system opens with its end.
    """
    with tempfile.TemporaryDirectory(prefix=PREFIX) as name:
        held = _lock(Path(name))
        for other in Path(name).parent.glob(f"{PREFIX}*"):
            with suppress(OSError):
                if (lock := _lock(other)) is not None:
                    shutil.rmtree(other, ignore_errors=True)
                    os.close(lock)
        before, tempfile.tempdir = tempfile.tempdir, name
        try:
            yield Path(name)
        finally:
            tempfile.tempdir = before
            if held is not None:
                os.close(held)


def _lock(path: Path) -> int | None:
    """The lock of one of our own folders, as an open file; None where another page has it, or there are no locks."""
    if fcntl is None:
        return None
    file = None
    try:
        file = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        if os.fstat(file).st_uid == os.getuid():
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return file
    except OSError:
        pass
    if file is not None:
        os.close(file)
    return None
