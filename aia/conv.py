"""The units' 3-D convolution from two channels to one, with a backward pass that is quick on a CPU."""

from __future__ import annotations

from itertools import product

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class ThinConv3d(nn.Conv3d):
    """`nn.Conv3d(2, 1, 3, padding=1, bias=False)`: the same weights, the same forward pass to the bit.

    PyTorch's generic backward pass for so few channels takes most of an AIA network's training time on a CPU. Here the input's
    gradient is one more convolution, and each of the 54 weights' gradients is one dot product of two long vectors.
    """

    def __init__(self) -> None:
        super().__init__(2, 1, kernel_size=3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """`[B, 2, D, H, W]` -> `[B, 1, D, H, W]`."""
        if x.device.type == "cpu" and torch.is_grad_enabled():
            return _ThinConv3d.apply(x, self.weight)
        return super().forward(x)


class _ThinConv3d(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        return F.conv3d(x, weight, padding=1)

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple[Tensor, Tensor]:
        x, weight = ctx.saved_tensors
        grad = grad.to(x.dtype)  # under autocast the gradient arrives in bfloat16
        grad_x = F.conv3d(grad, weight.flip(2, 3, 4).transpose(0, 1), padding=1)
        # With one zero all around, a step along any axis is a step through the flat array, so a tap is a plain dot product.
        channels = F.pad(x, (1,) * 6).transpose(0, 1).flatten(1)
        padded = F.pad(grad, (1,) * 6)
        depth, row, _ = padded.stride()[2:]
        margin = depth + row + 1
        flat = padded.flatten()[margin:-margin]
        starts = [i * depth + j * row + k for i, j, k in product(range(3), repeat=3)]
        taps = [torch.dot(channel[start : start + len(flat)], flat) for channel in channels for start in starts]
        return grad_x, torch.stack(taps).view_as(weight)
