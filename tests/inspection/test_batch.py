"""What classifying many files promises: the answers of one by one, in order, whatever the files, and an end when asked."""

from __future__ import annotations

import dataclasses
import json
import signal
import subprocess
import sys
import threading

import pytest
from conftest import ROOT, moving_frames, others_long, small_net

import aia
from aia.cli import main
from aia.inspection.batch import BATCH, Classified, classify
from aia.visualization.render import write_mp4


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Five videos of different lengths and sizes, and one that is none, in the middle."""
    folder = tmp_path_factory.mktemp("many")
    for number, (count, height, width) in enumerate(
        [(9, 48, 64), (30, 96, 128), (12, 64, 48), (8, 48, 64), (40, 60, 80)]
    ):
        write_mp4(folder / f"{number}.mp4", moving_frames(count, height, width, seed=number), 10)
    (folder / "2b.mp4").write_bytes(b"no video" * 99)
    return sorted(folder.iterdir())


@pytest.fixture(scope="module")
def folder(net, tmp_path_factory):
    path = tmp_path_factory.mktemp("models") / "small"
    net.save_pretrained(path, config=net.config)
    return str(path)


def lines(capsys, *arguments) -> list[dict]:
    """What `python -m aia classify --json` prints."""
    main(["classify", *map(str, arguments), "--json"])
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


@pytest.mark.slow
@pytest.mark.parametrize("batch", others_long([1, 2, 4, 9], 4))
def test_each_file_gets_the_answer_that_it_gets_alone_and_in_its_place(net, files, batch):
    answers = list(classify(net, files, batch=batch))
    assert len(answers) == len(files)
    for file, answer in zip(files, answers, strict=True):
        if file.name == "2b.mp4":
            assert isinstance(answer, aia.AIAError) and "2b.mp4" in str(answer)
            continue
        alone = aia.inspect(net, aia.read_clip(file))
        assert answer.logits == pytest.approx(alone.logits, abs=1e-4)
        assert answer.scores == pytest.approx(alone.scores, abs=1e-5)
        assert (answer.label, answer.is_confident, answer.model) == (alone.label, alone.is_confident, "small")
        assert answer.indices.tolist() == alone.clip.indices.tolist() and answer.warnings == alone.clip.warnings


def test_a_warning_about_a_file_comes_with_its_answer(net, files, tmp_path):
    whole = files[-1].read_bytes()
    (tmp_path / "cut.mp4").write_bytes(whole[: len(whole) * 9 // 10])
    (answer,) = classify(net, [tmp_path / "cut.mp4"])
    assert "end of the file" in answer.warnings[0]


@pytest.mark.slow
def test_a_clip_that_the_network_cannot_answer_does_not_stop_the_others(net, files):
    broken = small_net()
    broken.head.bias.data[:] = float("nan")
    assert [type(answer) for answer in classify(broken, files[:2])] == [aia.AIAError] * 2
    careful = small_net()
    careful.config = dataclasses.replace(net.config, threshold=0.999)
    assert [answer.is_confident for answer in classify(careful, files[:2])] == [False, False]


@pytest.mark.slow
def test_files_are_read_only_a_little_ahead(net, files):
    asked = []

    def endless():
        while True:
            asked.append(1)
            yield files[0]

    answers = classify(net, endless(), batch=3)
    for _ in range(7):
        assert isinstance(next(answers), Classified)
    assert len(asked) <= 15, "two batches ahead of the third"
    answers.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("reader")]


@pytest.mark.long
def test_the_command_says_the_same_with_and_without_batches(folder, files, capsys):
    alone = lines(capsys, *files, "--model", folder)
    for arguments in (["--batch"], ["--batch", "3"]):
        together = lines(capsys, *files, "--model", folder, *arguments)
        assert [line["file"] for line in together] == [str(file) for file in files]
        for one, other in zip(alone, together, strict=True):
            assert one.keys() == other.keys() and one.get("error") == other.get("error")
            assert one.get("frames") == other.get("frames") and one.get("label") == other.get("label")
            assert one.get("scores") == pytest.approx(other.get("scores"), abs=1e-5)
    assert main(["classify", *map(str, files), "--model", folder, "--batch"]) == 1, "one of them is no video"
    out, err = capsys.readouterr()
    assert len(out.splitlines()) == 5 and len(err.splitlines()) == 1 and "2b.mp4" in err


def test_the_default_of_the_command_is_the_librarys(capsys):
    with pytest.raises(SystemExit):
        main(["classify", "--help"])
    assert f"({BATCH} if N is left out, otherwise 1)" in " ".join(capsys.readouterr().out.split())


def test_a_batch_of_nothing_is_refused_in_a_sentence(folder, files, capsys):
    assert main(["classify", str(files[0]), "--model", folder, "--batch", "0"]) == 1
    out, err = capsys.readouterr()
    assert out == "" and err.strip() == "A batch has one clip or more, not 0."


@pytest.mark.long
@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C cannot be sent to one process there")
def test_ctrl_c_ends_it_at_once(folder, files):
    command = [sys.executable, "-m", "aia", "classify", *[str(files[1])] * 2000, "--model", folder, "--batch"]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    process.stdout.readline()
    process.send_signal(signal.SIGINT)
    out, err = process.communicate()
    assert process.returncode == 130 and "Traceback" not in err
    assert len(out.splitlines()) < 1999
