"""The attention settings that a network can have, one entry each; all code that depends on a setting reads its entry."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Literal, get_args

from aia.kernels.layout import Axis

if TYPE_CHECKING:
    from torch import nn

Combination = Literal["single", "average", "cascade"]

AXES: tuple[Axis, ...] = get_args(Axis)  # units are listed in this order


@dataclass(frozen=True)
class ModuleKind:
    """One module of the paper: X times the mean gate of some of its units.

    Attributes:
        name: Such as "cinst".
        title: In the paper's words, such as "CinST".
        units: The axes that its units pool, in the order of `AXES`. A unit's gate varies over the three other axes:
            C says where and when, T says where, H in which column and when, W in which row and when.
        multiplies: The units whose mean gate multiplies X. The gates of the others only weight the input of these.
        build: Makes the module: an `nn.Module` whose children are the units.
    """

    name: str
    title: str
    units: tuple[Axis, ...]
    multiplies: tuple[Axis, ...]
    build: Callable[[], nn.Module]


@dataclass(frozen=True)
class AttentionSetting:
    """What sits in every block: nothing, one module, or two.

    Attributes:
        name: As in a configuration.
        modules: Nothing, one module or two.
        combination: "single"; or of two modules, "average" or "cascade" (the second one gets the first one's output).
        published: The end of the published net file's name, such as "_CinST_BN"; None if none was published.
    """

    name: str
    modules: tuple[ModuleKind, ...]
    combination: Combination = "single"
    published: str | None = None

    @property
    def kinds(self) -> tuple[str, ...]:
        """The names of its modules."""
        return tuple(module.name for module in self.modules)

    @property
    def title(self) -> str:
        """In the paper's words, such as "CinST → STinC"."""
        joint = {"single": "", "average": " + ", "cascade": " → "}[self.combination]
        return joint.join(module.title for module in self.modules) or "no AIA"

    @property
    def prefixes(self) -> tuple[str, ...]:
        """The prefixes of each module's units: "", or "1." and "2."."""
        return ("",) if len(self.modules) == 1 else ("1.", "2.")[: len(self.modules)]

    @property
    def units(self) -> tuple[tuple[str, ...], ...]:
        """For each module, the names of its units, such as "C" or "2.C"."""
        return self._named([module.units for module in self.modules])

    @property
    def multipliers(self) -> tuple[tuple[str, ...], ...]:
        """For each module, the units whose mean gate multiplies. The block's gate is the mean or the product over modules."""
        return self._named([module.multiplies for module in self.modules])

    @property
    def combine(self) -> Literal["mean", "product"]:
        """How the block's gate follows from those of its modules."""
        return "product" if self.combination == "cascade" else "mean"

    @property
    def published_modules(self) -> tuple[str, ...]:
        """The modules' names in a published checkpoint."""
        return tuple("eft" + prefix.rstrip(".") for prefix in self.prefixes)

    def _named(self, axes: list[tuple[Axis, ...]]) -> tuple[tuple[str, ...], ...]:
        return tuple(tuple(prefix + axis for axis in own) for prefix, own in zip(self.prefixes, axes, strict=True))


def _build(name: str, **options: bool) -> nn.Module:
    from aia.modeling import attention  # imports torch, which takes seconds; checking a configuration does not need it

    module: nn.Module = getattr(attention, name)(**options)
    return module


_C = ModuleKind("c", "C", ("C",), ("C",), partial(_build, "C"))
_ST = ModuleKind("st", "ST", ("T", "H", "W"), ("T", "H", "W"), partial(_build, "ST"))
_CINST = ModuleKind("cinst", "CinST", AXES, ("T", "H", "W"), partial(_build, "CinST"))
_STINC = ModuleKind("stinc", "STinC", AXES, ("C",), partial(_build, "STinC"))
# The class that the published code called STinC until 2022-08-05: the same keys, different mathematics.
_STINC_2022_06 = ModuleKind(
    "stinc-2022-06", "STinC (2022-06)", AXES, ("C",), partial(_build, "STinC", channel_mean=True)
)

ATTENTION_SETTINGS: dict[str, AttentionSetting] = {
    setting.name: setting
    for setting in (
        AttentionSetting("none", (), published=""),
        AttentionSetting("c", (_C,), published="_C_BN"),
        AttentionSetting("st", (_ST,), published="_ST_BN"),
        AttentionSetting("cinst", (_CINST,), published="_CinST_BN"),
        AttentionSetting("stinc", (_STINC,), published="_STinC_BN"),
        AttentionSetting("c+st", (_C, _ST), "average", "_CplusST_BN"),
        AttentionSetting("c->st", (_C, _ST), "cascade", "_C2ST_BN"),
        AttentionSetting("st->c", (_ST, _C), "cascade", "_ST2C_BN"),
        AttentionSetting("cinst->stinc", (_CINST, _STINC), "cascade", "_CinST2STinC_BN"),
        AttentionSetting("stinc->cinst", (_STINC, _CINST), "cascade", "_STinC2CinST_BN"),
        AttentionSetting("stinc+cinst", (_STINC, _CINST), "average", "_STinCplusCinST_BN"),
        AttentionSetting("stinc-2022-06", (_STINC_2022_06,), published="_STinC-2022-06_BN"),
    )
}
