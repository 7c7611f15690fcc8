"""The configuration of a network: one frozen dataclass, checked before anything is built from it."""

from __future__ import annotations

import dataclasses
import json
import numbers
import re
import unicodedata
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from aia.errors import AIAError
from aia.limits import MAX_CONFIG_BYTES, MAX_INPUT_SIZE, MAX_LABEL_LENGTH, MAX_LABELS, MAX_SEGMENTS
from aia.modeling.attention_settings import ATTENTION_SETTINGS, Combination
from aia.modeling.backbones import BACKBONES

Temporal = Literal["tsn", "tsm"]
TEMPORALS: tuple[Temporal, ...] = get_args(Temporal)
ARCHS = tuple(BACKBONES)  # the names that come with the library
ATTENTIONS = tuple(ATTENTION_SETTINGS)

NO_GESTURE = "no gesture"  # the label of clips without a gesture, if a network has it
NONE_LABELS = (NO_GESTURE, "none of these")  # labels that refuse a clip: it shows none of the others
MAX_TASK_LENGTH = 30  # characters

MIN_INPUT_SIZE = 32  # pixels: backbones halve the picture five times
LOWEST_TEMPERATURE, HIGHEST_TEMPERATURE = 0.05, 20.0
# Characters that no label may have: control and invisible ones (they move a terminal's cursor, reverse the text's direction or
# hide words), line breaks, lone surrogates. The two joiners are allowed, since some scripts need them.
_HIDDEN, _JOINERS = ("Cc", "Cf", "Cs", "Zl", "Zp"), "\u200c\u200d"
_PATH = re.compile(
    r"~?[\\/]|[A-Za-z]:[\\/]|\.{1,2}[\\/]|.*(://|[\\/]\.\.([\\/]|$))"
)  # a slash alone is fine: EGTEA has "Divide/Pull Apart"


