"""The examples in docstrings run, and print what they say."""

import doctest
import importlib
from types import ModuleType

import pytest
from conftest import ROOT, others_long

import aia

NAMES = [name for name in aia.__all__ if not isinstance(getattr(aia, name), ModuleType)]
WITH_EXAMPLES = [
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    for path in sorted((ROOT / "aia").rglob("*.py"))
    if ">>> " in path.read_text(encoding="utf-8")
]
# What these examples do takes seconds.
SLOW = ("aia.hub.export_network", "aia.inspection.ablation", "aia.inspection.stream", "aia.surveys.survey")


def examples(target: object, name: str) -> list[doctest.DocTest]:
    """The examples of a docstring and of what belongs to it."""
    finder = doctest.DocTestFinder(exclude_empty=True)
    return [test for test in finder.find(target, name, globs={}) if test.examples]


@pytest.mark.slow
@pytest.mark.parametrize("module", others_long(WITH_EXAMPLES, *(name for name in WITH_EXAMPLES if name not in SLOW)))
def test_every_example_prints_what_the_docstring_says(module, monkeypatch):
    monkeypatch.chdir(ROOT)
    runner = doctest.DocTestRunner(optionflags=doctest.REPORT_NDIFF)
    tests = examples(importlib.import_module(module), module)
    assert tests
    for test in tests:
        assert not [example for example in test.examples if example.options], "no example is left out"
        report: list[str] = []
        assert runner.run(test, out=report.append).failed == 0, "".join(report)


@pytest.mark.parametrize("name", NAMES)
def test_every_public_name_has_an_example(name):
    assert examples(getattr(aia, name), name)
