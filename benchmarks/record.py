"""The cost of recording every gate, and of Grad-CAM for one label, over one forward pass."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from aia.modeling import recording
from aia.modeling.backbones import BACKBONES
from aia.modeling.config import AIAConfig
from aia.modeling.network import AIANet
from benchmarks.table import Options, Table, timed

FORWARD = "forward, nothing recorded"


def tables(options: Options) -> Iterator[Table]:
    """The given network, and ResNet-50 with CinST at 8 x 224 x 224."""
    model = options.load()
    yield _table(model, options.repeats)
    published = AIAConfig(("a", "b"), arch="resnet50", temporal="tsn", num_segments=8, input_size=224)
    yield _table(AIANet(published).eval().to(model.device).optimize(model.precision), options.repeats)


def _table(model: AIANet, repeats: int) -> Table:
    config = model.config
    x = torch.randn(1, config.num_segments, 3, config.input_size, config.input_size, device=model.device)

    def forward() -> Tensor:
        with torch.inference_mode():
            logits: Tensor = model(x)
            return logits.cpu()  # waits for the device

    def recorded(features: bool = False) -> None:
        with recording.recording(features=features):
            forward()

    parts: dict[str, Callable[[], object]] = {
        FORWARD: forward,
        "all gates recorded": recorded,
        "all gates and features recorded": lambda: recorded(features=True),
    }
    if cam := _grad_cam(model, x):
        parts["Grad-CAM of one label (grad-cam)"] = cam
    title = f"{config.title}, {config.arch}, {config.num_segments} x {config.input_size} x {config.input_size}"
    return timed(f"Looking inside {title}", parts, baseline=FORWARD, repeats=repeats, warm_up=2)


def _grad_cam(model: AIANet, x: Tensor) -> Callable[[], object] | None:
    """Grad-CAM at the last features; None if the package is not installed (`make bench` installs it)."""
    try:
        from pytorch_grad_cam import GradCAM
        from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
    except ImportError:
        return None

    class Frames(nn.Module):  # the package takes a batch of pictures
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, frames: Tensor) -> Tensor:
            logits: Tensor = self.model(frames.unsqueeze(0))
            return logits

    last = model.backbone.get_submodule(BACKBONES[model.config.arch].last_features)

    def run() -> None:
        with GradCAM(Frames(), [last]) as cam:  # hooks the layer, and removes the hook
            cam(x[0], [ClassifierOutputTarget(0)])

    return run
