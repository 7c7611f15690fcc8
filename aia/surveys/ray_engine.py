"""A survey on Ray Data: tasks read clips, actors hold the network, tasks write the parts; Ray moves, retries and paces them."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Generator, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from aia import heap
from aia.datasets.places import Item
from aia.errors import AIAError
from aia.modeling.config import AIAConfig
from aia.modeling.network import AIANet
from aia.surveys import parts
from aia.surveys.rows import Prepared, counts, measure, prepare
from aia.surveys.schema import About

try:
    import ray
    import ray.data
    from ray.data import ActorPoolStrategy
except ImportError:
    raise AIAError('The engine ray needs more packages; install them: python -m pip install "ray[data]"') from None

READ_CLIPS = 16  # per task
# Shares of a core. Reading and the network each get half of the cores, and even one core is enough for both; the system
# gives a core to whichever can use it.
READ_CPUS, NETWORK_CPUS, WRITE_CPUS = 0.5, 0.49, 0.01  # not equal: Ray would join reading and the network in one actor
THREADS = 2  # of one actor, if there are as many cores: Ray feeds few actors better than many

_ITEMS = pa.schema([("item", pa.string())])  # as JSON
_CLIPS = pa.schema([("item", pa.string()), ("facts", pa.string()), ("pictures", pa.large_binary())])


def run(
    model: AIANet, items: Sequence[Item], folder: str, about: About, *, batch: int, address: str | None = None
) -> Generator[tuple[int, int], None, None]:
    """Surveys on a cluster. Yields the numbers of rows and of errors of each part that was written.

    Args:
        model: Its weights are sent to the actors, which run on GPUs if the cluster has any, wherever the model is.
        items: The clips. Their addresses must mean the same on every node.
        folder: For the parts; the same on every node.
        about: For the parts.
        batch: How many clips go through the network together.
        address: Of the cluster; one is started on this machine by default, and ended afterwards.

    Raises:
        AIAError: There is no such cluster, or a part cannot be written.
    """
    if not items:
        return
    started = _connect(address)
    try:
        yield from _run(model, items, folder, about, batch)
    except ray.exceptions.RayError as error:
        raise _sentence(error) from None
    finally:
        if started:
            ray.shutdown()


def _connect(address: str | None) -> bool:
    """Connects to a cluster, or starts one. Returns whether to disconnect afterwards."""
    if ray.is_initialized():
        return False
    for name, value in (("RAY_USAGE_STATS_ENABLED", "0"), ("RAY_BACKEND_LOG_LEVEL", "fatal")):
        os.environ.setdefault(name, value)
    address = address or os.environ.get("RAY_ADDRESS")
    try:
        ray.init(
            address or "local",
            include_dashboard=None if address else False,
            log_to_driver=False,
            logging_level=logging.ERROR,
        )
    except Exception as error:  # Ray raises many kinds
        raise AIAError(
            f"The Ray cluster {address or 'of this machine'} cannot be used ({type(error).__name__}); check its address."
        ) from None
    return True


def _run(
    model: AIANet, items: Sequence[Item], folder: str, about: About, batch: int
) -> Generator[tuple[int, int], None, None]:
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    resources: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]  # Ray's own has no types
    on_gpu = resources.get("GPU", 0) >= 1
    cores = int(resources.get("CPU", 1))
    threads = min(THREADS, max(1, cores))
    most = int(resources["GPU"]) if on_gpu else max(1, cores // threads)
    rows = [{"item": json.dumps(asdict(item))} for item in items]
    groups = [pa.Table.from_pylist(rows[i : i + READ_CLIPS], _ITEMS) for i in range(0, len(rows), READ_CLIPS)]
    state = {name: tensor.cpu().numpy() for name, tensor in model.state_dict().items()}
    network = ray.put((model.config, state, model.reference, model.name, about.precision, "cuda" if on_gpu else "cpu"))
    clips: Any = ray.data.from_arrow(groups)
    clips = clips.map_batches(
        _read,
        fn_args=(model.config,),
        batch_size=None,
        batch_format="pyarrow",
        num_cpus=READ_CPUS if not on_gpu else 1,
    )
    measured = clips.map_batches(
        _Measure,
        fn_constructor_args=([network], about.ablate, threads),
        batch_size=batch,
        batch_format="pyarrow",
        compute=ActorPoolStrategy(min_size=1, initial_size=most, max_size=most),
        num_cpus=NETWORK_CPUS * threads,
        num_gpus=1 if on_gpu else 0,
    )
    written = measured.map_batches(
        _write, fn_args=(folder, about), batch_size=parts.ROWS, batch_format="pyarrow", num_cpus=WRITE_CPUS
    )
    for row in written.iter_rows():
        yield int(row["rows"]), int(row["errors"])


def _read(items: pa.Table, config: AIAConfig) -> pa.Table:
    """Reads clips, in a task."""
    torch.set_num_threads(1)
    rows = []
    for row in items.to_pylist():
        clip = prepare(Item(**json.loads(row["item"])), config, isolated=True)
        facts = {name: value.tolist() if isinstance(value, np.ndarray) else value for name, value in clip.facts.items()}
        pictures = None if clip.pictures is None else clip.pictures.tobytes()
        rows.append({**row, "facts": json.dumps(facts), "pictures": pictures})
    return pa.Table.from_pylist(rows, _CLIPS)


class _Measure:
    """Holds the network, in an actor."""

    def __init__(self, network: Sequence[Any], ablate: str, threads: int) -> None:
        heap.keep_freed()
        config, state, reference, name, precision, device = ray.get(network[0])
        torch.set_num_threads(threads)
        model = AIANet(config)
        model.load_state_dict({key: torch.from_numpy(np.array(values)) for key, values in state.items()})
        model.reference, model.name = reference, name
        self.model, self.ablate = model.to(device).eval().optimize(precision), ablate

    def __call__(self, clips: pa.Table) -> pa.Table:
        config = self.model.config
        shape = (config.num_segments, 3, config.input_size, config.input_size)
        prepared = [
            Prepared(
                Item(**json.loads(row["item"])),
                None if row["pictures"] is None else np.frombuffer(row["pictures"], np.uint8).reshape(shape).copy(),
                json.loads(row["facts"]),
            )
            for row in clips.to_pylist()
        ]
        return measure(self.model, prepared, self.ablate)


def _write(rows: pa.Table, folder: str, about: About) -> pa.Table:
    """Writes a part, in a task."""
    parts.write_part(folder, rows, about)
    count, errors = counts(rows)
    return pa.table({"rows": [count], "errors": [errors]})


def _sentence(error: Exception) -> AIAError:
    """The `AIAError` behind an error of Ray, or one that names it."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, AIAError):
        cause = getattr(cause, "cause", None) or cause.__cause__
    return cause or AIAError(
        f"The cluster ended the survey ({type(error).__name__}: {str(error).splitlines()[0][:200]}); the rows so far are kept, "
        "and the same command resumes."
    )
