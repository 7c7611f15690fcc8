"""An error as the sentence that a visitor reads."""

from __future__ import annotations

import errno
import logging
import secrets

import aia
from aia.files import NotWritten
from app import text

log = logging.getLogger(__name__)


def sentence(error: Exception) -> str:
    """What a visitor is told about an error: our own sentences as they are, of a bug only a number to report."""
    if isinstance(error, NotWritten) or (isinstance(error, OSError) and error.errno == errno.ENOSPC):
        log.error("%s", error)
        return text.DISK
    if isinstance(error, aia.AIAError):
        return str(error)
    number = secrets.token_hex(4)
    log.error("report %s", number, exc_info=error)
    return text.CRASH.format(id=number)
