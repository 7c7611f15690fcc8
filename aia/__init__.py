"""AIA Studio's library: load an AIA network, classify a clip, look at its gates.

Example:
    >>> import aia
    >>> model = aia.load("tsm-mobilenetv2-cinst")  # doctest: +SKIP
    >>> clip = aia.read_clip("video.mp4", num_segments=8)  # doctest: +SKIP
    >>> seen = aia.inspect(model, clip)  # doctest: +SKIP
    >>> seen.label, seen.block("features.3").spatiotemporal_map.shape  # doctest: +SKIP
"""

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aia.errors import AIAError
    from aia.hub.loading import available_models, load
    from aia.inspection.ablation import rank_blocks
    from aia.inspection.inspection import Inspection, inspect
    from aia.modeling.config import AIAConfig
    from aia.modeling.network import AIANet
    from aia.modeling.recording import Switch
    from aia.video.reader import Clip, read_clip
    from aia.visualization.view import View

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
# Each name comes from its module when it is first asked for, so that reading a video, or --help, loads no torch.
_MODULES = {
    "AIAConfig": "modeling.config",
    "AIAError": "errors",
    "AIANet": "modeling.network",
    "Clip": "video.reader",
    "Inspection": "inspection.inspection",
    "Switch": "modeling.recording",
    "View": "visualization.view",
    "available_models": "hub.loading",
    "inspect": "inspection.inspection",
    "load": "hub.loading",
    "rank_blocks": "inspection.ablation",
    "read_clip": "video.reader",
}


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        value = globals()[name] = getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
        return value
    if find_spec(f"{__name__}.{name}"):  # a module of the library, such as aia.video
        return import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
