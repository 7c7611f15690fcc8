"""The training loop: a recipe and a data folder in, a loadable model folder out; goes on where it was killed."""

from __future__ import annotations

import json
import logging
import math
import re
import time
from collections.abc import Callable, Iterable, Iterator
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.data import BatchSampler, DataLoader, RandomSampler
from tqdm import tqdm

from aia import files
from aia.errors import AIAError
from aia.hub.pretrained import AIANet
from aia.modeling.blocks import Attention
from aia.training.curves import draw_curves
from aia.training.data import (
    ClipDataset,
    PlainDataset,
    Sample,
    class_order,
    load_frames,
    read_manifest,
    rendered_pool,
    split_samples,
)
from aia.training.distributed import Processes
from aia.training.recipe import Recipe
from aia.training.start import load_start

log = logging.getLogger(__name__)

EVAL_BATCH = 8  # clips
HISTORY, STATE = "history.jsonl", "state.pt"


def train(recipe: Recipe, data: Path, out: str | Path, *, init: str = "none", cache: Path | None = None) -> AIANet:
    """Trains a network; call it again with the same arguments after a kill and it goes on with the last whole epoch.

    Started by `accelerate launch`, several processes share each batch; the first of them writes.

    Args:
        recipe: What and how.
        data: Folder of labelled videos; see `read_manifest`.
        out: Gets config.json, model.safetensors, README.md, recipe.json, history.jsonl, curves.svg and state.pt.
        init: Start weights; see `load_start`.
        cache: Folder for decoded clips; `out/cache` by default.

    Returns:
        The averaged network, in eval mode.

    Raises:
        AIAError: The data folder, the recipe's classes or the start weights cannot be used, or `out` cannot be written.
    """
    team = Processes.join()
    if recipe.precision == "float16" and team.device.type != "cuda":
        raise AIAError("Training in float16 needs a GPU; set the recipe's precision to bfloat16 or float32.")
    if recipe.batch_size % team.count:
        raise AIAError(f"A batch of {recipe.batch_size} clips cannot be shared equally by {team.count} processes.")
    samples, given = read_manifest(data), recipe
    recipe = recipe.resolve(class_order(data, samples))
    cache = cache or Path(out, "cache")
    torch.manual_seed(recipe.seed)
    real, held = split_samples(samples, recipe)
    if not real:
        splits = ", ".join(sorted({repr(sample.split[:40]) for sample in samples})[:6])
        raise AIAError(
            f"{data} holds no training clip of the recipe's classes: its splits are {splits}, and those named "
            "train or background are trained on."
        )
    pool = rendered_pool(recipe, data)
    per_epoch = len(_epoch_samples(real, pool, recipe, 0))
    steps = per_epoch // recipe.batch_size  # a last batch that is not full is left out
    if not steps:
        raise AIAError(
            f"There are {per_epoch} clips and a batch has {recipe.batch_size}; give more clips or a smaller batch."
        )
    identity = {"recipe": recipe.to_json(), "init": init}
    state = _read_state(out, identity) if team.first else None
    model = AIANet(recipe.config, dropout=recipe.dropout)
    load_start(model, init)

    # What can be wrong with the arguments has been said by now; decoding takes its time.
    if recipe.cache_frames:
        for sample in tqdm([*real, *pool][team.rank :: team.count], desc="clips", unit="clip", disable=not team.first):
            load_frames(sample, recipe, cache)
    # Its own generator: a loader draws a number at each start, from the one of weights and dropout otherwise.
    plain = PlainDataset(held, recipe)
    held_set = DataLoader(plain, EVAL_BATCH, num_workers=team.workers, generator=torch.Generator())
    if recipe.cache_frames and team.first:
        held_set = list(held_set)  # few clips: decoded once

    model.optimize().to(team.device)
    averaged = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(recipe.ema), use_buffers=True)
    optimizer = _optimizer(model, recipe)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, _rate(recipe, steps))
    scaler = torch.amp.GradScaler(team.device.type, enabled=recipe.precision == "float16")
    parts = {"model": model, "averaged": averaged, "optimizer": optimizer, "schedule": schedule, "scaler": scaler}

    first = _resume(team.from_first(state), parts)
    history = Path(out, HISTORY)
    if team.first:
        lines = history.read_text(encoding="utf-8").splitlines(keepends=True) if history.is_file() else []
        lines = lines[:first]  # a kill may have come between a line and its state
        with files.writing_into(out) as part:
            (part / "recipe.json").write_text(recipe.to_json() + "\n", encoding="utf-8")
            (part / HISTORY).write_text("".join(lines), encoding="utf-8")
    shared = team.share(model)
    for epoch in range(first, recipe.epochs):
        start = time.perf_counter()
        if team.rank or team.device.type != "cpu":  # only the first process's CPU stream is in the state
            torch.manual_seed(recipe.seed + 1009 * (epoch + 1) + 100_003 * team.rank)
        dataset = ClipDataset(_epoch_samples(real, pool, recipe, epoch), recipe, cache, epoch)
        loss = _one_epoch(shared, averaged, dataset, optimizer, schedule, scaler, team)
        if not team.first:
            continue
        line = {"epoch": epoch + 1, "loss": round(loss, 4), "seconds": round(time.perf_counter() - start, 1)}
        if held:
            line |= {f"held_out_{key}": value for key, value in _score(averaged.module, held_set).items()}
        lines.append(json.dumps(line) + "\n")
        with files.writing_into(out) as part:
            (part / HISTORY).write_text("".join(lines), encoding="utf-8")
            draw_curves(part / HISTORY, part / "curves.svg")
            _save_state(part / STATE, parts, identity, epoch + 1)
        log.info("%s", line)
    result = deepcopy(averaged.module).eval().to("cpu", memory_format=torch.contiguous_format)
    if team.first:
        result.save_pretrained(out, model_card_kwargs=_card(given, init, len(real), history))
    team.leave()
    return result


