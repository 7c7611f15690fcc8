"""The network that a run starts from: new weights, torchvision's trunk, a file with the same layout, or a trained model."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

from torch import Tensor, nn
from torchvision.models import get_model, get_model_weights

from aia.errors import AIAError
from aia.hub.checkpoint import StoredTensor, read_state_dicts
from aia.hub.fit import COUNTER, best_fits, read_tensors
from aia.hub.loading import available_models, load
from aia.hub.pretrained import AIANet
from aia.modeling.attention import Unit
from aia.training.recipe import Recipe

CLASSIFIERS = ("fc.", "classifier.")
_CLASSIFIER = re.compile(r"(?:^|\.)(?:fc|new_fc|classifier)\.")  # after any prefix; new_fc is TSM's
Value = TypeVar("Value")


def start_network(recipe: Recipe, init: str) -> AIANet:
    """A recipe's network with its start weights.

    Args:
        recipe: Its classes are resolved.
        init: See `load_start`.

    Raises:
        AIAError: As `load_start`.
    """
    model = AIANet(recipe.config, dropout=recipe.dropout)
    for unit in model.modules():
        if isinstance(unit, Unit):
            nn.init.constant_(unit.bn.weight, recipe.gate_scale)
    load_start(model, init)
    return model


def load_start(model: AIANet, source: str) -> None:
    """Puts pretrained weights into a network.

    Args:
        model: Changed in place.
        source: "none"; "torchvision" (ImageNet weights of the trunk, downloaded); the path of a checkpoint with the trunk's
            weights, under torchvision's names with any prefix or under other names in torchvision's order; or a model folder
            or a shipped model with the same trunk and labels, from which all tensors that the network also has are taken.

    Raises:
        AIAError: The source is not a plain state dict or belongs to another network.
    """
    if source == "none":
        return
    if Path(source).is_dir() or source in available_models():
        _load_model(model, source)
        return
    arch = model.config.arch
    plain = _without_classifier(get_model(arch).state_dict())
    if source == "torchvision":
        weights = _without_classifier(get_model_weights(arch).DEFAULT.get_state_dict(progress=True))
    else:
        weights = _read_trunk(source, plain, arch)
    model.backbone.load_state_dict(weights, strict=False)  # the gates have no pretrained weights


def _read_trunk(path: str, plain: dict[str, Tensor], arch: str) -> dict[str, Tensor]:
    """The trunk's weights in a checkpoint, by torchvision's names."""
    states = read_state_dicts(path)
    fits = best_fits(states, {arch: plain}, ignore=CLASSIFIERS)
    if fits and not fits[0].difference:
        return read_tensors(fits[0].tensors, plain, f"{path}{fits[0].where}")
    for state in states.values():
        tensors = [t for name, t in state.items() if isinstance(t, StoredTensor) and not _CLASSIFIER.search(name)]
        for names in (list(plain), [name for name in plain if not name.endswith(COUNTER)]):
            if [t.shape for t in tensors] == [tuple(plain[name].shape) for name in names]:
                return read_tensors(dict(zip(names, tensors, strict=True)), plain, path)
    why = f"{fits[0].where}: it {fits[0].difference}" if fits else ""
    raise AIAError(f"The trunk file {path} does not hold the weights of a {arch}{why}.")


def _load_model(model: AIANet, folder: str) -> None:
    try:
        start = load(folder, device="cpu")
    except AIAError as error:
        raise AIAError(f"The start weights {folder}: {error}") from None
    if (start.config.arch, start.config.labels) != (model.config.arch, model.config.labels):
        raise AIAError(f"The model {folder} has another trunk or other labels than the recipe.")
    own = model.state_dict()
    model.load_state_dict({name: t for name, t in start.state_dict().items() if name in own}, strict=False)


def _without_classifier(weights: Mapping[str, Value]) -> dict[str, Value]:
    return {name: tensor for name, tensor in weights.items() if not name.startswith(CLASSIFIERS)}
