"""Parity with the published code, through the command that users run."""

import functools
import json
import re
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import ROOT, others_long

import aia
from aia import AIAConfig, AIANet
from aia.cli import main
from aia.hub.convert import NETS

LOGITS = json.loads((ROOT / "tests" / "data" / "official_logits.json").read_text())
CLASSES = 12


def published_names(
    net: str, classes=CLASSES, arch="resnet50", head="new_fc"
) -> dict[str, tuple[str, tuple[int, ...]]]:
    """Published name -> shape, from the table of the specification, not from our converter."""
    temporal, attention = NETS[net]
    eft = {
        "none": {},
        "c": {"eft": "C"},
        "st": {"eft": "THW"},
        "cinst": {"eft": "CTHW"},
        "stinc": {"eft": "CTHW"},
        "stinc-2022-06": {"eft": "CTHW"},
        "c+st": {"eft1": "C", "eft2": "THW"},
        "c->st": {"eft1": "C", "eft2": "THW"},
        "st->c": {"eft1": "THW", "eft2": "C"},
    }.get(attention, {"eft1": "CTHW", "eft2": "CTHW"})
    with torch.device("meta"):  # the names are wanted, not the weights
        trunk = AIANet(AIAConfig(tuple(map(str, range(classes))), arch=arch, temporal=temporal, attention="none"))
    names = {}
    for key, tensor in trunk.state_dict().items():
        key = key.replace("backbone.", "base_model.").replace("head.", f"{head}.")
        names[key] = tuple(tensor.shape)
    for block in {m[1] for key in names if (m := re.match(r"(base_model\.layer\d\.\d+)\.", key))}:
        stage, index = block.rsplit(".", 1)
        if arch == "resnet101" and stage.endswith("layer3") and int(index) % 2:
            continue
        for module, axes in eft.items():
            for axis in axes:
                names[f"{block}.{module}.{axis}_conv.weight"] = (1, 2, 3, 3, 3)
                for part in ("weight", "bias", "running_mean", "running_var"):
                    names[f"{block}.{module}.{axis}_bn.{part}"] = (1,)
                names[f"{block}.{module}.{axis}_bn.num_batches_tracked"] = ()
    return names


@functools.cache  # the trunks of all networks have the same tensors
def tensor_by_the_rule(key: str, shape: tuple[int, ...]) -> torch.Tensor:
    rng = np.random.RandomState(zlib.crc32(key.encode()))
    if key.endswith("num_batches_tracked"):
        return torch.zeros(shape, dtype=torch.int64)
    if key.endswith("running_var"):
        value = rng.uniform(0.5, 1.5, shape)
    elif key.endswith(("running_mean", "bias")):
        value = 0.1 * rng.standard_normal(shape)
    elif len(shape) == 1:
        value = rng.uniform(0.5, 1.5, shape)
    else:
        value = rng.standard_normal(shape) * np.sqrt(2 / np.prod(shape[1:]))
    return torch.from_numpy(np.asarray(value)).float()


@pytest.fixture(scope="module", autouse=True)
def forget_tensors():
    yield
    tensor_by_the_rule.cache_clear()


def state_of(net: str, **options) -> dict[str, torch.Tensor]:
    return {f"module.{k}": tensor_by_the_rule(k, s) for k, s in published_names(net, **options).items()}


def save(folder: Path, state, **more) -> Path:
    path = folder / "ckpt.pth.tar"
    torch.save(
        {"epoch": 50, "arch": "resnet50", "state_dict": state, "optimizer": {}, "best_prec1": 48.5, **more}, path
    )
    return path


@pytest.fixture
def labels(tmp_path):
    path = tmp_path / "labels.txt"
    path.write_text("".join(f"class {i}\n" for i in range(CLASSES)))
    return path


def run(checkpoint, net, labels, out, *more, segments=8) -> int:
    return main(
        [
            "convert",
            str(checkpoint),
            "--net",
            net,
            "--segments",
            str(segments),
            "--labels",
            str(labels),
            "--out",
            str(out),
            *more,
        ]
    )


# This net enlarges rounding: its published logits themselves lie 4.5e-4 from those of the same weights in float64.
TOLERANCES = dict.fromkeys(LOGITS, 1e-4) | {"C2D_STinC2CinST_BN": 1e-3}


