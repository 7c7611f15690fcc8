"""Finds a network's tensors in a checkpoint, under names with any prefix and with the parts that wrappers add."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor

from aia.errors import AIAError
from aia.hub.checkpoint import StoredTensor, Stub
from aia.hub.files import difference

COUNTER = "num_batches_tracked"  # of a batch norm; checkpoints before PyTorch 0.4.1 have none
# Parts that wrappers add within a name.
_WRAPPERS = re.compile(
    r"\.(?:module|_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module|model|backbone|network)(?=\.)"
)
_SHIFT = re.compile(r"(?<=\d\.conv1)\.net(?=\.)")  # TSM's shift adds `net` after a block's conv1
_MAX_WRAPPERS = 20  # groups of names in one dict that are compared with the network, the largest first
_MAX_STARTS = 20  # places in a name where the network's own name may start
_AVERAGED = re.compile("ema|swa|averag|teacher", re.IGNORECASE)


Layout = TypeVar("Layout")


@dataclass(frozen=True, eq=False)
class Fit(Generic[Layout]):
    """Tensors of a checkpoint compared with those that a network expects.

    Attributes:
        layout: The key of the expected tensors.
        place: The keys that lead to the tensors in the file, such as "state_dict".
        wrapper: The prefix of all names, such as "module".
        names: Expected name -> name in the file.
        tensors: Expected name -> tensor.
        difference: How the tensors differ, such as "lacks conv1.weight and 3 more"; empty if they fit.
        rank: Sorts fits, the best first.
    """

    layout: Layout
    place: str
    wrapper: str
    names: dict[str, str]
    tensors: dict[str, StoredTensor]
    difference: str
    rank: tuple[bool, int, int, bool]

    @property
    def where(self) -> str:
        """Place and wrapper as text that follows a file's name; empty if there are none."""
        parts = [f"under {self.place[:80]!r}"] if self.place else []
        parts += [f"names after {self.wrapper[:80] + '.'!r}"] if self.wrapper else []
        return f" ({', '.join(parts)})" if parts else ""


def best_fits(
    states: Mapping[str, Mapping[str, Any]],
    layouts: Mapping[Layout, Mapping[str, Tensor]],
    ignore: tuple[str, ...] = (),
) -> list[Fit[Layout]]:
    """Finds the tensors of a network in a checkpoint.

    Args:
        states: As `read_state_dicts` gives them.
        layouts: The expected tensors by name, for each possible network and naming.
        ignore: Prefixes of names to leave out.

    Returns:
        All fits, averaged weights last; without any, the closest candidate; nothing if no name is known.
    """
    fits = sorted(
        (
            fit
            for layout, expected in layouts.items()
            for place, state in states.items()
            for fit in _fits(layout, expected, place, state, ignore)
        ),
        key=lambda fit: fit.rank,
    )
    return [fit for fit in fits if not fit.difference] or fits[:1]


def unwrapped(name: str) -> str:
    """A tensor's name without the parts that wrappers add within it."""
    return _WRAPPERS.sub("", name)


def _fits(
    layout: Layout, expected: Mapping[str, Tensor], place: str, state: Mapping[str, Any], ignore: tuple[str, ...]
) -> Iterator[Fit[Layout]]:
    """Compares every group of names that share a wrapper. A wrapper may be called like a part, so a name may be in several."""
    anchors = {name.partition(".")[0] for name in expected}
    needed = {name for name in expected if not name.endswith(COUNTER)}
    groups: dict[str, dict[str, list[str]]] = {}  # wrapper -> plain name -> names in the file
    for name in state:
        parts = name.split(".")
        for start in islice((i for i, part in enumerate(parts) if part in anchors), _MAX_STARTS):
            group = groups.setdefault(".".join(parts[:start]), {})
            group.setdefault(_SHIFT.sub("", unwrapped(".".join(parts[start:]))), []).append(name)
    complete = [wrapper for wrapper, group in groups.items() if needed <= group.keys()]
    taken = {name for wrapper in complete for found in groups[wrapper].values() for name in found}
    for wrapper in sorted(complete or groups, key=lambda wrapper: -len(groups[wrapper]))[:_MAX_WRAPPERS]:
        names = {plain: found[0] for plain, found in groups[wrapper].items()}
        repeated = [plain for plain, found in groups[wrapper].items() if found[1:]]
        known = taken.union(*groups[wrapper].values())
        prefix = f"{wrapper}." if wrapper else ""
        # Names outside the wrapper belong to something else: a loss, a counter, another network.
        others = [
            name
            for name in state
            if name not in known
            and (name.startswith(prefix) or name.partition(".")[0] in anchors)
            and not name.removeprefix(prefix).startswith(ignore)
        ]
        values = {name: state[name] for name in others}
        values |= {plain: state[name] for plain, name in names.items() if not plain.startswith(ignore)}
        tensors = {name: value for name, value in values.items() if isinstance(value, StoredTensor)}
        words, count = difference(
            {name: tensor.shape for name, tensor in tensors.items()},
            {name: tensor for name, tensor in expected.items() if name in needed or name in tensors},
        )
        duplicates = [name for name in others if name in names] + repeated
        stub = next((name for name in expected if isinstance(values.get(name), Stub)), None)
        if duplicates:
            words = f"has {duplicates[0][:80]} twice, and must have each tensor once"
            count += len(duplicates)
        elif stub:
            words = f"has {stub} as {values[stub].name[:80]!r}, which is not a plain tensor"
        rank = (bool(count), -len(needed & tensors.keys()), count, bool(_AVERAGED.search(f"{place}.{wrapper}")))
        yield Fit(layout, place, wrapper, names, tensors, words, rank)


def read_tensors(tensors: Mapping[str, StoredTensor], expected: Mapping[str, Tensor], where: str) -> dict[str, Tensor]:
    """Reads tensors of the expected shapes, in the expected types.

    Raises:
        AIAError: A tensor is damaged, complex or of integers, or holds values that are not finite in that type.
    """
    state = {}
    for name, stored in tensors.items():
        want = expected[name].dtype
        try:
            tensor = stored.read()
        except Exception:  # see `StoredTensor`
            raise AIAError(f"{where} is damaged: {name} cannot be read; download or save it again.") from None
        if tensor.is_complex():
            raise AIAError(f"{where} holds complex numbers in {name}; give a checkpoint of real ones.")
        if want.is_floating_point and not tensor.is_floating_point():  # such weights would need a scale
            kind = str(tensor.dtype).removeprefix("torch.")
            raise AIAError(
                f"{where} holds integers ({kind}) in {name}, as a quantized network does; give its floating-point weights."
            )
        state[name] = tensor.to(want)  # before the check: a float64 may be too large for a float32
        if not torch.isfinite(state[name]).all():
            raise AIAError(f"{where} holds values in {name} that are not finite numbers; the network could not work.")
    return state
