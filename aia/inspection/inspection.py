"""`inspect`: runs a clip through a network and records its prediction and its gates."""

from __future__ import annotations

import importlib
import os
import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from aia.errors import AIAError
from aia.inspection.gates import BlockGates

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from torch import Tensor

    from aia.modeling.config import AIAConfig
    from aia.modeling.network import AIANet
    from aia.modeling.recording import Recording, Switch
    from aia.modeling.reference import Reference
    from aia.video.clip import Clip
    from aia.visualization.view import View


@dataclass(frozen=True, eq=False)
class Prediction:
    """A network's prediction for a clip.

    Attributes:
        model: The name that the network was loaded by.
        config: The network's configuration, with its labels, temperature and threshold.
        logits: float32 `[classes]`.
        probabilities: Softmax of the logits over the network's temperature, float32 `[classes]`.
    """

    model: str
    config: AIAConfig
    logits: np.ndarray
    probabilities: np.ndarray

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._summary})"

    @property
    def _summary(self) -> str:
        confident = "" if self.is_confident else "not confident, closest "
        return f"{confident}{self.label!r:.80} {self.probabilities.max():.1%}, model {self.model!r:.80}"

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
        """The most probable label; if the prediction is not confident, it is only the closest one."""
        return self.labels[int(self.probabilities.argmax())]

    @property
    def is_confident(self) -> bool:
        """Whether the largest probability reaches the network's threshold.

        False means that the network rejects the clip, which probably shows none of its labels. A network without a
        threshold (0) rejects no clip, so this is always True.
        """
        return bool(self.probabilities.max() >= self.config.threshold)

    @property
    def knows_clip(self) -> bool:
        """Whether the prediction says what the clip shows: confident, and not the label for none of the others."""
        return self.is_confident and self.label != self.config.none_label

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

    def answer(self) -> dict[str, Any]:
        """The fields of JSON answers of the command line, the page's endpoints and exports: "label", "sure" and "scores"."""
        return {"label": self.label, "sure": self.is_confident, "scores": self.scores}


