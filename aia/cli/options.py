"""What several commands share: the options that choose a model, loading it, and patterns of files."""

from __future__ import annotations

import argparse
import glob
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeAlias

from aia.errors import AIAError
from aia.hub import DEFAULT_MODEL

if TYPE_CHECKING:  # torch takes seconds to import, and --help does not need it
    from aia.hub.pretrained import AIANet

    Commands: TypeAlias = argparse._SubParsersAction[argparse.ArgumentParser]

BATCH, MAX_BATCH = 4, 256  # clips; see aia/inspection/batch.py


def add_model_options(command: argparse.ArgumentParser) -> None:
    """Adds the options that choose a model, its device and its precision."""
    command.add_argument("--model", default=DEFAULT_MODEL, help=f"shipped name, folder or user/repo ({DEFAULT_MODEL})")
    command.add_argument("--revision", help="of a Hub repository")
    command.add_argument("--device", choices=("cpu", "cuda", "mps"), help="the fastest one by default")
    command.add_argument("--precision", choices=("float32", "bfloat16", "float16", "auto"), default="float32")


def expanded(names: Sequence[str]) -> list[str]:
    """Replaces patterns by their matches, since not every shell expands them. An existing file is not taken for a pattern."""
    files = []
    for name in names:
        matches = [] if os.path.lexists(name) else sorted(glob.glob(name, recursive=True))  # noqa: PTH207  keeps "./"
        files += matches or [name]
    return files


def load_chosen(options: argparse.Namespace) -> AIANet:
    """Loads the model that the options choose."""
    return load_model(options.model, revision=options.revision, device=options.device, precision=options.precision)


def load_model(
    name: str, *, revision: str | None = None, device: str | None = None, precision: str = "float32"
) -> AIANet:
    """Loads a model. An error in a folder names the folder as it was given."""
    from aia.hub.loading import load

    try:
        return load(name, revision=revision, device=device, precision=precision)
    except AIAError as error:
        if os.path.isdir(name) and repr(name) not in str(error):  # noqa: PTH112  any text is allowed
            raise AIAError(f"{name}: {error}") from None
        raise
