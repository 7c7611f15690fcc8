"""What everything costs, each figure beside its baseline in the same run: `python -m benchmarks`.

A part of the benchmark is a module here with one function, `tables(options)`.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator

from benchmarks.table import Options, Table


def run(part: str, options: Options) -> Iterator[Table]:
    """Measures one part, named as its module; tables come as they are ready.

    Raises:
        AIAError: Something that the part needs is missing, or a video cannot be read.
    """
    yield from importlib.import_module(f"benchmarks.{part}").tables(options)
