"""From clips to the rows of a survey: what one reader does, and what the network does with a few clips."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from aia.datasets.places import Item, local_file
from aia.errors import AIAError
from aia.inspection.ablation import MODES, logits_switched
from aia.inspection.gates import SMALLEST_STD, BlockGates
from aia.inspection.inspection import probabilities
from aia.modeling import recording
from aia.modeling.attention_settings import ATTENTION_SETTINGS
from aia.modeling.config import AIAConfig
from aia.modeling.network import AIANet
from aia.modeling.preprocess import crop, normalize
from aia.modeling.recording import Switch
from aia.modeling.reference import COMBINED, BlockReference
from aia.surveys.schema import SCHEMA
from aia.video import reader, worker

UNUSUAL = 5  # channels of each block


@dataclass(frozen=True, eq=False)
class Prepared:
    """A clip that was read, or why it could not be.

    Attributes:
        item: The clip.
        pictures: uint8 `[T, 3, S, S]`, see `aia.modeling.preprocess.crop`; None after an error.
        facts: The columns error, or frames, fps, duration and warnings.
    """

    item: Item
    pictures: np.ndarray | None
    facts: dict[str, Any]


def prepare(
    item: Item, config: AIAConfig, cancelled: threading.Event | None = None, *, isolated: bool = False
) -> Prepared:
    """Reads one clip for a network with this configuration. Whatever is wrong with the clip becomes its error.

    Args:
        item: The clip.
        config: Of the network.
        cancelled: Another thread sets it to end the reading.
        isolated: Reads it in a separate process, so that a file that breaks the decoder becomes an error, too.
    """
    try:
        with local_file(item) as path:
            if isolated:
                clip = worker.read_clip(path, config.num_segments, display_name=item.path)
            else:
                clip = reader.read_clip(path, config.num_segments, cancelled=cancelled, display_name=item.path)
        pictures = crop(clip.frames, config).numpy()
    except AIAError as error:
        return Prepared(item, None, {"error": str(error)})
    except Exception as error:  # one file of many thousands must not end the run
        return Prepared(item, None, {"error": f"“{item.path}” could not be read ({type(error).__name__})."})
    facts = {
        "frames": clip.indices.astype(np.int32),
        "fps": clip.fps,
        "duration": clip.duration,
        "warnings": list(clip.warnings),
    }
    return Prepared(item, pictures, facts)


def measure(model: AIANet, clips: Sequence[Prepared], ablate: str = "") -> pa.Table:
    """The rows of some clips, in their order; all clips go through the network together.

    Args:
        model: With AIA.
        clips: From `prepare`.
        ablate: "", "blocks" or "units".
    """
    rows = [{**vars(clip.item), **clip.facts} for clip in clips]
    readable = [(row, clip.pictures) for row, clip in zip(rows, clips, strict=True) if clip.pictures is not None]
    if readable:
        x = normalize(torch.from_numpy(np.stack([pictures for _, pictures in readable])).to(model.device), model.config)
        with torch.inference_mode(), recording.recording() as recorded:
            logits = model(x).float().cpu()
        answered = bool(logits.isfinite().all())  # an overflow of one clip may have spread
        if not answered and len(readable) > 1:
            return pa.concat_tables([measure(model, [clip], ablate) for clip in clips])
        gates = _gates(model, recorded.gates) if answered else {}
        for index, (row, _) in enumerate(readable):
            try:
                row |= _answer(model, logits[index])
            except AIAError as error:
                row["error"] = str(error)
                continue
            row["sure"] = bool(row["confidence"] >= model.config.threshold)
            row["gates"] = [
                {"block": block, "unit": unit, **{name: value[index] for name, value in values.items()}}
                for (block, unit), values in gates.items()
            ]
            row["ablations"] = _ablations(model, x[index : index + 1], ablate) if ablate else None
    return pa.Table.from_pylist(rows, schema=SCHEMA)


def counts(table: pa.Table) -> tuple[int, int]:
    """How many rows a table has, and how many of them are errors."""
    return table.num_rows, table.num_rows - table.column("error").null_count


def _answer(model: AIANet, logits: Tensor) -> dict[str, Any]:
    values = probabilities(model, logits)
    return {
        "answer": model.config.labels[int(values.argmax())],
        "confidence": values.max(),
        "logits": logits.numpy(),
    }


def _ablations(model: AIANet, x: Tensor, ablate: str) -> list[dict[str, Any]]:
    places = [(block, "*") for block in model.block_names]
    if ablate == "units":
        places += [(place.block, place.unit) for place in model.gate_locations]
    # A T gate has no frames to shuffle.
    chosen = [
        (*place, mode) for place in places for mode in MODES if not (mode == "shuffle" and place[1].endswith("T"))
    ]
    pairs = logits_switched(model, x, [(Switch(mode, block, unit),) for block, unit, mode in chosen])
    rows = []
    for (block, unit, mode), (_, logits) in zip(chosen, pairs, strict=True):
        finite = bool(logits.isfinite().all())
        answer = _answer(model, logits) if finite else {}
        rows.append({"block": block, "unit": unit, "mode": mode, **answer})
    return rows


# ---------------------------------------------------------------- gates of a batch


def _gates(model: AIANet, recorded: Mapping[recording.GateLocation, Tensor]) -> dict[tuple[str, str], dict[str, Any]]:
    """For each block and unit the columns of `schema.GATE`, each an array with one entry for each clip."""
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    for block in dict.fromkeys(place.block for place in recorded):
        gates = {place.unit: gate for place, gate in recorded.items() if place.block == block}
        units = sorted(gates, key=lambda unit: (unit[:-1], "CTHW".index(unit[-1])))
        # Two passes over each gate; all else follows from these small arrays.
        maps = {unit: gates[unit].mean(2).cpu().numpy() for unit in units}
        channels = {unit: gates[unit].mean((1, 3, 4)).cpu().numpy() for unit in units}
        whole_map, whole_channels = _combined(model.config.attention, gates, maps, channels)
        frames = whole_map.shape[1]
        reference = model.reference.blocks.get(block) if model.reference else None
        if reference and reference.shape != np.broadcast_shapes(*(gate.shape[1:] for gate in gates.values())):
            reference = None
        for unit in (COMBINED, *units):
            values, own = (whole_map, whole_channels) if unit == COMBINED else (maps[unit], channels[unit])
            mean, profile = _mean_over(values, 3), _mean_over(values, 2)
            row: dict[str, Any] = {
                "mean": mean,
                "spread": _root_mean_square(values - mean[:, None, None, None]),
                "profile": np.broadcast_to(profile, (len(values), frames)),
                "channels": own,
            }
            rows[block, unit] = row
            if reference is None:
                continue
            usual = reference.map_mean[unit]
            row["deviation"] = _root_mean_square(values - usual)
            row["profile_deviation"] = row["profile"] - _mean_over(usual, 2)
            if unit == COMBINED:
                row["unusual"] = [_unusual(scores) for scores in _zscores(own, reference)]
    return rows


def _mean_over(values: np.ndarray, axes: int) -> np.ndarray:
    """Mean over the last axes, taken as one: NumPy is quicker at one axis, and adds up its values in pairs."""
    mean: np.ndarray = values.reshape(*values.shape[:-axes], -1).mean(-1)
    return mean


def _root_mean_square(values: np.ndarray) -> np.ndarray:
    """The root mean square of each clip's map, `[B, T, H, W]` to `[B]`."""
    mean: np.ndarray = np.sqrt(_mean_over(np.square(values), 3))
    return mean


