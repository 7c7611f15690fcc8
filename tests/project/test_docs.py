"""README and docs: their links lead somewhere, their programs run, and their commands exist."""

import os
import re
import shlex
import subprocess
import sys

import pytest
from conftest import ROOT, others_long

from aia import cli

PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "checkpoints").glob("*/README.md")])
PROGRAMS = [ROOT / "README.md", ROOT / "docs" / "quickstart.md"]


def test_readme_is_one_screen():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(text.split("---\n", 2)[2].encode()) <= 8_000


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_to_a_file_leads_to_one(page):
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.S)
    links = [link.partition("#")[0] for link in re.findall(r"\]\(([^)\s]+)\)", text)]
    missing = [link for link in links if link and "://" not in link and not (page.parent / link).exists()]
    assert not missing


@pytest.mark.long
@pytest.mark.parametrize("page", others_long(PROGRAMS, PROGRAMS[0]), ids=lambda page: page.stem)
def test_the_python_programs_run(page, tmp_path):
    (tmp_path / "assets").symlink_to(ROOT / "assets", target_is_directory=True)
    programs = re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.S)
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(programs)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), "CUDA_VISIBLE_DEVICES": ""},  # the pages were written on a CPU
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    for output in re.findall(r"```text\n(.*?)```", page.read_text(encoding="utf-8"), re.S):
        assert output.strip() in done.stdout


def commands() -> list[tuple[str, str]]:
    """Every line of a shell block that calls the command line, with its page."""
    found = []
    for page in PAGES:
        for language, block in re.findall(r"^```(\w*)\n(.*?)^```", page.read_text(encoding="utf-8"), re.S | re.M):
            lines = block.replace("\\\n", " ").splitlines() if language in ("bash", "sh") else []
            for line in lines:
                if match := re.search(r"(?:^|\s)(?:-m aia|aia) ([a-z].*)", line):
                    found.append((str(page.relative_to(ROOT)), re.sub(r"\s#.*", "", match[1])))
    return found


def test_every_command_and_option_of_the_docs_exists():
    subcommands = next(action.choices for action in cli._parser()._actions if isinstance(action.choices, dict))
    assert len(commands()) > 20
    for page, line in commands():
        words = shlex.split(line.replace("[", " ").replace("]", " "))
        assert words[0] in subcommands, (page, line)
        known = subcommands[words[0]]._option_string_actions
        options = {word.partition("=")[0] for word in words if word.startswith("--")}
        assert options <= known.keys(), (page, line, options - known.keys())


def test_every_page_of_the_docs_is_in_the_menu():
    menu = (ROOT / "mkdocs.yml").read_text(encoding="utf-8").partition("nav:")[2]
    pages = {str(page.relative_to(ROOT / "docs")) for page in (ROOT / "docs").rglob("*.md")}
    assert pages == set(re.findall(r"- ([\w/-]+\.md)", menu))
