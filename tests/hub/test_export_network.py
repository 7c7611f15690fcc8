"""An exported file gives the network's own logits and gates, for any number of clips and frames, without this library."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from conftest import LABELS, small_net

import aia
from aia.cli import main
from aia.hub.export_network import exported_program, write_archive, write_onnx
from aia.modeling import recording
from aia.modeling.attention_settings import ATTENTION_SETTINGS
from aia.modeling.backbones import BACKBONES
from tools.export_table import BLOCKS, one_block

CLIPS = ((1, 1), (1, 2), (2, 5))  # batch and frames


def add_backbone(monkeypatch, kind: str) -> str:
    """A backbone with one block of a kind; returns its name."""
    monkeypatch.setitem(BACKBONES, kind, one_block(kind))
    return kind


def answer(net: aia.AIANet, clip: torch.Tensor) -> dict[str, np.ndarray]:
    with torch.inference_mode(), recording.recording() as recorded:
        logits = net(clip)
    return {"logits": logits.numpy()} | {f"{at.block}/{at.unit}": gate.numpy() for at, gate in recorded.gates.items()}


def check(net: aia.AIANet, file, archive, tolerance: float = 1e-4) -> None:
    """Both files give the network's answer for clips of any length."""
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    program = torch.export.load(archive).module() if archive else None
    for batch, frames in CLIPS:
        size = net.config.input_size
        clip = torch.randn(batch, frames, 3, size, size, generator=torch.Generator().manual_seed(frames))
        expected = answer(net, clip)
        outputs = session.run(None, {"clip": clip.numpy()})
        found = [dict(zip([output.name for output in session.get_outputs()], outputs, strict=True))]
        if program:
            values = program(clip)
            found.append(
                {
                    name: value.numpy()
                    for name, value in (values if isinstance(values, dict) else {"logits": values}).items()
                }
            )
        for values in found:
            assert values.keys() == expected.keys()
            for name, value in expected.items():
                assert values[name].shape == value.shape, name
                assert np.abs(values[name] - value).max() < tolerance, name


@pytest.mark.long
@pytest.mark.parametrize("attention", ATTENTION_SETTINGS)
def test_logits_and_every_gate_of_every_setting_equal_pytorchs(attention, monkeypatch, tmp_path):
    settings = list(ATTENTION_SETTINGS)
    kind = add_backbone(monkeypatch, list(BLOCKS)[settings.index(attention) % len(BLOCKS)])
    net = small_net(attention, ("tsm", "tsn")[settings.index(attention) // len(BLOCKS) % 2], kind, size=32)
    gates = [f"{at.block}/{at.unit}" for at in net.gate_locations]
    program = exported_program(net, gates=bool(gates))  # traced once for both files, as `export_network` does for one
    write_onnx(program, tmp_path / "net.onnx", {"gates": gates})
    write_archive(program, tmp_path / "net.pt2", {"gates": gates})
    check(net, tmp_path / "net.onnx", tmp_path / "net.pt2")


@pytest.mark.long
def test_the_command_writes_a_file_with_the_gates_and_the_metadata(monkeypatch, tmp_path, capsys):
    net = small_net("c", "tsm", add_backbone(monkeypatch, "basic"), size=32)
    net.save_pretrained(tmp_path / "model")
    assert main(["export", str(tmp_path / "model"), "--out", str(tmp_path / "net.onnx"), "--gates"]) == 0
    assert "2 outputs" in capsys.readouterr().out
    check(net, tmp_path / "net.onnx", None)
    content = (tmp_path / "net.onnx").read_bytes()
    assert b"site-packages" not in content and str(tmp_path).encode() not in content
    metadata = onnxruntime.InferenceSession(tmp_path / "net.onnx").get_modelmeta().custom_metadata_map
    values = {name: json.loads(value) for name, value in metadata.items()}
    assert values["labels"] == list(LABELS) and values["mean"] == list(net.config.mean)
    assert values["num_segments"] == 8 and values["input_size"] == 32 and values["gates"] == ["1/C"]


WITHOUT_AIA = """
import json, sys
sys.modules["aia"] = None  # importing it is an error
import torch
files = {"metadata.json": ""}
program = torch.export.load("net.pt2", extra_files=files).module()
torch.manual_seed(0)
answer = program(torch.randn(2, 5, 3, 32, 32))
metadata = json.loads(files["metadata.json"])
print(json.dumps({"logits": answer["logits"].tolist(), "outputs": list(answer), "metadata": metadata}))
"""


@pytest.mark.long
def test_a_process_without_the_library_loads_the_torch_file(monkeypatch, tmp_path):
    net = small_net("cinst", "tsm", add_backbone(monkeypatch, "inverted"), size=32)
    aia.export_network(net, tmp_path / "net.pt2", format="torch", gates=True)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", WITHOUT_AIA], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    told = json.loads(done.stdout)
    torch.manual_seed(0)
    expected = answer(net, torch.randn(2, 5, 3, 32, 32))
    assert np.allclose(told["logits"], expected["logits"], atol=1e-4)
    assert told["outputs"] == ["logits", "1/T", "1/H", "1/W", "1/C"]
    assert told["metadata"]["labels"] == list(LABELS) and told["metadata"]["gates"] == told["outputs"][1:]


@pytest.mark.long
def test_half_precision_is_near_and_its_inputs_and_outputs_stay_float32(monkeypatch, tmp_path):
    net = small_net("cinst", "tsm", add_backbone(monkeypatch, "bottleneck"), size=32)
    state = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    half = aia.export_network(net, tmp_path / "half.onnx", gates=True, half=True)
    check(net, half, None, tolerance=2e-2)
    session = onnxruntime.InferenceSession(half)
    assert {value.type for value in (*session.get_inputs(), *session.get_outputs())} == {"tensor(float)"}
    types = {
        initializer.data_type
        for initializer in onnx.load(half).graph.initializer
        if initializer.name.startswith("network.backbone")
    }
    assert onnx.TensorProto.FLOAT16 in types
    assert all(torch.equal(tensor, state[name]) for name, tensor in net.state_dict().items())


def test_what_cannot_be_exported_is_said_in_a_sentence(monkeypatch, tmp_path):
    kind = add_backbone(monkeypatch, "basic")
    net, plain = small_net("c", "tsn", kind, size=32), small_net("none", "tsn", kind, size=32)
    with pytest.raises(aia.AIAError, match="exported as onnx or torch, not as 'tflite'"):
        aia.export_network(net, tmp_path / "net", format="tflite")
    with pytest.raises(aia.AIAError, match="has no gates"):
        aia.export_network(plain, tmp_path / "net.onnx", gates=True)
    with pytest.raises(aia.AIAError, match="cannot be written"):
        aia.export_network(net, tmp_path / "missing" / "net.onnx")
    monkeypatch.setitem(sys.modules, "onnxscript", None)  # as if it were not installed
    with pytest.raises(aia.AIAError, match="python -m pip install onnx onnxscript"):
        aia.export_network(net, tmp_path / "net.onnx")
    assert not list(tmp_path.iterdir())
