"""Lints the page's scripts as the browser gets them, joined: `python -m tools.lint_scripts`.

Oxlint (a single program, installed by pip) finds names that no file of a script defines, unused ones, code that is never
reached, and much more. Deno (another one) has the type checker of TypeScript; it checks what an editor checks, with the
options of the jsconfig.json beside the files. Neither sees across the files of a script, so the files are joined first,
and each report is given for the file and line that a developer edits.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import sysconfig
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from app import browser

OXLINT, DENO = (str(Path(sysconfig.get_path("scripts"), name)) for name in ("oxlint", "deno"))
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
# Options of jsconfig.json that Deno sets itself.
EDITORS_ALONE = ("target", "noEmit", "moduleDetection")
TYPE_ERROR = re.compile(r"^(TS\d+) \[ERROR\]: (.*?)$.*?^ *at file://[^\n]*:(\d+):\d+$", re.MULTILINE | re.DOTALL)
# What a script is given.
GLOBALS = {"learn": ("element", "props", "watch", "trigger", "COLOR_MAPS")}


def problems(name: str) -> list[str]:
    """What is wrong with one of `browser.SCRIPTS`, each as "file:line: sentence"."""
    lines = [(file, number) for file in browser.SCRIPTS[name] for number, _ in enumerate(_lines(file), start=1)]
    # Inside a function, as on the page, so that the linter can tell which names are not used.
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
    found = json.loads(answer.stdout)["diagnostics"]
    return [
        _sentence(lines, one["labels"][0]["span"]["line"], f"{one['message']} {one.get('code', '')}") for one in found
    ]


def type_problems(name: str) -> list[str]:
    """Where the types of one of `browser.SCRIPTS` do not fit, each as "file:line: sentence"."""
    files = browser.SCRIPTS[name]
    folder = browser.APP / Path(files[-1]).parent
    editors = json.loads((folder / "jsconfig.json").read_text(encoding="utf-8"))
    options = {key: value for key, value in editors["compilerOptions"].items() if key not in EDITORS_ALONE}
    definitions = [folder / file for file in editors["include"] if file.endswith(".d.ts")]
    lines = [(file, number) for file in files for number, _ in enumerate(_lines(file), start=1)]
    first = '/// <reference path="./globals.d.ts" />'
    script = "\n".join((first, browser.script(name), f"export {{ {', '.join(browser.EXPORTS.get(name, ()))} }};", ""))
    with tempfile.TemporaryDirectory() as temporary:
        Path(temporary, "globals.d.ts").write_text("\n".join(map(_text, definitions)), encoding="utf-8")
        Path(temporary, "script.js").write_text(script, encoding="utf-8")
        Path(temporary, "deno.json").write_text(json.dumps({"compilerOptions": options}), encoding="utf-8")
        environment = {**os.environ, "DENO_DIR": temporary, "DENO_NO_UPDATE_CHECK": "1", "NO_COLOR": "1"}
        command = [DENO, "check", "--quiet", "--no-lock", "--config", "deno.json", "script.js"]
        answer = subprocess.run(command, cwd=temporary, env=environment, capture_output=True, text=True, check=False)
    found = TYPE_ERROR.findall(answer.stderr)
    if answer.returncode and not found:
        raise RuntimeError(f"deno failed: {answer.stdout}{answer.stderr}")
    return [_sentence(lines, int(line), f"{message} {code}") for code, message, line in found]


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def _lines(file: str) -> list[str]:
    """The lines of a file in a joined script, which puts one line break after each file."""
    return browser.read(file).split("\n")


def _sentence(lines: list[tuple[str, int]], line: int, message: str) -> str:
    index = line - 2  # the first line of a joined script is not of its files
    file, number = lines[index] if 0 <= index < len(lines) else ("(end of the script)", 0)
    return f"app/{file}:{number}: {message}"


def main() -> int:
    """Prints all problems; returns the exit status."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # each check waits for a program of its own
        checks = [pool.submit(check, name) for check in (type_problems, problems) for name in browser.SCRIPTS]
    found = sorted({problem for check in checks for problem in check.result()})
    print("\n".join(found) or f"All scripts passed: {', '.join(browser.SCRIPTS)}.")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
