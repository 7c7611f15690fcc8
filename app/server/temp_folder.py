"""One folder for all files that the page writes: uploads, answers, exports. It is deleted when the page ends."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

try:
    import fcntl
except ImportError:  # on Windows the folder of a killed page stays
    fcntl = None  # type: ignore[assignment]  # a module

PREFIX = "aia-studio-"


@contextmanager
def folder() -> Iterator[Path]:
    """A folder of this process, for all of its temporary files.

    Folders of killed pages are deleted: a running page locks its folder, and the system releases the lock when it ends.
    """
    with tempfile.TemporaryDirectory(prefix=PREFIX) as name:
        own_lock = _lock(Path(name))
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
            if own_lock is not None:
                os.close(own_lock)


def uploads(own: Path) -> Path:
    """The folder of the uploads: in the page's own folder, or in the one that GRADIO_TEMP_DIR names.

    There it is a folder apart: the page deletes old files in it, and other programs may keep theirs beside it.
    """
    given = os.environ.get("GRADIO_TEMP_DIR")
    return Path(given) / "aia-studio" if given else own / "uploads"


def _lock(path: Path) -> int | None:
    """Locks a folder of this user and returns the open file; None if another page has the lock, or there are no locks."""
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
