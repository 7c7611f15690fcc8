"""Results of the examples: computed once and kept in memory. A small form in assets/ is for the first paint.

`python -m app.ui.examples` writes a file for each example, by the model of its group, into assets/answers.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from aia import AIAError, console, files, limits
from aia.hub.groups import ASKED
from aia.locations import ASSETS
from app import viewer
from app.result import Result
from app.service import models, requests
from app.ui import html

if TYPE_CHECKING:
    from aia.inspection.batch import Classified

FOLDER = ASSETS / "answers"


def of_example(example: str, model: str) -> Result:
    """The result of an example. It is computed once, but compared with the reference that its model has by now."""
    result = _computed(example, model)
    reference = models.get(model).network.reference
    if result.inspection.reference is reference:
        return result
    return replace(result, inspection=result.inspection.with_reference(reference))


def best_model(example: str) -> str:
    """The shipped model that answers for the group of an example."""
    return ASKED[requests.group_of_example(example)]


def asked(example: str, best: Mapping[str, str]) -> dict[str, Classified | AIAError]:
    """What the model of each group says about an example."""
    answers = _asked(example, tuple(best.items()))
    if any(isinstance(answer, AIAError) for answer in answers.values()):
        _asked.cache_clear()  # the reason may be gone the next time
    return dict(answers)


@lru_cache(maxsize=limits.EXAMPLES_IN_MEMORY)
def _asked(example: str, best: tuple[tuple[str, str], ...]) -> dict[str, Classified | AIAError]:
    return requests.classify_all(str(requests.example_file(example)), dict(best))


@lru_cache(maxsize=limits.EXAMPLES_IN_MEMORY)
def _computed(example: str, model: str) -> Result:
    return requests.inspect_video(str(requests.example_file(example)), model, [model])


def first_paint(example: str, model: str | None) -> dict[str, Any]:
    """What the page shows before any model is loaded, by the name of a component; empty if nothing is prepared.

    It has no gates of single channels. They are ten times the rest, and come with the computed result a moment later.
    """
    path = FOLDER / f"{example}.json"
    if model != best_model(example) or not path.is_file():
        return {}
    prepared = json.loads(path.read_text(encoding="utf-8"))
    return prepared | {"viewer": viewer.value(prepared["viewer"])}


def prepare(example: str) -> dict[str, Any]:
    """Computes what `first_paint` reads."""
    result = of_example(example, best_model(example))
    return {
        "viewer": requests.answer(result, channels=False)[0] | {"prepared": True},
        "summary": html.result(result.inspection, run=False),
    }


def main() -> None:
    """Writes the file of every example."""
    with files.writing_into(FOLDER) as part:
        for example in requests.EXAMPLES:
            content = json.dumps(prepare(example), ensure_ascii=False)
            (part / f"{example}.json").write_text(content + "\n", encoding="utf-8")


if __name__ == "__main__":
    raise SystemExit(console.run(main))
