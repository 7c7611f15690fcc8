"""Groups of models by what they know, and the model that answers for each when all are asked."""

from __future__ import annotations

from collections.abc import Mapping

from aia.hub import DEFAULT_MODEL
from aia.hub.files import available_models, find_model

# `AIAConfig.task` of the models of a group -> the model that answers for it, the best one with gates to look into.
# `app/text.py` says what each group knows.
BEST = {
    "gestures": DEFAULT_MODEL,
    "camera": "camera-tsm-mobilenetv2-cinst",
    "actions": "actions-tsn-mobilenetv2-cinst",
}


def best_models(tasks: Mapping[str, str] | None = None) -> dict[str, str]:
    """The model that answers for each group, in the order of the groups. Groups without a model are left out.

    Args:
        tasks: The models to choose from, each with its `AIAConfig.task`; the shipped ones by default.

    Returns:
        Task -> name: of `BEST` if it is among the models, otherwise the group's first model.

    Example:
        >>> from aia.hub.groups import best_models
        >>> best_models()["gestures"]
        'tsn-mobilenetv2-stinc'
    """
    if tasks is None:
        tasks = {name: find_model(name)[0].task for name in available_models()}
    found = {}
    for task, best in BEST.items():
        models = [name for name, of in tasks.items() if of == task]
        if models:
            found[task] = best if best in models else models[0]
    return found
