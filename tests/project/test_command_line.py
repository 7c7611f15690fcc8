"""What a command promises to a shell: its output anywhere, one sentence for an error, names as given, and its exit status."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

import benchmarks.__main__
from aia import console, files
from aia.cli import _parsed, _with_batch, main
from aia.cli.options import BATCH, expanded
from aia.errors import AIAError
from app.server import address
from tools import soak

posix = pytest.mark.skipif(os.name != "posix", reason="pipes and signals are those of POSIX")


def shell(command: str, folder, **environment: str) -> subprocess.CompletedProcess:
    """A line of a shell, in which AIA is `python -m aia` and PROGRAM what `program` wrote."""
    python = shlex.quote(sys.executable)
    line = command.replace("AIA", f"{python} -m aia").replace("PROGRAM", f"{python} program.py")
    told = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
    return subprocess.run(["bash", "-c", line], cwd=folder, env=told, capture_output=True)


def program(folder, *lines: str) -> None:
    """Writes a command of a few lines, which does without torch."""
    head = ["import sys, time", "from aia import console", "from aia.errors import AIAError", "def command():"]
    body = [*head, *(f"    {line}" for line in lines), "sys.exit(console.run(command))"]
    (folder / "program.py").write_text("\n".join(body), encoding="utf-8")


@pytest.fixture(scope="module")
def folder(net, video, tmp_path_factory):
    """A folder with a model and three videos in it."""
    path = tmp_path_factory.mktemp("work")
    (path / "config").mkdir()
    (path / "classes" / "wave").mkdir(parents=True)
    shutil.copy(video, path / "classes" / "wave")
    (path / "r.json").write_text('{"network": {"input_size": 32, "resize": [32, 32]}, "batch_size": 1}')
    net.save_pretrained(path / "small")
    (path / "clips").mkdir()
    for name in ("a.mp4", "b.mp4", "clips/c.mp4"):
        shutil.copy(video, path / name)
    return path


@pytest.fixture
def inside(folder, monkeypatch):
    monkeypatch.chdir(folder)
    return folder


def sentence(text: str) -> str:
    """Holds what stands on standard error to the project's rule."""
    assert text.endswith(("\n", ".")) and len(text.splitlines()) == 1 and "Traceback" not in text, text
    return text.strip()


# ---------------------------------------------------------------- where the output goes


@pytest.mark.long
@posix
def test_a_reader_that_has_enough_ends_the_command_without_a_word(folder):
    many = " ".join(["a.mp4"] * 300)
    done = shell(f"AIA classify {many} --model small | head -1; exit ${{PIPESTATUS[0]}}", folder)
    assert done.returncode == 141 and done.stderr == b"" and done.stdout.count(b"\n") == 1


@pytest.mark.slow
@posix
@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("command", ["print(1, flush=True)", "print(1)", "[print(n) for n in range(10**5)]"])
def test_a_broken_pipe_is_silent_wherever_it_breaks(command, unbuffered, tmp_path):
    program(tmp_path, "time.sleep(0.5)", command)
    done = shell("PROGRAM | true; exit ${PIPESTATUS[0]}", tmp_path, PYTHONUNBUFFERED=unbuffered)
    assert (done.returncode, done.stderr) == (141, b"")


@posix
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_an_output_that_is_full_is_told(unbuffered, tmp_path):
    program(tmp_path, "print(1)")
    done = shell("PROGRAM > /dev/full", tmp_path, PYTHONUNBUFFERED=unbuffered)
    assert done.returncode == 1
    assert sentence(done.stderr.decode()) == "The output cannot be written (No space left on device)."
    done = shell("PROGRAM > /dev/full 2> /dev/full", tmp_path, PYTHONUNBUFFERED=unbuffered)
    assert done.returncode == 1


@pytest.mark.slow
@posix
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_help_that_does_not_fit_the_output_is_told(unbuffered, tmp_path):
    done = shell("AIA survey --help > /dev/full", tmp_path, PYTHONUNBUFFERED=unbuffered)
    assert done.returncode == 1
    assert sentence(done.stderr.decode()) == "The output cannot be written (No space left on device)."


