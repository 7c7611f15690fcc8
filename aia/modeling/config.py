"""What a network is: one frozen dataclass, checked before anything is built from it."""

from __future__ import annotations

import dataclasses
import json
import numbers
import re
import unicodedata
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aia.errors import AIAError
from aia.limits import MAX_CONFIG_BYTES, MAX_INPUT_SIZE, MAX_LABEL_LENGTH, MAX_LABELS, MAX_SEGMENTS

ARCHS = ("resnet18", "resnet34", "resnet50", "resnet101", "mobilenet_v2")
TEMPORALS = ("tsn", "tsm")
ATTENTIONS = (
    "none",
    "c",
    "st",
    "cinst",
    "stinc",
    "c+st",
    "c->st",
    "st->c",
    "cinst->stinc",
    "stinc->cinst",
    "stinc+cinst",
    "stinc-2022-06",
)
MODULE_NAMES = {
    "none": "no AIA",
    "c": "C",
    "st": "ST",
    "cinst": "CinST",
    "stinc": "STinC",
    "stinc-2022-06": "STinC (2022-06)",
}

MIN_INPUT_SIZE = 32  # pixels: the trunks halve the picture five times
LOWEST_TEMPERATURE, HIGHEST_TEMPERATURE = 0.05, 20.0
# Blocks in each stage of a ResNet.
STAGES = {"resnet18": (2, 2, 2, 2), "resnet34": (3, 4, 6, 3), "resnet50": (3, 4, 6, 3), "resnet101": (3, 4, 23, 3)}
_LONG_STAGE = 23  # blocks from which on only every other block of a stage is changed
_INVERTED_RESIDUALS = 17  # of MobileNetV2
# Characters that a label has no use for: control and invisible ones (they move a terminal's cursor, turn the direction of
# the text around or hide words), line breaks, halves of a character. Two joiners are part of how some scripts are written.
_UNSEEN, _JOINERS = ("Cc", "Cf", "Cs", "Zl", "Zp"), "\u200c\u200d"
_PATH = re.compile(
    r"~?[\\/]|[A-Za-z]:[\\/]|\.{1,2}[\\/]|.*(://|[\\/]\.\.([\\/]|$))"
)  # but EGTEA has "Divide/Pull Apart"