def _combined(
    attention: str, gates: Mapping[str, Tensor], maps: Mapping[str, np.ndarray], channels: Mapping[str, np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """`BlockGates.spatiotemporal_map` and `channel_mean` of each clip, `[B, T, H, W]` and `[B, C]`."""
    setting = ATTENTION_SETTINGS[attention]
    if setting.combination == "cascade":  # the mean of a product does not follow from means
        arrays = {unit: gate.cpu().numpy() for unit, gate in gates.items()}
        count = len(next(iter(arrays.values())))
        blocks = [BlockGates("", attention, {unit: array[i] for unit, array in arrays.items()}) for i in range(count)]
        whole = np.stack([block.spatiotemporal_map for block in blocks])
        return whole, np.stack([block.channel_mean for block in blocks])
    groups = setting.multipliers
    whole = _mean([_mean([maps[unit] for unit in units]) for units in groups])
    steering = [unit for unit, values in channels.items() if values.shape[1] > 1]
    if steering and not any(unit in steering for units in groups for unit in units):
        groups = (tuple(steering),)
    return whole, _mean([_mean([channels[unit] for unit in units]) for units in groups])


def _mean(arrays: Sequence[np.ndarray]) -> np.ndarray:
    """Mean of arrays whose shapes are broadcast."""
    total = arrays[0]
    for array in arrays[1:]:
        total = total + array
    return total / len(arrays)


def _zscores(channels: np.ndarray, reference: BlockReference) -> np.ndarray:
    """`BlockGates.channel_zscore` of each clip, `[B, C]`."""
    scores: np.ndarray = (channels - reference.channel_mean) / np.maximum(reference.channel_std, SMALLEST_STD)
    return scores


def _unusual(zscores: np.ndarray) -> list[dict[str, Any]]:
    order = np.argsort(-np.abs(zscores), kind="stable")[:UNUSUAL]
    return [{"channel": int(channel), "zscore": zscores[channel]} for channel in order]
