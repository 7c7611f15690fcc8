"""Groups of models by what they know, and the model that answers for each when all are asked."""

from __future__ import annotations

from collections.abc import Mapping

from aia.hub import DEFAULT_MODEL
from aia.hub.files import available_models, find_model

# `AIAConfig.task` of the models of a group -> the model that answers for it. Its answer rests on its gates where that of
# any model of the group does, so there is something to see. `app/text.py` says what each group knows.
ASKED = {
    "gestures": DEFAULT_MODEL,
    "camera": "camera-tsm-mobilenetv2-cinst",
    "actions": "actions-tsn-mobilenetv2-cinst",
}


def asked_models(tasks: Mapping[str, str] | None = None) -> dict[str, str]:
    """The model that answers for each group, in the order of the groups. Groups without a model are left out.

    Args:
        tasks: The models to choose from, each with its `AIAConfig.task`; the shipped ones by default.

    Returns:
        Task -> name: of `ASKED` if it is among the models, otherwise the group's first model.

    Example:
        >>> from aia.hub.groups import asked_models
        >>> asked_models()["gestures"]
        'tsn-mobilenetv2-stinc'
    """
    if tasks is None:
        tasks = {name: find_model(name)[0].task for name in available_models()}
    found = {}
    for task, asked in ASKED.items():
        models = [name for name, of in tasks.items() if of == task]
        if models:
            found[task] = asked if asked in models else models[0]
    return found
