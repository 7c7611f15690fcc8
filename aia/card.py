"""The model card: README.md in the Hub's format, written beside every saved model."""

from __future__ import annotations

from huggingface_hub import ModelCard, ModelCardData

from aia.config import AIAConfig

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
seen = aia.inspect(model, clip)
print(seen.label, seen.scores)
```"""


def model_card(
    config: AIAConfig,
    *,
    name: str = "path/to/this/folder",
    license: str | None = None,
    origin: str = "",
    results: str = "",
) -> ModelCard:
    """Builds the card of a model.

    Args:
        config: The model.
        name: What a reader gives to `aia.load`.
        license: Of the weights, as the Hub calls it; None where nobody stated one.
        origin: Markdown: where the weights come from, on which data, under which terms, by which command.
        results: Markdown: what was measured, and how.

    Returns:
        The card; `str(card)` is its Markdown with the metadata in front.
    """
    data = ModelCardData(
        library_name="aia-studio",
        license=license,
        pipeline_tag="video-classification",
        tags=["attention-in-attention", "video-classification", config.arch, config.temporal, config.attention],
    )
    labels = ", ".join(f"`{label}`" for label in config.labels[:50]) + (" ..." if config.num_classes > 50 else "")
    resize = (
        " x ".join(map(str, config.resize)) if isinstance(config.resize, tuple) else f"shorter side {config.resize}"
    )
    sections = {
        f"AIA: {config.title}": "A video classifier with Attention-in-Attention gates (Hao et al., IEEE TCSVT 2022).",
        "Use": USE.format(name=name),
        "What it takes": (
            f"{config.num_segments} frames, one from the middle of each of {config.num_segments} equal segments; RGB, resized "
            f"to {resize} px, centre crop {config.input_size} px, mean {list(config.mean)}, std {list(config.std)}."
        ),
        f"Labels ({config.num_classes})": labels,
        "Where the weights come from": origin or "Not stated.",
        "Results": results or "None stated.",
        "Limits": (
            "The model knows only its own labels and gives every video one of them. Its gates show what the network let "
            "through; they are not specific to a class, and attention is not an explanation."
        ),
        "Citation": f"```bibtex\n{BIBTEX}\n```",
    }
    body = "\n\n".join(
        f"{'#' if i == 0 else '##'} {title}\n\n{text}" for i, (title, text) in enumerate(sections.items())
    )
    return ModelCard(f"---\n{data.to_yaml()}\n---\n\n{body}\n")
