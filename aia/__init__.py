"""AIA Studio's library: load an AIA network, classify a clip, look at its gates.

Example:
    >>> import aia
    >>> model = aia.load("tsm-mobilenetv2-cinst", device="cpu")
    >>> clip = aia.read_clip("assets/examples/swipe-left.mp4", num_segments=8)
    >>> inspection = aia.inspect(model, clip)
    >>> inspection.label, inspection.block("features.3").spatiotemporal_map.shape
    ('swipe left', (8, 32, 32))
"""

import lazy_loader

from aia import _moved

# Each name is imported when it is first used, so that reading a video, or --help, loads no torch.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
_moved.install()
