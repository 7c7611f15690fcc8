"""The processes of a training run: one, or several that `accelerate launch` started."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

import torch
from torch import distributed, nn

from aia.errors import AIAError
from aia.hub.loading import best_device

MAX_WAIT = timedelta(hours=2)  # for the first process while it scores the held-out clips
Value = TypeVar("Value")


@dataclass(frozen=True)
class Processes:
    """This process and its rank among all; by default the only one.

    Attributes:
        device: Where this process trains.
        rank: From 0; the first process writes every file.
        count: Number of processes on all hosts.
    """

    device: torch.device
    rank: int = 0
    count: int = 1

    @classmethod
    def join(cls) -> Processes:
        """Finds the other processes through the launcher's environment variables.

        Raises:
            AIAError: There are several processes, and the library accelerate is not installed.
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
        """Whether this process writes the files."""
        return self.rank == 0

    @property
    def workers(self) -> int:
        """Number of worker processes that prepare this process's clips.

        Zero without a GPU: a worker would take a core from the network, and forking copies the memory in use.
        """
        local = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))  # processes on this host, by the launcher
        return 0 if self.device.type == "cpu" else max(1, min(8, (os.cpu_count() or 1) // local))

    def share(self, model: nn.Module) -> nn.Module:
        """A network whose gradients are the mean over all processes."""
        if self.count == 1:
            return model
        devices = [self.device] if self.device.type == "cuda" else None
        return nn.parallel.DistributedDataParallel(model, device_ids=devices)

    def from_first(self, value: Value) -> Value:
        """The first process's value, in every process."""
        values = [value]
        if self.count > 1:
            distributed.broadcast_object_list(values, device=self.device)
        return values[0]

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