@pytest.mark.long
@posix
def test_a_closed_output_takes_everything_and_is_no_file_of_the_command(folder, tmp_path):
    done = shell("AIA inspect a.mp4 --out new --model small >&- 2>&- <&-", folder)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    json.loads((folder / "new" / "inspection.json").read_text(encoding="utf-8"))
    program(tmp_path, "print(1)", 'raise AIAError("No.")')
    for closed, out, err in ((">&-", b"", b"No.\n"), ("2>&-", b"1\n", b""), ("<&- >&- 2>&-", b"", b"")):
        done = shell(f"PROGRAM {closed}", tmp_path)
        assert (done.returncode, done.stdout, done.stderr) == (1, out, err)


@pytest.mark.long
def test_the_tables_print_in_the_encoding_of_windows():
    command = [sys.executable, "-m", "aia", "evaluate"]
    done = subprocess.run(command, cwd=ROOT, env={**os.environ, "PYTHONIOENCODING": "cp1252"}, capture_output=True)
    assert done.returncode == 0 and done.stderr == b""
    text = done.stdout.decode("cp1252")
    assert "TSN with CinST - TSN" in text and "TSN with C -> ST" in text and " ± " in text


@posix
@pytest.mark.parametrize(
    "environment",
    [{"PYTHONIOENCODING": "ascii"}, {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}, {"LC_ALL": "C"}],
)
def test_any_text_can_be_said(environment, tmp_path):
    program(tmp_path, 'print("− “手” \\udcff")', 'raise AIAError("“b” is no ✓.")')
    done = shell("PROGRAM", tmp_path, **environment)
    assert done.returncode == 1
    if "PYTHONIOENCODING" in environment:
        assert done.stdout == b'- "\\u624b" \\udcff\n' and done.stderr == b'"b" is no \\u2713.\n'
    assert b"Traceback" not in done.stderr and done.stdout.startswith(("−".encode(), b"-"))


# ---------------------------------------------------------------- how it ends


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (None, 0, ""),
        (AIAError("No such thing."), 1, "No such thing.\n"),
        (KeyboardInterrupt(), 130, ""),
        (files.NotWritten("x cannot be written."), 1, "x cannot be written.\n"),
        (PermissionError(13, "Permission denied", "clips"), 1, "clips cannot be used (Permission denied).\n"),
    ],
)
def test_every_end_has_its_status(error, status, said, capsys):
    def command() -> None:
        if error is not None:
            raise error

    assert console.run(command) == status
    assert capsys.readouterr() == ("", said)


def test_a_bug_is_not_hidden():
    with pytest.raises(ZeroDivisionError):
        console.run(lambda: 1 // 0)
    with pytest.raises(SystemExit):
        console.run(lambda: sys.exit(2))


def run(arguments: list[str]) -> int:
    """A command of `aia`, or one of the maintainers' commands."""
    beside = {"bench": benchmarks.__main__.main, "soak": soak.main}.get(next(iter(arguments), ""))
    return beside(arguments[1:]) if beside else main(arguments)


def test_wrong_usage_is_status_2(capsys):
    for arguments in ([], ["classify"], ["nothing"], ["classify", "a.mp4", "--device", "tpu"], ["soak", "--seed", "x"]):
        with pytest.raises(SystemExit) as caught:
            run(arguments)
        assert caught.value.code == 2 and "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["train", "r.json", "--data", "clips", "--out="], "--out"),
        (["train", "r.json", "--data", "clips", "--out", "new2", "--cache="], "--cache"),
        (["train", "r.json", "--data", "", "--out", "new2"], "--data"),
        (["train", "", "--data", "clips", "--out", "new2"], "An argument of train"),
        (["inspect", "a.mp4", "--out", ""], "--out"),
        (["convert", "a.pth", "--net", "TSM", "--labels", "", "--out", "new2"], "--labels"),
        (["export", "small", "--out", ""], "--out"),
        (["survey", "clips", "--out="], "--out"),
        (["classify", "a.mp4", ""], "An argument of classify"),
    ],
)
def test_an_empty_value_is_wrong_usage_and_named(arguments, named, inside, capsys):
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    said = capsys.readouterr().err
    assert caught.value.code == 2 and f"error: {named} is empty; give a value." in said
    assert not (inside / "new2").exists()


