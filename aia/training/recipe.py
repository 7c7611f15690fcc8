"""How a network is trained: one frozen dataclass, read from JSON files that may extend each other."""

from __future__ import annotations

import dataclasses
import json
import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from aia.errors import AIAError
from aia.modeling.config import AIAConfig
from aia.text_files import read_file

Optimizer = Literal["adamw", "sgd"]
Augment = Literal["warp", "published", "camera", "actions"]
Precision = Literal["float32", "bfloat16", "float16"]

EVERY = "*"  # in a table: each class that the table does not name, as itself
RENAMED = {
    "new_lr": "head_lr",
    "recorded": "recorded_fraction",
    "rendered": "synthetic_per_epoch",
}  # fields of version 0.1
_CHOICES = {"optimizer": get_args(Optimizer), "augment": get_args(Augment), "precision": get_args(Precision)}
_NOT_RESIDENT = (  # fields without a meaning for clips that are made on the device
    *("flip", "reverse", "flip_reverse"),
    *("synthetic_per_epoch", "rendered_pool", "recorded_fraction", "negatives"),
)
_AT_LEAST = {"epochs": 1, "batch_size": 1, "cache_side": 32}
_AT_MOST: dict[str, float] = {
    "seed": 2**32 - 1,
    "cache_side": 2048,
    "cache_frames": 4096,
    "batch_size": 65_536,
    **dict.fromkeys(("synthetic_per_epoch", "rendered_pool", "negatives"), 1_000_000),
    **dict.fromkeys(("epochs", "warmup_epochs", "clips_per_epoch"), 1_000_000_000),
    **dict.fromkeys(("momentum", "recorded_fraction", "label_smoothing", "dropout", "ema"), 1),
    **dict.fromkeys(("lr", "head_lr", "weight_decay", "grad_clip", "gate_scale"), 1e30),  # a float32 ends at 3e38
}


def _renamed(old: str) -> property:
    """A field under its old name."""

    def get(recipe: Recipe) -> Any:
        warnings.warn(
            f"Recipe.{old} is now {RENAMED[old]}; the old name goes in 0.3.", DeprecationWarning, stacklevel=2
        )
        return getattr(recipe, RENAMED[old])

    return property(get)