@pytest.mark.slow
@pytest.mark.parametrize("net", others_long(LOGITS, "TSM_CinST_BN"))
def test_a_converted_checkpoint_gives_the_published_logits(net, tmp_path, labels):
    assert run(save(tmp_path, state_of(net)), net, labels, tmp_path / "out") == 0
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["README.md", "config.json", "model.safetensors"]
    model = aia.load(tmp_path / "out", device="cpu", optimize=False)
    x = np.random.RandomState(0).standard_normal((8, 3, 64, 64)).astype(np.float32)
    wanted = np.array(LOGITS[net])
    for network in (model, model.optimize()):
        with torch.inference_mode():
            logits = network(torch.from_numpy(x)[None])[0].numpy()
        assert np.abs(logits - wanted).max() / np.abs(wanted).max() < TOLERANCES[net]
    assert model.config.labels[3] == "class 3" and (model.config.temporal, model.config.attention) == NETS[net]


@pytest.mark.long
def test_the_stinc_of_2022_06_has_the_same_keys_and_other_mathematics(tmp_path, labels):
    checkpoint = save(tmp_path, state_of("C2D_STinC_BN", arch="resnet18"))
    outputs = []
    for net in ("C2D_STinC_BN", "C2D_STinC-2022-06_BN"):
        assert run(checkpoint, net, labels, tmp_path / net) == 0
        with torch.inference_mode():
            outputs.append(aia.load(tmp_path / net, device="cpu")(torch.ones(1, 8, 3, 64, 64)))
    assert not torch.allclose(*outputs, rtol=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("arch", others_long(["resnet18", "resnet101"], "resnet18"))
def test_the_trunk_is_known_by_its_names(tmp_path, labels, arch):
    assert run(save(tmp_path, state_of("TSM_CinST_BN", arch=arch)), "TSM_CinST_BN", labels, tmp_path / "out") == 0
    config = aia.load(tmp_path / "out", device="cpu").config
    assert config.arch == arch and config.resize == (240, 320)


@pytest.mark.slow
def test_the_size_of_the_pictures_is_as_given(tmp_path, labels, capsys):
    checkpoint = save(tmp_path, state_of("TSM", arch="resnet18"))
    for given, size in (("256", 256), ("256x340", (256, 340))):
        out = tmp_path / given
        assert run(checkpoint, "TSM", labels, out, "--resize", given) == 0
        assert aia.load(out, device="cpu").config.resize == size
    assert run(checkpoint, "TSM", labels, tmp_path / "out", "--resize", "128") == 1
    assert "smaller than its 224 px crop" in capsys.readouterr().err and not (tmp_path / "out").exists()
    with pytest.raises(SystemExit):
        run(checkpoint, "TSM", labels, tmp_path / "out", "--resize", "large")
    assert "'large' is no size; give HEIGHTxWIDTH or one number" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("\n\n", "labels.txt holds no label"),
        ("a\nb\na\n", "labels.txt has the label 'a' twice"),
        ("a\n", "7 classes and LABELS has 1 label;"),
    ],
)
def test_labels_that_cannot_be_are_named_with_their_file(content, said, tmp_path, labels, capsys):
    labels.write_text(content)
    state = {
        "new_fc.weight": torch.ones(7, 512),
        "new_fc.bias": torch.ones(7),
        "base_model.conv1.weight": torch.ones(1),
    }
    assert run(save(tmp_path, state), "TSM", labels, tmp_path / "out") == 1
    assert said.replace("LABELS", str(labels)) in capsys.readouterr().err and not (tmp_path / "out").exists()


def test_a_net_in_other_letters_is_the_only_one_suggested(tmp_path, labels, capsys):
    assert run(tmp_path / "none.pth", "tsm_CINST_bn", labels, tmp_path / "out") == 1
    assert "did you mean TSM_CinST_BN?" in capsys.readouterr().err


@pytest.mark.long
def test_a_head_trained_without_dropout_and_other_segments(tmp_path, labels):
    state = state_of("TSM", head="base_model.fc", arch="resnet18")
    assert run(save(tmp_path, state), "TSM", labels, tmp_path / "out", segments=16) == 0
    model = aia.load(tmp_path / "out", device="cpu")
    assert model.config.num_segments == 16
    assert torch.equal(model.head.weight, state["module.base_model.fc.weight"])


def without(state, key):
    return {k: v for k, v in state.items() if k != key}


BLOCK = "module.base_model.layer2.1"