@pytest.mark.parametrize("arguments", [["classify", "a.mp4", "--json", "b.mp4", "--fps"], ["push", "a", "b/c", "d"]])
def test_what_a_command_does_not_know_is_wrong_usage(arguments, capsys):
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2 and f"unrecognized arguments: {arguments[-1]}" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["classify", "a.mp4", "--batch", "-1"], "not -1"),
        (["classify", "a.mp4", "--batch", "0"], "not 0"),
        (["classify", "a.mp4", "--batch", "9" * 30], "256 clips or fewer"),
        (["classify", "a.mp4", "--model", "nobody-has-this"], "'nobody-has-this'"),
        (["classify", "."], "“.” is not a file"),
        (["inspect", "a.mp4", "--out", "new2", "--block", "none"], "'none'"),
        (["localise", "small", "--seed", "-1"], "not -1"),
        (["localise", "small", "--clips", "-1"], "20 or more"),
        (["bench", "--repeats", "-1"], "not -1"),
        (["bench", "batch", "--video", "gone.mp4"], "gone.mp4"),
        (["bench", "everything"], "'everything'"),
        (["soak", "--minutes", "nan"], "more than 0 minutes"),
        (["soak", "--clients", "-1"], "1 to 1000 clients"),
        (["evaluate", "--results", "./clips/../none.json"], "./clips/../none.json"),
        (["evaluate", "small", "--data", "clips"], "small has no recipe.json"),
        (["evaluate", "config", "--data", "clips"], "config: config.json cannot be read"),
        (
            ["reference", "nobody-has-this", "--data", "clips"],
            "nobody-has-this is neither a model folder nor a shipped",
        ),
        (
            ["train", "r.json", "--data", "classes", "--out", "new2", "--init", "clips"],
            "clips: config.json cannot be read",
        ),
        (["push", "./clips/../none", "user/x"], "./clips/../none"),
        (["train", "./clips/../none.json", "--data", "clips", "--out", "new2"], "./clips/../none.json"),
        (["convert", "none.pth", "--net", "TSM", "--labels", "none.txt", "--out", "./clips/../a.mp4"], "./clips/../a"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(arguments, said, inside, capsys, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_none")
    if arguments[0] in ("classify", "inspect") and "--model" not in arguments:
        arguments = [*arguments, "--model", "small"]
    assert run(arguments) == 1
    assert said in sentence(capsys.readouterr().err)
    assert not (inside / "new2").exists()


# ---------------------------------------------------------------- names and patterns


def answers(capsys, *arguments: str) -> dict[str, str]:
    """File -> its error, or "" for an answer."""
    main(["classify", *arguments, "--model", "small", "--json"])
    return {line["file"]: line.get("error", "") for line in map(json.loads, capsys.readouterr().out.splitlines())}


@pytest.mark.slow
def test_errors_name_a_file_as_it_was_given_and_the_batch_goes_on(inside, capsys):
    (inside / "clips" / "broken.mp4").write_bytes(b"no video" * 99)
    names = ["./clips/../clips/broken.mp4", "clips//gone.mp4", str(inside / "none.mp4"), "a.mp4"]
    found = answers(capsys, *names, "--batch")
    (inside / "clips" / "broken.mp4").unlink()
    assert list(found) == names and found["a.mp4"] == ""
    assert all(f"“{name}”" in error for name, error in list(found.items())[:3])
    assert main(["inspect", "./clips/../none.mp4", "--out", "o", "--model", "./small"]) == 1
    assert "“./clips/../none.mp4”" in sentence(capsys.readouterr().err)
    (inside / "empty").mkdir()
    assert main(["classify", "a.mp4", "--model", "./empty/"]) == 1
    assert sentence(capsys.readouterr().err).startswith("./empty/: config.json cannot be read")
    (inside / "empty").rmdir()


@pytest.mark.slow
def test_a_pattern_that_no_shell_expanded_stands_for_its_files(inside, capsys):
    assert answers(capsys, "*.mp4", "./clips/?.mp4") == {"a.mp4": "", "b.mp4": "", "./clips/c.mp4": ""}
    assert [Path(name).as_posix() for name in expanded(["**/[abc].mp4"])] == ["a.mp4", "b.mp4", "clips/c.mp4"]
    found = answers(capsys, "none*.mp4", "a.mp4")
    assert "none*.mp4" in found["none*.mp4"] and found["a.mp4"] == ""
    shutil.copy("a.mp4", "[ab].mp4")  # this very file is meant, and no pattern
    assert expanded(["[ab].mp4", "[a].mp4"]) == ["[ab].mp4", "a.mp4"]
    (inside / "[ab].mp4").unlink()
    assert main(["inspect", "?.mp4", "--out", "o", "--model", "small"]) == 1
    assert "?.mp4 matches 2 files" in sentence(capsys.readouterr().err)
    assert main(["inspect", "clips/*.mp4", "--out", "o", "--model", "small"]) == 0


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        (["--batch", "a.mp4", "b.mp4"], [f"--batch={BATCH}", "a.mp4", "b.mp4"]),
        (["a.mp4", "--batch"], ["a.mp4", f"--batch={BATCH}"]),
        (["--bat", "./a.mp4"], [f"--batch={BATCH}", "./a.mp4"]),
        (["--batch", "--json", "a.mp4"], [f"--batch={BATCH}", "--json", "a.mp4"]),
        (["--batch", "2", "a.mp4"], ["--batch", "2", "a.mp4"]),
        (["--batch", "2.5", "a.mp4"], ["--batch", "2.5", "a.mp4"]),
        (["--batch=3", "a.mp4"], ["--batch=3", "a.mp4"]),
        (["--", "--batch", "a.mp4"], ["--", "--batch", "a.mp4"]),
    ],
)
def test_a_file_behind_batch_is_no_number(given, meant):
    assert _with_batch(["classify", *given]) == ["classify", *meant]