@dataclass(frozen=True)
class Recipe:
    """A training run.

    Attributes:
        network: Fields of `AIAConfig` without `labels`.
        classes: Class in the data -> label, in the order of the logits. Empty: the data's own classes.
        flip: Class -> class of the mirrored clip. Classes not named are not mirrored. In this table and the next two a class
            is named as in the data or by the index of its logit, and "*": "*" lets every class not named keep its label.
        reverse: Class -> class of the clip played backwards. Classes not named are not reversed.
        flip_reverse: Class -> class of the clip mirrored and played backwards. Classes not named do not get both.
        holdout: Scenes or files ("a.mp4" or "CLASS/a.mp4") of the train split that are held out to choose the recipe, like
            the split val.
        synthetic_per_epoch: Drawn clips per epoch.
        rendered_pool: Drawn clips in all; each epoch takes some of them.
        recorded_fraction: Share of the drawn gestures that follow a path drawn by a person; see `recorded_paths`.
        background: Class of clips that show none of the other classes; "" for none.
        negatives: Clips per epoch of the class `background`, made from noise, or from one frame of another clip: still,
            moved as by a camera, or with flat shapes that move over it.
        augment: "warp": rotation, stretch, shift, color, blur and noise; or "published": only TSN's multi-scale crop. Both
            mirror and reverse by the tables. "camera" and "actions" make their clips on the device, see `resident.py`, and take
            none of the tables and numbers above; "camera" knows the directions of its own labels, and "actions" mirrors half of
            the clips and keeps their labels, so it is not for classes such as left and right.
        clips_per_epoch: Of "camera" and "actions".
        epochs: Passes over the real clips.
        batch_size: Clips of one step, over all processes.
        optimizer: "adamw" or "sgd".
        momentum: Of "sgd".
        lr: Peak learning rate of the trunk.
        head_lr: Peak learning rate of the parts without pretrained weights: the head and the gates.
        weight_decay: On matrices and kernels, not on biases and norms.
        warmup_epochs: Epochs of linear warm-up.
        milestones: Epochs after which the rate drops to a tenth; if empty, it follows a cosine to zero.
        label_smoothing: Of the cross-entropy.
        dropout: Before the linear layer.
        ema: Decay per step of the averaged weights that are saved and evaluated; 0 saves the last weights themselves.
        grad_clip: Largest gradient norm; 0 for no limit.
        gate_scale: Weight that the batch norms of new gates start with. At 1, PyTorch's own, a new gate is anywhere in (0, 1);
            the smaller, the nearer to 0.5; at 0.1 new gates are nearly the same everywhere.
        precision: "float32", or "bfloat16" or (GPU only) "float16" for the operations that autocast selects.
        cache_side: Side of the square pictures that "warp" starts from, in pixels.
        cache_frames: Frames per clip that are kept on disk, evenly spaced; 0 for data that is too large to be kept: each
            clip is then decoded completely every time.
        seed: Of weights, order and augmentation.

    Raises:
        AIAError: A value has the wrong type or is out of range, or one that it needs is missing; the sentence names the field.
    """

    network: dict[str, Any]
    classes: dict[str, str] = field(default_factory=dict)
    flip: dict[str, str] = field(default_factory=dict)
    reverse: dict[str, str] = field(default_factory=dict)
    flip_reverse: dict[str, str] = field(default_factory=dict)
    holdout: tuple[str, ...] = ()
    synthetic_per_epoch: int = 0
    rendered_pool: int = 0
    recorded_fraction: float = 0.0
    background: str = ""
    negatives: int = 0
    augment: Augment = "warp"
    clips_per_epoch: int = 0
    epochs: int = 40
    batch_size: int = 12
    optimizer: Optimizer = "adamw"
    momentum: float = 0.9
    lr: float = 5e-4
    head_lr: float = 2e-3
    weight_decay: float = 0.02
    warmup_epochs: float = 2.0
    milestones: tuple[int, ...] = ()
    label_smoothing: float = 0.1
    dropout: float = 0.3
    ema: float = 0.99
    grad_clip: float = 5.0
    gate_scale: float = 1.0
    precision: Precision = "float32"
    cache_side: int = 160
    cache_frames: int = 64
    seed: int = 0

    new_lr = _renamed("new_lr")
    recorded = _renamed("recorded")
    rendered = _renamed("rendered")

    def __post_init__(self) -> None:
        for name in ("holdout", "milestones"):  # JSON has lists only
            if isinstance(getattr(self, name), list):
                object.__setattr__(self, name, tuple(getattr(self, name)))
        for spec in dataclasses.fields(self):
            value = getattr(self, spec.name)
            if not _fits(spec.name, value, spec.default):
                raise AIAError(
                    f"The recipe's {spec.name} cannot be {str(value)[:60]!r}{_rule(spec.name, spec.default)}."
                )
        if self.negatives and not self.background:
            raise AIAError("The recipe's negatives are clips of a class without a gesture; name it in background.")
        config = AIAConfig.from_dict({**self.network, "labels": list(self.classes.values()) or ["any"]})
        if self.augment != "published" and config.resize != (config.input_size, config.input_size):
            size = config.input_size
            raise AIAError(f'A recipe with augment "{self.augment}" must resize to its input size, {size} x {size}.')
        if self.clips_per_epoch < self.batch_size if self.resident else self.clips_per_epoch:
            raise AIAError(
                'The recipe\'s clips_per_epoch must be at least a batch with augment "camera" or "actions", and 0 otherwise.'
            )
        if self.resident and (unused := next((name for name in _NOT_RESIDENT if getattr(self, name)), None)):
            raise AIAError(f'The recipe\'s {unused} has no effect with augment "{self.augment}"; leave it out.')
        if self.augment == "camera" and config.num_segments < 2:
            raise AIAError("A camera's movement needs two frames or more; set the recipe's network.num_segments.")

    @property
    def resident(self) -> bool:
        """Whether the clips are made on the device, see `resident.py`."""
        return self.augment in ("camera", "actions")

    @property
    def config(self) -> AIAConfig:
        """The network to build."""
        return AIAConfig.from_dict({**self.network, "labels": list(self.classes.values())})

    @classmethod
    def from_file(cls, path: str | Path, changes: Sequence[str] = ()) -> Recipe:
        """Reads a recipe.

        Args:
            path: A JSON object of fields. Its field `extends` names another recipe, relative to this file: `network` is
                merged key by key, any other field replaces the one it extends.
            changes: "name=value" each, such as "seed=1" or "network.attention=stinc"; a value is JSON or else plain text.

        Raises:
            AIAError: The file is missing, not JSON or extends itself, a field is unknown, or the network is invalid.
        """
        data, known = _read(path), [spec.name for spec in dataclasses.fields(cls)]
        for change in changes:
            _change(data, change)
        unknown = next((name for name in data if name not in known), None)
        if unknown is not None:
            raise AIAError(f"The recipe {path} has the unknown field {unknown[:60]!r}.")
        if "network" not in data:
            raise AIAError(f"The recipe {path} needs the field network.")
        return cls(**data)

    def resolve(self, data_classes: Sequence[str] = ()) -> Recipe:
        """Completes classes and tables.

        Args:
            data_classes: The data's classes in the order of the logits, for a recipe that names none.

        Returns:
            A recipe whose classes are named and whose tables name every class they apply to.

        Raises:
            AIAError: A table or `background` names an unknown class.
        """
        classes = self.classes or {kind: kind for kind in data_classes}
        kinds = list(classes)

        def name(kind: str) -> str:
            if kind in classes:
                return kind
            if kind.isdecimal() and int(kind) < len(kinds):
                return kinds[int(kind)]
            raise AIAError(
                f"The recipe is about the class {kind[:60]!r}, which is not one of its {len(kinds)} classes."
            )

        def completed(table: dict[str, str]) -> dict[str, str]:
            rest = {kind: kind for kind in kinds} if EVERY in table else {}
            return rest | {name(old): name(new) for old, new in table.items() if old != EVERY}

        return dataclasses.replace(
            self,
            classes=classes,
            flip=completed(self.flip),
            reverse=completed(self.reverse),
            flip_reverse=completed(self.flip_reverse),
            background=name(self.background) if self.background else "",
        )

    def to_json(self) -> str:
        """The recipe as text."""
        return json.dumps(dataclasses.asdict(self), indent=1)


