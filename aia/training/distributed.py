"""This process among those of a training run: the only one, or one of several that `accelerate launch` started."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
from torch import distributed, nn

from aia.errors import AIAError
from aia.hub.loading import best_device

MAX_WAIT = timedelta(hours=2)  # for one process, while the first scores the held-out clips


@dataclass(frozen=True)
class Processes:
    """One process and its place; by default the only one.

    Attributes:
        device: The one this process trains on.
        rank: From 0; the first writes every file.
        count: Of processes, on all hosts.
    """

    device: torch.device
    rank: int = 0
    count: int = 1

    @classmethod
    def join(cls) -> Processes:
        """Finds the others by what the launcher put into the environment; one process needs no library for it.

        Raises:
            AIAError: There are several, and the library accelerate is not installed.
        """
        if int(os.environ.get("WORLD_SIZE", "1")) < 2:
            return cls(best_device())
        try:
            from accelerate import PartialState
        except ImportError:
            raise AIAError("Several processes need accelerate; install it: python -m pip install accelerate") from None
        state = PartialState(cpu=not torch.cuda.is_available(), timeout=MAX_WAIT)
        return cls(state.device, state.process_index, state.num_processes)

    @property
    def first(self) -> bool:
        """Whether this is the process that writes."""
        return self.rank == 0

    @property
    def workers(self) -> int:
        """Processes of this one's own that prepare its clips.

        Without a GPU a worker would only take the network's core, and forking copies the memory that is in use.
        """
        here = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))  # processes on this host, by the launcher
        return 0 if self.device.type == "cpu" else max(1, min(8, (os.cpu_count() or 1) // here))

    def share(self, model: nn.Module) -> nn.Module:
        """The network to call: its gradients are the mean over all processes."""
        if self.count == 1:
            return model
        devices = [self.device] if self.device.type == "cuda" else None
        return nn.parallel.DistributedDataParallel(model, device_ids=devices)

    def from_first(self, thing: Any) -> Any:
        """What the first process gives here, in every process."""
        things = [thing]
        if self.count > 1:
            distributed.broadcast_object_list(things, device=self.device)
        return things[0]

    def mean(self, value: float) -> float:
        """The mean of a number over all processes."""
        if self.count == 1:
            return value
        total = torch.tensor(value, dtype=torch.float64, device=self.device)
        distributed.all_reduce(total)
        return total.item() / self.count

    def leave(self) -> None:
        """Waits for the others at the end."""
        if self.count > 1:
            distributed.barrier()
            distributed.destroy_process_group()
