"""TSN and TSM on torchvision's trunks, with an AIA module at every block."""

from __future__ import annotations

import hashlib
from typing import Any

import torch
from torch import Tensor, nn

from aia.errors import AIAError
from aia.modeling import fast_inference, recording
from aia.modeling.attention import Unit
from aia.modeling.backbones import BACKBONES
from aia.modeling.blocks import Attention, TemporalShift
from aia.modeling.config import MIN_INPUT_SIZE, AIAConfig
from aia.modeling.reference import Reference


class AIANet(nn.Module):
    """A video classifier with AIA at every block.

    Args:
        config: What to build.
        dropout: Probability before the linear layer, while training.

    Attributes:
        config: As given.
        name: The name it was loaded by; empty for a new network.
        precision: Of inference, see `optimize`.
        reference: What is typical for its gates; None if it was not measured.
        backbone: torchvision's trunk without its classifier, its weights under torchvision's names.
        head: One linear layer per frame; the clip's logits are the mean over frames.
    """

    def __init__(self, config: AIAConfig, *, dropout: float = 0.0) -> None:
        super().__init__()
        self.config = config
        self.name = ""
        self.reference: Reference | None = None
        self.precision, self._optimized = "float32", False
        backbone = BACKBONES[config.arch]
        self.backbone = backbone.build()
        self._place()
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(backbone.width, config.num_classes)

    def __repr__(self) -> str:
        blocks = f"AIA in {len(self.block_names)} blocks" if self.block_names else "no AIA"
        return f"AIANet({self.name!r:.80}, {self.config.title!r}, {self.config.num_classes} labels, {blocks}, {self.device})"

    __str__ = nn.Module.__repr__  # `print` shows the modules, as for any network

    def _place(self) -> None:
        """Puts the temporal shift and AIA into the trunk's blocks."""
        for name in self.config.blocks:
            block: Any = self.backbone.get_submodule(name)
            if self.config.temporal == "tsm" and block.takes_shift:
                block.shift = TemporalShift()
            if self.config.attention != "none":
                block.place(Attention(self.config.attention, name))

    @property
    def block_names(self) -> tuple[str, ...]:
        """The blocks that hold AIA, in order; empty for "none"."""
        return tuple(m.block for m in self.modules() if isinstance(m, Attention))

    @property
    def gate_locations(self) -> tuple[recording.GateLocation, ...]:
        """Every unit of every block."""
        return tuple(m.location for m in self.modules() if isinstance(m, Unit))

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.head.weight.device

    def fingerprint(self) -> str:
        """A digest of the weights, which tells whether a reference was made from them; the same on every device."""
        digest = hashlib.sha256()
        for name, tensor in self.state_dict().items():
            if tensor.is_floating_point():
                digest.update(name.encode() + tensor.float().cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()[:32]

    def optimize(self, precision: str = "float32") -> AIANet:
        """Makes the network quicker; returns the network itself.

        In inference (eval mode, no gradients) the trunk runs in its quick form, see `fast_inference.py`: the same logits
        except for rounding. In training features are channels last, and the gates run in compiled passes, see
        `fast_training.py`. Changed weights count at once, except after writes through `.data`, which PyTorch does not
        count: call `optimize` again after them.

        Args:
            precision: Of inference: "float32", or "bfloat16" or "float16" if the device is fast at it; "auto" for the
                quickest on this device.

        Raises:
            AIAError: There is no such precision.
        """
        if precision == "auto":
            precision = fast_inference.best_precision(BACKBONES[self.config.arch], self.device)
        if precision not in fast_inference.PRECISIONS:
            raise AIAError(
                f"A network runs in auto, {', '.join(fast_inference.PRECISIONS)}, not {str(precision)[:60]!r}."
            )
        if BACKBONES[self.config.arch].quick is None:
            precision = "float32"
        self.precision, self._optimized = fast_inference.usable_precision(precision, self.config.input_size), True
        fast_inference.forget(self)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # PyTorch's types lack it
            elif isinstance(module, Attention):
                module.fused = True
            elif isinstance(module, nn.ReLU | nn.ReLU6):
                module.inplace = False  # in training autograd would copy the feature that a gate needs
        return self

    def _features(self, x: Tensor) -> Tensor:
        """Frames `[B * T, 3, H, W]` -> `[B * T, width]`."""
        make = BACKBONES[self.config.arch].quick
        if make is None or not self._optimized or self.training or torch.is_grad_enabled():
            features: Tensor = self.backbone(x)
            return features
        precision = fast_inference.usable_precision(self.precision, min(x.shape[2:]))
        run = fast_inference.quick_trunk(self, make, precision)
        own = self.head.weight.dtype  # float32, unless the whole network was cast
        dtype = own if run is self.backbone else fast_inference.PRECISIONS[precision]
        try:
            return run(x.to(dtype, memory_format=torch.channels_last)).to(own)
        except (
            fast_inference.NotFinite
        ):  # rare; without the quick form only the clips that it comes from are not finite
            features = self.backbone(x.to(own))
            hidden = features.isfinite().all()  # an activation may have hidden an infinite value
            return features.fill_(torch.nan) if hidden else features

    def forward(self, x: Tensor) -> Tensor:
        """Classifies clips.

        Args:
            x: `[B, T, 3, H, W]`, normalized; any T, H and W of 32 px or more.

        Returns:
            Logits `[B, classes]`.

        Raises:
            AIAError: `x` has another shape.
        """
        if x.ndim != 5 or x.shape[2] != 3 or min(x.shape) < 1 or min(x.shape[3:]) < MIN_INPUT_SIZE:
            raise AIAError(
                f"The network takes [B, T, 3, H, W] with H and W of {MIN_INPUT_SIZE} px or more, not {list(x.shape)}."
            )
        batch, segments = x.shape[:2]
        with recording.segments_per_clip(segments):
            features = self._features(x.flatten(0, 1))  # [B * T, 3, H, W] -> [B * T, width]
        logits: Tensor = self.head(self.dropout(features))
        return logits.view(batch, segments, -1).mean(dim=1)