@pytest.mark.slow
def test_a_figure_is_written_without_a_line_for_each_step_of_its_font(inside, capsys, caplog):
    caplog.set_level("INFO")
    assert main(["inspect", "a.mp4", "--out", "o", "--model", "small", "--format", "figure.pdf"]) == 0
    assert not [record for record in caplog.records if record.name.startswith("fontTools")]
    assert not capsys.readouterr().err


@pytest.mark.parametrize(
    "given", [["--json", "--", "-a.mp4"], ["b.mp4", "--json", "--", "-a.mp4"], ["--", "b.mp4", "-a.mp4"]]
)
def test_what_stands_behind_two_dashes_is_a_file(given):
    options = _parsed(["classify", *given])
    assert options.videos == [word for word in given if word.endswith(".mp4")] and options.json == ("--json" in given)


@pytest.mark.slow
def test_a_batch_takes_the_files_behind_it(inside, capsys):
    assert answers(capsys, "--batch", "a.mp4", "b.mp4") == {"a.mp4": "", "b.mp4": ""}
    assert list(answers(capsys, "b.mp4", "--batch", "a.mp4", "--device", "cpu", "clips/c.mp4")) == [
        "b.mp4",
        "a.mp4",
        "clips/c.mp4",
    ]
    with pytest.raises(SystemExit) as caught:
        main(["classify", "--batch", "2.5", "a.mp4"])
    assert caught.value.code == 2 and "'2.5'" in capsys.readouterr().err


# ---------------------------------------------------------------- the page's own command


