"""The compiled passes give what `attention.py` gives: values, gradients, running statistics, recordings, switches."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

import aia
from aia.kernels import build
from aia.modeling import attention, fast_training, recording
from aia.modeling.blocks import Attention
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


class Doubled(nn.BatchNorm3d):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return 2 * super().forward(x)


def hook_the_module(module):
    module.first.register_forward_hook(lambda module, given, out: 2 * out)


def hook_a_unit(module):
    module.first.H.register_forward_pre_hook(lambda module, given: (2 * given[0],))


def hook_a_convolution(module):
    module.first.C.conv.register_forward_hook(lambda module, given, out: 2 * out)


def hook_the_gradient(module):
    module.first.T.bn.register_full_backward_hook(lambda module, given, out: (2 * given[0],))


def average_over_all_batches(module):
    module.first.W.bn.momentum = None


def use_another_batch_norm(module):
    module.first.H.bn = Doubled(1)


@needs_compiler
@pytest.mark.parametrize(
    "change",
    [
        *(hook_the_module, hook_a_unit, hook_a_convolution, hook_the_gradient),
        *(average_over_all_batches, use_another_batch_norm),
    ],
    ids=lambda f: f.__name__,
)
def test_what_a_user_changes_counts_in_training(change):
    torch.manual_seed(3)
    reference, x = Attention("cinst", "block"), torch.randn(2 * 4, 6, 5, 7)
    change(reference)
    optimized = copy.deepcopy(reference)
    optimized.fused = True
    results = []
    for module in (reference, optimized):
        v = x.clone().requires_grad_()
        with recording.segments_per_clip(4):
            for _ in range(2):
                out = module(v)
                out.square().sum().backward()
        results.append([out, v.grad, *module.buffers(), *(p.grad for p in module.parameters())])
    for wanted, got in zip(*results, strict=True):
        assert error(got.double(), wanted.double()) < 1e-4


@needs_compiler
@pytest.mark.parametrize("name", ["C", "ST", "CinST", "STinC"])
def test_a_second_derivative_is_an_error_and_not_a_wrong_number(name):
    x = torch.randn(1, 3, 4, 5, 6, requires_grad=True)
    out = fast_training.forward(getattr(attention, name)(), x)
    (grad,) = torch.autograd.grad(out.square().sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        grad.square().sum().backward()


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
