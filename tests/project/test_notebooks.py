"""The notebooks run, print what stands in them, and stay small."""

from __future__ import annotations

import nbformat
import pytest
from conftest import ROOT

from tools.run_notebooks import NOTEBOOKS, executed

PATHS = sorted(NOTEBOOKS.glob("*.ipynb"))
MAX_OUTPUT = 100_000  # bytes


def printed(notebook: nbformat.NotebookNode) -> str:
    """All printed text without its numbers, which differ in their last digits from machine to machine."""
    text = "".join(output.get("text", "") for cell in notebook.cells for output in cell.get("outputs", []))
    return "".join(letter for letter in text if not letter.isdigit())


def shown(notebook: nbformat.NotebookNode) -> list[set[str]]:
    """The kinds of what each cell shows besides text."""
    return [{kind for output in cell.get("outputs", []) for kind in output.get("data", ())} for cell in notebook.cells]


@pytest.mark.long
@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_a_notebook_runs_and_says_what_it_shows(path):
    kept, new = nbformat.read(path, as_version=4), executed(path)
    assert printed(new) == printed(kept)
    assert shown(new) == shown(kept)


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_outputs_are_small_and_name_no_place_of_this_machine(path):
    notebook = nbformat.read(path, as_version=4)
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            assert output.output_type != "error" and len(str(output)) < MAX_OUTPUT
    assert str(ROOT) not in path.read_text() and "/tmp/" not in path.read_text()
    assert f"blob/main/notebooks/{path.name}" in notebook.cells[0].source, "it opens in Colab"
    assert len(PATHS) == 3
