"""Runs the notebooks and keeps their outputs in them: `python -m tools.run_notebooks`."""

from __future__ import annotations

import os
from pathlib import Path

import nbformat
from nbclient import NotebookClient

from aia import console, files
from aia.locations import ROOT

NOTEBOOKS = ROOT / "notebooks"


def executed(path: Path) -> nbformat.NotebookNode:
    """A notebook after it has run in its folder, in a new process with this Python.

    Raises:
        nbclient.exceptions.CellExecutionError: A cell fails.
    """
    notebook = nbformat.read(path, as_version=4)
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    client = NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(path.parent)}})
    client.execute(env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)})
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)  # the times of this run
        if "outputs" in cell:  # progress bars and warnings of this machine
            cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]
    return notebook


def main() -> None:
    """Runs all of them."""
    for path in sorted(NOTEBOOKS.glob("*.ipynb")):
        files.write_text(path, nbformat.writes(executed(path)) + "\n")
        print(f"{path.name}: {path.stat().st_size / 1000:.0f} kB", flush=True)


if __name__ == "__main__":
    raise SystemExit(console.run(main))
