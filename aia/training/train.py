"""The training loop: from a recipe and a data folder to a model folder. An interrupted run resumes."""

from __future__ import annotations

import hashlib
import json
import logging
import math
import re
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Sized
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.amp.grad_scaler import GradScaler
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.data import BatchSampler, DataLoader, RandomSampler
from tqdm import tqdm

from aia import files
from aia.errors import AIAError
from aia.hub.pretrained import AIANet
from aia.modeling import network
from aia.modeling.blocks import Attention
from aia.modeling.config import AIAConfig
from aia.training.curves import draw_curves
from aia.training.data import (
    UNUSED_SPLITS,
    ClipDataset,
    PlainDataset,
    Sample,
    check_holdout,
    class_order,
    load_frames,
    read_manifest,
    rendered_pool,
    split_samples,
)
from aia.training.distributed import Processes
from aia.training.recipe import Recipe, with_new_names
from aia.training.resident import ResidentClips
from aia.training.start import start_network
from aia.training.tracking import Tracker, check_tracker

log = logging.getLogger(__name__)

EVAL_BATCH = 8  # clips
HISTORY, STATE = "history.jsonl", "state.pt"
Batch = TypeVar("Batch")


@dataclass(frozen=True)
class _Clips:
    """The clips of a run.

    Attributes:
        real: Filmed clips to train on.
        held_out: Filmed clips to score after each epoch.
        drawn: Drawn clips, of which each epoch takes some.
    """

    real: list[Sample]
    held_out: list[Sample]
    drawn: list[Sample]

    @classmethod
    def find(cls, recipe: Recipe, data: str | Path, samples: list[Sample]) -> _Clips:
        real, held_out = split_samples(samples, recipe)
        if not samples:
            raise AIAError(f"{data} has no clip with a label; write one into the rows of some clips.")
        if not real:
            splits = ", ".join(sorted({repr(sample.split[:40]) for sample in samples})[:6])
            raise AIAError(
                f"{data} holds no training clip of the recipe's classes: its splits are {splits}, and those named "
                "train or background are trained on."
            )
        lacking = Counter(s.kind for s in samples if s.kind not in recipe.classes and s.split not in UNUSED_SPLITS)
        for kind, count in lacking.items():
            log.warning("The recipe lacks the class %r: clips of it that are left out: %d.", kind[:80], count)
        return cls(real, held_out, rendered_pool(recipe, data))

    def of_epoch(self, recipe: Recipe, epoch: int) -> list[Sample]:
        """All real clips, some drawn ones, and clips without a gesture made from both."""
        rng = np.random.default_rng((recipe.seed, epoch))
        drawn = [self.drawn[i] for i in rng.permutation(len(self.drawn))[: recipe.synthetic_per_epoch]]
        clips = [*self.real, *drawn]
        still = [replace(clips[i], still=True) for i in rng.integers(len(clips), size=recipe.negatives)]
        return clips + still

    def steps(self, recipe: Recipe) -> int:
        """Batches of an epoch. An incomplete last batch is left out."""
        count = recipe.clips_per_epoch or len(self.of_epoch(recipe, 0))
        if count < recipe.batch_size:
            raise AIAError(
                f"The number of clips is {count} and a batch has {recipe.batch_size}; give more clips or a smaller batch."
            )
        return count // recipe.batch_size


