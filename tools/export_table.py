"""Compares exported networks with PyTorch, for every attention setting: `python -m tools.export_table`.

Writes the table of docs/exports.md: one block of each kind, and whole backbones. Arguments such as `bottleneck resnet50:cinst`
measure a column or a cell only.
"""

from __future__ import annotations

import copy
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from torch import nn

from aia import console
from aia.errors import AIAError
from aia.hub.export_network import exported_program, write_archive, write_onnx
from aia.locations import ROOT
from aia.modeling import recording
from aia.modeling.attention_settings import ATTENTION_SETTINGS
from aia.modeling.backbones import BACKBONES, Backbone
from aia.modeling.blocks import BasicBlock, Bottleneck, InvertedResidual
from aia.modeling.config import AIAConfig
from aia.modeling.network import AIANet
from tools import markdown

DOCUMENT = ROOT / "docs" / "exports.md"
SIZE = 64  # px
CLIPS = ((1, 1), (2, 3), (1, 8))  # batch and frames
MAX_ONNX, MAX_TORCH = 1e-4, 1e-6  # differences that are accepted
MAX_ROUNDING = 2.0  # or so often PyTorch's own difference from float64: the sum of two such errors
BLOCKS: dict[str, Callable[[], nn.Module]] = {
    "basic": lambda: BasicBlock(16, 16),
    "bottleneck": lambda: Bottleneck(16, 4),
    "inverted": lambda: InvertedResidual(16, 16, 1, 2),
}


def one_block(kind: str) -> Backbone:
    """A backbone with one block of a kind, which is traced in seconds."""

    def build() -> nn.Module:
        return nn.Sequential(nn.Conv2d(3, 16, 4, 4), BLOCKS[kind](), nn.AdaptiveAvgPool2d(1), nn.Flatten())

    return Backbone(kind, blocks=("1",), width=16, last_features="1", build=build)


def lively_network(arch: str, attention: str, temporal: str = "tsm") -> AIANet:
    """A network with random weights; its batch norms have the statistics of one batch, so that features and gates vary."""
    torch.manual_seed(0)
    config = AIAConfig(
        ("left", "right", "still"),
        arch=arch,
        temporal=temporal,  # type: ignore[arg-type]
        attention=attention,
        input_size=SIZE,
        resize=SIZE,
    )
    network = AIANet(config)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d | nn.BatchNorm3d):
            module.momentum = 1.0
    with torch.no_grad():
        network.train()(torch.randn(2, 8, 3, SIZE, SIZE))
    return network.eval()


@torch.inference_mode()
def outputs(network: AIANet, clip: torch.Tensor) -> dict[str, np.ndarray]:
    """Logits and gates in PyTorch, under their names in an exported file."""
    with recording.recording() as recorded:
        logits = network(clip)
    gates = {f"{at.block}/{at.unit}": gate for at, gate in recorded.gates.items()}
    return {name: value.numpy() for name, value in {"logits": logits, **gates}.items()}


@torch.inference_mode()
def differences(network: AIANet) -> tuple[float, float, float]:
    """The largest difference of any output from PyTorch: of the ONNX file, the torch.export file, and PyTorch in float64."""
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder, name) for name in ("model.onnx", "model.pt2")]
        gates = [f"{at.block}/{at.unit}" for at in network.gate_locations]
        traced = exported_program(network, gates=bool(gates))
        write_onnx(traced, paths[0], {"gates": gates})
        write_archive(traced, paths[1], {"gates": gates})
        session = onnxruntime.InferenceSession(paths[0], providers=["CPUExecutionProvider"])
        program = torch.export.load(paths[1]).module()
    exact = copy.deepcopy(network).double()
    names = [output.name for output in session.get_outputs()]
    largest = [0.0, 0.0, 0.0]
    for batch, frames in CLIPS:
        clip = torch.randn(batch, frames, 3, SIZE, SIZE)
        expected, answer = outputs(network, clip), program(clip)
        found = (
            dict(zip(names, session.run(None, {"clip": clip.numpy()}), strict=True)),
            {
                name: value.numpy()
                for name, value in ({"logits": answer} if torch.is_tensor(answer) else answer).items()
            },
            outputs(exact, clip.double()),
        )
        for index, values in enumerate(found):
            if values.keys() != expected.keys():
                raise AIAError(f"{network.config.title}: the exported file has other outputs than the network.")
            worst = max(float(np.abs(values[name] - expected[name]).max()) for name in expected)
            largest[index] = max(largest[index], worst)
    return largest[0], largest[1], largest[2]


def table(cells: dict[tuple[str, str], str], columns: Sequence[str]) -> str:
    """Markdown: a row for each attention setting, a column for each kind of block and each backbone."""
    rows = [
        f"| `{setting}` | " + " | ".join(cells.get((setting, arch), "") for arch in columns)
        for setting in ATTENTION_SETTINGS
    ]
    head = f"| attention | {' | '.join(f'`{arch}`' for arch in columns)} |"
    return "\n".join([head, "| --- |" + " ---: |" * len(columns), *(f"{row} |" for row in rows)])


def read_table(document: str) -> dict[tuple[str, str], str]:
    """The cells of a document's table, by attention setting and backbone."""
    rows = [
        [cell.strip(" `") for cell in line.strip("|").split("|")]
        for line in document.splitlines()
        if line.startswith("| `")
    ]
    heads = [line for line in document.splitlines() if line.startswith("| attention |")]
    archs = [cell.strip(" `") for cell in heads[0].strip("|").split("|")][1:] if heads else []
    return {(row[0], arch): cell for row in rows for arch, cell in zip(archs, row[1:], strict=True)}


def main() -> None:
    """Measures and writes; each finished cell is written at once."""
    torch.set_num_threads(1)
    whole = list(BACKBONES)
    BACKBONES.update({kind: one_block(kind) for kind in BLOCKS})
    columns = [*BLOCKS, *whole]
    cells = read_table(DOCUMENT.read_text(encoding="utf-8"))
    for wanted in sys.argv[1:] or columns:
        arch, _, only = wanted.partition(":")
        for setting in [only] if only else ATTENTION_SETTINGS:
            onnx, program, rounding = differences(lively_network(arch, setting))
            print(f"{arch} {setting}: ONNX {onnx:.0e}, torch {program:.0e}, float64 {rounding:.0e}", flush=True)
            if onnx > max(MAX_ONNX, MAX_ROUNDING * rounding) or program > MAX_TORCH:
                raise AIAError(f"{arch} with {setting} differs too much from PyTorch; the table stays as it was.")
            cells[setting, arch] = f"{onnx:.0e}" if onnx <= MAX_ONNX else f"{onnx:.0e} ({rounding:.0e})"
            markdown.put("exports", table(cells, columns), DOCUMENT)


if __name__ == "__main__":
    raise SystemExit(console.run(main))
