"""Converts a checkpoint in the published format (.pth.tar) to a model folder."""

from __future__ import annotations

import difflib
import logging
import re
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Literal, get_args

import torch
from torch import Tensor

from aia.errors import AIAError
from aia.hub.checkpoint import StoredTensor, read_state_dicts
from aia.hub.fit import Fit, best_fits, read_tensors, unwrapped
from aia.hub.pretrained import AIANet
from aia.modeling.attention_settings import ATTENTION_SETTINGS
from aia.modeling.backbones import BACKBONES
from aia.modeling.config import AIAConfig, Temporal
from aia.text_files import read_labels

log = logging.getLogger(__name__)

_PREFIXES: tuple[tuple[str, Temporal], ...] = (("C2D", "tsn"), ("TSM", "tsm"))
# Net file of the published code -> (temporal, attention). The published name of TSN is "C2D". "STinC-2022-06" is our name
# for the class called STinC until 2022-08-05, which has the same keys and different mathematics.
NETS: dict[str, tuple[Temporal, str]] = {
    f"{prefix}{setting.published}": (temporal, setting.name)
    for prefix, temporal in _PREFIXES
    for setting in ATTENTION_SETTINGS.values()
    if setting.published is not None
}
Naming = Literal["published", "torchvision", "own"]  # of tensors
_Layout = tuple[str, Naming]  # of a checkpoint: its backbone and its naming
_SHIFTED = re.compile(r"(layer\d\.\d+)\.conv1\.net\.")  # a name of TSM's own code, whose shift wraps a convolution
_MOBILENET = re.compile(r"(?:^|\.)features\.\d+\.conv\.")  # a name of torchvision's and TSM's MobileNetV2


def convert(
    checkpoint: str | Path,
    out: str | Path,
    *,
    net: str,
    labels: str | Path,
    segments: int = 8,
    resize: int | tuple[int, int] = (240, 320),
) -> AIANet:
    """Turns a published-format checkpoint into a folder for `aia.load`.

    The net must be given, because several nets share one set of names. So must what is not stored: the number of segments
    and the size of the pictures. The trunk's depth follows from the names.

    Args:
        checkpoint: A file of torch.save (or safetensors) with named weights, in any container and with any prefix. No code
            in it runs. TSM's own checkpoints, torchvision's names and ours are accepted too.
        out: A new folder for config.json, model.safetensors and README.md.
        net: A name in `NETS`, such as "TSM_CinST_BN".
        labels: Text file with one label per line, in the order of the classes; see `read_labels`.
        segments: Frames per clip the network was trained with.
        resize: Size of a picture before the crop, see `AIAConfig`. The default is that of AIA's own code.

    Returns:
        The network.

    Raises:
        AIAError: Something does not fit; the sentence names the difference, and nothing is written.
    """
    folder = Path(out)
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise AIAError(f"{out} exists already; give a new folder, so that nothing is lost.")
    if net not in NETS:
        near = [name for name in NETS if name.lower() == net.lower()]
        near = near or difflib.get_close_matches(net, NETS, n=3, cutoff=0.3) or list(NETS)
        raise AIAError(f"There is no published net {net!r}; did you mean {', '.join(near)}?")
    temporal, attention = NETS[net]
    names = read_labels(labels)
    if not names:
        raise AIAError(f"{labels} holds no label; write one a line, in the order of the classes.")
    twice = next((name for name, count in Counter(names).items() if count > 1), None)
    if twice is not None:
        raise AIAError(f"{labels} has the label {twice[:80]!r} twice; give each class a label of its own.")
    configured = partial(AIAConfig, names, temporal=temporal, attention=attention, num_segments=segments, resize=resize)
    states = read_state_dicts(checkpoint)
    layouts: dict[_Layout, dict[str, Tensor]] = {}
    for arch, backbone in BACKBONES.items():
        with torch.device("meta"):  # names and shapes without numbers
            own = AIANet(configured(arch=arch)).state_dict()
        namings: tuple[Naming, ...] = get_args(Naming) if backbone.stages else ("own",)
        for naming in namings:
            layouts[arch, naming] = {_stored_name(key, attention, naming): own[key] for key in own}
    fits = best_fits(states, layouts)
    fits_none = not fits or (fits[0].difference and fits[0].layout[1] != "own")
    if fits_none and any(_MOBILENET.search(name) for state in states.values() for name in state):
        raise AIAError(
            f"{checkpoint} holds a MobileNetV2 of another project, and convert reads ResNets only; train a recipe with "
            "arch mobilenet_v2 from it: `python -m aia train --init`."
        )
    if not fits:
        name = next(name for name, value in next(iter(states.values())).items() if isinstance(value, StoredTensor))
        raise AIAError(f"{checkpoint} holds no known network: its names are like {name[:80]!r}.")
    fit, expected = fits[0], layouts[fits[0].layout]
    _check(fit, names, net, f"{checkpoint} as {net}{fit.where}", str(labels))
    state = read_tensors(fit.tensors, expected, f"{checkpoint}{fit.where}")
    if len(fits) > 1:
        log.info("%s: the weights%s are taken; those%s fit too.", checkpoint, fit.where, fits[1].where)
    arch, naming = fit.layout
    model = AIANet(configured(arch=arch))
    stored = {key: _stored_name(key, attention, naming) for key in model.state_dict()}
    model.load_state_dict({key: state[name] for key, name in stored.items() if name in state}, strict=False)
    model.eval()
    _write(model, out, Path(checkpoint).name, net)
    return model


def _check(fit: Fit[_Layout], labels: tuple[str, ...], net: str, where: str, labels_file: str) -> None:
    """Refuses weights that belong to another network than the net."""
    (temporal, attention), (arch, naming) = NETS[net], fit.layout
    shifted = {match[1] for name in fit.names.values() if (match := _SHIFTED.search(unwrapped(name)))}
    if shifted and temporal != "tsm":
        raise AIAError(f"{where} has the wrapper conv1.net of TSM's shift; give --net TSM{net[3:]}.")
    bias = fit.tensors.get(_stored_name("head.bias", attention, naming))
    if bias and len(bias.shape) == 1 and bias.shape[0] != len(labels):
        raise AIAError(
            f"{where} has {bias.shape[0]} classes and {labels_file} has {len(labels)} "
            f"label{'s' * (len(labels) != 1)}; they must be equal."
        )
    if fit.difference:
        raise AIAError(f"{where} does not fit the network: it {fit.difference}.")
    blocks = set(AIAConfig(labels, arch=arch).blocks)
    if shifted and shifted != blocks:
        odd = min(shifted ^ blocks)
        raise AIAError(
            f"{where} shifts other blocks than this project's {arch}, such as {odd}; it cannot be converted."
        )


def _stored_name(key: str, attention: str, naming: Naming) -> str:
    """Our name of a tensor -> its name in a checkpoint."""
    if naming == "own":
        return key
    # The published head has torchvision's name if the network was trained without dropout.
    trunk, head = ("base_model.", "new_fc.") if naming == "published" else ("", "fc.")
    key = re.sub(r"^backbone\.", trunk, re.sub(r"^head\.", head, key))
    for ours, published in zip(("first", "second"), ATTENTION_SETTINGS[attention].published_modules, strict=False):
        key = key.replace(f".attention.{ours}.", f".{published}.")
    return re.sub(r"(\.eft[12]?\.[CTHW])\.", r"\1_", key)


def _write(model: AIANet, out: str | Path, source: str, net: str) -> None:
    card = {"origin": f"Converted from `{source}` (published format, net `{net}`) with `python -m aia convert`."}
    model.save_pretrained(out, model_card_kwargs=card)
