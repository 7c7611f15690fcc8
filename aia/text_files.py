"""Reads label files and tables as other programs write them."""

from __future__ import annotations

import codecs
import csv
import io
import json
import logging
import re
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

from aia.errors import AIAError

log = logging.getLogger(__name__)

MAX_TEXT_BYTES = 64 << 20  # a larger file is something else, such as a checkpoint

_MARKS = {codecs.BOM_UTF8: "utf-8", codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}
_NUMBERED = (
    re.compile(r"(?P<number>\d{1,9})(?:\s*[.,:;)=|\t]\s*|\s+[-–—]\s+|\s+)(?P<label>.+)"),
    re.compile(r"(?P<label>.+?)(?:\s*[,:;=|\t]\s*|\s+[-–—]\s+|\s+)(?P<number>\d{1,9})"),
)
_QUOTED = re.compile(r'(?:^|(?<=[,;\t]))\s*"((?:[^"]|"")*)"\s*(?=[,;\t]|$)')  # a cell of a csv
_JSON = re.compile(r'\s*(?:\{|\[\s*")')  # a label may begin with a bracket
_SEPARATORS = ",;\t|"
_WORD = r"(?:class|label|action)?[ _-]?(?:id|idx|index|no|num|number|name|label|class|action)"
_HEADER = re.compile(rf"{_WORD}\W*{_WORD}\W*", re.IGNORECASE)


def check_size(path: str | Path, size: int) -> None:
    """Refuses a file that is too large to be a text, a table or a recipe.

    Raises:
        AIAError: It has more than `MAX_TEXT_BYTES`.
    """
    if size > MAX_TEXT_BYTES:
        raise AIAError(f"{path} is larger than {MAX_TEXT_BYTES >> 20} MB, so it is no text file; give another one.")


def read_file(path: str | Path) -> bytes:
    """The content of a text file.

    Raises:
        AIAError: It is too large.
        OSError: It cannot be read.
    """
    with Path(path).open("rb") as file:
        data = file.read(MAX_TEXT_BYTES + 1)
    check_size(path, len(data))
    return data


def read_text(path: str | Path, data: bytes | None = None) -> str:
    """Reads UTF-8 or UTF-16, with or without a byte order mark, or else Windows-1252.

    Args:
        path: The file.
        data: Its content, if the caller has read it.

    Returns:
        The text; only a line feed ends a line.

    Raises:
        AIAError: It cannot be read, is too large or is not text.
    """
    try:
        data = read_file(path) if data is None else data
    except OSError:
        raise AIAError(f"{path} cannot be read; check the path.") from None
    if data.startswith(b"PK\x03\x04"):
        raise AIAError(f"{path} is an Excel workbook or another archive; save it as CSV or as plain text.")
    mark = next((mark for mark in _MARKS if data.startswith(mark)), b"")
    for encoding in [_MARKS[mark]] if mark else _without_mark(data):
        try:
            text = data[len(mark) :].decode(encoding).replace("\r\n", "\n").replace("\r", "\n").lstrip("\ufeff")
        except UnicodeDecodeError as error:
            line = data.count(b"\n", 0, error.start) + 1
            problem = f"{path} is not readable text (see line {line}); save it as UTF-8."
            continue
        control = re.search(r"[\0-\x08\x0e-\x1f]", text)
        if control:
            line = text.count("\n", 0, control.start()) + 1
            problem = (
                f"{path} is not readable text: line {line} holds the control character {control[0]!r}; remove it, or save "
                "the file as UTF-8."
            )
            break
        if encoding == "cp1252":
            log.warning("%s is not in UTF-8 and is read as Windows-1252; check its accented letters.", path)
        return text
    raise AIAError(problem)


def _without_mark(data: bytes) -> list[str]:
    """The encodings to try. In UTF-16 a line break has a zero byte beside it; zero bytes elsewhere alone are damage."""
    if b"\0" in data and 2 * max(data.count(b"\n\0"), data.count(b"\0\n")) >= data.count(b"\n"):
        return ["utf-16-be" if data[::2].count(0) > data[1::2].count(0) else "utf-16-le"]
    return ["utf-8", "cp1252"]


def read_lines(path: str | Path, data: bytes | None = None) -> list[str]:
    """The lines of a text, stripped, without empty ones. Arguments and errors as for `read_text`."""
    return [line.strip() for line in read_text(path, data).split("\n") if line.strip()]


def read_labels(path: str | Path, data: bytes | None = None) -> tuple[str, ...]:
    """Reads the names of classes, in the order of the classes.

    Args:
        path: One label per line, perhaps in quotes. Each may have a number before or after it, as in "1 ApplyEyeMakeup";
            numbers start at 0 or 1 and may be in any order. A JSON list, or a JSON object of labels and numbers, is read too.
        data: Its content, if the caller has read it.

    Raises:
        AIAError: It cannot be read, or is broken JSON or JSON of another kind.
    """
    text = read_text(path, data)
    if text.lstrip()[:1] in ("{", "["):
        try:
            values = json.loads(text)
        except (ValueError, RecursionError):
            if _JSON.match(text):
                raise AIAError(f"{path} is not valid JSON; correct it, or write one label a line.") from None
            values = None
        if values is not None:
            return _json_labels(values, str(path))
    lines = [_QUOTED.sub(_unquoted, line).strip() for line in text.split("\n")]
    lines = [line for line in lines if line]
    labels = _unnumbered(lines, path)
    if labels != lines:
        log.info("The numbers in %s are taken for the order of the classes: %s, ...", path, labels[0])
    return tuple(labels)