@dataclass(frozen=True)
class AIAConfig:
    """A network, its labels and its preprocessing.

    Attributes:
        labels: One name per class, in the order of the logits.
        arch: Backbone, a name in `aia.modeling.backbones.BACKBONES`.
        temporal: "tsn" (no shift) or "tsm" (temporal shift).
        attention: What sits in every block, a name in `aia.modeling.attention_settings.ATTENTION_SETTINGS`; "+" averages two
            modules, "->" cascades them.
        num_segments: Frames sampled from a video (T). No weight depends on it.
        input_size: Side of the square center crop that the network sees, in pixels.
        resize: Size before the crop: `(height, width)` exactly, as published, or one number for the shorter side with
            the aspect kept.
        mean: Per-channel (RGB) mean of pixels in [0, 1].
        std: Per-channel (RGB) standard deviation of pixels in [0, 1].
        temperature: Probabilities are softmax(logits / temperature), 0.05 to 20 (temperature scaling, Guo et al., ICML
            2017); 1 for a network that was not calibrated.
        threshold: The model rejects clips whose largest probability is lower, 0 <= x < 1 (Hendrycks and Gimpel, ICLR 2017);
            0 for a network without a measured threshold, which gives every clip a label.
        default_block: The block to show first, such as "features.12"; "" for the one whose map varies most.
        task: What the labels are about, such as "gestures"; at most 30 characters, "" if not stated.

    Raises:
        AIAError: A value has the wrong type or is out of range; the sentence names the field.

    Example:
        >>> import aia
        >>> aia.AIAConfig(("left", "right"), arch="mobilenet_v2", temporal="tsm")
        AIAConfig('TSM with CinST, mobilenet_v2', 2 labels, 8 segments, input 224x224)
    """

    labels: tuple[str, ...]
    arch: str = "resnet50"
    temporal: Temporal = "tsn"
    attention: str = "cinst"
    num_segments: int = 8
    input_size: int = 224
    resize: int | tuple[int, int] = (240, 320)
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)
    temperature: float = 1.0
    threshold: float = 0.0
    default_block: str = ""
    task: str = ""

    def __post_init__(self) -> None:
        for name in ("labels", "mean", "std", "resize"):  # JSON has lists only
            if isinstance(getattr(self, name), list):
                object.__setattr__(self, name, tuple(getattr(self, name)))
        _one_of("arch", self.arch, tuple(BACKBONES))
        _one_of("temporal", self.temporal, TEMPORALS)
        _one_of("attention", self.attention, tuple(ATTENTION_SETTINGS))
        _whole("num_segments", self.num_segments, 1, MAX_SEGMENTS)
        _whole("input_size", self.input_size, MIN_INPUT_SIZE, MAX_INPUT_SIZE)
        self._check_resize()
        self._check_labels()
        for name, low in (("mean", -1.0), ("std", 1e-3)):
            value = getattr(self, name)
            if not (
                isinstance(value, tuple) and len(value) == 3 and all(is_number(v) and low <= v <= 10 for v in value)
            ):
                raise AIAError(
                    f"The configuration's {name} must be three numbers from {low} to 10, not {_show(value)}."
                )
        self._check_answer()
        for name in ("mean", "std"):
            object.__setattr__(self, name, tuple(map(plain_number, getattr(self, name))))
        for name in ("temperature", "threshold"):
            object.__setattr__(self, name, plain_number(getattr(self, name)))

    def __repr__(self) -> str:
        return (
            f"AIAConfig({self.title!r}, {len(self.labels)} labels, {self.num_segments} segments, "
            f"input {self.input_size}x{self.input_size})"
        )

    def _check_answer(self) -> None:
        low, high = LOWEST_TEMPERATURE, HIGHEST_TEMPERATURE
        if not is_number(self.temperature) or not low <= self.temperature <= high:
            raise AIAError(
                f"The configuration's temperature must be a number from {low} to {high}, not {_show(self.temperature)}."
            )
        if not is_number(self.threshold) or not 0 <= self.threshold < 1:
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
        if not isinstance(self.task, str) or len(self.task) > MAX_TASK_LENGTH or not _is_plain(self.task):
            raise AIAError(
                f"The configuration's task must be plain text of at most {MAX_TASK_LENGTH} characters, "
                f"not {_show(self.task)}."
            )
        if not isinstance(self.labels, tuple) or not 1 <= len(self.labels) <= MAX_LABELS:
            raise AIAError(f"The configuration needs a list of 1 to {MAX_LABELS} labels.")
        for label in self.labels:
            if not isinstance(label, str) or not label.strip() or len(label) > MAX_LABEL_LENGTH:
                raise AIAError(f"A label must be text of 1 to {MAX_LABEL_LENGTH} characters, not {_show(label)}.")
            if not _is_plain(label):
                raise AIAError(
                    f"A label must be plain text on one line, without hidden characters, not {_show(label)}."
                )
            if _PATH.match(label):
                raise AIAError(f"A label must be a name, but {_show(label)} is a path or an address.")
        if len(set(self.labels)) != len(self.labels):
            raise AIAError("Two labels of the configuration have the same name; give every class its own.")

    @property
    def num_classes(self) -> int:
        """Number of classes."""
        return len(self.labels)

    @property
    def none_label(self) -> str:
        """The label of clips that show none of the others, "no gesture" or "none of these"; "" if the network has none."""
        return none_label(self.labels)

    @property
    def blocks(self) -> tuple[str, ...]:
        """The trunk's blocks that AIA and the shift may change, in order, by their names in the trunk."""
        return BACKBONES[self.arch].blocks

    @property
    def blind_to_order(self) -> bool:
        """Whether the order of the frames changes nothing, because single frames are averaged: TSN without AIA."""
        return self.temporal == "tsn" and self.attention == "none"

    @property
    def method(self) -> str:
        """The network without its backbone, in the paper's words, such as "TSM with CinST"."""
        return f"{self.temporal.upper()} with {ATTENTION_SETTINGS[self.attention].title}"

    @property
    def title(self) -> str:
        """The network with its backbone, such as "TSM with CinST, mobilenet_v2"."""
        return f"{self.method}, {self.arch}"

    def to_dict(self) -> dict[str, Any]:
        """The fields as JSON types, in the order of their definition."""
        fields: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(self)))
        return fields

    @classmethod
    def from_dict(cls, data: Any) -> AIAConfig:
        """Builds a configuration from untrusted data.

        Args:
            data: The content of a `config.json`.

        Raises:
            AIAError: Not an object, an unknown or missing field, a wrong type or range.
        """
        if not isinstance(data, dict):
            raise AIAError("The configuration is not a JSON object; is this config.json of an AIA model?")
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
            if not Path(path).is_file():  # reading a pipe or a device may never end
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


def none_label(labels: Sequence[str]) -> str:
    """The one of `NONE_LABELS` that is among some labels; "" if none is."""
    return next((label for label in NONE_LABELS if label in labels), "")


def split_attention(attention: str) -> tuple[tuple[str, ...], Combination]:
    """The old way to ask `ATTENTION_SETTINGS[attention]` for `kinds` and `combination`."""
    warnings.warn(
        "split_attention: use aia.modeling.attention_settings.ATTENTION_SETTINGS", DeprecationWarning, stacklevel=2
    )
    return ATTENTION_SETTINGS[attention].kinds, ATTENTION_SETTINGS[attention].combination


def is_number(value: Any) -> bool:
    """Whether a value is a real number, of Python or of NumPy; a truth value is none."""
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def plain_number(value: Any) -> int | float:
    """A real number as an int or float of Python: JSON takes no number of NumPy, and its repr is no literal."""
    return int(value) if isinstance(value, numbers.Integral) else float(value)


def _one_of(field: str, value: Any, choices: tuple[str, ...]) -> None:
    if not isinstance(value, str) or value not in choices:
        raise AIAError(f"The configuration's {field} is {_show(value)}; it must be one of {', '.join(choices)}.")


def _whole(field: str, value: Any, low: int, high: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise AIAError(f"The configuration's {field} must be a whole number from {low} to {high}, not {_show(value)}.")


def _is_plain(text: str) -> bool:
    return not any(unicodedata.category(letter) in _HIDDEN and letter not in _JOINERS for letter in text)


def _show(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
