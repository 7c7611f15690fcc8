"""Sends the numbers of each epoch to TensorBoard, or to another tracker that accelerate knows."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aia.errors import AIAError
from aia.training.recipe import Recipe

LOGS = "logs"  # in the run's folder


def check_tracker(name: str) -> None:
    """Checks before a run that a tracker can be used.

    Raises:
        AIAError: accelerate or the tracker's package is missing, or there is no such tracker.
    """
    try:
        from accelerate import tracking
    except ImportError:
        raise AIAError("A tracker needs accelerate; install it: python -m pip install accelerate") from None
    if name not in tracking.LOGGER_TYPE_TO_CLASS:
        known = ", ".join(sorted(tracking.LOGGER_TYPE_TO_CLASS))
        raise AIAError(f"There is no tracker {name[:40]!r}; choose one of {known}.")
    if name not in map(str, tracking.get_available_trackers()):
        raise AIAError(f"The package of the tracker {name} is not installed; install it with pip.")


class Tracker:
    """A tracker of accelerate.

    Args:
        name: Such as "tensorboard", "wandb" or "mlflow"; checked by `check_tracker`.
        folder: Of the run; trackers that write files write them into its folder `LOGS`.
        recipe: Of the run; its numbers and words become the run's configuration.
    """

    def __init__(self, name: str, folder: Path, recipe: Recipe) -> None:
        from accelerate import tracking

        make = tracking.LOGGER_TYPE_TO_CLASS[name]
        place = [str(folder / LOGS)] if make.requires_logging_directory else []
        self._tracker: Any = make(folder.resolve().name, *place)
        if hasattr(self._tracker, "start"):  # older versions of accelerate start it when it is made
            self._tracker.start()
        values = dataclasses.asdict(recipe)
        self._tracker.store_init_configuration(
            {key: value for key, value in values.items() if isinstance(value, str | int | float)}
        )

    def log(self, line: Mapping[str, float]) -> None:
        """Logs the numbers of an epoch."""
        self._tracker.log({key: value for key, value in line.items() if key != "epoch"}, step=int(line["epoch"]))

    def finish(self) -> None:
        """Ends the run."""
        self._tracker.finish()
