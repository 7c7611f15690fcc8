"""Finds a network's tensors in a checkpoint, under names with any prefix and with the parts that wrappers add."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
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
    """Compares every group of names that share a wrapper."""
    anchors = {name.partition(".")[0] for name in expected}
    needed = {name for name in expected if not name.endswith(COUNTER)}
    groups: dict[str | None, dict[str, str]] = {}  # wrapper, None if no part is known -> plain name -> name in the file
    repeated: dict[str | None, list[str]] = {}
    for name in state:
        parts = name.split(".")
        start = next((i for i, part in enumerate(parts) if part in anchors), None)
        wrapper = None if start is None else ".".join(parts[:start])
        group = groups.setdefault(wrapper, {})
        plain = name if start is None else _SHIFT.sub("", unwrapped(".".join(parts[start:])))
        if group.setdefault(plain, name) != name:
            repeated.setdefault(wrapper, []).append(plain)
    complete = {wrapper for wrapper, group in groups.items() if needed <= group.keys()}
    wrappers = [wrapper for wrapper in groups if wrapper is not None]
    for wrapper in sorted(wrappers, key=lambda wrapper: -len(groups[wrapper]))[:_MAX_WRAPPERS]:
        names = groups[wrapper]
        prefix = f"{wrapper}." if wrapper else ""
        # Names outside the wrapper belong to something else: a loss, a counter, another network.
        others = [
            name
            for other, group in groups.items()
            if other not in complete | {wrapper}
            for name in group.values()
            if (other == "" or name.startswith(prefix)) and not name.removeprefix(prefix).startswith(ignore)
        ]
        values = {name: state[name] for name in others}
        values |= {plain: state[name] for plain, name in names.items() if not plain.startswith(ignore)}
        tensors = {name: value for name, value in values.items() if isinstance(value, StoredTensor)}
        words, count = difference(
            {name: tensor.shape for name, tensor in tensors.items()},
            {name: tensor for name, tensor in expected.items() if name in needed or name in tensors},
        )
        duplicates = [name for name in others if name in names] + repeated.get(wrapper, [])
        stub = next((name for name in expected if isinstance(values.get(name), Stub)), None)
        if duplicates:
            words = f"has {duplicates[0][:80]} twice, and must have each tensor once"
            count += len(duplicates)
        elif stub:
            words = f"has {stub} as {values[stub].name[:80]!r}, which is not a plain tensor"
        known = len(needed & tensors.keys())
        rank = (bool(count), -known, count, bool(_AVERAGED.search(f"{place}.{wrapper}")))
        yield Fit(layout, place, wrapper, names, tensors, words, rank)


def read_tensors(tensors: Mapping[str, StoredTensor], expected: Mapping[str, Tensor], where: str) -> dict[str, Tensor]:
    """Reads tensors of the expected shapes, in the expected types.

    Raises:
        AIAError: A tensor is damaged or complex, or holds values that are not finite in that type.
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
        # Integer weights would need a scale. The conversion comes first: a float64 may be too large for a float32.
        fits = tensor.is_floating_point() or not want.is_floating_point
        state[name] = tensor.to(want) if fits else tensor
        if not fits or not torch.isfinite(state[name]).all():
            raise AIAError(f"{where} holds values in {name} that are not finite numbers; the network could not work.")
    return state
