"""Maps of a network on a batch of clips: Grad-CAM, and the gates as the inspection defines them."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from aia.inspection.gates import BlockGates
from aia.modeling import recording
from aia.modeling.network import AIANet


def grad_cam(model: AIANet, x: Tensor, layers: Sequence[str], labels: Tensor | None = None) -> dict[str, Tensor]:
    """Grad-CAM (Selvaraju et al., ICCV 2017) of one class of each clip, in one backward pass.

    A video network processes the T frames of a clip as T pictures. Each has its own weights, the mean gradient of each
    channel, where the gradient is that of the clip's logit. In eval mode, clips of a batch do not influence each other.

    Args:
        model: In eval mode.
        x: Clips `[B, T, 3, H, W]`, normalized.
        layers: Parts of the trunk, such as "features.12", "layer4.0" or "layer4", whose outputs are the features.
        labels: Index of each clip's class, `[B]`; the predicted one by default.

    Returns:
        By layer `[B, T, h, w]`, 0 or more; a clip's largest value is 1, or 0 if nothing supports the class.
    """
    features: dict[str, Tensor] = {}
    with ExitStack() as hooks, torch.enable_grad():
        for layer in layers:
            keep = partial(_keep, features, layer)
            hooks.enter_context(model.backbone.get_submodule(layer).register_forward_hook(keep))
        logits = model(x.detach().to(model.device).requires_grad_())
        classes = logits.argmax(dim=1) if labels is None else labels.to(logits.device)
        score = logits.gather(1, classes[:, None]).sum()  # a clip's features change no other clip's logit
        gradients = torch.autograd.grad(score, [features[layer] for layer in layers])
    maps = {}
    for layer, gradient in zip(layers, gradients, strict=True):
        weights = gradient.mean(dim=(2, 3), keepdim=True)  # [B * T, C, 1, 1]
        cam = (
            (weights * features[layer].detach()).sum(dim=1).relu().view(*x.shape[:2], *gradient.shape[2:])
        )  # [B, T, h, w]
        maps[layer] = cam / cam.amax(dim=(1, 2, 3), keepdim=True).clamp(min=torch.finfo(cam.dtype).tiny)
    return maps


def _keep(features: dict[str, Tensor], layer: str, module: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> None:
    features[layer] = output


def gate_maps(recorded: recording.Recording, model: AIANet, block: str) -> Tensor:
    """One block's map of each clip of a recorded batch, `[B, T, h, w]`, as the inspection defines it."""
    gates = {
        location.unit: gate.float().cpu().numpy()
        for location, gate in recorded.gates.items()
        if location.block == block
    }
    clips = [dict(zip(gates, arrays, strict=True)) for arrays in zip(*gates.values(), strict=True)]
    maps = [BlockGates(block, model.config.attention, clip).spatiotemporal_map for clip in clips]
    return torch.from_numpy(np.stack(maps))
