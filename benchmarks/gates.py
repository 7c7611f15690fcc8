"""Times what a network's AIA modules do on the CPU, step by step, against the trunk without them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import torch
from torch import Tensor

from aia.errors import AIAError
from aia.kernels import build
from aia.modeling import fast_inference, recording
from aia.modeling.blocks import Attention
from aia.modeling.network import AIANet
from benchmarks.table import Options, Table, timed

TRUNK = "plain trunk"
STEPS = {  # the steps of `inference.c`
    "pool and gate of C": b"C",
    "pool and gates of T, H, W, x . u": b"g",
    "product": b"X",
    "all in one call (CinST)": b"CgX",
    "all in one call (STinC)": b"Gcx",
}
_SEED = 0


def tables(options: Options) -> Iterator[Table]:
    """Sums each step over the blocks of the given network's trunk, with CinST of random weights."""
    config = options.load().config
    passes = build.library("inference.c")
    if passes is None:
        raise AIAError("The steps are those of the compiled passes; install a C compiler.")

    def network(attention: str) -> AIANet:
        torch.manual_seed(_SEED)
        return AIANet(dataclasses.replace(config, attention=attention, default_block="")).eval().optimize()

    torch.manual_seed(_SEED)
    x = torch.randn(1, config.num_segments, 3, config.input_size, config.input_size)
    plain, gated = network("none"), network("cinst")
    with torch.inference_mode(), recording.recording(features=True) as recorded:
        gated(x)
        modules = {
            m.block: fast_inference._Module(m.first, passes) for m in gated.modules() if isinstance(m, Attention)
        }
    features = {block: v.permute(0, 1, 3, 4, 2).contiguous() for block, v in recorded.inputs.items()}

    def run_trunk() -> Tensor:
        with torch.inference_mode():
            logits: Tensor = plain(x)
            return logits

    def run_steps(steps: bytes) -> None:
        for block, module in modules.items():
            module.steps = steps
            module(features[block], fast_inference.RELU6, outputs[block])

    outputs = {block: torch.empty_like(v) for block, v in features.items()}
    parts = {TRUNK: run_trunk, **{name: lambda steps=steps: run_steps(steps) for name, steps in STEPS.items()}}
    title = (
        f"The AIA modules of {config.arch} at {config.num_segments} x {config.input_size} x {config.input_size}, "
        f"{torch.get_num_threads()} threads"
    )
    yield timed(title, parts, baseline=TRUNK, repeats=options.repeats, warm_up=2)
