"""TSN and TSM on torchvision's trunks, with an AIA module at every block."""

from __future__ import annotations

import os
import re
from pathlib import Path

import torch
from huggingface_hub import ModelCard, PyTorchModelHubMixin
from safetensors import SafetensorError
from torch import Tensor, nn
from torchvision.models import mobilenetv2, resnet

from aia import files
from aia.errors import AIAError
from aia.hub.card import model_card
from aia.modeling import fast_inference, recording
from aia.modeling.attention import Attention, Unit
from aia.modeling.config import MIN_INPUT_SIZE, STAGES, AIAConfig

SHIFT_DIV = 8  # one eighth of the channels looks forward, one eighth back (TSM, and the published AIA code)


class TemporalShift(nn.Module):
    """TSM's shift: some channels come from the next frame, some from the previous one, zeros at the clip's ends."""

    def forward(self, x: Tensor) -> Tensor:
        """Shifts `x` `[B * T, C, H, W]` along T; same shape."""
        v = x.unflatten(0, (-1, recording.num_segments()))  # [B * T, C, H, W] -> [B, T, C, H, W]
        fold = v.shape[2] // SHIFT_DIV
        out = torch.zeros_like(v)
        out[:, :-1, :fold] = v[:, 1:, :fold]
        out[:, 1:, fold : 2 * fold] = v[:, :-1, fold : 2 * fold]
        out[:, :, 2 * fold :] = v[:, :, 2 * fold :]
        return out.flatten(0, 1)


class Bottleneck(resnet.Bottleneck):
    """torchvision's bottleneck with the published places: the shift before conv1, AIA between bn2 and its ReLU."""

    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self.shift, self.attention = nn.Identity(), nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """`[B * T, C, H, W]` -> `[B * T, C', H', W']`."""
        out = self.relu(self.bn1(self.conv1(self.shift(x))))
        out = self.relu(self.attention(self.bn2(self.conv2(out))))
        out = self.bn3(self.conv3(out))
        return self.relu(out + (x if self.downsample is None else self.downsample(x)))


class BasicBlock(resnet.BasicBlock):
    """torchvision's basic block; no placement was published for it.

    The analogous place: a bottleneck's AIA sits after a 3x3 convolution's BN, before the ReLU inside the residual
    branch. A basic block has one such place, between bn1 and its ReLU. The shift is before conv1, as in a bottleneck.
    """

    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self.shift, self.attention = nn.Identity(), nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """`[B * T, C, H, W]` -> `[B * T, C', H', W']`."""
        out = self.relu(self.attention(self.bn1(self.conv1(self.shift(x)))))
        out = self.bn2(self.conv2(out))
        return self.relu(out + (x if self.downsample is None else self.downsample(x)))


class InvertedResidual(mobilenetv2.InvertedResidual):
    """torchvision's MobileNetV2 block; no placement was published for it.

    The analogous place: AIA after the 3x3 (depthwise) convolution's BN, before its activation, on the expanded width.
    The shift is at the branch's input, and only where there is a shortcut, as in TSM's own MobileNetV2: without one,
    the shifted channels' own values would be lost.
    """

    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self.shift = nn.Identity()

    @property
    def depthwise(self) -> nn.Sequential:
        """The depthwise stage: convolution, BN, activation."""
        return self.conv[-3]

    def forward(self, x: Tensor) -> Tensor:
        """`[B * T, C, H, W]` -> `[B * T, C', H', W']`."""
        out = self.conv(self.shift(x))
        return x + out if self.use_res_connect else out


_RESNET_BLOCKS = {"resnet18": BasicBlock, "resnet34": BasicBlock, "resnet50": Bottleneck, "resnet101": Bottleneck}


