"""The how-to pages: their programs run as they stand there, and print what they say."""

from __future__ import annotations

import re

import pytest
from conftest import ROOT

from aia.modeling.attention_settings import ATTENTION_SETTINGS
from aia.modeling.backbones import BACKBONES
from aia.visualization.export import FORMATS

REGISTRIES = (ATTENTION_SETTINGS, BACKBONES, FORMATS)
PAGES = sorted((ROOT / "docs" / "how-to").glob("*.md"))


@pytest.fixture
def kept():
    """The registries are as before once the test has ended."""
    before = [dict(registry) for registry in REGISTRIES]
    yield
    for registry, entries in zip(REGISTRIES, before, strict=True):
        registry.clear()
        registry.update(entries)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_what_a_page_says_can_be_done(page, kept, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    program = "\n".join(
        re.findall(r"^```python\n(.*?)^```", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    )
    printed = re.findall(r"^print\(.*\)  # (.*)$", program, re.MULTILINE)
    assert printed, "a page shows what comes out"
    exec(compile(program, str(page), "exec"), {"__name__": "page"})
    assert capsys.readouterr().out.splitlines() == printed


def test_the_three_registries_have_their_page():
    assert {page.stem for page in PAGES} == {"add-a-backbone", "add-an-attention-setting", "add-an-export-format"}
