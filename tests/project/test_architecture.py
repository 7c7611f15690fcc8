"""docs/architecture.md names code that exists."""

import ast
import re
from pathlib import Path

import pytest

from aia.locations import ROOT

DOCUMENT = ROOT / "docs" / "architecture.md"
PLACES = sorted(set(re.findall(r"`((?:aia|app)[\w/]*(?:/|\.py|\.js))(?::([\w.]+))?`", DOCUMENT.read_text("utf-8"))))


def defined(path: Path) -> set[str]:
    """Functions and classes of a module, and methods as Class.method."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    names = set()
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
            names |= {f"{node.name}.{method.name}" for method in getattr(node, "body", ()) if hasattr(method, "name")}
    return names


@pytest.mark.parametrize(("path", "name"), PLACES, ids=[":".join(place) for place in PLACES])
def test_a_place_in_the_document_exists(path, name):
    assert (ROOT / path).exists()
    assert not name or name in defined(ROOT / path)


def test_every_package_is_in_the_document():
    text = DOCUMENT.read_text(encoding="utf-8")
    for package in (*ROOT.glob("aia/*/__init__.py"), *ROOT.glob("app/*/__init__.py")):
        assert f"{package.parent.name}/`" in text, package.parent
