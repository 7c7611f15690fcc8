"""The model card: README.md in the Hub's format, written beside every saved model."""

from __future__ import annotations

import re
from collections.abc import Sequence

from huggingface_hub import EvalResult, ModelCard, ModelCardData

from aia.hub.files import REFERENCE
from aia.modeling.config import AIAConfig
from aia.modeling.reference import Reference

BIBTEX = """@article{hao2022aia,
  title   = {Attention in Attention: Modeling Context Correlation for Efficient Video Classification},
  author  = {Hao, Yanbin and Wang, Shuo and Cao, Pei and Gao, Xinjian and Xu, Tong and Wu, Jinmeng and He, Xiangnan},
  journal = {IEEE Transactions on Circuits and Systems for Video Technology},
  volume  = {32},
  number  = {10},
  year    = {2022}
}"""

USE = """```python
import aia

model = aia.load("{name}")
clip = aia.read_clip("video.mp4", num_segments=model.config.num_segments)
inspection = aia.inspect(model, clip)
print(inspection.label, inspection.scores)
```"""


def model_card(
    config: AIAConfig,
    *,
    name: str = "path/to/this/folder",
    license: str | None = None,
    intended: str = "",
    origin: str = "",
    results: str = "",
    limits: str = "",
    citations: Sequence[str] = (),
    evaluation: Sequence[EvalResult] = (),
    reference: Reference | None = None,
) -> ModelCard:
    """Builds the card of a model.

    Args:
        config: The model.
        name: The argument for `aia.load` in the example.
        license: Of the weights, as the Hub calls it; None if none was stated.
        intended: Markdown: intended and unintended uses.
        origin: Markdown: where the weights come from: data, terms, command.
        results: Markdown: measurements and their method.
        limits: Markdown: further limitations.
        citations: BibTeX entries in addition to the paper's.
        evaluation: Measurements for the Hub's `model-index`.
        reference: What is typical for the model's gates.

    Returns:
        The card; `str(card)` is its Markdown after the metadata.
    """
    data = ModelCardData(
        model_name=name if evaluation else None,
        eval_results=list(evaluation) or None,
        library_name="aia-studio",
        license=license,
        pipeline_tag="video-classification",
        tags=["attention-in-attention", "video-classification", config.arch, config.temporal, config.attention],
    )
    labels = ", ".join(map(_verbatim, config.labels[:50])) + (" ..." if config.num_classes > 50 else "")
    resize = (
        " x ".join(map(str, config.resize)) if isinstance(config.resize, tuple) else f"shorter side {config.resize}"
    )
    sections = {
        f"AIA: {config.title}": "A video classifier with Attention-in-Attention gates (Hao et al., IEEE TCSVT 2022).",
        "Use": USE.format(name=name),
        "Intended use": intended,
        "What it takes": (
            f"{config.num_segments} frames, one from the middle of each of {config.num_segments} equal segments; RGB, resized "
            f"to {resize} px, center crop {config.input_size} px, mean {list(config.mean)}, std {list(config.std)}."
        ),
        f"Labels ({config.num_classes})": labels,
        "When it does not know": _answering(config),
        "What is typical for its gates": _typical(reference) if reference else "",
        "Where the weights come from": origin or "Not stated.",
        "Results": results or "None stated.",
        "Limits": (
            "The model knows only its own labels. Its gates show what the network let through; they are not specific to a "
            "class, and attention is not an explanation." + (f"\n\n{limits}" if limits else "")
        ),
        "Citation": "```bibtex\n" + "\n\n".join([BIBTEX, *citations]) + "\n```",
    }
    written = [(title, text) for title, text in sections.items() if text]
    body = "\n\n".join(f"{'##' if i else '#'} {title}\n\n{text}" for i, (title, text) in enumerate(written))
    return ModelCard(f"---\n{data.to_yaml()}\n---\n\n{body}\n")


def _verbatim(label: str) -> str:
    """A label as literal text in Markdown, between more backticks than it has in a row."""
    marks = "`" * (1 + max(map(len, re.findall("`+", label)), default=0))
    return f"{marks}{label}{marks}" if len(marks) == 1 else f"{marks} {label} {marks}"


def _typical(reference: Reference) -> str:
    return (
        f"`{REFERENCE}` holds the mean of every gate over {reference.num_clips} {reference.kind}, and how much the clips "
        "differ. `block.deviation()` and the page draw how far a clip's gates are from that mean."
    )


def _answering(config: AIAConfig) -> str:
    """How the model answers from its logits."""
    if not config.threshold:
        return "No threshold was measured: every video gets one of the labels."
    return (
        f"Probabilities are softmax(logits / {config.temperature:g}). Where the largest is below {config.threshold:g}, the "
        "model does not know the clip: `inspection.is_confident` is False and `inspection.label` only the closest label."
    )
