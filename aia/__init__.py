"""AIA Studio's library: load an AIA network, classify a clip, look at its gates.

Example:
    >>> import aia
    >>> model = aia.load("tsm-mobilenetv2-cinst")  # doctest: +SKIP
    >>> clip = aia.read_clip("video.mp4", num_segments=8)  # doctest: +SKIP
    >>> inspection = aia.inspect(model, clip)  # doctest: +SKIP
    >>> inspection.label, inspection.block("features.3").spatiotemporal_map.shape  # doctest: +SKIP
"""

import lazy_loader

from aia import _moved

# Each name is imported when it is first used, so that reading a video, or --help, loads no torch.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
_moved.install()
