"""C files beside this one, compiled once for each machine and version; who calls them has a way without."""

from __future__ import annotations

import ctypes
import hashlib
import logging
import os
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

from torch import Tensor

log = logging.getLogger(__name__)

# Sums may be reordered, so that loops use the processor's vectors; the files read no NaN or infinity on purpose.
FLAGS = (
    *("-O3", "-march=native", "-shared", "-fPIC", "-std=gnu11", "-fno-math-errno", "-fno-trapping-math"),
    *("-fno-signed-zeros", "-fassociative-math", "-freciprocal-math", "-ffinite-math-only"),
)


@cache
def library(name: str, *defines: str) -> ctypes.CDLL | None:
    """The functions of a C file.

    Args:
        name: Of the file, such as "inference.c".
        defines: Macros to define.

    Returns:
        The compiled file, or None where there is no C compiler or it fails.
    """
    compiler = os.environ.get("CC") or shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if not compiler:
        return None
    source, flags = Path(__file__).with_name(name), [*FLAGS, *(f"-D{define}" for define in defines)]
    key = hashlib.sha256(source.read_bytes() + " ".join([compiler, *flags, _processor()]).encode()).hexdigest()[:16]
    try:
        root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "aia-studio"
        path = root / f"{source.stem}-{key}.so"
        if not path.is_file():
            root.mkdir(parents=True, exist_ok=True)
            _compile([compiler, *flags, str(source)], path)
        return ctypes.CDLL(str(path))
    except (OSError, RuntimeError, subprocess.SubprocessError) as error:  # RuntimeError: there is no home
        log.info("The gates run without compiled passes: %s", error)
        return None


def _compile(command: list[str], path: Path) -> None:
    """With OpenMP, whose threads are then PyTorch's own; without it where the compiler lacks it."""
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        part = Path(folder) / path.name
        for parallel in (["-fopenmp"], []):
            result = subprocess.run([*command, *parallel, "-o", str(part)], capture_output=True, timeout=120)
            if not result.returncode:
                break
        result.check_returncode()
        part.replace(path)


def _processor() -> str:
    """What tells one processor from another on Linux; a library made for one may not run on the next."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return ""
    return next((line for line in lines if line.startswith(("flags", "Features"))), "")


def multiplies_bfloat16() -> bool:
    """Whether this processor says that it has instructions for products of bfloat16."""
    return not {"amx_bf16", "avx512_bf16", "bf16"}.isdisjoint(_processor().split())


def call(function: ctypes._CFuncPtr, *arguments: Tensor | float | int | None) -> int:
    """Calls a C function: a tensor is passed as where its values lie, None as NULL; returns what an int function does."""
    if function.argtypes is None:
        kinds = {int: ctypes.c_int, float: ctypes.c_float}
        function.argtypes = [kinds.get(type(value), ctypes.c_void_p) for value in arguments]
    return function(*[value.data_ptr() if isinstance(value, Tensor) else value for value in arguments])