@pytest.fixture(scope="module")
def taken():
    with socket.socket() as used:
        used.bind(("127.0.0.1", 0))
        used.listen()
        yield str(used.getsockname()[1])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "environment", "said"),
    [
        (["--port", "TAKEN"], {}, "Port TAKEN is taken"),
        (["--host", "127.0.0.1", "--port", "TAKEN"], {}, "Port TAKEN is taken"),
        ([], {"GRADIO_SERVER_PORT": "TAKEN", "GRADIO_NUM_PORTS": "1"}, "All ports from TAKEN to TAKEN are taken"),
        (["--port", "99999"], {}, "from 1 to 65535, not 99999"),
        (["--port", "0"], {}, "from 1 to 65535, not 0"),
        (["--port", "-1"], {}, "from 1 to 65535, not -1"),
        (["--host", "no-such-host.invalid"], {}, "'no-such-host.invalid' is no address of this machine"),
        (["--host", "192.0.2.1"], {}, "'192.0.2.1' is no address of this machine"),
        (["--host", "x" * 300], {}, "is no address of this machine"),
        (["--host", "http://127.0.0.1"], {}, "'http://127.0.0.1' is no address of this machine"),
        ([], {"GRADIO_SERVER_NAME": "no-such-host.invalid"}, "'no-such-host.invalid' is no address of this machine"),
        ([], {"GRADIO_SERVER_NAME": "::1"}, "GRADIO_SERVER_NAME cannot be an IPv6 address"),
        ([], {"GRADIO_SERVER_PORT": "many"}, "GRADIO_SERVER_PORT is 'many'"),
        (["--port", "8000"], {"GRADIO_SERVER_PORT": "-1"}, "GRADIO_SERVER_PORT is '-1'"),
        ([], {"GRADIO_NUM_PORTS": "1.5"}, "GRADIO_NUM_PORTS is '1.5'"),
        ([], {"AIA_QUEUE": "many"}, "AIA_QUEUE is 'many'"),
    ],
)
def test_the_page_says_in_a_sentence_why_it_does_not_start(arguments, environment, said, taken):
    arguments = [word.replace("TAKEN", taken) for word in arguments]
    own = {name: value.replace("TAKEN", taken) for name, value in environment.items()}
    done = subprocess.run(
        [sys.executable, "app.py", *arguments], cwd=ROOT, env={**os.environ, **own}, capture_output=True
    )
    assert done.returncode == 1 and done.stdout == b""
    assert said.replace("TAKEN", taken) in sentence(done.stderr.decode())


def test_a_port_that_is_no_number_is_wrong_usage():
    done = subprocess.run([sys.executable, "app.py", "--port", "many"], cwd=ROOT, capture_output=True)
    assert done.returncode == 2 and b"Traceback" not in done.stderr


def test_an_address_is_told_as_gradio_takes_it(taken, monkeypatch):
    for variable in (address.HOST_VARIABLE, address.PORT_VARIABLE, address.TRIES_VARIABLE):
        monkeypatch.setenv(variable, "")
    assert address.checked(None, None) == ("127.0.0.1", None)
    assert address.PORT_VARIABLE not in os.environ, "Gradio would end with a trace on an empty one"
    monkeypatch.setenv(address.PORT_VARIABLE, taken)
    monkeypatch.setenv(address.TRIES_VARIABLE, "100")
    assert address.checked("localhost", None) == ("localhost", None), "the next port is free"
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    assert address.checked("127.0.0.1", port) == ("127.0.0.1", port)
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return  # this machine has no IPv6
    with pytest.raises(AIAError, match=f"Port {taken} is taken"):  # Gradio asks for it at its default host, too
        address.checked("::1", int(taken))
    assert address.checked("::1", port) == address.checked("[::1]", port) == ("[::1]", port)


@pytest.mark.long
@pytest.mark.server
def test_the_page_starts_where_the_output_has_few_letters(tmp_path):
    from conftest import serving  # at the top it would mark every test of this file as one of the page

    with serving(tmp_path, PYTHONIOENCODING="cp1252") as started:
        assert f"* Running on local URL:  {started}" in (tmp_path / "log").read_text(encoding="cp1252")
