"""Compares exported networks with PyTorch, for every attention setting and backbone: `python -m tools.export_table`.

Writes the table of docs/exports.md. Arguments such as `resnet18 resnet50:cinst` measure a column or a cell only.
"""

from __future__ import annotations

import sys
import tempfile
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
from aia.modeling.backbones import BACKBONES
from aia.modeling.config import AIAConfig
from aia.modeling.network import AIANet
from tools import markdown

DOCUMENT = ROOT / "docs" / "exports.md"
SIZE = 64  # px
CLIPS = ((1, 1), (2, 3), (1, 8))  # batch and frames


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
def differences(network: AIANet) -> tuple[float, float]:
    """The largest difference of any output from PyTorch: of the ONNX file and of the torch.export file."""
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder, name) for name in ("model.onnx", "model.pt2")]
        gates = [f"{at.block}/{at.unit}" for at in network.gate_locations]
        traced = exported_program(network, gates=bool(gates))
        write_onnx(traced, paths[0], {"gates": gates})
        write_archive(traced, paths[1], {"gates": gates})
        session = onnxruntime.InferenceSession(paths[0], providers=["CPUExecutionProvider"])
        program = torch.export.load(paths[1]).module()
    names = [output.name for output in session.get_outputs()]
    largest = [0.0, 0.0]
    for batch, frames in CLIPS:
        clip = torch.randn(batch, frames, 3, SIZE, SIZE)
        expected, answer = outputs(network, clip), program(clip)
        found = (
            dict(zip(names, session.run(None, {"clip": clip.numpy()}), strict=True)),
            {
                name: value.numpy()
                for name, value in ({"logits": answer} if torch.is_tensor(answer) else answer).items()
            },
        )
        for index, values in enumerate(found):
            if values.keys() != expected.keys():
                raise AIAError(f"{network.config.title}: the exported file has other outputs than the network.")
            worst = max(float(np.abs(values[name] - expected[name]).max()) for name in expected)
            largest[index] = max(largest[index], worst)
    return largest[0], largest[1]


def table(cells: dict[tuple[str, str], str]) -> str:
    """Markdown: a row for each attention setting, a column for each backbone."""
    rows = [
        f"| `{setting}` | " + " | ".join(cells.get((setting, arch), "") for arch in BACKBONES)
        for setting in ATTENTION_SETTINGS
    ]
    head = f"| attention | {' | '.join(f'`{arch}`' for arch in BACKBONES)} |"
    return "\n".join([head, "| --- |" + " ---: |" * len(BACKBONES), *(f"{row} |" for row in rows)])


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
    cells = read_table(DOCUMENT.read_text(encoding="utf-8"))
    for wanted in sys.argv[1:] or BACKBONES:
        arch, _, only = wanted.partition(":")
        for setting in [only] if only else ATTENTION_SETTINGS:
            onnx, program = differences(lively_network(arch, setting))
            cells[setting, arch] = f"{onnx:.0e} / {program:.0e}"
            print(arch, setting, cells[setting, arch], flush=True)
            markdown.put("exports", table(cells), DOCUMENT)


if __name__ == "__main__":
    raise SystemExit(console.run(main))