def _unquoted(cell: re.Match[str]) -> str:
    return cell[1].replace('""', '"')


def _unnumbered(lines: Sequence[str], path: str | Path) -> list[str]:
    """Sorts numbered labels and drops the numbers; other labels stay as they are."""
    problem = ""
    for candidates in (lines, lines[1:] if lines and _HEADER.fullmatch(lines[0]) else ()):
        for pattern in _NUMBERED:
            matches = [match for line in candidates if (match := pattern.fullmatch(line))]
            if 1 < len(matches) == len(candidates):
                ordered = _by_number([(int(match["number"]), match["label"]) for match in matches])
                if ordered:
                    return ordered
                if len({match["label"] for match in matches}) == len(matches):
                    problem = problem or _miscount(sorted(int(match["number"]) for match in matches))
    if problem:
        log.warning("%s: the numbers are kept as parts of the labels, since %s; correct or remove them.", path, problem)
    return list(lines)


def _miscount(numbers: list[int]) -> str:
    """The first reason why sorted numbers do not count from 0 or 1."""
    for number, following in pairwise(numbers):
        if following != number + 1:
            return f"{number} comes twice" if following == number else f"{number + 1} is missing"
    return f"they begin with {numbers[0]} instead of 0 or 1"


def _by_number(pairs: list[tuple[int, str]]) -> list[str]:
    """Labels in the order of their numbers; none if a number is missing or a label is repeated."""
    pairs = sorted(pairs)
    counted = [number for number, _ in pairs] in ([*range(len(pairs))], [*range(1, len(pairs) + 1)])
    labels = [label for _, label in pairs]
    return labels if counted and len(set(labels)) == len(labels) else []


def _json_labels(data: object, path: str) -> tuple[str, ...]:
    labels: list[str] = []
    if isinstance(data, list):
        labels = data
    elif isinstance(data, dict):
        for entries in (data.items(), [(value, key) for key, value in data.items()]):
            pairs = [(str(number), label) for number, label in entries]
            if all(re.fullmatch(r"\d{1,9}", number) and isinstance(label, str) for number, label in pairs):
                labels = labels or _by_number([(int(number), label) for number, label in pairs])
    if not labels or not all(isinstance(label, str) for label in labels):
        raise AIAError(f"{path} must be a JSON list of labels, or an object of labels and their numbers from 0 or 1.")
    return tuple(labels)


def read_table(
    path: str | Path, columns: Sequence[str], optional: Sequence[str] = (), *, data: bytes | None = None
) -> Iterator[tuple[int, dict[str, str]]]:
    """Reads a table as spreadsheets write it: separated by comma, semicolon, tab or bar, in any usual encoding.

    Args:
        path: Its first line names the columns, in any order and case.
        columns: Columns that it must have; others are left out.
        optional: Columns that it may have.
        data: Its content, if the caller has read it.

    Yields:
        The number of a row's last line, and its values by column, stripped of spaces. Empty rows are left out.

    Raises:
        AIAError: It cannot be read, lacks a column or has one twice, has no row, or a row has more cells than there are
            columns or is separated otherwise than the first line.
    """
    text = read_text(path, data)
    for delimiter in _SEPARATORS:
        rows = csv.reader(io.StringIO(text), delimiter=delimiter, skipinitialspace=True, strict=True)
        names = _header(rows)
        if set(columns) <= set(names):
            break
    else:
        start = next((line for line in text.split("\n") if line.strip()), "")
        needed = f"columns {', '.join(columns[:-1])} and {columns[-1]}" if columns[1:] else f"column {columns[0]}"
        raise AIAError(f"{path} needs the {needed}; its first line is {start[:80]!r}.")
    repeated = next((name for name in (*columns, *optional) if names.count(name) > 1), None)
    if repeated:
        raise AIAError(f"{path} has the column {repeated} twice; it must have it once.")
    is_empty = True
    try:
        for row in rows:
            others = [
                sign for sign in _SEPARATORS.replace(delimiter, "") if row and row[0].count(sign) >= len(names) - 1
            ]
            if len(row) == 1 < len(names) and others:
                raise AIAError(
                    f"Line {rows.line_num} of {path} is separated by {others[0]!r} and its first line by {delimiter!r}; "
                    "use one of them."
                )
            cells = [cell.strip() for cell in row]
            if any(cells[len(names) :]):
                raise AIAError(
                    f"Line {rows.line_num} of {path} has more cells than there are columns; put quotes around a "
                    f"value that holds {delimiter!r}."
                )
            if any(cells):
                values = dict(zip(names, cells, strict=False))
                is_empty = False
                yield rows.line_num, {name: values.get(name, "") for name in (*columns, *optional)}
    except csv.Error as error:
        raise AIAError(f"Line {rows.line_num} of {path} cannot be read ({error}); check its quotes.") from None
    if is_empty:
        raise AIAError(f"{path} has no row below its column names; add one for each clip.")


def _header(rows: Iterator[list[str]]) -> list[str]:
    """The names in the first row; Excel may write "sep=;" above it."""
    try:
        for row in rows:
            names = [cell.strip().lower() for cell in row]
            if any(names) and not names[0].startswith("sep="):
                return names
    except csv.Error:  # quotes of another separator
        pass
    return []
