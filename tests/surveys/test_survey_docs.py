"""The programs of docs/survey.md run, and the commands in it exist."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys

import duckdb
import pytest
from conftest import ROOT
from surveyed import data_set, model_folder

import aia
from aia.cli import _parser
from aia.datasets.listing import list_clips

TEXT = (ROOT / "docs" / "survey.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", TEXT, re.DOTALL)


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    home = tmp_path_factory.mktemp("docs")
    data_set(home / "data")
    aia.survey(home / "data", model_folder(home / "model", home / "data"), home / "survey", ablate="blocks")
    return home


@pytest.mark.long
def test_every_query_gives_rows_about_this_survey(home, monkeypatch):
    monkeypatch.chdir(home)
    results = [duckdb.sql(query).df() for query in blocks("sql")]
    assert len(results) > 5 and all(len(result) for result in results)
    accuracy, errors, blocks_by_deviation, ends, profiles, ablated, channels = results
    assert accuracy["clips"].tolist() == [3, 3] and errors["path"].tolist() == ["left/broken.mp4"]
    assert len(blocks_by_deviation) == 8 and len(ends) == 6 and len(profiles) == 2 * 8 * 8
    assert len(ablated) == 8 * 3 and len(channels) == 10


@pytest.mark.long
def test_every_python_program_runs(home):
    (home / "clips").symlink_to(home / "data")
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", "\n".join(blocks("python"))]
    ended = subprocess.run(command, cwd=home, env=environment, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    assert "layer1.0" in ended.stdout and "left/broken.mp4" in ended.stdout
    clips = sorted((home / "clips").glob("*/*.mp4"))
    assert [clip.label for clip in list_clips(home / "shards")] == [clip.parent.name for clip in clips]


def test_the_commands_have_the_options_that_the_page_gives_them():
    commands = re.findall(r"^\s*aia (survey .*?)(?: +#.*)?$", "\n".join(blocks("bash")), re.MULTILINE)
    assert len(commands) > 6
    for command in commands:
        _parser().parse_args(shlex.split(command))
