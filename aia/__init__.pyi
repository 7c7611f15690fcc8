"""The public names; `__init__.py` reads them from here and imports each when it is first used."""

from . import evaluation, hub, inspection, kernels, modeling, surveys, synthetic, training, video, visualization
from .errors import AIAError
from .hub.export_network import export_network
from .hub.files import available_models
from .hub.loading import load
from .hub.pretrained import AIANet
from .inspection.ablation import rank_blocks
from .inspection.inspection import Inspection, inspect
from .inspection.reference import compute_reference
from .inspection.stream import Stream
from .modeling.config import AIAConfig
from .modeling.recording import Switch
from .surveys.survey import survey
from .video.clip import Clip
from .video.reader import read_clip
from .visualization.export import save
from .visualization.view import View

__all__ = [
    "AIAConfig",
    "AIAError",
    "AIANet",
    "Clip",
    "Inspection",
    "Stream",
    "Switch",
    "View",
    "available_models",
    "compute_reference",
    "evaluation",
    "export_network",
    "hub",
    "inspect",
    "inspection",
    "kernels",
    "load",
    "modeling",
    "rank_blocks",
    "read_clip",
    "save",
    "survey",
    "surveys",
    "synthetic",
    "training",
    "video",
    "visualization",
]
