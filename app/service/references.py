"""What is typical for the models' gates, as browsers get it: once for each model, under an address that names the content."""

from __future__ import annotations

import hashlib
import json
import logging
from collections import OrderedDict
from functools import lru_cache
from threading import Lock, Thread
from typing import NamedTuple

import aia
from aia import limits
from aia.hub import DEFAULT_MODEL, loading
from aia.hub.reference import read_reference
from aia.locations import ASSETS
from aia.modeling.reference import Reference
from aia.visualization import web

EXAMPLES_KIND = "example clips"  # of a reference that the page makes by itself
MAPS, CHANNELS = "maps.json", "channels.bin"  # the two files of a reference
log = logging.getLogger(__name__)
_lock = Lock()
_packed: OrderedDict[str, Packed] = OrderedDict()  # by key, the latest last


class Packed(NamedTuple):
    """A reference as two files, and the key in their addresses, which changes with their content."""

    key: str
    files: dict[str, bytes]


@lru_cache(maxsize=limits.MODELS_IN_MEMORY)
def pack(reference: Reference, attention: str) -> Packed:
    """Packs a reference, and keeps it for `file`."""
    maps, channels = web.pack_reference(reference, attention)
    content = {MAPS: json.dumps(maps, separators=(",", ":")).encode(), CHANNELS: channels}
    packed = Packed(hashlib.sha256(b"".join(content.values())).hexdigest()[:32], content)
    with _lock:
        _packed[packed.key] = packed
        while len(_packed) > 2 * limits.MODELS_IN_MEMORY:
            _packed.popitem(last=False)
    return packed


def link(inspection: aia.Inspection) -> dict | None:
    """What an answer says about its reference: the key of the files, and what "typical" means; None without one."""
    reference = inspection.reference
    if reference is None or not any(block.reference for block in inspection.blocks):
        return None
    key = pack(reference, inspection.config.attention).key
    return {"key": key, "clips": reference.num_clips, "kind": reference.kind}


def file(key: str, name: str) -> bytes | None:
    """A file of a reference. After a restart, pages that are still open ask for those of the shipped models."""
    if key not in _packed:
        for model in sorted(aia.available_models(), key=lambda model: model != DEFAULT_MODEL):
            if shipped_key(model) == key:
                break
    packed = _packed.get(key)
    return packed.files.get(name) if packed else None


@lru_cache(maxsize=limits.MODELS_IN_MEMORY)
def shipped_key(model: str) -> str:
    """The key of a shipped model's reference; "" without one. The weights are not loaded."""
    path = loading.CHECKPOINTS / model / loading.REFERENCE
    if not path.is_file():
        return ""
    config = aia.AIAConfig.from_file(path.with_name(loading.CONFIG))
    return pack(read_reference(path, config), config.attention).key


def make_in_background(network: aia.AIANet) -> None:
    """Gives a network without a reference one from the page's example clips."""
    if network.reference is None and network.block_names:
        Thread(target=_make, args=(network,), daemon=True, name="reference").start()


def _make(network: aia.AIANet) -> None:
    try:
        network.reference = aia.compute_reference(
            network, sorted((ASSETS / "examples").glob("*.mp4")), kind=EXAMPLES_KIND
        )
    except aia.AIAError as error:  # such as weights that give no numbers: its gates are drawn as they are
        log.warning("no reference for %s: %s", network.name, error)
