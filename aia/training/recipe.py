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
        try:
            data = json.loads(Path(path).read_text(encoding="utf-8"))
        except OSError:
            raise AIAError(f"The recipe {Path(path).name} cannot be read; give the path of a JSON file.") from None
        except ValueError as error:
            raise AIAError(f"The recipe {Path(path).name} is not valid JSON: {error}.") from None
        unknown = sorted(set(data) - {f.name for f in dataclasses.fields(cls)})
        if unknown:
            raise AIAError(f"The recipe {Path(path).name} has the unknown field {unknown[0]!r}.")
        recipe = cls(**{**data, "holdout": tuple(data.get("holdout", ()))})
        recipe.config  # noqa: B018  a wrong network is said now, not after the data is decoded
        return recipe
