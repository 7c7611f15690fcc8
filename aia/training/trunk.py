"""Start weights of the trunk: torchvision's own, or a file that is laid out like them."""

from __future__ import annotations

import pickle
from pathlib import Path

import torch
from torch import Tensor
from torchvision.models import get_model, get_model_weights

from aia.errors import AIAError
from aia.network import AIANet

CLASSIFIERS = ("fc.", "classifier.")


def load_trunk(model: AIANet, source: str) -> None:
    """Puts pretrained weights into a network's backbone.

    Args:
        model: Changed in place.
        source: "none", "torchvision" (ImageNet weights, downloaded) or the path of a state dict. The tensors of a file may
            have other names than torchvision's as long as they come in torchvision's order.

    Raises:
        AIAError: The file is no plain state dict or belongs to another trunk.
    """
    if source == "none":
        return
    arch = model.config.arch
    plain = _without_classifier(get_model(arch).state_dict())
    if source == "torchvision":
        weights = get_model_weights(arch).DEFAULT.get_state_dict(progress=True)
    else:
        try:
            weights = torch.load(source, map_location="cpu", weights_only=True)
        except OSError:
            raise AIAError(
                f"The trunk file {Path(source).name} cannot be read; give the path of a state dict."
            ) from None
        except (pickle.UnpicklingError, RuntimeError, EOFError):
            raise AIAError(f"The trunk file {Path(source).name} is no plain state dict of tensors.") from None
    weights = _without_classifier(weights)
    if weights.keys() != plain.keys():
        weights = dict(zip(plain, weights.values(), strict=False)) if len(weights) == len(plain) else {}
    if any(name not in weights or weights[name].shape != tensor.shape for name, tensor in plain.items()):
        raise AIAError(f"The trunk file {Path(source).name} does not hold the weights of a {arch}.")
    model.backbone.load_state_dict(weights, strict=False)  # the gates have no pretrained weights


def _without_classifier(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor for name, tensor in weights.items() if not name.startswith(CLASSIFIERS)}
