"""From frames to a network's input, and the part of a frame that the network sees."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torchvision.transforms.v2 import functional as F

from aia.errors import AIAError
from aia.limits import MAX_ASPECT
from aia.modeling.config import AIAConfig


def preprocess(frames: np.ndarray, config: AIAConfig) -> Tensor:
    """Resizes, crops and normalizes a clip as the configuration says.

    Args:
        frames: RGB, uint8 `[T, H, W, 3]`.
        config: The network's.

    Returns:
        float32 `[1, T, 3, input_size, input_size]` on the CPU.

    Raises:
        AIAError: The frames are too narrow, see `resized_size`.
    """
    return normalize(crop(frames, config).unsqueeze(0), config)


def crop(frames: np.ndarray, config: AIAConfig) -> Tensor:
    """The first half of `preprocess`: RGB, uint8 `[T, H, W, 3]` -> resized and cropped, uint8 `[T, 3, S, S]`.

    Raises:
        AIAError: The frames are too narrow, see `resized_size`.
    """
    x = torch.from_numpy(np.ascontiguousarray(frames)).permute(0, 3, 1, 2)  # [T, H, W, 3] -> [T, 3, H, W]
    x = F.resize(x, resized_size(x.shape[-2], x.shape[-1], config), antialias=True)
    cropped: Tensor = F.center_crop(x, [config.input_size, config.input_size])
    return cropped


def normalize(x: Tensor, config: AIAConfig) -> Tensor:
    """The second half of `preprocess`: uint8 `[..., 3, S, S]` -> float32, of the same shape and on the same device."""
    normalized: Tensor = F.normalize(x.float() / 255, list(config.mean), list(config.std))
    return normalized


def resized_size(height: int, width: int, config: AIAConfig) -> list[int]:
    """Height and width in pixels after the resize, before the crop.

    Raises:
        AIAError: The picture is so narrow that it would become gigantic with its aspect kept.
    """
    if isinstance(config.resize, tuple):
        return list(config.resize)
    if max(height, width) > MAX_ASPECT * min(height, width):
        raise AIAError(f"A picture of {width} x {height} pixels is too narrow for this model; crop it.")
    scale = config.resize / min(height, width)
    return [max(config.resize, round(height * scale)), max(config.resize, round(width * scale))]


def seen_box(height: int, width: int, config: AIAConfig) -> tuple[float, float, float, float]:
    """The part of a picture that the network sees: (left, top, right, bottom) as fractions of the picture.

    Raises:
        AIAError: The picture is too narrow, see `resized_size`.
    """
    rows, columns = resized_size(height, width, config)
    top, left = round((rows - config.input_size) / 2), round((columns - config.input_size) / 2)
    return (
        left / columns,
        top / rows,
        (left + config.input_size) / columns,
        (top + config.input_size) / rows,
    )
