"""From a name to a network: a folder, a shipped model or a repository on the Hugging Face Hub; safetensors only, strict."""

from __future__ import annotations

import os
import re
from pathlib import Path

import httpx
import torch
from huggingface_hub import hf_hub_download
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from safetensors import SafetensorError, safe_open

from aia.config import AIAConfig
from aia.errors import AIAError
from aia.limits import MAX_CHECKPOINT_BYTES
from aia.network import AIANet

CHECKPOINTS = Path(__file__).resolve().parents[1] / "checkpoints"
CONFIG, WEIGHTS = "config.json", "model.safetensors"
_REPO = re.compile(r"[\w.-]{1,96}/[\w.-]{1,96}")


def available_models() -> tuple[str, ...]:
    """Names of the models that come with the project, for `load`."""
    return tuple(sorted(p.parent.name for p in CHECKPOINTS.glob(f"*/{WEIGHTS}") if (p.parent / CONFIG).is_file()))


def best_device() -> torch.device:
    """The fastest device here: cuda, mps or cpu."""
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def load(name: str | Path, *, revision: str | None = None, device: str | torch.device | None = None) -> AIANet:
    """Loads a pretrained network.

    Looked for in this order: a folder, a shipped name, the Hub's cache on this machine, the Hub. Of a repository only
    `config.json` and `model.safetensors` are read; pickled weights never are. A private repository's token is taken from
    the environment variable HF_TOKEN and from nowhere else.

    Args:
        name: A folder, one of `available_models()`, or "user/repo".
        revision: Branch, tag or commit of a Hub repository. Once cached, a branch is not asked for again.
        device: Where to put the network; the fastest one by default.

    Returns:
        The network in eval mode.

    Raises:
        AIAError: Nothing by that name, no connection, or files that are not a valid AIA model.
    """
    if Path(name).is_dir():
        folder = Path(name)
        config, weights = AIAConfig.from_file(folder / CONFIG), folder / WEIGHTS
        if not weights.is_file():
            raise AIAError(
                f"The folder {folder.name} has no {WEIGHTS}; pickled weights are not loaded, convert them first."
            )
    elif str(name) in available_models():
        folder = CHECKPOINTS / str(name)
        config, weights = AIAConfig.from_file(folder / CONFIG), folder / WEIGHTS
    elif _REPO.fullmatch(str(name)):
        config, weights = _from_hub(str(name), revision)
    else:
        shipped = ", ".join(available_models()) or "none"
        raise AIAError(
            f"There is no model {str(name)[:200]!r}: give a folder, a shipped name ({shipped}) or user/repo."
        )
    return read_weights(AIANet(config), weights).to(device or best_device())


def read_weights(model: AIANet, path: Path) -> AIANet:
    """Fills a network from a safetensors file, every tensor by its name and shape; float16 and bfloat16 become float32.

    Raises:
        AIAError: Damaged or too large, a missing, extra or misshapen tensor, or a value that is not finite.
    """
    if path.stat().st_size > MAX_CHECKPOINT_BYTES:
        raise AIAError(f"{path.name} is larger than {MAX_CHECKPOINT_BYTES >> 20} MiB; no AIA model is.")
    expected = model.state_dict()
    try:
        with safe_open(path, framework="pt") as file:
            check_tensors({key: tuple(file.get_slice(key).get_shape()) for key in file.keys()}, expected, path.name)  # noqa: SIM118
            state = {key: file.get_tensor(key) for key in expected}
    except (SafetensorError, OSError, ValueError):
        raise AIAError(f"{path.name} is damaged or no safetensors file; download or convert it again.") from None
    for key, tensor in state.items():
        if tensor.is_floating_point() != expected[key].is_floating_point() or not torch.isfinite(tensor).all():
            raise AIAError(f"{path.name} holds values in {key} that are no finite numbers; the model cannot work.")
    model.load_state_dict(state)
    return model.eval()


def check_tensors(found: dict[str, tuple[int, ...]], expected: dict[str, torch.Tensor], where: str) -> None:
    """Compares names and shapes.

    Raises:
        AIAError: They differ; the sentence names the first difference and how many more there are.
    """
    missing = [key for key in expected if key not in found]
    extra = [key for key in found if key not in expected]
    wrong = [key for key in expected if key in found and found[key] != tuple(expected[key].shape)]
    for keys, what in ((missing, "lacks"), (extra, "has the unexpected"), (wrong, "has another shape for")):
        if keys:
            shapes = f" ({list(found[keys[0]])}, not {list(expected[keys[0]].shape)})" if keys is wrong else ""
            more = f" and {len(keys) - 1} more" if len(keys) > 1 else ""
            raise AIAError(f"{where} does not fit the network: it {what} {keys[0]}{shapes}{more}.")


def _from_hub(repo: str, revision: str | None) -> tuple[AIAConfig, Path]:
    """Config and weights of one commit of a repository, from the cache if they are all there."""
    try:
        config = _cached_or_fetched(repo, CONFIG, revision)
        checked = AIAConfig.from_file(config)  # before the weights travel
        commit = config.parent.name  # .../snapshots/<commit>/config.json: both files come from one commit
        return checked, _cached_or_fetched(repo, WEIGHTS, commit)
    except GatedRepoError:
        raise AIAError(
            f"The repository {repo} is gated: ask for access, then set HF_TOKEN in the environment."
        ) from None
    except RepositoryNotFoundError:
        raise AIAError(
            f"The Hub has no repository {repo}, or it is private: check the name, or set HF_TOKEN."
        ) from None
    except RevisionNotFoundError:
        raise AIAError(f"The repository {repo} has no revision {revision!r}; check its branches and tags.") from None
    except LocalEntryNotFoundError:
        raise AIAError(
            f"The Hub cannot be reached and {repo} is not in the cache; try again or use a shipped model."
        ) from None
    except EntryNotFoundError as error:
        file = WEIGHTS if WEIGHTS in str(error) else CONFIG
        hint = "pickled weights are not loaded, since they can run code" if file == WEIGHTS else "it is no AIA model"
        raise AIAError(f"The repository {repo} has no {file}; {hint}.") from None
    except HFValidationError:
        raise AIAError(f"{repo!r} is no valid repository name; a Hub model is called user/repo.") from None
    except (HfHubHTTPError, httpx.HTTPError, OSError):
        raise AIAError(
            f"The download of {repo} failed; check the connection and try again, or use a shipped model."
        ) from None


def _cached_or_fetched(repo: str, file: str, revision: str | None) -> Path:
    token = os.environ.get("HF_TOKEN") or False  # False: not even one that was stored by a login
    try:
        return Path(hf_hub_download(repo, file, revision=revision, local_files_only=True, token=token))
    except LocalEntryNotFoundError:
        return Path(hf_hub_download(repo, file, revision=revision, token=token))
