"""Modules and names of version 0.1 under their old names: an import gives the new one and a warning."""

from __future__ import annotations

import importlib
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

MOVED = {
    "aia.batch": "aia.inspection.batch",
    "aia.config": "aia.modeling.config",
    "aia.convert": "aia.hub.convert",
    "aia.decoder": "aia.video.worker",
    "aia.export": "aia.visualization.export",
    "aia.figure": "aia.visualization.figure",
    "aia.gates": "aia.modeling.attention",
    "aia.lesson": "aia.inspection.trace",
    "aia.network": "aia.modeling.network",
    "aia.preprocess": "aia.modeling.preprocess",
    "aia.pack": "aia.visualization.web",
    "aia.push": "aia.hub.push",
    "aia.record": "aia.modeling.recording",
    "aia.render": "aia.visualization.render",
    "aia.snippet": "aia.visualization.snippet",
    "aia.view": "aia.visualization.view",
    "aia.whatif": "aia.inspection.ablation",
}


class _Moved(MetaPathFinder, Loader):
    """Finds the old names."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        return ModuleSpec(fullname, self) if fullname in MOVED else None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        new = MOVED[spec.name]
        warnings.warn(
            f"{spec.name} is now {new}; the old name will be removed in 0.3.", DeprecationWarning, stacklevel=2
        )
        module = ModuleType(spec.name, f"The old name of `{new}`.")
        module.__getattr__ = lambda name: getattr(importlib.import_module(new), name)  # type: ignore[method-assign]
        return module

    def exec_module(self, module: ModuleType) -> None:
        """Does nothing: `__getattr__` fetches every name from the new module."""


def renamed(module: str, names: Mapping[str, str]) -> Callable[[str], Any]:
    """Makes the `__getattr__` of a module from which some names have moved: old name -> "module:name"."""

    def get(name: str) -> Any:
        if name not in names:
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        place, new = names[name].split(":")
        warnings.warn(
            f"{module}.{name} is now {place}.{new}; the old name will be removed in 0.3.",
            DeprecationWarning,
            stacklevel=2,
        )
        return getattr(importlib.import_module(place), new)

    return get


def install() -> None:
    """Makes the old names importable."""
    sys.meta_path.append(_Moved())
