"""The command line: everything the page does, without a browser, and training, conversion and evaluation."""

from __future__ import annotations

import argparse
import logging
import re
import sys
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

from aia import console
from aia.cli import clips, models, studies
from aia.cli.options import BATCH

_RENAMED = {"localise": "localize"}  # commands of version 0.1
log = logging.getLogger(__name__)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command.

    Returns:
        The exit status: 0; 1 after an error, which is printed to standard error; 2 for wrong usage; else see `console.run`.
    """
    return console.run(lambda: _main(sys.argv[1:] if arguments is None else arguments))


def _main(arguments: Sequence[str]) -> int:
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    logging.getLogger("fontTools").setLevel(logging.WARNING)  # it tells each step of embedding a font into a PDF
    options = _parsed(_with_batch(_with_new_name(arguments)))
    command: Callable[[argparse.Namespace], int] = options.run
    return command(options)


class _Parser(argparse.ArgumentParser):
    def print_help(self, file: Any = None) -> None:
        """Prints the help; argparse would drop the error of an output that is full."""
        (file or sys.stdout).write(self.format_help())


def _parser() -> argparse.ArgumentParser:
    parser = _Parser("python -m aia", description="Attention in Attention for video classifiers.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for group in (clips, models, studies):
        group.add(commands)
    return parser


def _parsed(words: Sequence[str]) -> argparse.Namespace:
    """Parses a command. Options may stand among the files or models; argparse would take those before the options only."""
    parser = _parser()
    for before, word in pairwise(["", *words]):
        if not word or re.fullmatch(r"--[\w-]+=", word):
            option = word or before
            name = option.rstrip("=") if option.startswith("--") else f"An argument of {words[0]}"
            parser.error(f"{name} is empty; give a value.")
    options, rest = parser.parse_known_args(words)
    several = getattr(options, "videos", getattr(options, "models", None))
    end = rest.index("--") if "--" in rest else len(rest)  # every word behind it is a file
    unknown = [word for word in rest[:end] if several is None or word.startswith("-")]
    if unknown:
        parser.error(f"unrecognized arguments: {' '.join(unknown)}")
    if several is not None:
        several += [*rest[:end], *rest[end + 1 :]]
    return options


def _with_new_name(arguments: Sequence[str]) -> Sequence[str]:
    """Replaces a command's old name."""
    if not arguments or arguments[0] not in _RENAMED:
        return arguments
    log.warning("The command %s is now %s; the old name will be removed in 0.3.", arguments[0], _RENAMED[arguments[0]])
    return [_RENAMED[arguments[0]], *arguments[1:]]


def _with_batch(arguments: Sequence[str]) -> list[str]:
    """Gives a bare --batch its number; argparse would take the next file for it."""
    words = list(arguments)
    if words[:1] != ["classify"]:
        return words
    for index, word in enumerate(words):
        if word == "--":
            break
        following = words[index + 1 : index + 2]
        if len(word) > 2 and "--batch".startswith(word) and not (following and _is_number(following[0])):
            words[index] = f"--batch={BATCH}"
    return words


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
