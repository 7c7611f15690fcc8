"""Loads networks by name and saves them: folders, shipped models, the Hub, published checkpoints."""

DEFAULT_MODEL = "tsn-mobilenetv2-stinc"  # a shipped model
ALL_MODELS = "all"  # asked for in place of a name: the best shipped model of each group answers, see `aia.hub.groups`