@dataclass(frozen=True, eq=False, repr=False)
class Inspection(Prediction):
    """A network's prediction for a clip, and the gates of every block.

    Attributes:
        model, config, logits, probabilities: See `Prediction`.
        blocks: The gates of every block with an AIA module, in order; empty for a network without AIA.
        clip: The clip, with its frames.
        seen_box: The part of each frame that the network saw: (left, top, right, bottom) as fractions.
        device: The device that the network ran on.
        seconds: Wall time of "preprocess" and "forward" (with recording).
        switches: The changes that were made to the gates.
        precision: Precision of the features: "float32", "bfloat16" or "float16".
        held: The network's prediction for the same clip with every gate held at its mean over the clip; only if asked for.
        reference: What the blocks' own references were made from; None if there is none that fits the clip.

    Example:
        >>> import aia
        >>> model = aia.load("tsm-mobilenetv2-cinst", device="cpu")
        >>> inspection = aia.inspect(model, "assets/examples/circle.mp4")
        >>> inspection.label, inspection.is_confident
        ('circle (counter-clockwise)', True)
        >>> len(inspection.blocks), inspection.first_block
        (17, 'features.17')
        >>> inspection.block("features.12").spatiotemporal_map.shape
        (8, 8, 8)
    """

    blocks: tuple[BlockGates, ...]
    clip: Clip
    seen_box: tuple[float, float, float, float]
    device: str
    seconds: Mapping[str, float] = field(default_factory=dict)
    switches: tuple[Switch, ...] = ()
    precision: str = "float32"
    held: Prediction | None = None
    reference: Reference | None = None

    @property
    def _summary(self) -> str:
        frames, height, width = self.clip.frames.shape[:3]
        switches = f", {len(self.switches)} switches" if self.switches else ""
        return f"{super()._summary} on {self.device}, {frames} frames {width}x{height}, {len(self.blocks)} blocks{switches}"

    def _repr_html_(self) -> str:
        """The label, the frames and the map of the first block, for a notebook."""
        html: str = _drawing().html(self)
        return html

    def plot(self, view: View | None = None, **fields: Any) -> Figure:
        """Draws a view of the gates as a figure: all frames with the map, the mean gate of each frame, a color bar.

        The figure belongs to the caller: pyplot does not know it, and matplotlib's settings stay as they are.

        Args:
            view: What to draw, an `aia.View`; its frame is ignored. The combined gate of the first block by default.
            **fields: Fields of the view, as in `plot(block="features.12", gate="T", scale="block")`.

        Returns:
            A matplotlib figure, 7 inches wide.

        Raises:
            AIAError: The inspection has no such view.

        Example:
            >>> import aia
            >>> model = aia.load("tsm-mobilenetv2-cinst", device="cpu")
            >>> inspection = aia.inspect(model, "assets/examples/circle.mp4")
            >>> figure = inspection.plot(block="features.12", gate="T", scale="block")
            >>> float(figure.get_figwidth())
            7.0
        """
        figure: Figure = _drawing().plot(self, view, **fields)
        return figure

    @property
    def most_dynamic_block(self) -> str:
        """The block whose map varies most, a good one to look at first; "" for a network without AIA.

        The usual map is subtracted first. Where it is unknown, the means over time and over places are subtracted: they are
        much the same for any clip, since they come from the borders of the picture and of the clip.
        """

        def variation(block: BlockGates) -> float:
            return float(block.deviation().std()) if block.has_deviation() else _movement(block.spatiotemporal_map)

        return max(self.blocks, key=variation).name if self.blocks else ""

    @property
    def first_block(self) -> str:
        """The network's `default_block`, or else the `most_dynamic_block`; "" for a network without AIA."""
        return (self.config.default_block if self.blocks else "") or self.most_dynamic_block

    def block(self, name: str) -> BlockGates:
        """Returns the gates of one block.

        Raises:
            AIAError: The network has no AIA module at a block of this name.
        """
        for block in self.blocks:
            if block.name == name:
                return block
        raise AIAError(
            f"There are no gates at {name!r}; the blocks are {', '.join(b.name for b in self.blocks) or 'none'}."
        )

    def with_reference(self, reference: Reference | None) -> Inspection:
        """The same inspection, compared with another reference: that of its network, or None.

        A clip whose number of frames differs from the reference's gets no reference, and neither does a block of another shape:
        the means depend on the borders.
        """
        if reference and reference.num_segments != len(self.clip.frames):
            reference = None
        known = reference.blocks if reference else {}
        blocks = (
            replace(block, reference=typical if typical and typical.shape == block.shape else None)
            for block in self.blocks
            for typical in [known.get(block.name)]
        )
        return replace(self, reference=reference, blocks=tuple(blocks))

    def save(self, folder: str | Path, *, block: str | None = None) -> list[Path]:
        """The old name of `aia.save(inspection, folder)`."""
        import aia  # `save` belongs to a package above this one

        warnings.warn("Use aia.save(inspection, folder).", DeprecationWarning, stacklevel=2)
        return aia.save(self, folder, block=block)

    @property
    def liveliest_block(self) -> str:
        """The old name of `most_dynamic_block`."""
        warnings.warn("Use most_dynamic_block.", DeprecationWarning, stacklevel=2)
        return self.most_dynamic_block


def _drawing() -> ModuleType:
    """The module that draws an inspection. It belongs to a package above this one, so it is imported on demand."""
    return importlib.import_module("aia.visualization.notebook")


def _movement(values: np.ndarray) -> float:
    """How much a map `[T, H, W]` varies beyond its mean picture and its mean over time."""
    residual = values - values.mean(axis=0) - values.mean(axis=(1, 2), keepdims=True) + values.mean()
    return float(residual.std())


def clip_for(model: AIANet, video: Clip | str | os.PathLike[str]) -> Clip:
    """Returns a clip as it is, and reads a file into as many frames as the model's `num_segments` says.

    Raises:
        AIAError: The file cannot be read.
    """
    if not isinstance(video, (str, os.PathLike)):
        return video
    from aia.video.reader import read_clip  # loads FFmpeg, which a clip that was already read does not need

    return read_clip(Path(video), model.config.num_segments)


