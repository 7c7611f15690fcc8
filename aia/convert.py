"""From a checkpoint in the published format (.pth.tar) to our folder."""

from __future__ import annotations

import difflib
import re
from pathlib import Path

import torch
from torch import Tensor

from aia.config import AIAConfig
from aia.errors import AIAError
from aia.hub import check_tensors
from aia.network import AIANet

_VARIANTS = {
    "": "none",
    "_C_BN": "c",
    "_ST_BN": "st",
    "_CinST_BN": "cinst",
    "_STinC_BN": "stinc",
    "_STinC-2022-06_BN": "stinc-2022-06",
    "_CplusST_BN": "c+st",
    "_C2ST_BN": "c->st",
    "_ST2C_BN": "st->c",
    "_CinST2STinC_BN": "cinst->stinc",
    "_STinC2CinST_BN": "stinc->cinst",
    "_STinCplusCinST_BN": "stinc+cinst",
}
# Net file of the published code -> (temporal, attention). The published name of TSN is "C2D". "STinC-2022-06" is our name
# for the class called STinC until 2022-08-05, which has the same keys and other mathematics.
NETS = {
    f"{prefix}{variant}": (temporal, attention)
    for prefix, temporal in (("C2D", "tsn"), ("TSM", "tsm"))
    for variant, attention in _VARIANTS.items()
}
_LAYER3_BLOCKS = {"resnet18": 2, "resnet34": 6, "resnet50": 6, "resnet101": 23}


def convert(checkpoint: str | Path, out: str | Path, *, net: str, labels: str | Path, segments: int = 8) -> AIANet:
    """Turns a published-format checkpoint into a folder for `aia.load`.

    The net has to be told: several nets share one set of names, and the number of segments is not stored. The trunk's depth
    follows from the names.

    Args:
        checkpoint: `{"state_dict": ...}` with names under `module.`, read without running any code in it.
        out: Gets config.json, model.safetensors and README.md.
        net: A name in `NETS`, such as "TSM_CinST_BN".
        labels: Text file with one label a line, in the order of the classes.
        segments: Frames per clip the network was trained with.

    Returns:
        The network.

    Raises:
        AIAError: Something does not fit; the sentence names the difference, and nothing is written.
    """
    checkpoint, folder, labels = Path(checkpoint), Path(out), Path(labels)
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise AIAError(f"{out} exists already; give a new folder, so that nothing is lost.")
    if net not in NETS:
        near = difflib.get_close_matches(net, NETS, n=3, cutoff=0.3) or list(NETS)
        raise AIAError(f"There is no published net {net!r}; did you mean {', '.join(near)}?")
    temporal, attention = NETS[net]
    names = _read_labels(labels)
    state = read_state_dict(checkpoint)
    arch = _arch(state, checkpoint.name)
    model = AIANet(AIAConfig(names, arch=arch, temporal=temporal, attention=attention, num_segments=segments))
    head = "new_fc" if any(key.startswith("new_fc.") for key in state) else "base_model.fc"
    published = {_published_name(key, attention, head): key for key in model.state_dict()}
    rows = state[f"{head}.bias"].shape[0] if f"{head}.bias" in state and state[f"{head}.bias"].ndim == 1 else len(names)
    if rows != len(names):
        raise AIAError(
            f"{checkpoint.name} has {rows} classes and {labels.name} has {len(names)} labels; they must be equal."
        )
    expected = {name: model.state_dict()[key] for name, key in published.items()}
    check_tensors({key: tuple(tensor.shape) for key, tensor in state.items()}, expected, f"{checkpoint.name} as {net}")
    bad = next((name for name, tensor in state.items() if not torch.isfinite(tensor).all()), None)
    if bad:
        raise AIAError(
            f"{checkpoint.name} holds values in {bad} that are no finite numbers; the network could not work."
        )
    model.load_state_dict({published[name]: tensor for name, tensor in state.items()})
    model.eval()
    _write(model, out, checkpoint.name, net)
    return model


def _read_labels(path: Path) -> tuple[str, ...]:
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError):
        raise AIAError(f"The labels {path.name} cannot be read; give a text file with one label a line.") from None
    return tuple(line.strip() for line in lines if line.strip())


def read_state_dict(path: Path) -> dict[str, Tensor]:
    """Reads a PyTorch checkpoint without running any code in it: only plain tensors, numbers and text are unpickled.

    Args:
        path: A state dict, or a dict that holds one under "state_dict".

    Returns:
        The tensors by name, without the prefix `module.`.

    Raises:
        AIAError: Missing, damaged or anything else.
    """
    try:
        data = torch.load(path, map_location="cpu", weights_only=True)
    except OSError:
        raise AIAError(f"{path.name} cannot be read; check the path.") from None
    except Exception:  # a file of any bytes makes the unpickler fail in a dozen ways
        raise AIAError(
            f"{path.name} is no plain state dict: it is damaged or holds objects, which are not loaded."
        ) from None
    state = data.get("state_dict", data) if isinstance(data, dict) else None
    if not isinstance(state, dict) or not state or not all(isinstance(t, Tensor) for t in state.values()):
        raise AIAError(f"{path.name} is no plain state dict: it must hold tensors by name, or them under 'state_dict'.")
    plain = {str(name).removeprefix("module."): tensor for name, tensor in state.items()}
    if len(plain) < len(state):
        raise AIAError(f"{path.name} has names both with and without 'module.'; it must have each tensor once.")
    return plain


def _arch(state: dict[str, Tensor], where: str) -> str:
    """The ResNet whose third stage is nearest in length, so that a missing block is named as a difference."""
    indices = {int(m[1]) for name in state if (m := re.match(r"base_model\.layer3\.(\d{1,4})\.", name))}
    if not indices:
        raise AIAError(f"{where} holds no ResNet under module.base_model; is it a published checkpoint?")
    deep = any(".conv3." in name for name in state)
    archs = ("resnet50", "resnet101") if deep else ("resnet18", "resnet34")
    return min(archs, key=lambda arch: abs(_LAYER3_BLOCKS[arch] - len(indices)))


def _published_name(key: str, attention: str, head: str) -> str:
    """Our name of a tensor -> the published one, without `module.`."""
    single = "->" not in attention and "+" not in attention
    key = re.sub(r"^backbone\.", "base_model.", re.sub(r"^head\.", f"{head}.", key))
    key = key.replace(".attention.first.", ".eft." if single else ".eft1.").replace(".attention.second.", ".eft2.")
    return re.sub(r"(\.eft[12]?\.[CTHW])\.", r"\1_", key)


def _write(model: AIANet, out: str | Path, source: str, net: str) -> None:
    card = {"origin": f"Converted from `{source}` (published format, net `{net}`) with `python -m aia convert`."}
    model.save_pretrained(out, model_card_kwargs=card)
