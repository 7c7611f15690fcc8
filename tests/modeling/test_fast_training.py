"""The compiled passes give what `attention.py` gives: values, gradients, running statistics, recordings, switches."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

import aia
from aia.kernels import build
from aia.modeling import attention, fast_training, recording
from aia.modeling.config import AIAConfig
from aia.modeling.network import AIANet

needs_compiler = pytest.mark.skipif(
    fast_training.library() is None, reason="no C compiler here: attention.py runs instead"
)
SHAPES = [(2, 8, 24, 7, 5), (1, 3, 16, 1, 4), (2, 1, 8, 4, 4), (1, 8, 10, 2, 1), (1, 2, 1, 3, 3)]  # [B, T, C, H, W]


def error(got: torch.Tensor, wanted: torch.Tensor) -> float:
    """Largest difference over the largest value, or over 0.01 where all are smaller (sums that come to nearly nothing)."""
    return ((got - wanted).abs().max() / wanted.abs().max().clamp(min=1e-2)).item()


@needs_compiler
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name", ["C", "ST", "CinST", "STinC"])
def test_module_equals_the_reference_in_value_gradient_and_statistics(name, shape):
    torch.manual_seed(0)
    reference = getattr(attention, name)()
    for parameter in reference.parameters():
        nn.init.normal_(parameter, std=0.5)
    compiled = copy.deepcopy(reference)
    x, grad = torch.randn(2, *shape)
    results = []
    for module, run in ((reference, reference), (compiled, lambda v: fast_training.forward(compiled, v))):
        v = x.clone().requires_grad_()
        out = run(v)
        out.backward(grad)
        results.append([out, v.grad, *module.buffers(), *(p.grad for p in module.parameters())])
    for wanted, got in zip(*results, strict=True):
        assert error(got.double(), wanted.double()) < 1e-4
    reference.eval(), compiled.eval()
    with torch.inference_mode():
        assert error(fast_training.forward(compiled, x), reference(x)) < 1e-5


@pytest.mark.slow
@needs_compiler
@pytest.mark.parametrize("mode", ["identity", "mean", "scale"])
def test_switches_work_alike(mode):
    torch.manual_seed(2)
    config = AIAConfig(labels=("a", "b"), arch="mobilenet_v2", temporal="tsn", attention="stinc")
    model = AIANet(config).eval()
    clip = torch.randn(1, 3, 3, 64, 64)
    switches = [aia.Switch(mode, "features.3", "H"), aia.Switch(mode, "*", "C")]
    answers = []
    for net in (model, copy.deepcopy(model).optimize()):
        with torch.inference_mode(), recording.recording(switches):
            answers.append(net(clip))
    assert error(answers[1], answers[0]) < 1e-4


@pytest.mark.slow
def test_without_a_compiler_the_reference_runs(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    build.library.cache_clear()
    try:
        assert fast_training.library() is None
        config = AIAConfig(labels=("a", "b"), arch="mobilenet_v2", temporal="tsn", attention="cinst")
        model = AIANet(config).eval()
        clip = torch.randn(1, 2, 3, 64, 64)
        with torch.inference_mode():
            assert torch.equal(model(clip), model.optimize()(clip))
    finally:
        build.library.cache_clear()
