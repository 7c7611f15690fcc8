"""Compiles the C files beside this one, once for each machine and version; callers fall back to PyTorch without it."""

from __future__ import annotations

import ctypes
import hashlib
import logging
import os
import platform
import shlex
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

from torch import Tensor

log = logging.getLogger(__name__)

NATIVE = "-march=native"  # unknown to compilers for some processors
# Sums may be reordered, so that loops use the processor's vectors. A compiler may drop a test for NaN or infinity, except
# behind the FORGET of `inference.c`.
FLAGS = (
    *("-O3", NATIVE, "-shared", "-fPIC", "-std=gnu11", "-fno-math-errno", "-fno-trapping-math"),
    *("-fno-signed-zeros", "-fassociative-math", "-freciprocal-math", "-ffinite-math-only"),
)


@cache
def library(name: str, *defines: str) -> ctypes.CDLL | None:
    """The functions of a C file.

    Args:
        name: Of the file, such as "inference.c".
        defines: Macros to define.

    Returns:
        The compiled file, or None without a C compiler that can compile it.
    """
    given = os.environ.get("CC", "")
    compiler = shlex.split(given) or [path for path in map(shutil.which, ("cc", "gcc", "clang")) if path][:1]
    if not compiler:
        _warn_once("The gates run without compiled passes, which is slower: there is no C compiler.")
        return None
    source = Path(__file__).with_name(name)
    command = [*compiler, *FLAGS, *(f"-D{define}" for define in defines), str(source)]
    try:
        return _load(command, f"{source.stem}-{_key(source, command[:-1])}.so")
    except (OSError, subprocess.SubprocessError) as error:
        _warn_once("The gates run without compiled passes, which is slower: the C compiler failed.")
        log.info("%s\n%s", error, (getattr(error, "stderr", None) or b"").decode(errors="replace"))
        return None


@cache
def _warn_once(message: str) -> None:
    log.warning(message)


def _key(source: Path, command: list[str]) -> str:
    """A digest of everything that the compiled file depends on."""
    headers = sorted(source.parent.glob("*.h"))
    content = b"".join(file.read_bytes() for file in (source, *headers))
    return hashlib.sha256(content + " ".join([*command, platform.machine(), _processor()]).encode()).hexdigest()[:16]


def _load(command: list[str], name: str) -> ctypes.CDLL:
    """Loads a file from the user's cache, compiled if it is new there; without such a cache, compiles it for this process."""
    try:
        folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "aia-studio"
        folder.mkdir(parents=True, exist_ok=True)
        if not (folder / name).is_file():
            _compile(command, folder / name)
        return ctypes.CDLL(str(folder / name))
    except (OSError, RuntimeError):  # RuntimeError: there is no home folder
        _warn_once("The compiled passes cannot be kept in the user's cache; every process compiles them again.")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as temporary:  # a loaded file may be deleted
        _compile(command, Path(temporary) / name)
        return ctypes.CDLL(str(Path(temporary) / name))


def _compile(command: list[str], path: Path) -> None:
    """Compiles for this processor and with OpenMP, which then shares PyTorch's threads; without what the compiler lacks."""
    portable = [argument for argument in command if argument != NATIVE]
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        part = Path(folder) / path.name
        for attempt in ([*command, "-fopenmp"], command, [*portable, "-fopenmp"], portable):
            try:
                result = subprocess.run([*attempt, "-o", str(part)], capture_output=True, timeout=120)
            except OSError as error:  # not one of the cache's
                raise subprocess.SubprocessError(str(error)) from None
            if not result.returncode:
                break
        result.check_returncode()
        part.replace(path)


def _processor() -> str:
    """The processor's features, on Linux: a file that was compiled for one processor may not run on another."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return ""
    return next((line for line in lines if line.startswith(("flags", "Features"))), "")


def multiplies_bfloat16() -> bool:
    """Whether this processor reports instructions for products of bfloat16."""
    return not {"amx_bf16", "avx512_bf16", "bf16"}.isdisjoint(_processor().split())


def call(function: Any, *arguments: Tensor | float | int | bytes | None) -> int:
    """Calls a function of a C file.

    Args:
        function: Such as `library("inference.c").run`; ctypes does not export its type.
        arguments: A tensor is passed as the address of its values, bytes as a string, None as NULL.

    Returns:
        The function's result if it returns an int; otherwise it means nothing.
    """
    if function.argtypes is None:
        kinds = {int: ctypes.c_int, float: ctypes.c_float}
        function.argtypes = [kinds.get(type(value), ctypes.c_void_p) for value in arguments]
    result: int = function(*[value.data_ptr() if isinstance(value, Tensor) else value for value in arguments])
    return result
