"""Style sheets and scripts: one place for colors and sizes, scripts that pass the linter, and a linter that finds mistakes."""

import re

import pytest

from app import browser
from tools import lint_scripts

STYLES = [path for path in sorted(browser.APP.rglob("*.css")) if path != browser.TOKENS]
SCRIPTS = sorted(browser.APP.rglob("*.js"))
COLOR = re.compile(
    r"#[0-9a-f]{3,8}\b|\b(?:rgba?|hsla?|hwb|lab|lch|oklab|oklch|color)\(|\b(?:white|black|red|green|blue|gr[ae]y)\b"
)
SIZED = re.compile(r"(?:(?:row-|column-)?gap|(?:padding|margin)(?:-[a-z-]+)?|border-radius|font-size)")
RAW_SIZE = re.compile(r"(?<![\w.-])-?(?!(?:1|2|3)px)[0-9.]+(?:rem|px|pt)\b")  # hairlines of up to 3 px are no spaces


def declarations(style: str) -> list[tuple[str, str]]:
    style = re.sub(r"/\*.*?\*/", "", style, flags=re.S)
    return re.findall(r"(?<=[{;])\s*([\w-]+)\s*:\s*([^;{}]+);", style)


@pytest.mark.parametrize("path", STYLES, ids=lambda path: path.name)
def test_colors_spaces_radii_and_font_sizes_stand_in_the_tokens_alone(path):
    tokens = set(re.findall(r"(--[\w-]+):", browser.TOKENS.read_text(encoding="utf-8")))
    found = declarations(path.read_text(encoding="utf-8"))
    assert found
    own = {name for name, _ in found if name.startswith("--")} | set(re.findall(r"(--[\w-]+): ", all_scripts()))
    for name, value in found:
        assert not COLOR.search(value), f"{name}: {value}"
        assert not (SIZED.fullmatch(name) and RAW_SIZE.search(value)), f"{name}: {value}"
        unknown = set(re.findall(r"var\((--[\w-]+)", value)) - tokens - own
        assert not unknown, f"{name}: {value}"


def all_scripts() -> str:
    return "\n".join(path.read_text(encoding="utf-8") for path in SCRIPTS)


def test_no_rule_is_written_in_two_style_sheets():
    rules = {}
    for path in STYLES:
        style = re.sub(r"/\*.*?\*/", "", path.read_text(encoding="utf-8"), flags=re.S)
        for selector, body in re.findall(r"([^{};]+)\{([^{}]+)\}", style):
            if body.count(";") > 1:
                rules.setdefault((" ".join(selector.split()), " ".join(body.split())), []).append(path.name)
    assert {rule: paths for rule, paths in rules.items() if len(set(paths)) > 1} == {}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("check", "mistake", "sentence"),
    [
        (lint_scripts.problems, "const answer = opennedAnswer();\nanswer.show();", "'opennedAnswer' is not defined"),
        (lint_scripts.problems, "function nobodyCallsThis() {}", "'nobodyCallsThis' is declared but never used"),
        (lint_scripts.problems, "function used() {\n  return 1;\n  used();\n}\nused();", "Unreachable code"),
        (lint_scripts.type_problems, 'render("no viewer");', "is not assignable to parameter of type 'Viewer'"),
        pytest.param(
            lint_scripts.type_problems,
            "document.body.inert.push(1);",
            "Property 'push' does not exist on type 'boolean'",
            marks=pytest.mark.long,
        ),
    ],
)
def test_the_linter_names_the_file_and_the_line_of_a_mistake(monkeypatch, check, mistake, sentence):
    read, file = browser.read, "viewer/pixels.js"
    start = read(file).count("\n") + 1
    monkeypatch.setattr(browser, "read", lambda name: read(name) + (mistake + "\n" if name == file else ""))
    found = [problem for problem in check("viewer") if sentence in problem]
    assert len(found) == 1
    place, line, _ = found[0].split(":", 2)
    assert place == f"app/{file}" and start <= int(line) < start + 4


def test_every_script_file_is_joined_checked_by_editors_and_short():
    joined = {browser.APP / file for files in browser.SCRIPTS.values() for file in files}
    assert joined == set(SCRIPTS)
    for path in SCRIPTS:
        lines = path.read_text(encoding="utf-8").splitlines()
        assert lines[0] == "// @ts-check", path
        assert len(lines) < 300, path


def test_scripts_know_no_setting_by_name():
    assert not re.search(r"cinst|stinc|\baverage\b|cascade", all_scripts(), re.IGNORECASE)
