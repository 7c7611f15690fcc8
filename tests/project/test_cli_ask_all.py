"""`aia classify --model all`: the best shipped model of each group answers."""

import json
import os
import shutil
import subprocess
import sys

import pytest
from conftest import small_net
from small_project import OF_ALL_GROUPS, copy_project

from aia.cli import main

SAYS = ["gestures: no gesture (91%)", "camera: pan left (96%)", "actions: not sure; closest: surfing (51%)"]


@pytest.fixture(scope="module")
def project(tmp_path_factory, video):
    """A project that ships models of three groups, with two clips and a file that is none."""
    root = tmp_path_factory.mktemp("three") / "project"
    copy_project(root, {name: (small_net("cinst", "tsn"), knows) for name, knows in OF_ALL_GROUPS.items()})
    for name in ("a.mp4", "b.mp4"):
        shutil.copy(video, root / name)
    (root / "bad.mp4").write_text("no video")
    return root


def classify(project, *arguments):
    command = [sys.executable, "-m", "aia", "classify", "--device", "cpu", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(project)}
    return subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True)


@pytest.mark.long
def test_each_group_has_its_line_for_each_file(project):
    done = classify(project, "a.mp4", "b.mp4", "--model", "all", "--batch", "2")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [f"{file}: {said}" for file in ("a.mp4", "b.mp4") for said in SAYS]


@pytest.mark.long
def test_as_json_a_file_has_one_object_with_the_answers_of_single_models(project):
    done = classify(project, "a.mp4", "--model", "all", "--json")
    (line,) = done.stdout.splitlines()
    said = json.loads(line)
    assert (said["file"], said["model"], list(said["answers"])) == ("a.mp4", "all", ["gestures", "camera", "actions"])
    camera = said["answers"]["camera"]
    alone = json.loads(classify(project, "a.mp4", "--model", camera["model"], "--json").stdout)
    assert alone.pop("file") == "a.mp4" and alone == camera


@pytest.mark.long
def test_a_file_that_cannot_be_read_is_told_once_and_the_others_are_answered(project):
    done = classify(project, "bad.mp4", "a.mp4", "--model", "all", "--json")
    assert done.returncode == 1 and len(done.stderr.splitlines()) == 1 and "bad.mp4" in done.stderr
    bad, good = map(json.loads, done.stdout.splitlines())
    assert bad.keys() == {"file", "error"} and len(good["answers"]) == 3


@pytest.mark.parametrize("command", ["classify", "live"])
def test_shipped_models_have_no_revision_also_when_all_are_asked(command, capsys):
    assert main([command, "a.mp4", "--model", "all", "--revision", "v1"]) == 1
    said = capsys.readouterr()
    assert "'all' stands for shipped models" in said.err and len(said.err.splitlines()) == 1 and not said.out


@pytest.mark.long
def test_a_damaged_model_is_one_sentence(project, tmp_path):
    copied = tmp_path / "project"
    shutil.copytree(project, copied)
    (copied / "checkpoints" / "camera-tsn-mobilenetv2-cinst" / "model.safetensors").write_bytes(b"no weights")
    done = classify(copied, "a.mp4", "--model", "all")
    assert done.returncode == 1 and "damaged" in done.stderr and len(done.stderr.splitlines()) == 1
