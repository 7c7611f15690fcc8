"""reference.safetensors: what is typical for a model's gates, beside its weights."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from aia import files
from aia.errors import AIAError
from aia.hub.files import REFERENCE, check_header
from aia.limits import MAX_REFERENCE_BYTES
from aia.modeling.config import AIAConfig
from aia.modeling.reference import Reference, from_arrays

if TYPE_CHECKING:  # torch takes seconds to import, and the page reads references without it
    from aia.modeling.network import AIANet

_NUMBERS, _WORDS = ("num_clips", "num_segments", "input_size"), ("kind", "weights")
_TYPES = {"F16", "F32"}  # of the other types some would be read and some would fail in NumPy


def write_reference(folder: str | Path, reference: Reference) -> Path:
    """Writes a reference into a model's folder, in half precision. Returns the file.

    Raises:
        AIAError: The folder cannot be written.
    """
    arrays = {name: np.ascontiguousarray(values, np.float16) for name, values in reference.arrays().items()}
    about = {name: str(getattr(reference, name)) for name in (*_NUMBERS, *_WORDS)}
    path = Path(folder) / REFERENCE
    with files.writing(path) as part:
        part.write_bytes(save(arrays, about))
    return path


def read_reference(path: Path, config: AIAConfig) -> Reference:
    """Reads a reference, as strictly as weights.

    Args:
        path: The file.
        config: The network that it must fit.

    Raises:
        AIAError: The file is damaged or too large, an array is missing, extra or misshapen, or a value is out of range.
    """
    try:
        if path.stat().st_size > MAX_REFERENCE_BYTES:
            raise AIAError(f"{path.name} is larger than {MAX_REFERENCE_BYTES >> 20} MiB; no reference is.")
        check_header(path)
        with safe_open(path, framework="numpy") as file:
            about = file.metadata() or {}
            if not {file.get_slice(name).get_dtype() for name in file.keys()} <= _TYPES:  # noqa: SIM118
                raise AIAError(
                    f"{path.name} holds values that are not floats of 16 or 32 bits; make it again, or remove it."
                )
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        numbers = {name: int(about[name]) for name in _NUMBERS}
        words = {name: about[name] for name in _WORDS}
    except (SafetensorError, OSError, ValueError, KeyError, TypeError, struct.error):
        raise AIAError(f"{path.name} is damaged or not a reference; make it again, or remove it.") from None
    return from_arrays(arrays, config, kind=words["kind"], weights=words["weights"], **numbers)


def reference_of(model: AIANet, path: Path) -> Reference | None:
    """The reference beside a model's weights; None if there is no such file.

    Args:
        model: With its weights.
        path: Where the file would be.

    Raises:
        AIAError: As in `read_reference`, or the reference was made from other weights.
    """
    if not path.is_file():
        return None
    reference = read_reference(path, model.config)
    if reference.weights != model.fingerprint():
        raise AIAError(f"{path.name} was made from other weights; make it again, or remove it.")
    return reference
