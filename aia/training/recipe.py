"""How a network is trained: one frozen dataclass, read from a JSON file."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aia.config import AIAConfig
from aia.errors import AIAError


@dataclass(frozen=True)
class Recipe:
    """A training run.

    Attributes:
        network: Fields of `AIAConfig` without `labels`.
        classes: Class in the data -> label shown; the order is that of the logits.
        flip: Class -> class of the mirrored clip. Classes not named are not mirrored.
        reverse: Class -> class of the clip played backwards. Classes not named are not reversed.
        flip_reverse: Class -> class when both are done. Classes not named don't get both.
        holdout: Scenes, or files, of the train split that are kept for choosing the recipe.
        rendered: Rendered clips per epoch.
        rendered_pool: Rendered clips that exist; each epoch takes some of them.
        background: Class of clips in which nothing happens that the model should name; "" for none.
        negatives: Clips per epoch made from one frame of another clip, standing still or moved as by a camera, or from
            noise: nothing moves in them by itself, so their class is `background`.
        epochs: Passes over the real clips.
        batch_size: Clips.
        lr: Peak learning rate of AdamW (the trunk's; head and gates take `new_lr`).
        new_lr: Peak learning rate of what starts from nothing: the head and the gates.
        weight_decay: On matrices and kernels, not on biases and norms.
        warmup_epochs: Epochs of linear warm-up; after it the rate follows a cosine to zero.
        label_smoothing: Of the cross-entropy.
        dropout: Before the linear layer.
        ema: Decay per step of the averaged weights that are saved and evaluated.
        grad_clip: Largest gradient norm.
        cache_side: Side of the square pictures in the cache, in pixels.
        cache_frames: Frames kept of one clip, evenly spaced.
        seed: Of weights, order and augmentation.
    """

    network: dict[str, Any]
    classes: dict[str, str]
    flip: dict[str, str] = field(default_factory=dict)
    reverse: dict[str, str] = field(default_factory=dict)
    flip_reverse: dict[str, str] = field(default_factory=dict)
    holdout: tuple[str, ...] = ()
    rendered: int = 0
    rendered_pool: int = 0
    background: str = ""
    negatives: int = 0
    epochs: int = 40
    batch_size: int = 12
    lr: float = 5e-4
    new_lr: float = 2e-3
    weight_decay: float = 0.02
    warmup_epochs: float = 2.0
    label_smoothing: float = 0.1
    dropout: float = 0.3
    ema: float = 0.99
    grad_clip: float = 5.0
    cache_side: int = 160
    cache_frames: int = 64
    seed: int = 0

    @property
    def config(self) -> AIAConfig:
        """The network to build."""
        return AIAConfig.from_dict({**self.network, "labels": list(self.classes.values())})

    @classmethod
    def from_file(cls, path: str | Path) -> Recipe:
        """Reads a recipe.

        Raises:
            AIAError: Missing, not JSON, an unknown field, or a network that cannot be.
        """
        name = Path(path).name
        try:
            data = json.loads(Path(path).read_text(encoding="utf-8"))
        except OSError:
            raise AIAError(f"The recipe {name} cannot be read; give the path of a JSON file.") from None
        except ValueError as error:
            raise AIAError(f"The recipe {name} is not valid JSON: {error}.") from None
        if not isinstance(data, dict) or not {"network", "classes"} <= set(data):
            raise AIAError(f"The recipe {name} needs at least the fields network and classes.")
        defaults = {f.name: f.default for f in dataclasses.fields(cls)}
        for field_name, value in data.items():
            if field_name not in defaults:
                raise AIAError(f"The recipe {name} has the unknown field {field_name!r}.")
            if not _fits(value, field_name, defaults[field_name]):
                raise AIAError(f"The recipe {name} has the wrong kind of value for {field_name}: {str(value)[:60]}.")
        recipe = cls(**{**data, "holdout": tuple(data.get("holdout", ()))})
        config = recipe.config
        if config.resize != (config.input_size, config.input_size):
            raise AIAError(
                f"The recipe {name} must resize to its input size, {config.input_size} x {config.input_size}."
            )
        return recipe

    def to_json(self) -> str:
        """The recipe as text."""
        return json.dumps(dataclasses.asdict(self), indent=1)


def _fits(value: Any, field_name: str, default: Any) -> bool:
    """Whether a value from JSON has its field's type; numbers are not negative."""
    if field_name == "holdout":
        return isinstance(value, list) and all(isinstance(item, str) for item in value)
    if isinstance(default, (int, float)):
        kinds = int if isinstance(default, int) else (int, float)
        return isinstance(value, kinds) and not isinstance(value, bool) and value >= 0
    if field_name == "network":
        return isinstance(value, dict)
    if isinstance(default, str):
        return isinstance(value, str)
    return isinstance(value, dict) and all(isinstance(item, str) for item in value.values())
