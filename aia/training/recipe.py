"""How a network is trained: one frozen dataclass, read from JSON files of which one may extend another."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aia.errors import AIAError
from aia.modeling.config import AIAConfig

EVERY = "*"  # in a table: each class that the table does not name, as itself
_CHOICES = {
    "optimizer": ("adamw", "sgd"),
    "augment": ("warp", "published"),
    "precision": ("float32", "bfloat16", "float16"),
}
_AT_LEAST = {"epochs": 1, "batch_size": 1, "cache_side": 32}
_AT_MOST = {"seed": 2**32 - 1, "momentum": 1, "recorded": 1, "label_smoothing": 1, "dropout": 1, "ema": 1}


@dataclass(frozen=True)
class Recipe:
    """A training run.

    Attributes:
        network: Fields of `AIAConfig` without `labels`.
        classes: Class in the data -> label shown; the order is that of the logits. Empty: the data's own classes.
        flip: Class -> class of the mirrored clip. Classes not named are not mirrored. In this table and the next two a class
            is named as in the data or by the index of its logit, and "*": "*" lets every class not named keep its own.
        reverse: Class -> class of the clip played backwards. Classes not named are not reversed.
        flip_reverse: Class -> class when both are done. Classes not named don't get both.
        holdout: Scenes, or files, of the train split that are kept for choosing the recipe, as the split val always is.
        rendered: Rendered clips per epoch.
        rendered_pool: Rendered clips that exist; each epoch takes some of them.
        recorded: Share of the rendered gestures that follow a path which a person drew; see `recorded_paths`.
        background: Class of clips in which nothing happens that the model should name; "" for none.
        negatives: Clips per epoch made from one frame of another clip, standing still, moved as by a camera or with flat
            shapes that move over it, or from noise: they hold no gesture, so their class is `background`.
        augment: "warp": rotation, stretch, shift, colours, blur and noise; or "published": the multi-scale crop of TSN and
            nothing else. Mirroring and reversal follow the tables in both.
        epochs: Passes over the real clips.
        batch_size: Clips of one step, over all processes.
        optimizer: "adamw" or "sgd".
        momentum: Of "sgd".
        lr: Peak learning rate of the trunk.
        new_lr: Peak learning rate of what starts from nothing: the head and the gates.
        weight_decay: On matrices and kernels, not on biases and norms.
        warmup_epochs: Epochs of linear warm-up.
        milestones: Epochs after which the rate drops to a tenth; without any it follows a cosine to zero.
        label_smoothing: Of the cross-entropy.
        dropout: Before the linear layer.
        ema: Decay per step of the averaged weights that are saved and evaluated; 0 saves the last weights themselves.
        grad_clip: Largest gradient norm.
        precision: "float32", or "bfloat16" or (GPU only) "float16" where autocast allows it.
        cache_side: Side of the square pictures that "warp" starts from, in pixels.
        cache_frames: Frames of one clip that are kept on disk, evenly spaced; 0 for data that is too large: no clip is kept,
            each is decoded whole whenever it is its turn.
        seed: Of weights, order and augmentation.

    Raises:
        AIAError: A value has the wrong type or lies out of range; the sentence names the field.
    """

    network: dict[str, Any]
    classes: dict[str, str] = field(default_factory=dict)
    flip: dict[str, str] = field(default_factory=dict)
    reverse: dict[str, str] = field(default_factory=dict)
    flip_reverse: dict[str, str] = field(default_factory=dict)
    holdout: tuple[str, ...] = ()
    rendered: int = 0
    rendered_pool: int = 0
    recorded: float = 0.0
    background: str = ""
    negatives: int = 0
    augment: str = "warp"
    epochs: int = 40
    batch_size: int = 12
    optimizer: str = "adamw"
    momentum: float = 0.9
    lr: float = 5e-4
    new_lr: float = 2e-3
    weight_decay: float = 0.02
    warmup_epochs: float = 2.0
    milestones: tuple[int, ...] = ()
    label_smoothing: float = 0.1
    dropout: float = 0.3
    ema: float = 0.99
    grad_clip: float = 5.0
    precision: str = "float32"
    cache_side: int = 160
    cache_frames: int = 64
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("holdout", "milestones"):  # JSON has lists only
            if isinstance(getattr(self, name), list):
                object.__setattr__(self, name, tuple(getattr(self, name)))
        for spec in dataclasses.fields(self):
            value = getattr(self, spec.name)
            if not _fits(spec.name, value, spec.default):
                raise AIAError(f"The recipe's {spec.name} cannot be {str(value)[:60]!r}{_rule(spec.name)}.")
        config = AIAConfig.from_dict({**self.network, "labels": list(self.classes.values()) or ["any"]})
        if self.augment == "warp" and config.resize != (config.input_size, config.input_size):
            raise AIAError(
                f'A recipe with augment "warp" must resize to its input size, {config.input_size} x {config.input_size}.'
            )

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
            AIAError: Missing, not JSON, extending itself, an unknown field, or a network that cannot be.
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

    def resolve(self, found: Sequence[str] = ()) -> Recipe:
        """Gives every class its name.

        Args:
            found: The data's classes in the order of the logits, for a recipe that names none.

        Returns:
            A recipe with classes, whose tables name all classes they are about.

        Raises:
            AIAError: A table or `background` is about a class that is not there.
        """
        classes = self.classes or {kind: kind for kind in found}
        kinds = list(classes)

        def name(kind: str) -> str:
            if kind in classes:
                return kind
            if kind.isdecimal() and int(kind) < len(kinds):
                return kinds[int(kind)]
            raise AIAError(f"The recipe is about the class {kind[:60]!r}, which is none of its {len(kinds)} classes.")

        def whole(table: dict[str, str]) -> dict[str, str]:
            rest = {kind: kind for kind in kinds} if EVERY in table else {}
            return rest | {name(old): name(new) for old, new in table.items() if old != EVERY}

        tables = {key: whole(getattr(self, key)) for key in ("flip", "reverse", "flip_reverse")}
        background = name(self.background) if self.background or self.negatives else ""
        return dataclasses.replace(self, classes=classes, background=background, **tables)

    def to_json(self) -> str:
        """The recipe as text."""
        return json.dumps(dataclasses.asdict(self), indent=1)


def _read(path: str | Path, above: tuple[str | Path, ...] = ()) -> dict[str, Any]:
    """The fields of a recipe over those of the one it extends; `above` are the files that extend this one."""
    if Path(path).resolve() in [Path(file).resolve() for file in above]:
        raise AIAError(f"The recipe {above[-1]} extends {path}, which extends it; one must stand by itself.")
    try:
        data = json.loads(Path(path).read_bytes())  # with or without a byte order mark
    except OSError:
        named = f", which {above[-1]} extends," if above else ""
        raise AIAError(f"The recipe {path}{named} cannot be read; give the path of a JSON file.") from None
    except (ValueError, RecursionError) as error:
        raise AIAError(f"The recipe {path} is not valid JSON: {error}.") from None
    if not isinstance(data, dict) or not isinstance(data.get("extends", ""), str):
        raise AIAError(f"The recipe {path} must be a JSON object; its field extends, if any, is another file.")
    if "extends" not in data:
        return data
    base = _read(Path(path).parent / data.pop("extends"), (*above, path))
    both = base.get("network"), data.get("network")
    if all(isinstance(network, dict) for network in both):
        data["network"] = {**both[0], **both[1]}
    return {**base, **data}


def _change(data: dict[str, Any], change: str) -> None:
    """Puts one "name=value" or "name.key=value" into the fields."""
    names, equals, text = change.partition("=")
    if not equals:
        raise AIAError(f"{change[:60]!r} is no change of a recipe; write NAME=VALUE, such as seed=1.")
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = text
    name, dot, key = names.partition(".")
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
        return number and _AT_LEAST.get(name, 0) <= value <= _AT_MOST.get(name, math.inf)
    if name == "network":
        return isinstance(value, dict)
    return isinstance(value, dict) and all(isinstance(item, str) for item in value.values())


def _rule(name: str) -> str:
    """What a field may be, as the end of a sentence."""
    if name in _CHOICES:
        return f"; it is one of {', '.join(_CHOICES[name])}"
    low, high = _AT_LEAST.get(name, 0), _AT_MOST.get(name)
    return f"; the least is {low}" + (f", the most {high}" if high else "") if name in {*_AT_LEAST, *_AT_MOST} else ""
