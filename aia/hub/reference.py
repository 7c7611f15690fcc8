"""reference.safetensors: what is typical for a model's gates, beside its weights."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from aia import files
from aia.errors import AIAError
from aia.hub.files import REFERENCE, check_header
from aia.limits import MAX_REFERENCE_BYTES
from aia.modeling.config import AIAConfig
from aia.modeling.reference import Reference, from_arrays

_NUMBERS = ("num_clips", "num_segments", "input_size")


def write_reference(folder: str | Path, reference: Reference) -> Path:
    """Writes a reference into a model's folder, in half precision. Returns the file.

    Raises:
        AIAError: The folder cannot be written.
    """
    arrays = {name: np.ascontiguousarray(values, np.float16) for name, values in reference.arrays().items()}
    about = {name: str(getattr(reference, name)) for name in _NUMBERS} | {"kind": reference.kind}
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
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        numbers = {name: int(about[name]) for name in _NUMBERS}
        kind = about["kind"]
    except (SafetensorError, OSError, ValueError, KeyError, TypeError, struct.error):
        raise AIAError(f"{path.name} is damaged or no reference; make it again, or remove it.") from None
    if any(values.dtype not in (np.float16, np.float32) for values in arrays.values()):
        raise AIAError(f"{path.name} holds values that are no floating point numbers; make it again, or remove it.")
    return from_arrays(arrays, config, kind=kind, **numbers)
