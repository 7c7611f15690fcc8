"""`load`: from a name to a network. Related names can be imported from here, too."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from aia.hub import DEFAULT_MODEL
from aia.hub.files import (
    CONFIG,
    REFERENCE,
    WEIGHTS,
    available_models,
    check_tensors,
    download,
    is_here,
    read_weights,
)
from aia.locations import CHECKPOINTS

if TYPE_CHECKING:  # torch takes seconds to import, and listing models does not need it
    import torch

    from aia.hub.pretrained import AIANet

__all__ = [
    "CHECKPOINTS",
    "CONFIG",
    "DEFAULT_MODEL",
    "REFERENCE",
    "WEIGHTS",
    "available_models",
    "best_device",
    "check_tensors",
    "download",
    "is_here",
    "load",
    "read_weights",
]


def best_device() -> torch.device:
    """The fastest available device: cuda, mps or cpu."""
    from aia.hub import pretrained

    return pretrained.best_device()


def load(
    name: str | Path,
    *,
    revision: str | None = None,
    device: str | torch.device | None = None,
    optimize: bool = True,
    precision: str = "float32",
) -> AIANet:
    """Loads a pretrained network.

    The name is looked up in this order: a folder, a shipped name, the Hub's cache on this machine, the Hub. Only
    `config.json`, `model.safetensors` and `reference.safetensors` of a repository are read, never pickled weights. A private
    repository's token is taken from the environment variable HF_TOKEN only.

    Args:
        name: A folder, one of `available_models()`, or "user/repo".
        revision: Branch, tag or commit of a Hub repository. Once cached, a branch is not checked for updates.
        device: Where to put the network; the fastest one by default.
        optimize: Runs inference in its quick form, see `AIANet.optimize`: the same numbers except for rounding. Otherwise the
            network runs as `blocks.py` and `attention.py` write it.
        precision: Of the quick form: "float32", "bfloat16", "float16", or "auto" for the quickest on this device.

    Returns:
        The network in eval mode.

    Raises:
        AIAError: Nothing by that name, no connection, files that are not a valid AIA model, no such device, or a revision of
            a model that is not on the Hub.

    Example:
        >>> import aia
        >>> aia.load("tsm-mobilenetv2-cinst", device="cpu")
        AIANet('tsm-mobilenetv2-cinst', 'TSM with CinST, mobilenet_v2', 11 labels, AIA in 17 blocks, cpu)
    """
    from aia.hub.pretrained import AIANet

    return AIANet.from_pretrained(name, revision=revision, device=device, optimize=optimize, precision=precision)
