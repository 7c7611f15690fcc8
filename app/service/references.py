"""What is typical for the models' gates, as browsers get it: once for each model, under an address that names the content."""

from __future__ import annotations

import hashlib
import json
import logging
from collections import OrderedDict
from functools import cache
from threading import Lock, Thread
from typing import NamedTuple
from weakref import WeakKeyDictionary

import aia
from aia import limits
from aia.hub import loading
from aia.hub.reference import read_reference
from aia.locations import ASSETS
from aia.modeling.reference import Reference
from aia.visualization import web

EXAMPLES, EXAMPLES_KIND = ASSETS / "examples", "example clips"  # of a reference that the page makes by itself
MAPS, CHANNELS = "maps.json", "channels.bin"  # the two files of a reference
KEPT = 2 * limits.MODELS_IN_MEMORY  # references in memory; those of the shipped models have 1.4 MB each
log = logging.getLogger(__name__)
_lock = Lock()
_packed: OrderedDict[str, Packed] = OrderedDict()  # by key, the latest used last
_keys: WeakKeyDictionary[Reference, str] = WeakKeyDictionary()


class Packed(NamedTuple):
    """A reference as two files, and the key in their addresses, which changes with their content."""

    key: str
    files: dict[str, bytes]


def pack(reference: Reference, attention: str) -> Packed:
    """Packs a reference, unless it is still packed, and keeps it for `file`."""
    if packed := _kept(_keys.get(reference, "")):
        return packed
    maps, channels = web.pack_reference(reference, attention)
    content = {MAPS: json.dumps(maps, separators=(",", ":")).encode(), CHANNELS: channels}
    packed = Packed(hashlib.sha256(b"".join(content.values())).hexdigest()[:32], content)
    with _lock:
        _keys[reference] = packed.key
        _packed[packed.key] = packed
        while len(_packed) > KEPT:
            _packed.popitem(last=False)
    return packed


def _kept(key: str) -> Packed | None:
    with _lock:
        if key in _packed:
            _packed.move_to_end(key)
        return _packed.get(key)


def link(inspection: aia.Inspection) -> dict | None:
    """What an answer says about its reference: the key of the files, and what "typical" means; None without one."""
    reference = inspection.reference
    if reference is None or not any(block.reference for block in inspection.blocks):
        return None
    key = pack(reference, inspection.config.attention).key
    return {"key": key, "clips": reference.num_clips, "kind": reference.kind}


def file(key: str, name: str) -> bytes | None:
    """A file of a reference. After a restart, pages that are still open ask for those of the shipped models."""
    packed = _kept(key)
    if packed is None:
        model = next((model for model in aia.available_models() if shipped_key(model) == key), None)
        packed = _pack_shipped(model) if model else None
    return packed.files.get(name) if packed else None


@cache
def shipped_key(model: str) -> str:
    """The key of a shipped model's reference; "" without one."""
    packed = _pack_shipped(model)
    return packed.key if packed else ""


def _pack_shipped(model: str) -> Packed | None:
    """Packs the reference of a shipped model, without its weights."""
    path = loading.CHECKPOINTS / model / loading.REFERENCE
    if not path.is_file():
        return None
    config = aia.AIAConfig.from_file(path.with_name(loading.CONFIG))
    return pack(read_reference(path, config), config.attention)


def make_in_background(network: aia.AIANet) -> None:
    """Gives a network without a reference one from the page's example clips."""
    if network.reference is None and network.block_names:
        Thread(target=_make, args=(network,), daemon=True, name="reference").start()


def _make(network: aia.AIANet) -> None:
    try:
        # Requests have the GPU to themselves, and ZeroGPU has none outside of them.
        on_cpu = network if network.device.type == "cpu" else aia.load(network.name, device="cpu")
        network.reference = aia.compute_reference(on_cpu, sorted(EXAMPLES.glob("*.mp4")), kind=EXAMPLES_KIND)
    except Exception as error:  # such as weights that give no numbers: its gates are drawn as they are
        log.warning("no reference for %s: %s", network.name, error)
