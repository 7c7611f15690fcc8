"""Benchmarks, each with its baseline in the same run: `python -m benchmarks`.

Each part is a module with one function, `tables(options)`.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator

from benchmarks.table import Options, Table


def run(part: str, options: Options) -> Iterator[Table]:
    """Measures one part, named like its module. Yields each table as soon as it is complete.

    Raises:
        AIAError: A requirement of the part is missing, or a video cannot be read.
    """
    yield from importlib.import_module(f"benchmarks.{part}").tables(options)