MISFITS = [
    (lambda s: s, "TSM_CinST", "TSM_CinST_BN"),
    (lambda s: s, "TSM_ST_BN", "eft.C_conv.weight"),
    (lambda s: s, "TSM_CinST2STinC_BN", "eft1.T_conv.weight"),
    (lambda s: s, "C2D", "eft."),
    (lambda s: without(s, f"{BLOCK}.eft.H_bn.bias"), "TSM_CinST_BN", "base_model.layer2.1.eft.H_bn.bias"),
    (lambda s: without(s, f"{BLOCK}.conv2.weight"), "TSM_CinST_BN", "base_model.layer2.1.conv2.weight"),
    (lambda s: without(s, "module.base_model.layer3.1.conv1.weight"), "TSM_CinST_BN", "layer3.1.conv1.weight"),
    (lambda s: {**s, "module.base_model.layer3.6.x": torch.ones(1)}, "TSM_CinST_BN", "base_model.layer3.6.x"),
    (lambda s: {**s, "new_fc.bias": s["module.new_fc.bias"]}, "TSM_CinST_BN", "each tensor once"),
    (lambda s: {**s, "module.new_fc.bias": torch.full((12,), torch.nan)}, "TSM_CinST_BN", "new_fc.bias"),
    (lambda s: without(s, "module.new_fc.bias"), "TSM_CinST_BN", "new_fc.bias"),
    (lambda s: {**s, "module.extra": torch.ones(2)}, "TSM_CinST_BN", "extra"),
    (lambda s: {**s, f"{BLOCK}.conv1.weight": torch.ones(2, 2)}, "TSM_CinST_BN", "layer2.1.conv1.weight"),
    (
        lambda s: {**s, "module.new_fc.bias": torch.ones(7), "module.new_fc.weight": torch.ones(7, 512)},
        "TSM_CinST_BN",
        "7 ",
    ),
    (lambda s: {"module.x": 3}, "TSM_CinST_BN", "plain state dict"),
    (lambda s: {}, "TSM_CinST_BN", "plain state dict"),
    (lambda s: {"epoch": 3, "module.x": torch.ones(1)}, "TSM_CinST_BN", "its names are like 'module.x'"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("change", "net", "named"), others_long(MISFITS, *MISFITS[:4], *MISFITS[-3:]))
def test_what_does_not_fit_is_named_and_nothing_is_written(change, net, named, tmp_path, labels, capsys):
    checkpoint = save(tmp_path, change(state_of("TSM_CinST_BN", arch="resnet18")))
    assert run(checkpoint, net, labels, tmp_path / "out") == 1
    said = capsys.readouterr().err.strip()
    assert named in said and "\n" not in said and "Traceback" not in said
    assert sorted(p.name for p in tmp_path.iterdir()) == ["ckpt.pth.tar", "labels.txt"]


@pytest.mark.parametrize(
    "content", [b"", b"not a checkpoint", b"\x80\x02}q\x00.", b"\x80\x02.", b"PK\x03\x04 half a zip"], ids=str
)
def test_what_is_no_plain_state_dict_is_refused(content, tmp_path, labels, capsys):
    checkpoint = tmp_path / "ckpt.pth.tar"
    checkpoint.write_bytes(content)
    assert run(checkpoint, "TSM_CinST_BN", labels, tmp_path / "out") == 1
    assert "plain state dict" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_an_existing_folder_is_left_as_it_is(tmp_path, labels, capsys):
    checkpoint, out = save(tmp_path, state_of("TSM_CinST_BN", arch="resnet18")), tmp_path / "out"
    out.mkdir()
    (out / "mine.txt").write_text("precious")
    for target in (out, out / "mine.txt", out / "mine.txt" / "deeper"):
        assert run(checkpoint, "TSM_CinST_BN", labels, target) == 1
        assert len(capsys.readouterr().err.strip().splitlines()) == 1
    assert [p.name for p in out.iterdir()] == ["mine.txt"] and (out / "mine.txt").read_text() == "precious"


@pytest.mark.slow
@pytest.mark.parametrize("missing", ["checkpoint", "labels"])
def test_a_missing_file_is_named(missing, tmp_path, labels, capsys):
    if missing == "labels":
        labels.unlink()
        checkpoint = save(tmp_path, state_of("TSM_CinST_BN", arch="resnet18"))
    else:
        checkpoint = tmp_path / "nowhere.pth.tar"
    assert run(checkpoint, "TSM_CinST_BN", labels, tmp_path / "out") == 1
    assert ("labels.txt" if missing == "labels" else "nowhere.pth.tar") in capsys.readouterr().err
