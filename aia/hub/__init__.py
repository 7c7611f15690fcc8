"""A name becomes a network, and back: folders, shipped models, the Hub, published checkpoints."""
