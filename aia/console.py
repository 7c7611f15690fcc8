"""Runs a command: output in any encoding, one sentence for an error, and the exit status that Unix expects."""

from __future__ import annotations

import codecs
import errno
import io
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import TextIO

from aia.errors import AIAError

BROKEN_PIPE, INTERRUPTED = 128 + 13, 128 + 2  # as a shell reports SIGPIPE and SIGINT
_OUTPUT = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EBADF, errno.EINVAL)
_PLAIN = str.maketrans(
    {"−": "-", "–": "-", "—": "-", "·": "-", "“": '"', "”": '"', "’": "'", "×": "x", "±": "+/-", "→": "->", "…": "..."}
)


def run(command: Callable[[], int | None]) -> int:
    r"""Runs a command and prints an error as one sentence on standard error.

    Letters that the output's encoding lacks are replaced by plain ones or by their number, such as `\u2713`. What is
    written to a closed output is dropped.

    Args:
        command: May return an exit status; None is 0.

    Returns:
        The exit status: the command's own; 1 after an `AIAError` or if the output cannot be written; 130 after Ctrl-C;
        141, without a message, if the reader of the output has exited, as with `| head -1`.
    """
    _open_streams()
    try:
        try:
            return command() or 0
        finally:
            sys.stdout.flush()
    except AIAError as error:
        return _fail(str(error))
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        _discard(sys.stdout)
        _discard(sys.stderr)
        return BROKEN_PIPE
    except OSError as error:
        if error.filename is not None:
            return _fail(f"{error.filename} cannot be used ({error.strerror}).")
        if error.errno in _OUTPUT:
            _discard(sys.stdout)
            return _fail(f"The output cannot be written ({error.strerror}).")
        if error.errno is not None:
            return _fail(f"A system call failed: {error.strerror}.")
        raise


def _open_streams() -> None:
    """Makes both streams accept every text. A closed one is opened; otherwise the next opened file would get its number."""
    while (number := os.open(os.devnull, os.O_RDWR)) < 3:
        pass
    os.close(number)
    codecs.register_error("plain", _plain)
    sys.stdout, sys.stderr = (
        open(os.devnull, "w", encoding="utf-8") if stream is None else stream  # noqa: PTH123, SIM115  stays open
        for stream in (sys.stdout, sys.stderr)
    )
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="plain")


def _plain(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text = error.object[error.start : error.end].translate(_PLAIN)
    return text.encode("ascii", "backslashreplace").decode(), error.end


def _fail(sentence: str) -> int:
    with suppress(OSError):
        print(sentence, file=sys.stderr, flush=True)
    _discard(sys.stderr)
    return 1


def _discard(stream: TextIO) -> None:
    """Drops what a stream cannot write. Otherwise Python would try again at its exit, and complain."""
    try:
        stream.flush()
    except (OSError, ValueError):
        with suppress(OSError, ValueError):
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, stream.fileno())
            os.close(null)
