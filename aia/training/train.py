"""The training loop: a recipe and a data folder in, a loadable model folder out; goes on where it was killed."""

from __future__ import annotations

import json
import logging
import math
import os
import time
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.data import DataLoader
from tqdm import tqdm

from aia.errors import AIAError
from aia.gates import Attention
from aia.hub import best_device
from aia.network import AIANet
from aia.preprocess import preprocess
from aia.training.data import ClipDataset, Sample, load_frames, read_manifest, rendered_pool, split_samples
from aia.training.recipe import Recipe
from aia.training.start import load_start
from aia.video import read_clip

log = logging.getLogger(__name__)


def train(recipe: Recipe, data: Path, out: Path, *, init: str = "none", cache: Path | None = None) -> AIANet:
    """Trains a network; call it again with the same arguments after a kill and it goes on with the last whole epoch.

    Args:
        recipe: What and how.
        data: Folder with a csv; see `read_manifest`.
        out: Gets config.json, model.safetensors, README.md, history.jsonl and, while it runs, state.pt.
        init: Start weights; see `load_start`.
        cache: Folder for decoded clips; `out/cache` by default.

    Returns:
        The averaged network, in eval mode.

    Raises:
        AIAError: The data folder or the trunk's file cannot be used.
    """
    out.mkdir(parents=True, exist_ok=True)
    cache = cache or out / "cache"
    device = best_device()
    torch.manual_seed(recipe.seed)
    real, held = split_samples(read_manifest(data), recipe)
    if not real:
        raise AIAError(f"{data.name} holds no training clip of the recipe's classes.")
    pool = rendered_pool(recipe)
    for sample in tqdm([*real, *pool], desc="clips", unit="clip"):
        load_frames(sample, recipe, cache)
    held_set = decode_all(held, recipe)

    model = AIANet(recipe.config, dropout=recipe.dropout)
    load_start(model, init)
    for conv in model.modules():
        if isinstance(conv, nn.Conv2d):
            conv.to(memory_format=torch.channels_last)
    model.fuse().to(device)
    averaged = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(recipe.ema), use_buffers=True)
    optimizer = torch.optim.AdamW(_groups(model, recipe))
    per_epoch = len(_epoch_samples(real, pool, recipe, 0))
    steps = per_epoch // recipe.batch_size  # a last batch that is not full is left out
    if not steps:
        raise AIAError(
            f"There are {per_epoch} clips and a batch has {recipe.batch_size}; give more clips or a smaller batch."
        )
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, _warm_cosine(recipe, steps))
    parts = {"model": model, "averaged": averaged, "optimizer": optimizer, "schedule": schedule}

    identity = {"recipe": recipe.to_json(), "init": init}
    first = _resume(out / "state.pt", parts, identity)
    history = out / "history.jsonl"
    lines = history.read_text(encoding="utf-8").splitlines(keepends=True) if history.is_file() else []
    history.write_text("".join(lines[:first]), encoding="utf-8")  # a kill may have come between a line and its state
    for epoch in range(first, recipe.epochs):
        start = time.perf_counter()
        dataset = ClipDataset(_epoch_samples(real, pool, recipe, epoch), recipe, cache, epoch)
        loss = _one_epoch(model, averaged, dataset, optimizer, schedule, recipe, f"epoch {epoch + 1}/{recipe.epochs}")
        line = {"epoch": epoch + 1, "loss": loss, "seconds": round(time.perf_counter() - start, 1)}
        if held:
            line |= {f"held_out_{k}": v for k, v in score(averaged.module, *held_set).items()}
        with history.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        _save_state(out / "state.pt", parts, identity, epoch + 1)
        log.info("%s", line)
    result = deepcopy(averaged.module).eval().to("cpu", memory_format=torch.contiguous_format)
    result.save_pretrained(out, model_card_kwargs=_card(recipe, init, len(real), history))
    return result


def _epoch_samples(real: list[Sample], pool: list[Sample], recipe: Recipe, epoch: int) -> list[Sample]:
    """All real clips, some rendered ones, and the clips in which nothing moves by itself."""
    rng = np.random.default_rng((recipe.seed, epoch))
    drawn = [pool[i] for i in rng.permutation(len(pool))[: recipe.rendered]]
    every = [*real, *drawn]
    still = [replace(every[i], still=True) for i in rng.integers(len(every), size=recipe.negatives)]
    return every + still


