"""AIA Studio's library: load an AIA network, classify a clip, look at its gates.

Example:
    >>> import aia
    >>> model = aia.load("tsm-mobilenetv2-cinst")  # doctest: +SKIP
    >>> clip = aia.read_clip("video.mp4", num_segments=8)  # doctest: +SKIP
    >>> seen = aia.inspect(model, clip)  # doctest: +SKIP
    >>> seen.label, seen.block("features.3").spatiotemporal_map.shape  # doctest: +SKIP
"""

from aia.config import AIAConfig
from aia.errors import AIAError
from aia.hub import available_models, load
from aia.inspection import Inspection, inspect
from aia.network import AIANet
from aia.record import Switch
from aia.video import Clip, read_clip
from aia.view import View
from aia.whatif import rank_blocks

__all__ = [
    "AIAConfig",
    "AIAError",
    "AIANet",
    "Clip",
    "Inspection",
    "Switch",
    "View",
    "available_models",
    "inspect",
    "load",
    "rank_blocks",
    "read_clip",
]
