"""Start weights: torchvision's own trunk, a file that is laid out like it, or a model trained before."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor
from torchvision.models import get_model, get_model_weights

from aia.convert import read_state_dict
from aia.errors import AIAError
from aia.hub import load
from aia.network import AIANet

CLASSIFIERS = ("fc.", "classifier.")


def load_start(model: AIANet, source: str) -> None:
    """Puts pretrained weights into a network.

    Args:
        model: Changed in place.
        source: "none"; "torchvision" (ImageNet weights of the trunk, downloaded); the path of a trunk's state dict, whose
            tensors may have other names than torchvision's as long as they come in torchvision's order; or a model folder
            of the same trunk and labels, of which everything is taken that the network has too.

    Raises:
        AIAError: The source is no plain state dict or belongs to another network.
    """
    if source == "none":
        return
    if Path(source).is_dir():
        _load_model(model, source)
        return
    arch = model.config.arch
    plain = _without_classifier(get_model(arch).state_dict())
    if source == "torchvision":
        weights = get_model_weights(arch).DEFAULT.get_state_dict(progress=True)
    else:
        weights = read_state_dict(Path(source))
    weights = _without_classifier(weights)
    if weights.keys() != plain.keys():
        weights = dict(zip(plain, weights.values(), strict=False)) if len(weights) == len(plain) else {}
    if any(name not in weights or weights[name].shape != tensor.shape for name, tensor in plain.items()):
        raise AIAError(f"The trunk file {Path(source).name} does not hold the weights of a {arch}.")
    model.backbone.load_state_dict(weights, strict=False)  # the gates have no pretrained weights


def _load_model(model: AIANet, folder: str) -> None:
    start = load(folder, device="cpu")
    if (start.config.arch, start.config.labels) != (model.config.arch, model.config.labels):
        raise AIAError(f"The model {Path(folder).name} has another trunk or other labels than the recipe.")
    own = model.state_dict()
    model.load_state_dict({name: t for name, t in start.state_dict().items() if name in own}, strict=False)


def _without_classifier(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor for name, tensor in weights.items() if not name.startswith(CLASSIFIERS)}
