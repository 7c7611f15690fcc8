"""Curves of deletion and insertion (Petsiuk et al., RISE, BMVC 2018) of one clip: blurs its cells away, or brings them back."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from torchvision.transforms.v2 import functional as transforms

from aia.evaluation.metrics import Floats
from aia.modeling.network import AIANet
from aia.training.train import predict

STEPS = 10  # of a curve
BLUR = 1 / 8  # standard deviation of the blur over the input's side


class Curves:
    """Computes the curves of one clip.

    Args:
        model: The network.
        sharp: The clip, `[T, 3, S, S]`.
        label: The label whose probability is followed.
        ties: A random map `[T, h, w]` that orders cells of equal values.
    """

    def __init__(self, model: AIANet, sharp: Tensor, label: int, ties: Tensor) -> None:
        self.model, self.label, self.ties = model, label, ties
        self.sharp, self.blurred = sharp, blur(sharp)
        self.ends = self._probability(torch.stack((self.sharp, self.blurred)))

    def __call__(self, values: Tensor) -> Floats:
        """The curves of deletion and insertion for a map `[T, h, w]`, `[2, STEPS + 1]`."""
        places = places_in_order(values, self.ties, self.sharp.shape[-1])
        parts = torch.arange(1, STEPS)[:, None, None, None] / STEPS
        first = (places < parts).unsqueeze(2)  # [STEPS - 1, T, 1, S, S]
        inner = self._probability(torch.where(torch.cat((first, ~first)), self.blurred, self.sharp)).reshape(2, -1)
        starts = self.ends[:, None]
        return np.concatenate((starts, inner, starts[::-1]), axis=1)

    def _probability(self, x: Tensor) -> Floats:
        logits = predict(self.model, x) / self.model.config.temperature
        probabilities: Floats = logits.softmax(1)[:, self.label].double().numpy()
        return probabilities


def places_in_order(values: Tensor, ties: Tensor, side: int) -> Tensor:
    """The place of every pixel in the order of a map, 0 (the largest value) to almost 1.

    Maps are enlarged linearly, as the page draws them. All frames of a clip are ordered together.

    Args:
        values: `[T, h, w]`.
        ties: A random map `[T, h', w']`, which orders pixels of equal values.
        side: Of the frames in pixels.

    Returns:
        `[T, side, side]`.
    """
    large, random = (F.interpolate(m[None].float(), (side, side), mode="bilinear")[0].flatten() for m in (values, ties))
    order = np.lexsort((-random.numpy(), -large.numpy()))
    places = torch.empty(len(order))
    places[torch.from_numpy(order)] = torch.arange(len(order)) / len(order)
    return places.view(len(values), side, side)


def blur(x: Tensor) -> Tensor:
    """Blurs the frames `[..., S, S]` so much that only areas of color are left."""
    deviation = BLUR * x.shape[-1]
    blurred: Tensor = transforms.gaussian_blur(x, [2 * round(2 * deviation) + 1] * 2, [deviation] * 2)
    return blurred


def area(curves: Floats) -> Floats:
    """The area under curves `[..., STEPS + 1]` by the trapezoidal rule, 0 to 1."""
    inner = curves[..., 1:-1].sum(axis=-1)
    areas: Floats = (inner + (curves[..., 0] + curves[..., -1]) / 2) / STEPS
    return areas