@dataclass(frozen=True)
class AIAConfig:
    """A network, its labels and its preprocessing.

    Attributes:
        labels: One name per class, in the order of the logits.
        arch: Backbone, one of `ARCHS`, built by torchvision.
        temporal: "tsn" (no shift) or "tsm" (temporal shift).
        attention: The module at every block, one of `ATTENTIONS`; "+" averages two modules, "->" cascades them.
        num_segments: Frames sampled from a video (T). No weight depends on it.
        input_size: Side of the square centre crop that the network sees, in pixels.
        resize: Size before the crop: `(height, width)` exactly, as published, or one number for the shorter side with
            the aspect kept.
        mean: Per-channel (RGB) mean of pixels in [0, 1].
        std: Per-channel (RGB) standard deviation of pixels in [0, 1].
        temperature: Probabilities are softmax(logits / temperature), 0.05 to 20 (temperature scaling, Guo et al., ICML
            2017); 1 where nobody calibrated.
        threshold: A largest probability below it means that the model does not know the clip, 0 <= x < 1 (Hendrycks and
            Gimpel, ICLR 2017); 0 where nobody measured one: then every clip gets a label.
        default_block: The block to look at first, such as "features.12"; "" for the one whose map moves most.

    Raises:
        AIAError: A value has the wrong type or lies out of range; the sentence names the field.
    """

    labels: tuple[str, ...]
    arch: str = "resnet50"
    temporal: str = "tsn"
    attention: str = "cinst"
    num_segments: int = 8
    input_size: int = 224
    resize: int | tuple[int, int] = (240, 320)
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)
    temperature: float = 1.0
    threshold: float = 0.0
    default_block: str = ""

    def __post_init__(self) -> None:
        for name in ("labels", "mean", "std", "resize"):  # JSON has lists only
            if isinstance(getattr(self, name), list):
                object.__setattr__(self, name, tuple(getattr(self, name)))
        _one_of("arch", self.arch, ARCHS)
        _one_of("temporal", self.temporal, TEMPORALS)
        _one_of("attention", self.attention, ATTENTIONS)
        _whole("num_segments", self.num_segments, 1, MAX_SEGMENTS)
        _whole("input_size", self.input_size, MIN_INPUT_SIZE, MAX_INPUT_SIZE)
        self._check_resize()
        self._check_labels()
        for name, low in (("mean", -1.0), ("std", 1e-3)):
            value = getattr(self, name)
            if not (
                isinstance(value, tuple) and len(value) == 3 and all(_is_number(v) and low <= v <= 10 for v in value)
            ):
                raise AIAError(
                    f"The configuration's {name} must be three numbers from {low} to 10, not {_show(value)}."
                )
        self._check_answer()

    def _check_answer(self) -> None:
        low, high = LOWEST_TEMPERATURE, HIGHEST_TEMPERATURE
        if not _is_number(self.temperature) or not low <= self.temperature <= high:
            raise AIAError(
                f"The configuration's temperature must be a number from {low} to {high}, not {_show(self.temperature)}."
            )
        if not _is_number(self.threshold) or not 0 <= self.threshold < 1:
            raise AIAError(
                f"The configuration's threshold must be at least 0 and less than 1, not {_show(self.threshold)}."
            )
        if self.default_block not in ("", *self.blocks):
            raise AIAError(
                f"The configuration's default_block is {_show(self.default_block)}; it must be empty or a block of "
                f"{self.arch} that can hold AIA, from {self.blocks[0]} to {self.blocks[-1]}."
            )

    def _check_resize(self) -> None:
        sides = self.resize if isinstance(self.resize, tuple) else (self.resize,)
        if len(sides) not in (1, 2) or (len(sides) == 1 and isinstance(self.resize, tuple)):
            raise AIAError(
                f"The configuration's resize must be one number or (height, width), not {_show(self.resize)}."
            )
        for side in sides:
            _whole("resize", side, MIN_INPUT_SIZE, 2 * MAX_INPUT_SIZE)
        if min(sides) < self.input_size:
            raise AIAError(
                f"The configuration resizes to {_show(self.resize)}, smaller than its {self.input_size} px crop."
            )

    def _check_labels(self) -> None:
        if not isinstance(self.labels, tuple) or not 1 <= len(self.labels) <= MAX_LABELS:
            raise AIAError(f"The configuration needs a list of 1 to {MAX_LABELS} labels.")
        for label in self.labels:
            if not isinstance(label, str) or not label.strip() or len(label) > MAX_LABEL_LENGTH:
                raise AIAError(f"A label must be text of 1 to {MAX_LABEL_LENGTH} characters, not {_show(label)}.")
            if any(unicodedata.category(letter) in _UNSEEN and letter not in _JOINERS for letter in label):
                raise AIAError(
                    f"A label must be plain text on one line, without hidden characters, not {_show(label)}."
                )
            if _PATH.match(label):
                raise AIAError(f"A label must be a name and no path or address, not {_show(label)}.")
        if len(set(self.labels)) != len(self.labels):
            raise AIAError("Two labels of the configuration have the same name; give every class its own.")

    @property
    def num_classes(self) -> int:
        """Number of classes."""
        return len(self.labels)

    @property
    def blocks(self) -> tuple[str, ...]:
        """The trunk's blocks that AIA and the shift may change, in order, by their names in the network."""
        if self.arch == "mobilenet_v2":
            return tuple(f"features.{i}" for i in range(1, _INVERTED_RESIDUALS + 1))
        return tuple(
            f"layer{stage}.{i}"
            for stage, count in enumerate(STAGES[self.arch], start=1)
            for i in range(0, count, 2 if count >= _LONG_STAGE else 1)
        )

    @property
    def blind_to_order(self) -> bool:
        """Whether single frames are averaged, so that their order changes nothing: TSN without AIA."""
        return self.temporal == "tsn" and self.attention == "none"

    @property
    def method(self) -> str:
        """The network without its trunk, in the paper's words, such as "TSM with CinST"."""
        kinds, combination = split_attention(self.attention)
        joint = {"single": "", "average": " + ", "cascade": " → "}[combination]
        return f"{self.temporal.upper()} with {joint.join(MODULE_NAMES[kind] for kind in kinds)}"

    @property
    def title(self) -> str:
        """The network with its trunk, such as "TSM with CinST, mobilenet_v2"."""
        return f"{self.method}, {self.arch}"

    def to_dict(self) -> dict[str, Any]:
        """The fields as JSON types, in the order of their definition."""
        return json.loads(json.dumps(dataclasses.asdict(self)))

    @classmethod
    def from_dict(cls, data: Any) -> AIAConfig:
        """Builds a configuration from untrusted data.

        Args:
            data: What a `config.json` holds.

        Raises:
            AIAError: Not an object, an unknown or missing field, a wrong type or range.
        """
        if not isinstance(data, dict):
            raise AIAError("The configuration is no JSON object; is this config.json of an AIA model?")
        known = {field.name for field in dataclasses.fields(cls)}
        unknown = sorted(set(map(str, data)) - known)
        if unknown:
            raise AIAError(
                f"The configuration has the unknown field {_show(unknown[0])}; is it config.json of an AIA model?"
            )
        if "labels" not in data:
            raise AIAError("The configuration has no labels; is it config.json of an AIA model?")
        return cls(**data)

    @classmethod
    def from_file(cls, path: str | Path) -> AIAConfig:
        """Reads and checks a `config.json`.

        Raises:
            AIAError: Missing, not JSON, or not a valid configuration.
        """
        try:
            if not Path(path).is_file():  # a pipe or a device could be waited for without end
                raise OSError
            with Path(path).open("rb") as file:
                content = file.read(MAX_CONFIG_BYTES + 1)
            if len(content) > MAX_CONFIG_BYTES:
                raise AIAError(f"{Path(path).name} is too large to be config.json of an AIA model.")
            data = json.loads(content.decode("utf-8"))
        except OSError:
            raise AIAError(
                f"{Path(path).name} cannot be read; a model folder holds config.json and model.safetensors."
            ) from None
        except (ValueError, RecursionError):
            raise AIAError(f"{Path(path).name} is not valid JSON; is it config.json of an AIA model?") from None
        return cls.from_dict(data)


def split_attention(attention: str) -> tuple[tuple[str, ...], str]:
    """Splits a setting into its modules and how they are combined.

    Args:
        attention: One of `ATTENTIONS` except "none".

    Returns:
        The module kinds and "single", "average" (of "+") or "cascade" (of "->").
    """
    if "->" in attention:
        return tuple(attention.split("->")), "cascade"
    if "+" in attention:
        return tuple(attention.split("+")), "average"
    return (attention,), "single"


def _one_of(field: str, value: Any, choices: tuple[str, ...]) -> None:
    if not isinstance(value, str) or value not in choices:
        raise AIAError(f"The configuration's {field} is {_show(value)}; it must be one of {', '.join(choices)}.")


def _whole(field: str, value: Any, low: int, high: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise AIAError(f"The configuration's {field} must be a whole number from {low} to {high}, not {_show(value)}.")


def _is_number(value: Any) -> bool:
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def _show(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
