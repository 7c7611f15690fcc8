"""The programs of docs/exports.md and docs/transformers.md run as they stand there, and print what they say."""

import os
import re
import subprocess
import sys

import pytest
from conftest import ROOT


@pytest.mark.long
@pytest.mark.parametrize("page", ["exports", "transformers"])
def test_a_pages_program_prints_what_it_says(page):
    text = (ROOT / "docs" / f"{page}.md").read_text(encoding="utf-8")
    (program,) = re.findall(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    (expected,) = re.findall(r"^print\(.*\)  # (.*)$", program, re.MULTILINE)
    command = [sys.executable, "-W", "ignore", "-c", program]
    done = subprocess.run(command, cwd=ROOT, env={**os.environ, "HF_HUB_OFFLINE": "1"}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == expected
