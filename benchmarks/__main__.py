"""`python -m benchmarks`."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from aia import console, heap
from aia.cli.options import add_model_options
from aia.errors import AIAError

PARTS = ("forward", "gates", "record", "decode", "request", "startup", "memory", "viewer", "live", "batch")
BY_NAME = ("survey",)  # takes many minutes


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints the tables of the chosen benchmarks and returns the exit status."""
    parser = argparse.ArgumentParser("python -m benchmarks", description="Time everything against its baseline.")
    parser.add_argument(
        "parts", nargs="*", metavar="PART", help=f"{', '.join(PARTS)} (by default), {', '.join(BY_NAME)}"
    )
    parser.add_argument("--video", type=Path, metavar="VIDEO", help="a video of your own instead of drawn ones")
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--json", metavar="FILE", help="write the tables to this file too")
    parser.add_argument("--update", action="store_true", help="put the tables into docs/benchmarks.md")
    add_model_options(parser)
    options = parser.parse_args(arguments)
    heap.keep_freed()  # as the command and the page do
    return console.run(lambda: _run(options))


def _run(options: argparse.Namespace) -> None:
    import benchmarks  # torch takes seconds to import; --help should not
    from aia import files
    from benchmarks.table import Options, machine
    from tools.markdown import DOCS, put

    unknown = next((part for part in options.parts if part not in PARTS + BY_NAME), None)
    if unknown:
        raise AIAError(f"There is no benchmark {unknown!r}; choose from {', '.join(PARTS + BY_NAME)}.")
    measured = Options(
        options.model, options.revision, options.device, options.precision, options.video, options.repeats
    )
    if options.json:
        files.check(options.json)
    tables, document = [], [f"On {machine()}; times are medians of rounds in which all rows took turns."]
    print(document[0])
    for part in options.parts or PARTS:
        for table in benchmarks.run(part, measured):
            print(f"\n{table.to_markdown()}", flush=True)
            tables.append({"part": part, **table.to_dict()})
            document.append(table.to_markdown())
            if options.json:  # after each, since a later one may fail
                files.write_text(options.json, json.dumps(tables, indent=1, default=float) + "\n")
    if options.update:
        put("bench", "\n\n".join(document), DOCS / "benchmarks.md")


if __name__ == "__main__":
    raise SystemExit(main())
