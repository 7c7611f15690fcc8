"""The passes in Triton give the gates and gradients of the readable network, in Triton's own interpreter on the CPU."""

import os
import subprocess
import sys

import pytest
from conftest import ROOT

pytest.importorskip("triton", reason="comes with PyTorch's CUDA build only")

PROGRAM = """
import copy, sys
import torch
from triton.runtime import interpreter

# Triton 3.6 turns an array of one number into an index, which NumPy 2.4 refuses.
patch = interpreter._patch_lang_tensor
def patched(tensor, scope):
    patch(tensor, scope)
    scope.set_attr(tensor, "__index__", lambda self: int(self.handle.data.item()))
interpreter._patch_lang_tensor = patched

from aia.modeling import attention, fast_training, recording
from aia.kernels import training_triton
fast_training._on_gpu, fast_training._gpu = lambda x: True, lambda: training_triton

for shape in ((2, 3, 5, 6, 7), (1, 2, 40, 3, 2)):
    for kind in (attention.C, attention.CinST, attention.STinC):
        torch.manual_seed(0)
        plain = kind()
        for unit in plain.children():
            unit.location = recording.GateLocation("block", unit.axis)
        quick = copy.deepcopy(plain)
        x = torch.randn(shape, requires_grad=True)
        y = x.detach().clone().requires_grad_()
        grad = torch.randn(shape)
        expected, got = plain(x), fast_training.forward(quick, y)
        expected.backward(grad)
        got.backward(grad)
        torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(y.grad, x.grad, rtol=1e-4, atol=1e-5)
        for a, b in zip(quick.parameters(), plain.parameters()):
            torch.testing.assert_close(a.grad, b.grad, rtol=1e-3, atol=1e-4)
        for a, b in zip(quick.buffers(), plain.buffers()):
            torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)
print("equal")
"""


@pytest.mark.long
def test_the_passes_in_triton_equal_the_readable_network():
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        cwd=ROOT,
        env={**os.environ, "TRITON_INTERPRET": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0 and "equal" in done.stdout, done.stderr