@dataclass(frozen=True, eq=False)
class _Parts:
    """Everything that training changes, and that the saved state restores."""

    model: AIANet
    averaged: AveragedModel
    optimizer: torch.optim.Optimizer
    schedule: torch.optim.lr_scheduler.LambdaLR
    scaler: GradScaler

    @classmethod
    def build(cls, model: AIANet, recipe: Recipe, steps: int, device: torch.device) -> _Parts:
        model.optimize().to(device)
        average = get_ema_multi_avg_fn(recipe.ema)  # type: ignore[no-untyped-call]  # PyTorch's own has no types
        optimizer = _optimizer(model, recipe)
        return cls(
            model,
            AveragedModel(model, multi_avg_fn=average, use_buffers=True),
            optimizer,
            torch.optim.lr_scheduler.LambdaLR(optimizer, _rate(recipe, steps)),
            GradScaler(device.type, enabled=recipe.precision == "float16"),
        )

    @property
    def averaged_model(self) -> AIANet:
        """The network with the averaged weights."""
        assert isinstance(self.averaged.module, AIANet)
        return self.averaged.module

    def save(self, path: Path, identity: Mapping[str, str], epoch: int) -> None:
        """Writes the state after an epoch."""
        state = {"epoch": epoch, "random": torch.get_rng_state(), **identity}
        try:
            torch.save(state | {name: part.state_dict() for name, part in vars(self).items()}, path)
        except RuntimeError:  # the file cannot be written; torch does not say why
            raise OSError from None

    def resume(self, state: Mapping[str, Any] | None) -> int:
        """Restores a state and returns the number of finished epochs."""
        if state is None:
            return 0
        for name, part in vars(self).items():
            part.load_state_dict(state[name])
        torch.set_rng_state(state["random"])
        return int(state["epoch"])


def train(
    recipe: Recipe,
    data: str | Path,
    out: str | Path,
    *,
    init: str = "none",
    cache: Path | None = None,
    tracker: str = "",
) -> AIANet:
    """Trains a network. An interrupted run resumes after its last complete epoch when called with the same arguments.

    Started by `accelerate launch`, several processes share each batch. The first of them writes.

    Args:
        recipe: Network, data and hyperparameters.
        data: Labeled videos: a folder, shards or an address; see `read_manifest`.
        out: Folder for config.json, model.safetensors, README.md, recipe.json, history.jsonl, curves.svg and state.pt.
        init: Start weights; see `load_start`.
        cache: Folder for decoded clips; `out/cache` by default.
        tracker: Logs each epoch to "tensorboard" (in `out/logs`) or another tracker of accelerate; "" for none.

    Returns:
        The averaged network, in eval mode.

    Raises:
        AIAError: The data folder, the recipe's classes, the start weights or the tracker cannot be used, `out` cannot be
            written or holds another or a damaged run, or the loss is no longer a number.
    """
    team = Processes.join()
    if tracker:
        check_tracker(tracker)
    if recipe.precision == "float16" and team.device.type != "cuda":
        raise AIAError("Training in float16 needs a GPU; set the recipe's precision to bfloat16 or float32.")
    if recipe.batch_size % team.count:
        raise AIAError(f"A batch of {recipe.batch_size} clips cannot be shared equally by {team.count} processes.")
    given = recipe
    found = read_manifest(data, unlabeled=recipe.resident)
    samples = [sample for sample in found if sample.kind]
    recipe = recipe.resolve(class_order(data, samples))
    check_holdout(found, recipe)
    cache = cache or Path(out, "cache")
    torch.manual_seed(recipe.seed)
    clips = _Clips.find(recipe, data, samples)
    steps = clips.steps(recipe)
    identity = {"recipe": recipe.to_json(), "init": init, "data": _digest(found)}
    state = _read_state(out, identity) if team.first else None
    model = start_network(recipe, init)
    held_out = _decode(clips, recipe, cache, team)  # takes a while, so it comes after all checks of the arguments
    parts = _Parts.build(model, recipe, steps, team.device)
    resident = None
    if recipe.resident:
        resident = ResidentClips.read(found, recipe, data, team.device)
    first = parts.resume(team.from_first(state))
    history = _History(Path(out), recipe, first) if team.first else None
    tracked = Tracker(tracker, Path(out), recipe) if tracker and team.first else None
    shared = team.share(model)
    for epoch in range(first, recipe.epochs):
        start = time.perf_counter()
        if team.rank or team.device.type != "cpu":  # the state holds the random numbers of the first process's CPU only
            torch.manual_seed(recipe.seed + 1009 * (epoch + 1) + 100_003 * team.rank)
        batches: Iterable[tuple[Tensor, Tensor]]
        if resident:
            batches = resident.epoch(epoch, team.rank, team.count)
        else:
            batches = _loader(ClipDataset(clips.of_epoch(recipe, epoch), recipe, cache, epoch), team)
        loss = _one_epoch(shared, parts, recipe, epoch, batches, team)
        line = {"epoch": epoch + 1, "loss": round(loss, 4), "seconds": round(time.perf_counter() - start, 1)}
        if clips.held_out and team.first:
            line |= {f"held_out_{key}": value for key, value in _score(parts.averaged_model, held_out).items()}
        if not team.from_first(all(map(math.isfinite, line.values())) and _is_finite(parts.averaged_model)):
            raise AIAError(f"The loss is no longer a number after epoch {epoch + 1}; lower the recipe's lr or head_lr.")
        if history is None:
            continue
        history.add(line, parts, identity)
        if tracked:
            tracked.log(line)
    if tracked:
        tracked.finish()
    result = deepcopy(parts.averaged_model).eval().cpu()
    result.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]  # PyTorch's types lack it
    if team.first:
        result.save_pretrained(out, model_card_kwargs=_card(given, init, len(clips.real), Path(out, HISTORY)))
    team.leave()
    return result