def _one_epoch(model, averaged, dataset, optimizer, schedule, recipe: Recipe, title: str) -> float:
    """Trains on every clip once; returns the mean loss."""
    order = torch.Generator().manual_seed(recipe.seed * 100_003 + dataset.epoch)
    device = model.device
    # Without a GPU a worker would only take the network's core, and forking copies the memory that is in use.
    workers = 0 if device.type == "cpu" else min(8, os.cpu_count() or 1)
    loader = DataLoader(dataset, recipe.batch_size, shuffle=True, generator=order, num_workers=workers, drop_last=True)
    model.train()
    total = 0.0
    for x, y in tqdm(loader, desc=title, unit="batch", leave=False):
        with torch.autocast("cuda", torch.bfloat16, enabled=device.type == "cuda"):
            logits = model(x.to(device))
        loss = F.cross_entropy(logits.float(), y.to(device), label_smoothing=recipe.label_smoothing)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), recipe.grad_clip)
        optimizer.step()
        schedule.step()
        averaged.update_parameters(model)
        total += loss.item()
    return round(total / max(1, len(loader)), 4)


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


def _warm_cosine(recipe: Recipe, steps: int) -> Callable[[int], float]:
    warm, whole = max(1, round(recipe.warmup_epochs * steps)), recipe.epochs * steps

    def factor(step: int) -> float:
        if step < warm:
            return (step + 1) / warm
        return 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, whole - warm)))

    return factor


def _card(recipe: Recipe, init: str, real: int, history: Path) -> dict[str, str]:
    """What the model card says of a run."""
    last = history.read_text(encoding="utf-8").splitlines()[-1]
    return {
        "origin": (
            f"Trained with `python -m aia train` for {recipe.epochs} epochs, seed {recipe.seed}, on {real} real clips "
            f"and {recipe.rendered} rendered ones in each epoch; start weights: `{Path(init).name}`.\n\n"
            f"The recipe:\n\n```json\n{recipe.to_json()}\n```"
        ),
        "results": f"After the last epoch, on clips held out from the training scenes: `{last}`.",
    }


def _save_state(path: Path, parts: dict, identity: dict[str, str], epoch: int) -> None:
    part = path.with_suffix(".part")
    whole = {"epoch": epoch, "random": torch.get_rng_state(), **identity}
    torch.save(whole | {name: thing.state_dict() for name, thing in parts.items()}, part)
    part.replace(path)


def _resume(path: Path, parts: dict, identity: dict[str, str]) -> int:
    """Restores the last whole epoch; returns how many are done.

    Raises:
        AIAError: The folder holds another run.
    """
    if not path.is_file():
        return 0
    state = torch.load(path, map_location="cpu", weights_only=True)
    if any(state.get(key) != value for key, value in identity.items()):
        raise AIAError(
            f"{path.parent.name} holds a run with another recipe or other start weights; give another folder."
        )
    for name, thing in parts.items():
        thing.load_state_dict(state[name])
    torch.set_rng_state(state["random"])
    log.info("going on after epoch %d", state["epoch"])
    return state["epoch"]


def decode_all(samples: list[Sample], recipe: Recipe) -> tuple[Tensor, Tensor]:
    """Clips as the network sees them when it is used, `[N, T, 3, S, S]`, and the indices of their labels `[N]`."""
    config, kinds = recipe.config, list(recipe.classes)
    clips = [preprocess(read_clip(s.file, config.num_segments).frames, config) for s in samples]
    return (torch.cat(clips) if clips else torch.empty(0)), torch.tensor([kinds.index(s.kind) for s in samples])


@torch.inference_mode()
def predict(model: AIANet, clips: Tensor, batch_size: int = 8) -> Tensor:
    """Logits `[N, classes]` of preprocessed clips `[N, T, 3, S, S]`, on the CPU."""
    model.eval()
    return torch.cat([model(batch.to(model.device)).float().cpu() for batch in clips.split(batch_size)])


def score(model: AIANet, clips: Tensor, targets: Tensor) -> dict[str, float]:
    """Top-1 and cross-entropy of a network on preprocessed clips; `targets` are label indices `[N]`."""
    logits = predict(model, clips)
    return {
        "top1": round((logits.argmax(1) == targets).float().mean().item(), 4),
        "loss": round(F.cross_entropy(logits, targets).item(), 4),
    }