class AIANet(nn.Module, PyTorchModelHubMixin):
    """A video classifier with AIA at every block.

    Args:
        config: What to build.
        dropout: Probability before the linear layer, while training.

    Attributes:
        config: As given.
        name: What it was loaded by; empty for a new network.
        precision: Of inference, see `optimize`.
        backbone: torchvision's trunk without its classifier, its weights under torchvision's names.
        head: One linear layer per frame; the clip's logits are the mean over frames.
    """

    def __init__(self, config: AIAConfig, *, dropout: float = 0.0) -> None:
        super().__init__()
        self.config = config
        self.name = ""
        self.precision, self._optimized = "float32", False
        if config.arch == "mobilenet_v2":
            self.backbone = mobilenetv2.mobilenet_v2(block=InvertedResidual)
            width = self.backbone.last_channel
            self.backbone.classifier = nn.Identity()
        else:
            self.backbone = resnet.ResNet(_RESNET_BLOCKS[config.arch], list(STAGES[config.arch]))
            width = self.backbone.fc.in_features
            self.backbone.fc = nn.Identity()
        self._place()
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(width, config.num_classes)

    def _place(self) -> None:
        for name in self.config.blocks:
            block = self.backbone.get_submodule(name)
            if self.config.temporal == "tsm" and getattr(block, "use_res_connect", True):
                block.shift = TemporalShift()
            if self.config.attention == "none":
                continue
            attention = Attention(self.config.attention, name)
            if isinstance(block, InvertedResidual):
                # The activation behind it has no weights, so torchvision's names stay.
                block.depthwise.insert(2, attention)
            else:
                block.attention = attention

    @property
    def block_names(self) -> tuple[str, ...]:
        """The blocks that hold an AIA module, in order; empty for "none"."""
        return tuple(m.block for m in self.modules() if isinstance(m, Attention))

    @property
    def gate_locations(self) -> tuple[recording.GateLocation, ...]:
        """Every unit of every block."""
        return tuple(m.location for m in self.modules() if isinstance(m, Unit))

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.head.weight.device

    def optimize(self, precision: str = "float32") -> AIANet:
        """Makes the network quicker; returns the network itself.

        For inference (eval mode, no gradients) the trunk runs in its quick form, see `fast_inference.py`: the same logits but
        for rounding. In training features lie channels last, and the gates take compiled passes (`fast_training.py`).

        Args:
            precision: Of inference: "float32", or "bfloat16" or "float16" where the device is fast at it; "auto" for the
                quickest here.

        Raises:
            AIAError: Another precision.
        """
        if precision == "auto":
            precision = fast_inference.best_precision(self.config.arch, self.device)
        if precision not in fast_inference.PRECISIONS:
            raise AIAError(
                f"A network runs in auto, {', '.join(fast_inference.PRECISIONS)}, not {str(precision)[:60]!r}."
            )
        self.precision, self._optimized = fast_inference.usable_precision(precision, self.config.input_size), True
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                module.to(memory_format=torch.channels_last)
            elif isinstance(module, Attention):
                module.fused = True
            elif isinstance(module, nn.ReLU | nn.ReLU6):
                module.inplace = False  # in training autograd would copy the feature behind a gate for it
        return self

    def _features(self, x: Tensor) -> Tensor:
        """Frames `[B * T, 3, H, W]` -> `[B * T, width]`."""
        if not self._optimized or self.training or torch.is_grad_enabled():
            return self.backbone(x)
        precision = fast_inference.usable_precision(self.precision, min(x.shape[2:]))
        run = fast_inference.backbone(self, precision)
        dtype = torch.float32 if run is self.backbone else fast_inference.PRECISIONS[precision]
        try:
            return run(x.to(dtype, memory_format=torch.channels_last)).float()
        except fast_inference.NotFinite:
            return x.new_full((len(x), self.head.in_features), torch.nan)

    def forward(self, x: Tensor) -> Tensor:
        """Classifies clips.

        Args:
            x: `[B, T, 3, H, W]`, normalised; any T, H and W of 32 px or more.

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
        logits = self.head(self.dropout(features))
        return logits.unflatten(0, (batch, segments)).mean(dim=1)

    @classmethod
    def from_pretrained(
        cls, pretrained_model_name_or_path: str | Path, *, revision: str | None = None, **kwargs
    ) -> AIANet:
        """`aia.load` under the name that Hub users know: safetensors only, strict (the mixin's own is neither)."""
        from aia.hub.loading import load  # hub builds networks, so it imports this module

        return load(pretrained_model_name_or_path, revision=revision, **kwargs)

    def save_pretrained(self, save_directory: str | Path, **kwargs) -> str | None:
        """Writes config.json, model.safetensors and, if there is none yet, README.md: all of them or, on an error, none.

        Args:
            save_directory: Made if missing.
            **kwargs: As of the mixin: config, model_card_kwargs, push_to_hub, repo_id, ...

        Returns:
            The commit's address, if it was pushed.

        Raises:
            AIAError: The folder cannot be written, or the push failed.
        """
        if kwargs.get("push_to_hub") and kwargs.get("repo_id") is None:
            kwargs["repo_id"] = Path(save_directory).name
        with files.writing_into(save_directory) as part:
            try:
                address = super().save_pretrained(part, **kwargs)
            except SafetensorError as error:  # holds the system's error as text
                number = int((re.findall(r"os error (\d+)", str(error)) or [0])[0])
                raise OSError(number, os.strerror(number)) from None
            if (Path(save_directory) / "README.md").exists():
                (part / "README.md").unlink()
        return address

    def push_to_hub(self, repo_id: str, **kwargs) -> str:
        """Uploads config, weights and card to a Hub repository, with the token of the environment's HF_TOKEN only.

        Args:
            repo_id: "user/repo"; made if it does not exist.
            **kwargs: As of the mixin: commit_message, private, branch, create_pr, ...

        Returns:
            The commit's address.

        Raises:
            AIAError: No token, no permission or no connection.
        """
        token = os.environ.get("HF_TOKEN", "").strip()
        if not token:
            raise AIAError("Pushing to the Hub needs a token that may write; set HF_TOKEN in the environment.")
        kwargs["model_card_kwargs"] = {"name": repo_id, **(kwargs.get("model_card_kwargs") or {})}
        try:
            return super().push_to_hub(repo_id, **{**kwargs, "token": token})
        except Exception:  # the client's errors may show the token
            raise AIAError(f"{repo_id} could not be pushed; check the name, HF_TOKEN and the connection.") from None

    def generate_model_card(self, **kwargs) -> ModelCard:
        """The card that `save_pretrained` and `push_to_hub` write beside the weights."""
        return model_card(self.config, **kwargs)
