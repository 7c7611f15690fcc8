"""Limits: one place, one table, a variable for each, and a sentence for an invalid value."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys

import pytest
from conftest import ROOT

import aia
from aia import limits


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, env={**os.environ, **environment}, capture_output=True, text=True
    )


def test_the_docs_list_every_limit():
    text = (ROOT / "docs" / "limits.md").read_text(encoding="utf-8")
    listed = re.search("<!-- limits:begin -->\n\n(.*?)\n\n<!-- limits:end -->", text, re.DOTALL)[1]
    assert listed == limits.table(), 'python -c "from aia import limits; print(limits.table())" writes it'


def test_all_shipped_models_may_be_in_memory():
    assert len(aia.available_models()) <= limits.MODELS_IN_MEMORY


def test_every_limit_has_a_name_a_unit_and_a_meaning():
    names = {name for name in vars(limits) if name.isupper() and isinstance(getattr(limits, name), int)} - {
        "MAX_FACTOR"
    }
    assert names == {limit.name for limit in limits.LIMITS} and len(names) > 20
    assert all(limit.unit and limit.meaning and limit.default >= 1 for limit in limits.LIMITS)


# Imports the limits once for each value of the variable, and prints what came of it.
EACH = """
import importlib, json, os, sys
from aia import limits
for given in json.loads(sys.argv[1]):
    os.environ["AIA_MAX_SECONDS"] = given
    try:
        importlib.reload(limits)
        print(json.dumps([limits.MAX_SECONDS, limits.QUEUE]))
    except SystemExit as end:
        print(json.dumps(end.code))
"""


def read_as(*given: str) -> list:
    done = run("-c", EACH, json.dumps(given))
    assert done.returncode == 0 and done.stderr == "", done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_a_variable_sets_its_limit():
    given = {"7": 7, " 30 ": 30, "1": 1, "": 120, "120000": 120_000}
    assert read_as(*given) == [[value, limits.QUEUE] for value in given.values()]


def expect_refusal(said: str, given: str) -> None:
    assert "\n" not in said and said.startswith(f"AIA_MAX_SECONDS is {given[:40]!r}, but must be")
    assert "a whole number of seconds from 1 to 120000" in said and said.endswith("default of 120.")


def test_nonsense_is_refused_in_one_sentence():
    given = ["0", "-1", "two", "1.5", "1e3", "120001", "9" * 5000, "100 MB"]
    for value, said in zip(given, read_as(*given), strict=True):
        expect_refusal(said, value)


@pytest.mark.slow
@pytest.mark.parametrize("program", [["app.py"], ["-m", "aia", "classify", "assets/examples/circle.mp4"]])
def test_nonsense_ends_every_program_with_its_sentence(program):
    done = run(*program, AIA_MAX_SECONDS="two")
    assert done.returncode == 1 and done.stdout == ""
    expect_refusal(done.stderr.removesuffix("\n"), "two")


@pytest.mark.long
def test_a_limit_of_the_environment_is_kept():
    done = run("-m", "aia", "classify", "assets/examples/circle.mp4", AIA_MAX_SECONDS="1", CUDA_VISIBLE_DEVICES="")
    assert done.returncode == 1 and "is longer than 1 s: cut it" in done.stderr