def inspect(
    model: AIANet,
    clip: Clip | str | os.PathLike[str],
    *,
    switches: Sequence[Switch] = (),
    features: bool = False,
    held: bool = False,
) -> Inspection:
    """Classifies a clip and records the gates. Safe to call from several threads on one model.

    Args:
        model: From `aia.load`.
        clip: From `aia.read_clip`, with any number of frames; or the path of a video, from which the model's
            `num_segments` frames are read.
        switches: Changes to the gates, applied in order.
        features: Also keeps every module's input and output (some hundred MB for a ResNet).
        held: Also predicts with every gate held at its mean over the clip (after `switches`), in the same forward pass.

    Raises:
        AIAError: The video cannot be read or is too narrow for the model, a switch fits no gate of the model, or the logits
            are not finite.

    Example:
        >>> import aia
        >>> model = aia.load("tsm-mobilenetv2-cinst", device="cpu")
        >>> aia.inspect(model, "assets/examples/swipe-left.mp4").label
        'swipe left'
    """
    from aia.modeling.preprocess import preprocess

    clip = clip_for(model, clip)
    start = time.perf_counter()
    x = preprocess(clip.frames, model.config)
    seconds = time.perf_counter() - start
    return inspect_input(model, clip, x, switches=switches, features=features, held=held, preprocess_seconds=seconds)


def inspect_input(
    model: AIANet,
    clip: Clip,
    x: Tensor,
    *,
    switches: Sequence[Switch] = (),
    features: bool = False,
    held: bool = False,
    preprocess_seconds: float = 0.0,
) -> Inspection:
    """`inspect` for a clip whose frames are already prepared.

    Args:
        model: From `aia.load`.
        clip: The frames.
        x: What `preprocess` makes of them, float32 `[1, T, 3, S, S]` on the CPU.
        switches: See `inspect`.
        features: See `inspect`.
        held: See `inspect`.
        preprocess_seconds: Wall time that was needed for `x`.

    Raises:
        AIAError: A switch fits no gate of the model, the frames are too narrow for it, or the logits are not finite.
    """
    import torch  # takes seconds to import, and an inspection can be looked at without it

    from aia.modeling import recording
    from aia.modeling.preprocess import seen_box

    for switch in switches:
        if not any(switch.covers(location) for location in model.gate_locations):
            raise AIAError(f"No gate of this model is at block {switch.block!r}, unit {switch.unit!r}.")
    start = time.perf_counter()
    x = x.to(model.device)
    variants = [(), (recording.Switch("mean"),)] if held and model.block_names else [()]
    per_clip = variants if len(variants) > 1 else ()
    with (
        torch.inference_mode(),
        recording.recording(switches, per_clip=per_clip, features=features) as recorded,
    ):
        logits, *others = model(x.expand(len(variants), *x.shape[1:])).float().cpu()  # waits for the device
    height, width = clip.frames.shape[1:3]
    seconds = {"preprocess": preprocess_seconds, "forward": time.perf_counter() - start}
    inspection = Inspection(
        model=model.name,
        config=model.config,
        logits=logits.numpy(),
        probabilities=probabilities(model, logits),
        blocks=tuple(_block_gates(name, model.config.attention, recorded) for name in model.block_names),
        clip=clip,
        seen_box=seen_box(height, width, model.config),
        device=str(model.device),
        seconds=seconds,
        switches=tuple(switches),
        precision=model.precision,
        held=_prediction(model, others[0]) if others else None,
    )
    return inspection.with_reference(model.reference)


def _prediction(model: AIANet, logits: Tensor) -> Prediction:
    return Prediction(model.name, model.config, logits.numpy(), probabilities(model, logits))


def probabilities(model: AIANet, logits: Tensor) -> np.ndarray:
    """Softmax of logits `[classes]` on the CPU, divided by the network's temperature.

    Raises:
        AIAError: The logits are not finite.
    """
    if not logits.isfinite().all():
        raise AIAError(
            "This model gives no numbers for the clip (its logits are not finite); its weights may be damaged."
        )
    values: np.ndarray = (logits / model.config.temperature).softmax(0).numpy()
    return values


def _block_gates(name: str, attention: str, recorded: Recording) -> BlockGates:
    gates = {location.unit: _array(gate) for location, gate in recorded.gates.items() if location.block == name}
    order = sorted(gates, key=lambda unit: (unit[:-1], "CTHW".index(unit[-1])))
    x, output = (_array(kept[name]) if name in kept else None for kept in (recorded.inputs, recorded.outputs))
    return BlockGates(name, attention, {unit: gates[unit] for unit in order}, x, output)


def _array(batch: Tensor) -> np.ndarray:
    """The first of a batch."""
    array: np.ndarray = batch[0].float().cpu().numpy()
    return array