def with_new_names(data: dict[str, Any], path: str | Path = "") -> dict[str, Any]:
    """Renames the fields of version 0.1, in their order. Warns if a path is given."""
    for old in RENAMED.keys() & data.keys():
        if RENAMED[old] in data:
            raise AIAError(
                f"The recipe {path} has {old} and {RENAMED[old]}, which are the same field; keep the second."
            )
        if path:
            warnings.warn(
                f"The recipe {path} has {old}, which is now {RENAMED[old]}; the old name goes in 0.3.",
                DeprecationWarning,
                stacklevel=2,
            )
    return {RENAMED.get(name, name): value for name, value in data.items()}


def _read(path: str | Path, extended_by: tuple[str | Path, ...] = ()) -> dict[str, Any]:
    """The fields of a recipe over those of the one it extends."""
    if Path(path).resolve() in [Path(file).resolve() for file in extended_by]:
        raise AIAError(f"The recipe {extended_by[-1]} extends {path}, which extends it; remove one of the two.")
    try:
        data = json.loads(read_file(path))  # with or without a byte order mark
    except OSError:
        named = f", which {extended_by[-1]} extends," if extended_by else ""
        raise AIAError(f"The recipe {path}{named} cannot be read; give the path of a JSON file.") from None
    except (ValueError, RecursionError) as error:
        raise AIAError(f"The recipe {path} is not valid JSON: {error}.") from None
    if not isinstance(data, dict) or not isinstance(data.get("extends", ""), str):
        raise AIAError(f"The recipe {path} must be a JSON object; its field extends, if any, is another file.")
    data = with_new_names(data, path)
    if "extends" not in data:
        return data
    base = _read(Path(path).parent / data.pop("extends"), (*extended_by, path))
    base_network, network = base.get("network"), data.get("network")
    if isinstance(base_network, dict) and isinstance(network, dict):
        data["network"] = {**base_network, **network}
    return {**base, **data}


def _change(data: dict[str, Any], change: str) -> None:
    """Applies one "name=value" or "name.key=value"."""
    names, equals, text = change.partition("=")
    if not equals:
        raise AIAError(f"{change[:60]!r} is not a change to a recipe; write NAME=VALUE, such as seed=1.")
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = text
    name, dot, key = names.partition(".")
    name = next(iter(with_new_names({name: None}, "with --set")))
    if not dot:
        data[name] = value
    elif isinstance(data.setdefault(name, {}), dict):
        data[name] = {**data[name], key: value}
    else:
        raise AIAError(f"The recipe's {name[:60]} has no parts, so {names[:60]!r} cannot be set.")


def _fits(name: str, value: Any, default: Any) -> bool:
    """Whether a value has its field's type and range."""
    if name in _CHOICES:
        return value in _CHOICES[name]
    if isinstance(default, str):
        return isinstance(value, str)
    if isinstance(default, tuple):
        kind = str if name == "holdout" else int
        return isinstance(value, tuple) and all(isinstance(item, kind) for item in value)
    if isinstance(default, (int, float)):
        kinds = int if isinstance(default, int) else (int, float)
        number = isinstance(value, kinds) and not isinstance(value, bool) and math.isfinite(value)
        return number and _AT_LEAST.get(name, 0) <= value <= _AT_MOST[name]
    if name == "network":
        return isinstance(value, dict)
    return isinstance(value, dict) and all(isinstance(item, str) for item in value.values())


def _rule(name: str, default: Any) -> str:
    """The allowed values of a field, as the end of a sentence."""
    if name in _CHOICES:
        return f"; it is one of {', '.join(_CHOICES[name])}"
    if name == "holdout":
        return '; it is a list, such as ["a scene"]'
    if not isinstance(default, (int, float)):
        return ""
    kind, low = "whole number" if isinstance(default, int) else "number", _AT_LEAST.get(name, 0)
    return f"; it must be a {kind} of at least {low} and at most {_AT_MOST[name]}"
