"""The steps of the Dockerfile that need no Docker: what is copied, the page as a user without rights, its health check."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
from contextlib import suppress
from fnmatch import fnmatch
from pathlib import Path

import pytest
from conftest import ROOT, until

# Root becomes a user who may read the tests' Python, wherever it is, and write only what everybody may.
CAPABILITIES = [f"--{kind}=-all,+dac_read_search" for kind in ("inh-caps", "ambient-caps", "bounding-set")]
AS_NOBODY = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", *CAPABILITIES]
Steps = list[tuple[str, str]]


@pytest.fixture(scope="module")
def steps() -> Steps:
    """The Dockerfile's instructions and their arguments, in order."""
    lines = [line for line in (ROOT / "Dockerfile").read_text().splitlines() if not line.startswith("#")]
    joined = re.sub(r"\\\n\s*", " ", "\n".join(lines))
    return [(line.split()[0], line.split(maxsplit=1)[1]) for line in joined.splitlines() if line.strip()]


def all_of(steps: Steps, name: str) -> list[str]:
    return [argument for instruction, argument in steps if instruction == name]


def command(argument: str) -> list[str]:
    """A command in its exec form, after any options; with this Python for the image's."""
    words = json.loads(argument[argument.index("[") :])
    words = [sys.executable if word == "python" else word for word in words]
    return [*AS_NOBODY, *words] if os.geteuid() == 0 else words


def copy(steps: Steps, target: Path) -> None:
    """Does what COPY does, with what .dockerignore lets through."""
    rules = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
    assert rules[0] == "*"
    allowed = {rule[1:] for rule in rules if rule.startswith("!")}
    ignored = [rule.removeprefix("**/") for rule in rules[1:] if not rule.startswith("!")]
    used = set()
    for argument in all_of(steps, "COPY"):
        *sources, place = argument.split()
        for source in sources:
            used.add(source)
            assert source in allowed and (ROOT / source).exists(), source
            if (ROOT / source).is_dir():
                shutil.copytree(ROOT / source, target / place, ignore=shutil.ignore_patterns(*ignored))
            else:
                shutil.copy(ROOT / source, target / place)
    assert used == allowed


def test_the_steps_are_in_order_and_each_run_is_a_valid_script(steps, tmp_path):
    names = [name for name, _ in steps]
    assert names[0] == "FROM" and names[-1] == "ENTRYPOINT" and names.count("HEALTHCHECK") == 1
    (user,) = all_of(steps, "USER")
    assert user.split(":")[0] not in ("0", "root") and "RUN" not in names[names.index("USER") :]
    for script in all_of(steps, "RUN"):
        subprocess.run(["sh", "-nc", script], check=True)
    (backend,) = (argument for argument in all_of(steps, "ARG"))
    assert backend == "TORCH_BACKEND=cpu" and any('"$TORCH_BACKEND"' in script for script in all_of(steps, "RUN"))
    assert not any(fnmatch(argument, "*TOKEN*") for argument in (*all_of(steps, "ENV"), *all_of(steps, "ARG")))


@pytest.fixture
def container(steps):
    """Starts the entry point in a copy of what the image holds; yields the process, its files, and how to run more there."""
    if os.geteuid() == 0 and (not shutil.which("setpriv") or subprocess.run([*AS_NOBODY, "true"]).returncode):
        pytest.skip(
            "root cannot become a user without rights here: setpriv or the capability dac_read_search is missing"
        )
    # pytest's own folders are closed to other users.
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        root = Path(folder)
        root.chmod(0o755)
        (root / "studio").mkdir()
        copy(steps, root / "studio")
        for name in ("cache", "tmp"):
            (root / name).mkdir()
            (root / name).chmod(0o777)
        if os.geteuid():
            for path in [root / "studio", *(root / "studio").rglob("*")]:
                path.chmod(path.stat().st_mode & ~0o222)
        environment = dict(word.split("=", 1) for argument in all_of(steps, "ENV") for word in shlex.split(argument))
        environment = {name: value.replace("/cache", f"{root}/cache") for name, value in environment.items()}
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        outside = {"PATH": os.environ["PATH"], "TMPDIR": f"{root}/tmp", "GRADIO_SERVER_PORT": str(port)}
        outside |= {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}  # and no HOME
        options = {"cwd": root / "studio", "env": environment | outside}
        with (root / "log").open("w") as log:
            (entry,) = all_of(steps, "ENTRYPOINT")
            process = subprocess.Popen(command(entry), stdout=log, stderr=subprocess.STDOUT, **options)
        try:
            yield process, root, options
        finally:
            process.kill()
            process.wait()
            with suppress(OSError):
                for path in (root / "studio").rglob("*"):
                    path.chmod(path.stat().st_mode | 0o200)


@pytest.mark.long
@pytest.mark.skipif(
    sys.platform != "linux" or not shutil.which("setpriv"), reason="Linux and util-linux give up rights"
)
def test_the_page_runs_without_rights_without_a_home_and_beside_files_that_it_cannot_write(steps, container):
    process, root, options = container
    before = {path: path.stat().st_mtime_ns for path in (root / "studio").rglob("*")}
    (check,) = all_of(steps, "HEALTHCHECK")
    words = command(check)

    def is_healthy() -> bool:
        assert process.poll() is None, (root / "log").read_text()
        return subprocess.run(words, capture_output=True, **options).returncode == 0

    until(is_healthy)
    until(
        lambda: any((root / "cache" / "aia-studio").glob("*.so")) or shutil.which("cc") is None
    )  # the first model has run
    process.terminate()
    assert process.wait() in (0, 130)
    assert subprocess.run(words, capture_output=True, **options).returncode != 0, "a stopped page is not healthy"
    assert {path: path.stat().st_mtime_ns for path in (root / "studio").rglob("*")} == before
    assert list((root / "tmp").iterdir()) == [], "clips and answers are deleted at the end"
    assert "Traceback" not in (root / "log").read_text()
