"""The main job: a clip through a network, and what its gates did."""

from __future__ import annotations

import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from aia.errors import AIAError
from aia.inspection.gates import BlockGates

if TYPE_CHECKING:
    from torch import Tensor

    from aia.modeling.config import AIAConfig
    from aia.modeling.network import AIANet
    from aia.modeling.recording import Recording, Switch
    from aia.video.clip import Clip


@dataclass(frozen=True, eq=False)
class Prediction:
    """What a network said about a clip.

    Attributes:
        model: The name it was loaded by.
        config: The network's: its labels, temperature, threshold, ...
        logits: float32 `[classes]`.
        probabilities: Softmax of the logits over the network's temperature, float32 `[classes]`.
    """

    model: str
    config: AIAConfig
    logits: np.ndarray
    probabilities: np.ndarray

    @property
    def title(self) -> str:
        """The network in the paper's words."""
        return self.config.title

    @property
    def labels(self) -> tuple[str, ...]:
        """Class names, in the order of the logits."""
        return self.config.labels

    @property
    def label(self) -> str:
        """The most probable label; where the network is not `sure`, only the closest one."""
        return self.labels[int(self.probabilities.argmax())]

    @property
    def is_confident(self) -> bool:
        """Whether the network answers: the largest probability reaches its threshold.

        False means that it does not know the clip: probably the clip shows none of its labels. Without a threshold (0)
        it is always True and says nothing.
        """
        return bool(self.probabilities.max() >= self.config.threshold)

    @property
    def sure(self) -> bool:
        """The old name of `is_confident`."""
        warnings.warn("Use is_confident.", DeprecationWarning, stacklevel=2)
        return self.is_confident

    @property
    def scores(self) -> dict[str, float]:
        """Probability by label, the most probable first."""
        order = np.argsort(-self.probabilities, kind="stable")
        return {self.labels[i]: float(self.probabilities[i]) for i in order}


@dataclass(frozen=True, eq=False)
class Inspection(Prediction):
    """What a network said about a clip, and the gates it used.

    Attributes:
        model, config, logits, probabilities: As of every `Answer`.
        blocks: Gates of every block with an AIA module, in order; empty for a network without AIA.
        clip: The frames it saw.
        seen_box: The part of each frame it saw: (left, top, right, bottom) as fractions.
        device: Where it ran.
        seconds: Wall time of "preprocess" and "forward" (with recording).
        switches: Changes that were made to the gates.
        precision: Of the features: "float32", "bfloat16" or "float16".
    """

    blocks: tuple[BlockGates, ...]
    clip: Clip
    seen_box: tuple[float, float, float, float]
    device: str
    seconds: Mapping[str, float] = field(default_factory=dict)
    switches: tuple[Switch, ...] = ()
    precision: str = "float32"

    @property
    def most_dynamic_block(self) -> str:
        """The block whose map moves most, a good one to look at first; "" for a network without AIA.

        What stays in place, and what all places do at once, is taken out before: these parts of a map are much the same for
        any clip, since they come from the borders of the picture and of the clip.
        """
        return max(self.blocks, key=lambda block: _movement(block.spatiotemporal_map)).name if self.blocks else ""

    @property
    def first_block(self) -> str:
        """The block to look at first: the network's `default_block`, else the liveliest; "" for a network without AIA."""
        return (self.config.default_block if self.blocks else "") or self.most_dynamic_block

    def block(self, name: str) -> BlockGates:
        """The gates of one block.

        Raises:
            AIAError: The network has no AIA module there.
        """
        for block in self.blocks:
            if block.name == name:
                return block
        raise AIAError(
            f"There are no gates at {name!r}; the blocks are {', '.join(b.name for b in self.blocks) or 'none'}."
        )

    def save(self, folder: str | Path, *, block: str | None = None) -> list[Path]:
        """The old name of `aia.save(inspection, folder)`."""
        import aia  # an old name may reach up to what draws

        warnings.warn("Use aia.save(inspection, folder).", DeprecationWarning, stacklevel=2)
        return aia.save(self, folder, block=block)

    @property
    def liveliest_block(self) -> str:
        """The old name of `most_dynamic_block`."""
        warnings.warn("Use most_dynamic_block.", DeprecationWarning, stacklevel=2)
        return self.most_dynamic_block


def _movement(values: np.ndarray) -> float:
    """How much a map `[T, H, W]` varies beyond its mean picture and its mean over time."""
    rest = values - values.mean(axis=0) - values.mean(axis=(1, 2), keepdims=True) + values.mean()
    return float(rest.std())


def inspect(model: AIANet, clip: Clip, *, switches: Sequence[Switch] = (), features: bool = False) -> Inspection:
    """Classifies a clip and records the gates. Safe to call from several threads on one model.

    Args:
        model: From `aia.load`.
        clip: From `aia.read_clip`; any number of frames.
        switches: Changes to the gates, applied in order.
        features: Also keeps every module's input and output (some hundred MB for a ResNet).

    Raises:
        AIAError: A switch fits no gate of the model, or its logits are not finite.
    """
    import torch  # takes seconds the first time, and a result can be looked at without

    from aia.modeling import recording
    from aia.modeling.preprocess import preprocess, seen_box

    for switch in switches:
        if not any(switch.covers(location) for location in model.gate_locations):
            raise AIAError(f"No gate of this model is at block {switch.block!r}, unit {switch.unit!r}.")
    start = time.perf_counter()
    x = preprocess(clip.frames, model.config).to(model.device)
    ready = time.perf_counter()
    with torch.inference_mode(), recording.recording(switches, features=features) as seen:
        logits = model(x)[0].float().cpu()  # waits for the device
    seconds = {"preprocess": ready - start, "forward": time.perf_counter() - ready}
    return Inspection(
        model=model.name,
        config=model.config,
        logits=logits.numpy(),
        probabilities=probabilities(model, logits),
        blocks=tuple(_block_gates(name, model.config.attention, seen) for name in model.block_names),
        clip=clip,
        seen_box=seen_box(*clip.frames.shape[1:3], model.config),
        device=str(model.device),
        seconds=seconds,
        switches=tuple(switches),
        precision=model.precision,
    )


def probabilities(model: AIANet, logits: Tensor) -> np.ndarray:
    """Softmax over the network's temperature, of logits `[classes]` on the CPU.

    Raises:
        AIAError: The logits are not finite.
    """
    if not logits.isfinite().all():
        raise AIAError(
            "This model gives no numbers for the clip (its logits are not finite); its weights may be damaged."
        )
    return (logits / model.config.temperature).softmax(0).numpy()


def _block_gates(name: str, attention: str, seen: Recording) -> BlockGates:
    def array(tensors: Mapping, key: object) -> np.ndarray | None:
        return tensors[key][0].float().cpu().numpy() if key in tensors else None

    gates = {location.unit: array(seen.gates, location) for location in seen.gates if location.block == name}
    order = sorted(gates, key=lambda unit: (unit[:-1], "CTHW".index(unit[-1])))
    return BlockGates(
        name, attention, {unit: gates[unit] for unit in order}, array(seen.inputs, name), array(seen.outputs, name)
    )
