"""Loads networks by name and saves them: folders, shipped models, the Hub, published checkpoints."""

DEFAULT_MODEL = "tsn-mobilenetv2-stinc"  # a shipped model
