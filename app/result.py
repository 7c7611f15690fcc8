"""One result of the page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import aia
    from aia.inspection.batch import Classified


@dataclass(frozen=True, eq=False)
class Result:
    """What a model said about a clip, and what it takes to compute it again.

    Attributes:
        video: Path of the video file.
        model: Name of a model that the page offers.
        backwards: Whether the clip was played backwards.
        switches: Changes made to the gates.
        inspection: Prediction and gates. Its frames are no larger than `app.service.requests.KEPT_SIDE`.
        asked: What the model of each group says about the clip, or why it says nothing, by the group's task. Empty while
            they are being asked; None if only this model was asked.
    """

    video: str
    model: str
    backwards: bool
    switches: tuple[aia.Switch, ...]
    inspection: aia.Inspection
    asked: Mapping[str, Classified | aia.AIAError] | None = None