def _decode(clips: _Clips, recipe: Recipe, cache: Path, team: Processes) -> Iterable[tuple[Tensor, Tensor]]:
    """Fills the cache and returns the batches of held-out clips."""
    if recipe.cache_frames and not recipe.resident:
        mine = [*clips.real, *clips.drawn][team.rank :: team.count]
        for sample in tqdm(mine, desc="clips", unit="clip", disable=not team.first):
            load_frames(sample, recipe, cache)
    # A loader draws a number at each start; with its own generator, weights and dropout do not depend on it.
    plain = PlainDataset(clips.held_out, recipe)
    loader = DataLoader(plain, EVAL_BATCH, num_workers=team.workers, generator=torch.Generator())
    if recipe.cache_frames and team.first:
        return list(loader)  # few clips: decoded only once
    return cast("Iterable[tuple[Tensor, Tensor]]", loader)


class _History:
    """The files that grow with each epoch: history, learning curves and state.

    Args:
        folder: Of the run.
        recipe: Of the run; written into the folder.
        epochs: Finished epochs.
    """

    def __init__(self, folder: Path, recipe: Recipe, epochs: int) -> None:
        self.folder, path = folder, folder / HISTORY
        self.lines = _read_history(path, epochs)
        with files.writing_into(folder) as part:
            (part / "recipe.json").write_text(recipe.to_json() + "\n", encoding="utf-8")
            (part / HISTORY).write_text("".join(self.lines), encoding="utf-8")

    def add(self, line: Mapping[str, float], parts: _Parts, identity: Mapping[str, str]) -> None:
        """Writes the files after an epoch."""
        self.lines.append(json.dumps(line) + "\n")
        with files.writing_into(self.folder) as part:
            (part / HISTORY).write_text("".join(self.lines), encoding="utf-8")
            draw_curves(part / HISTORY, part / "curves.svg")
            parts.save(part / STATE, identity, int(line["epoch"]))
        log.info("%s", line)


def _one_epoch(
    shared: nn.Module,
    parts: _Parts,
    recipe: Recipe,
    epoch: int,
    loader: Iterable[tuple[Tensor, Tensor]],
    team: Processes,
) -> float:
    """Trains on every batch once and returns the mean loss."""
    device, steps = team.device, len(cast("Sized", loader))
    precision = getattr(torch, recipe.precision)
    optimizer, scaler, averaged = parts.optimizer, parts.scaler, parts.averaged
    shared.train()
    total = 0.0
    title = f"epoch {epoch + 1}/{recipe.epochs}"
    for x, y in tqdm(_batches(loader), desc=title, total=steps, unit="batch", leave=False, disable=not team.first):
        with torch.autocast(device.type, precision, enabled=recipe.precision != "float32"):
            logits = shared(x.to(device))
        loss = F.cross_entropy(logits.float(), y.to(device), label_smoothing=recipe.label_smoothing)
        optimizer.zero_grad(set_to_none=True)
        scaler.scale(loss).backward()  # type: ignore[no-untyped-call]  # PyTorch's own has no types
        scaler.unscale_(optimizer)
        nn.utils.clip_grad_norm_(shared.parameters(), recipe.grad_clip or math.inf)
        scaler.step(optimizer)
        scaler.update()
        parts.schedule.step()
        if epoch < recipe.epochs / 3:
            averaged.n_averaged.zero_()  # copies the weights in the first third, so that the start is not averaged in
        averaged.update_parameters(shared)
        total += loss.item()
    return team.mean(total / max(1, steps))


