"""Encodes video files in another process: an encoder that crashes, or changes its process, does not touch the tests' own."""

from __future__ import annotations

import functools
import importlib
import os
import pickle
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")
START = "import encoder; encoder.serve()"
_serving = False  # is this the other process?
_lock = threading.Lock()
_process: subprocess.Popen | None = None


def in_encoder(function: Callable[P, T]) -> Callable[P, T]:
    """Lets a function of a module run in the other process; its arguments and its result can be pickled."""

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        if _serving:
            return function(*args, **kwargs)
        request = pickle.dumps((function.__module__, function.__name__, args, kwargs))
        with _lock:
            try:
                result, error = _answer(request)
            except (EOFError, BrokenPipeError):  # it crashed, here or after its last answer
                result, error = _answer(request)
        assert not error, error
        return result

    return call


def process() -> subprocess.Popen:
    """The other process, which starts when it is first needed and ends with this one."""
    global _process
    if _process is None or _process.poll() is not None:
        _process = subprocess.Popen(
            [sys.executable, "-c", START],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
    return _process


def _answer(request: bytes) -> tuple[object, str]:
    other = process()
    try:
        other.stdin.write(request)
        other.stdin.flush()
        return pickle.load(other.stdout)
    except (EOFError, BrokenPipeError):
        other.wait()
        raise


def serve() -> None:
    """What the other process does: calls functions until the tests' process ends."""
    global _serving
    _serving = True
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what an encoder prints is no answer
    while True:
        try:
            module, name, args, kwargs = pickle.load(sys.stdin.buffer)
        except EOFError:
            return
        try:
            answer = getattr(importlib.import_module(module), name)(*args, **kwargs), ""
        except Exception:
            answer = None, traceback.format_exc()
        pickle.dump(answer, answers)
        answers.flush()
