"""Turns an error into the sentence that a visitor reads."""

from __future__ import annotations

import errno
import logging
import secrets

import aia
from aia.files import NotWritten
from app import text

log = logging.getLogger(__name__)


def sentence(error: Exception) -> str:
    """The sentence for a visitor: an `AIAError` as it is, for a bug only a number to report."""
    if isinstance(error, NotWritten) or (isinstance(error, OSError) and error.errno == errno.ENOSPC):
        log.error("%s", error)
        return text.DISK
    if isinstance(error, aia.AIAError):
        return str(error)
    number = secrets.token_hex(4)
    log.error("report %s", number, exc_info=error)
    return text.CRASH.format(id=number)