class _Share:
    """Batches of indices, each reduced to this process's part."""

    def __init__(self, batches: BatchSampler, team: Processes) -> None:
        self.batches, self.team = batches, team

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[list[int]]:
        return (batch[self.team.rank :: self.team.count] for batch in self.batches)


def _loader(dataset: ClipDataset, team: Processes) -> DataLoader[tuple[Tensor, Tensor]]:
    """The batches of an epoch: the same clips in the same order for any number of processes."""
    order = torch.Generator().manual_seed(dataset.recipe.seed * 100_003 + dataset.epoch)
    batches = BatchSampler(RandomSampler(dataset, generator=order), dataset.recipe.batch_size, drop_last=True)
    loader = DataLoader(dataset, batch_sampler=_Share(batches, team), generator=order, num_workers=team.workers)
    return cast("DataLoader[tuple[Tensor, Tensor]]", loader)


def _batches(loader: Iterable[Batch]) -> Iterator[Batch]:
    """The batches of a loader. An error of a worker is reduced to its sentence, without the traceback around it."""
    try:
        yield from loader
    except AIAError as error:
        raise AIAError(re.sub(r"^aia\.[\w.]+: ", "", str(error).strip().splitlines()[-1])) from None


def _optimizer(model: AIANet, recipe: Recipe) -> torch.optim.Optimizer:
    groups = _groups(model, recipe)
    return (
        torch.optim.AdamW(groups) if recipe.optimizer == "adamw" else torch.optim.SGD(groups, momentum=recipe.momentum)
    )


def _groups(model: AIANet, recipe: Recipe) -> list[dict[str, Any]]:
    """Parameters by learning rate (trunk, or head and gates) and weight decay (kernels, or biases and norms)."""
    untrained = {p for m in model.modules() if isinstance(m, Attention) for p in m.parameters()} | set(
        model.head.parameters()
    )
    groups: dict[tuple[float, float], list[Tensor]] = {}
    for parameter in model.parameters():
        lr = recipe.head_lr if parameter in untrained else recipe.lr
        groups.setdefault((lr, recipe.weight_decay if parameter.ndim > 1 else 0.0), []).append(parameter)
    return [{"params": params, "lr": lr, "weight_decay": decay} for (lr, decay), params in groups.items()]


def _rate(recipe: Recipe, steps: int) -> Callable[[int], float]:
    """Step -> share of the peak learning rate. An epoch has `steps` steps."""
    warmup, total = max(1, round(recipe.warmup_epochs * steps)), recipe.epochs * steps

    def factor(step: int) -> float:
        if step < warmup:
            return (step + 1) / warmup
        if recipe.milestones:
            return 0.1 ** sum(step >= epoch * steps for epoch in recipe.milestones)
        return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, total - warmup)))

    return factor