def _epoch_samples(real: list[Sample], pool: list[Sample], recipe: Recipe, epoch: int) -> list[Sample]:
    """All real clips, some rendered ones, and the clips in which nothing moves by itself."""
    rng = np.random.default_rng((recipe.seed, epoch))
    drawn = [pool[i] for i in rng.permutation(len(pool))[: recipe.rendered]]
    every = [*real, *drawn]
    still = [replace(every[i], still=True) for i in rng.integers(len(every), size=recipe.negatives)]
    return every + still


def _one_epoch(shared, averaged, dataset: ClipDataset, optimizer, schedule, scaler, team: Processes) -> float:
    """Trains on every clip once; returns the mean loss."""
    recipe, device = dataset.recipe, team.device
    precision = getattr(torch, recipe.precision)
    loader = _loader(dataset, team)
    shared.train()
    total = 0.0
    title = f"epoch {dataset.epoch + 1}/{recipe.epochs}"
    for x, y in tqdm(
        _batches(loader), desc=title, total=len(loader), unit="batch", leave=False, disable=not team.first
    ):
        with torch.autocast(device.type, precision, enabled=recipe.precision != "float32"):
            logits = shared(x.to(device))
        loss = F.cross_entropy(logits.float(), y.to(device), label_smoothing=recipe.label_smoothing)
        optimizer.zero_grad(set_to_none=True)
        scaler.scale(loss).backward()
        scaler.unscale_(optimizer)
        nn.utils.clip_grad_norm_(shared.parameters(), recipe.grad_clip)
        scaler.step(optimizer)
        scaler.update()
        schedule.step()
        if dataset.epoch < recipe.epochs / 3:
            averaged.n_averaged.zero_()  # the first third's weights are taken as they are, not averaged with the start
        averaged.update_parameters(shared)
        total += loss.item()
    return team.mean(total / max(1, len(loader)))


class _Share:
    """Batches of places in a data set, and of each batch only this process's part."""

    def __init__(self, batches: BatchSampler, team: Processes) -> None:
        self.batches, self.team = batches, team

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[list[int]]:
        return (batch[self.team.rank :: self.team.count] for batch in self.batches)


def _loader(dataset: ClipDataset, team: Processes) -> DataLoader:
    """The batches of an epoch: the same clips in the same order, however many processes share them."""
    order = torch.Generator().manual_seed(dataset.recipe.seed * 100_003 + dataset.epoch)
    batches = BatchSampler(RandomSampler(dataset, generator=order), dataset.recipe.batch_size, drop_last=True)
    return DataLoader(dataset, batch_sampler=_Share(batches, team), generator=order, num_workers=team.workers)


def _batches(loader: Iterable) -> Iterator:
    """What a loader gives; of an error in one of its workers, only the sentence and not the trace around it."""
    try:
        yield from loader
    except AIAError as error:
        raise AIAError(re.sub(r"^aia\.[\w.]+: ", "", str(error).strip().splitlines()[-1])) from None


def _optimizer(model: AIANet, recipe: Recipe) -> torch.optim.Optimizer:
    groups = _groups(model, recipe)
    return (
        torch.optim.AdamW(groups) if recipe.optimizer == "adamw" else torch.optim.SGD(groups, momentum=recipe.momentum)
    )


