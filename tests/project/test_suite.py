"""The rules for tests that a program can check."""

import ast

from conftest import ROOT


def test_no_test_imports_another():
    files = list((ROOT / "tests").rglob("*.py"))
    tests = {file.stem for file in files if file.stem.startswith("test_")}
    for file in files:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            names = [name.name for name in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert tests.isdisjoint(part for name in names for part in name.split(".")), file.name