def _card(recipe: Recipe, init: str, real: int, history: Path) -> dict[str, str]:
    """The model card's sections about a run."""
    last = history.read_text(encoding="utf-8").splitlines()[-1]
    held_out = ", on held-out clips" if "held_out" in last else ""
    clips = (
        f"{recipe.clips_per_epoch} clips in each epoch, made from the clips of the training split"
        if recipe.resident
        else f"{real} real clips and {recipe.synthetic_per_epoch} rendered ones in each epoch"
    )
    return {
        "origin": (
            f"Trained with `python -m aia train` for {recipe.epochs} epochs, seed {recipe.seed}, on {clips}; "
            f"start weights: `{Path(init).name}`.\n\n"
            f"The recipe:\n\n```json\n{recipe.to_json()}\n```"
        ),
        "results": f"After the last epoch{held_out}: `{last}`.\n\n![Learning curves](curves.svg)",
    }


def _read_history(path: Path, epochs: int) -> list[str]:
    """The lines of the finished epochs; an interrupted run may have written another one without its state.

    Raises:
        AIAError: The file is missing or damaged.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)[:epochs] if epochs else []
        if [json.loads(line)["epoch"] for line in lines] == [*range(1, epochs + 1)]:
            return lines
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        pass
    raise AIAError(f"{path} is missing or damaged; delete {STATE} beside it to start the run again.")


def _digest(samples: Sequence[Sample]) -> str:
    """Stands for the data of a run: its clips by name, class, split and scene."""
    clips = [(sample.video.name, sample.kind, sample.split, sample.scene) for sample in samples]
    return hashlib.sha256(json.dumps(clips).encode()).hexdigest()


def _is_finite(model: AIANet) -> bool:
    return all(bool(tensor.isfinite().all()) for tensor in model.state_dict().values())


def _read_state(out: str | Path, identity: Mapping[str, str]) -> dict[str, Any] | None:
    """The state after the last complete epoch, or None before the first.

    Raises:
        AIAError: The folder holds another run, or the state is damaged.
    """
    path = Path(out, STATE)
    if not path.is_file():
        return None
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        state["recipe"] = json.dumps(with_new_names(json.loads(state["recipe"])), indent=1)
        epochs = int(state["epoch"])
    except Exception:  # the unpickler raises many kinds of errors
        raise AIAError(f"{path} is damaged; delete it to start the run again.") from None
    if any(state.get(key, value) != value for key, value in identity.items()):  # version 0.2 did not keep the data
        raise AIAError(
            f"{out} holds a run with another recipe, other start weights or other data; give another folder."
        )
    _read_history(Path(out, HISTORY), epochs)  # before the clips are decoded
    log.info("resuming after epoch %d", epochs)
    return state


def decode_all(samples: Sequence[Sample], recipe: Recipe, config: AIAConfig | None = None) -> tuple[Tensor, Tensor]:
    """Clips as the network sees them in use, `[N, T, 3, S, S]`, and the indices of their labels `[N]`; see `PlainDataset`."""
    dataset = PlainDataset(samples, recipe, config)
    clips = [dataset[index] for index in range(len(dataset))]
    return (torch.stack([x for x, _ in clips]) if clips else torch.empty(0)), torch.tensor([y for _, y in clips])


@torch.inference_mode()
def predict(model: network.AIANet, clips: Tensor, batch_size: int = EVAL_BATCH) -> Tensor:
    """Logits `[N, classes]` of preprocessed clips `[N, T, 3, S, S]`, on the CPU."""
    model.eval()
    return torch.cat([model(batch.to(model.device)).float().cpu() for batch in torch.split(clips, batch_size)])


def score(model: network.AIANet, clips: Tensor, targets: Tensor) -> dict[str, float]:
    """Top-1 and cross-entropy of a network on preprocessed clips. `targets` are label indices `[N]`."""
    return _score(model, [(clips, targets)])


def _score(model: network.AIANet, batches: Iterable[tuple[Tensor, Tensor]]) -> dict[str, float]:
    """`score` for batches of clips."""
    answers = [(predict(model, clips), targets) for clips, targets in _batches(batches)]
    logits, targets = (torch.cat(parts) for parts in zip(*answers, strict=True))
    return {
        "top1": round(((logits.argmax(1) == targets) & logits.isfinite().all(1)).float().mean().item(), 4),
        "loss": round(F.cross_entropy(logits, targets).item(), 4),
    }