def _groups(model: AIANet, recipe: Recipe) -> list[dict]:
    """Parameters by learning rate (trunk or new) and weight decay (kernels, or biases and norms)."""
    new = {p for m in model.modules() if isinstance(m, Attention) for p in m.parameters()} | set(
        model.head.parameters()
    )
    groups: dict[tuple[float, float], list[Tensor]] = {}
    for parameter in model.parameters():
        lr = recipe.new_lr if parameter in new else recipe.lr
        groups.setdefault((lr, recipe.weight_decay if parameter.ndim > 1 else 0.0), []).append(parameter)
    return [{"params": params, "lr": lr, "weight_decay": decay} for (lr, decay), params in groups.items()]


def _rate(recipe: Recipe, steps: int) -> Callable[[int], float]:
    """Step -> share of the peak learning rate; an epoch has `steps` steps."""
    warm, whole = max(1, round(recipe.warmup_epochs * steps)), recipe.epochs * steps

    def factor(step: int) -> float:
        if step < warm:
            return (step + 1) / warm
        if recipe.milestones:
            return 0.1 ** sum(step >= epoch * steps for epoch in recipe.milestones)
        return 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, whole - warm)))

    return factor


def _card(recipe: Recipe, init: str, real: int, history: Path) -> dict[str, str]:
    """What the model card says of a run."""
    last = history.read_text(encoding="utf-8").splitlines()[-1]
    held = ", on held-out clips" if "held_out" in last else ""
    return {
        "origin": (
            f"Trained with `python -m aia train` for {recipe.epochs} epochs, seed {recipe.seed}, on {real} real clips "
            f"and {recipe.rendered} rendered ones in each epoch; start weights: `{Path(init).name}`.\n\n"
            f"The recipe:\n\n```json\n{recipe.to_json()}\n```"
        ),
        "results": f"After the last epoch{held}: `{last}`.\n\n![Learning curves](curves.svg)",
    }


def _save_state(path: Path, parts: dict, identity: dict[str, str], epoch: int) -> None:
    whole = {"epoch": epoch, "random": torch.get_rng_state(), **identity}
    try:
        torch.save(whole | {name: thing.state_dict() for name, thing in parts.items()}, path)
    except RuntimeError:  # of a file that cannot be written; torch does not say why
        raise OSError from None


def _read_state(out: str | Path, identity: dict[str, str]) -> dict | None:
    """The last whole epoch, or None before the first.

    Raises:
        AIAError: The folder holds another run, or the state is damaged.
    """
    path = Path(out, STATE)
    if not path.is_file():
        return None
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception:  # the unpickler fails in a dozen ways
        raise AIAError(f"{path} is damaged; delete it to start the run again.") from None
    if any(state.get(key) != value for key, value in identity.items()):
        raise AIAError(f"{out} holds a run with another recipe or other start weights; give another folder.")
    log.info("going on after epoch %d", state["epoch"])
    return state


def _resume(state: dict | None, parts: dict) -> int:
    """Restores a state; returns how many epochs are done."""
    if state is None:
        return 0
    for name, thing in parts.items():
        thing.load_state_dict(state[name])
    torch.set_rng_state(state["random"])
    return state["epoch"]


def decode_all(samples: list[Sample], recipe: Recipe) -> tuple[Tensor, Tensor]:
    """Clips as the network sees them when it is used, `[N, T, 3, S, S]`, and the indices of their labels `[N]`."""
    dataset = PlainDataset(samples, recipe)
    clips = [dataset[place] for place in range(len(dataset))]
    return (torch.stack([x for x, _ in clips]) if clips else torch.empty(0)), torch.tensor([y for _, y in clips])


@torch.inference_mode()
def predict(model: AIANet, clips: Tensor, batch_size: int = EVAL_BATCH) -> Tensor:
    """Logits `[N, classes]` of preprocessed clips `[N, T, 3, S, S]`, on the CPU."""
    model.eval()
    return torch.cat([model(batch.to(model.device)).float().cpu() for batch in clips.split(batch_size)])


def score(model: AIANet, clips: Tensor, targets: Tensor) -> dict[str, float]:
    """Top-1 and cross-entropy of a network on preprocessed clips; `targets` are label indices `[N]`."""
    return _score(model, [(clips, targets)])


def _score(model: AIANet, batches: Iterable[tuple[Tensor, Tensor]]) -> dict[str, float]:
    """As `score`, of clips that come in batches."""
    answers = [(predict(model, clips), targets) for clips, targets in _batches(batches)]
    logits, targets = (torch.cat(parts) for parts in zip(*answers, strict=True))
    return {
        "top1": round((logits.argmax(1) == targets).float().mean().item(), 4),
        "loss": round(F.cross_entropy(logits, targets).item(), 4),
    }
