"""One result of the page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import aia


@dataclass(frozen=True, eq=False)
class Result:
    """One result, and what to run to get it again.

    Attributes:
        video: The file.
        model: A name that the page offers.
        backwards: Whether the clip was played backwards.
        switches: Changes made to the gates.
        seen: What came out; its frames are no larger than `app.service.requests.KEPT_SIDE`.
    """

    video: str
    model: str
    backwards: bool
    switches: tuple[aia.Switch, ...]
    seen: aia.Inspection
