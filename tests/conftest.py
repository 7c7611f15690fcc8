"""What several tests need: small networks and real video files."""

import os

os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")

import numpy as np
import pytest
import torch

from aia import AIAConfig, AIANet
from aia.render import write_mp4
from aia.video import Clip

LABELS = ("left", "right", "still")


def small_net(attention="cinst", temporal="tsm", arch="resnet18", size=48, seed=0) -> AIANet:
    """A network with random weights and lively gates: batch norms away from their start values."""
    torch.manual_seed(seed)
    net = AIANet(
        AIAConfig(LABELS, arch=arch, temporal=temporal, attention=attention, input_size=size, resize=(size, size))
    )
    for name, tensor in net.state_dict().items():
        if "attention" in name or ".conv.0.2." in name or ".conv.1.2." in name:
            if name.endswith("running_var"):
                tensor.uniform_(0.3, 1.0)
            elif tensor.is_floating_point():
                tensor.add_(0.3 * torch.randn_like(tensor))
    net.name = "small"
    return net.eval()


def moving_frames(count=24, height=48, width=64, seed=0) -> np.ndarray:
    """A bright square that walks over noise, uint8 `[T, H, W, 3]`."""
    rng = np.random.default_rng(seed)
    frames = rng.integers(0, 80, (count, height, width, 3), dtype=np.uint8)
    for t in range(count):
        x = int((width - 12) * t / max(count - 1, 1))
        frames[t, height // 2 - 6 : height // 2 + 6, x : x + 12] = (250, 200, 40)
    return frames


def clip_of(frames: np.ndarray, fps=10.0) -> Clip:
    count = len(frames)
    return Clip(frames, np.arange(count), np.arange(count) / fps, fps, count / fps, count)


@pytest.fixture(scope="session")
def net():
    return small_net()


@pytest.fixture(scope="session")
def clip():
    return clip_of(moving_frames(8))


@pytest.fixture(scope="session")
def video(tmp_path_factory):
    path = tmp_path_factory.mktemp("video") / "walk.mp4"
    write_mp4(path, moving_frames(30, 96, 128), 10)
    return path
