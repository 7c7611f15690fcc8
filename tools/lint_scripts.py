"""Lints the page's scripts as the browser gets them, joined: `python -m tools.lint_scripts`.

Oxlint (a single program, installed by pip) finds names that no file of a script defines, unused ones, code that is never
reached, and much more. It cannot see across the files of a script by itself, so each script is joined first, and what it
reports is told for the file and line that a developer edits.
"""

from __future__ import annotations

import json
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import Any

from app import browser

OXLINT = Path(sysconfig.get_path("scripts")) / "oxlint"
RULES = {
    "eqeqeq": "error",
    "no-console": "error",
    "no-undef": "error",
    "no-unreachable": "error",
    "no-unused-vars": "error",
    "no-use-before-define": ["error", {"functions": False, "variables": False, "classes": False}],
    "no-useless-assignment": "error",
    "no-var": "error",
    "prefer-const": "error",
}
CONFIG = {
    "plugins": ["unicorn", "oxc"],
    "categories": {"correctness": "error"},
    "env": {"browser": True, "es2024": True},
}
# What a script is given.
GLOBALS = {"learn": ("element", "props", "watch", "trigger", "COLOR_MAPS")}


def problems(name: str) -> list[str]:
    """What is wrong with one of `browser.SCRIPTS`, each as "file:line: sentence"."""
    lines = [(file, number) for file in browser.SCRIPTS[name] for number, _ in enumerate(_lines(file), start=1)]
    # Inside a function, as on the page: there a linter tells which names are not used.
    exports = ", ".join(browser.EXPORTS.get(name, ()))
    script = "\n".join(("(() => {", browser.script(name).rstrip("\n"), f"window.exported = [{exports}];", "})();", ""))
    config = CONFIG | {"rules": RULES, "globals": dict.fromkeys(GLOBALS.get(name, ()), "readonly")}
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "config.json").write_text(json.dumps(config), encoding="utf-8")
        Path(folder, "script.js").write_text(script, encoding="utf-8")
        command = [OXLINT, "--config", "config.json", "--format", "json", "--threads", "1", "script.js"]
        answer = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if answer.returncode not in (0, 1) or not answer.stdout.startswith("{"):
        raise RuntimeError(f"oxlint failed: {answer.stdout}{answer.stderr}")
    return [_sentence(found, lines) for found in json.loads(answer.stdout)["diagnostics"]]


def _lines(file: str) -> list[str]:
    """The lines of a file in a joined script, which puts one line break after each file."""
    return browser.read(file).split("\n")


def _sentence(found: dict[str, Any], lines: list[tuple[str, int]]) -> str:
    line = found["labels"][0]["span"]["line"] - 2  # the first line is the function's
    file, number = lines[line] if 0 <= line < len(lines) else ("(end of the script)", 0)
    return f"app/{file}:{number}: {found['message']} {found.get('code', '')}"


def main() -> int:
    """Prints all problems; returns the exit status."""
    found = sorted({problem for name in browser.SCRIPTS for problem in problems(name)})
    print("\n".join(found) or f"All scripts passed: {', '.join(browser.SCRIPTS)}.")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
