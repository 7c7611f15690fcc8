"""Exports a network for programs that have neither this library nor, in the case of ONNX, PyTorch."""

from __future__ import annotations

import io
import json
import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from aia import files
from aia.errors import AIAError
from aia.modeling import recording
from aia.modeling.blocks import SHIFT_DIV, Attention, TemporalShift
from aia.modeling.network import AIANet

Format = Literal["onnx", "torch"]
FORMATS: tuple[Format, ...] = get_args(Format)
INPUT, OUTPUT = "clip", "logits"
METADATA = "metadata.json"  # the file in a torch.export archive


def export_network(
    model: AIANet, path: str | Path, *, format: Format = "onnx", gates: bool = False, half: bool = False
) -> Path:
    """Writes a network as one file that runs without this library.

    The file takes `clip`, `[B, T, 3, S, S]` in float32, normalized, with S the configuration's `input_size`. B and T may
    be any number from 1; S is fixed. It gives `logits` `[B, classes]` and, with `gates`, every gate under the name
    "block/unit" that it has in gates.npz, such as "features.3/C", as used, in its factorized shape. The metadata
    hold the configuration's fields and the list `gates`, each as JSON.

    Args:
        model: The network. It stays as it is.
        path: The file to write.
        format: "onnx", for onnxruntime and others, or "torch", for `torch.export.load`.
        gates: Whether every gate is an output, too.
        half: Whether the trunk runs in float16. Gates, input and outputs stay float32.

    Returns:
        The file.

    Raises:
        AIAError: An unknown format, gates of a network without AIA, a missing package, or a file that cannot be written.

    Example:
        >>> import aia, tempfile
        >>> model = aia.AIANet(aia.AIAConfig(("left", "right"), arch="resnet18", attention="c", input_size=32))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     aia.export_network(model, folder + "/model.pt2", format="torch").name
        'model.pt2'
    """
    if format not in FORMATS:
        raise AIAError(f"A network is exported as {' or '.join(FORMATS)}, not as {str(format)[:40]!r}.")
    if gates and not model.block_names:
        raise AIAError("This network has no gates; export it without them.")
    if format == "onnx" and not (find_spec("onnx") and find_spec("onnxscript")):
        raise AIAError("ONNX needs two more packages; install them: python -m pip install onnx onnxscript")
    files.check(path)
    program = exported_program(model, gates=gates, half=half)
    names = [f"{at.block}/{at.unit}" for at in model.gate_locations] if gates else []
    metadata = {**model.config.to_dict(), "gates": names}
    write = write_onnx if format == "onnx" else write_archive
    with files.writing(path) as part:
        write(program, part, metadata)
    return Path(path)


def exported_program(model: AIANet, *, gates: bool = False, half: bool = False) -> torch.export.ExportedProgram:
    """Traces a network for any number of clips and frames. Arguments as for `export_network`."""
    config = model.config
    network = AIANet(config)  # in its readable form, which has no compiled code
    network.load_state_dict(model.state_dict())
    network.requires_grad_(False).eval()
    for block in config.blocks:
        part: Any = network.backbone.get_submodule(block)
        if isinstance(part.shift, TemporalShift):
            part.shift = _Shift()
    if half:
        _make_half(network)
    example = torch.zeros(2, max(3, config.num_segments), 3, config.input_size, config.input_size)
    sizes = {0: torch.export.Dim("batch", min=1), 1: torch.export.Dim("frames", min=1)}
    with torch.no_grad(), _quiet():
        program = torch.export.export(
            _Exported(network, gates), (example,), dynamic_shapes={"clip": sizes}, strict=False
        )
    for node in program.graph.nodes:
        node.meta.pop("stack_trace", None)  # holds paths of this machine
    return program


def write_archive(program: torch.export.ExportedProgram, path: Path, metadata: Mapping[str, Any]) -> None:
    """Writes a traced network for `torch.export.load`."""
    content = io.BytesIO()  # PyTorch's own writer ends the process on a full disk
    with _quiet():
        torch.export.save(program, content, extra_files={METADATA: json.dumps(metadata)})
    path.write_bytes(content.getbuffer())


def write_onnx(program: torch.export.ExportedProgram, path: Path, metadata: Mapping[str, Any]) -> None:
    """Writes a traced network as ONNX; `metadata` hold the names of its gates, as in `export_network`."""
    with torch.no_grad(), _quiet():
        exported = torch.onnx.export(
            program,
            dynamo=True,
            input_names=[INPUT],
            output_names=[OUTPUT, *metadata["gates"]],
            dynamic_shapes={INPUT: {0: "batch", 1: "frames"}},
            verbose=False,
        )
    assert exported is not None
    exported.model.metadata_props.update({key: json.dumps(value) for key, value in metadata.items()})
    for node in exported.model.graph.all_nodes():
        node.metadata_props.clear()  # where each node comes from, many times the graph's size
    exported.save(path)


class _Exported(nn.Module):
    """The network on a clip: logits, or with gates a dict from each output's name to its value."""

    def __init__(self, network: AIANet, gates: bool) -> None:
        super().__init__()
        self.network, self.gates = network, gates

    def forward(self, clip: Tensor) -> Tensor | dict[str, Tensor]:
        with recording.recording() as recorded:
            logits: Tensor = self.network(clip)
        if not self.gates:
            return logits
        gates = {f"{at.block}/{at.unit}": recorded.gates[at] for at in self.network.gate_locations}
        return {OUTPUT: logits, **gates}


class _Shift(nn.Module):
    """`TemporalShift` without a slice of T - 1 frames, which the exporter would fix to more than one."""

    def forward(self, x: Tensor) -> Tensor:
        v = recording.split_clips(x)
        fold = v.shape[2] // SHIFT_DIV
        padded = F.pad(v[:, :, : 2 * fold], (0, 0, 0, 0, 0, 0, 1, 1))  # a frame of zeros before and after the clip
        return torch.cat((padded[:, 2:, :fold], padded[:, :-2, fold:], v[:, :, 2 * fold :]), dim=2).flatten(0, 1)


def _make_half(network: AIANet) -> None:
    """The trunk in float16, with its gates, its input and its output in float32."""
    network.backbone.half()
    _cast(network.backbone, torch.float16, torch.float32)
    for module in network.backbone.modules():
        if isinstance(module, Attention):
            _cast(module.float(), torch.float32, torch.float16)


def _cast(module: nn.Module, before: torch.dtype, after: torch.dtype) -> None:
    module.register_forward_pre_hook(lambda _, inputs: (inputs[0].to(before),))
    module.register_forward_hook(lambda _, inputs, output: output.to(after))


@contextmanager
def _quiet() -> Iterator[None]:
    """Hides what PyTorch's exporters say about themselves."""
    logs = [logging.getLogger(name) for name in ("torch.export", "torch.onnx")]
    levels = [log.level for log in logs]
    for log in logs:
        log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for log, level in zip(logs, levels, strict=True):
            log.setLevel(level)
