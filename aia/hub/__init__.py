"""A name becomes a network, and back: folders, shipped models, the Hub, published checkpoints."""

DEFAULT_MODEL = "tsm-mobilenetv2-cinst"  # a shipped model
