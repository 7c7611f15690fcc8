"""Finds a model's files by name: in a folder, among the shipped models or on the Hub. Reads safetensors only, strictly."""

from __future__ import annotations

import os
import re
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from huggingface_hub import get_hf_file_metadata, hf_hub_download, hf_hub_url, try_to_load_from_cache
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from safetensors import SafetensorError, safe_open

from aia.errors import AIAError
from aia.limits import MAX_CHECKPOINT_BYTES, MAX_HEADER_BYTES
from aia.locations import CHECKPOINTS
from aia.modeling.config import AIAConfig

if TYPE_CHECKING:  # torch takes seconds to import, and listing models does not need it
    import torch
    from torch import nn

CONFIG, WEIGHTS = "config.json", "model.safetensors"
REFERENCE = "reference.safetensors"  # optional
_REPO = re.compile(r"(?!.*(--|\.\.|\.git$))\b[\w.-]{1,96}\b/\b[\w.-]{1,96}\b", re.ASCII)  # the Hub's own rule
_NO_REVISION = re.compile(r"\.\.|[\\:\s]|^/")  # no git name has these; in a path they could lead out of the cache


@dataclass(frozen=True)
class HubOptions:
    """How a repository is fetched; names as in `huggingface_hub.hf_hub_download`.

    Attributes:
        cache_dir: The cache's folder; the Hub client's own by default.
        token: Instead of the environment's HF_TOKEN.
        local_files_only: Whether only the cache is read.
        force_download: Whether files in the cache are fetched again.
    """

    cache_dir: str | Path | None = None
    token: str | None = None
    local_files_only: bool = False
    force_download: bool = False


def available_models(*, hub: bool = False) -> tuple[str, ...]:
    """Names of the shipped models, for `load`.

    Args:
        hub: Adds the Hub's models that carry the tag "attention-in-attention". `aia.hub.gallery.hub_models` has their
            likes, task and size, too. Nobody has checked them; `load` reads them as strictly as any other model.

    Raises:
        AIAError: The Hub cannot be asked.

    Example:
        >>> import aia
        >>> "tsm-mobilenetv2-cinst" in aia.available_models()
        True
    """
    shipped = sorted(p.parent.name for p in CHECKPOINTS.glob(f"*/{WEIGHTS}") if (p.parent / CONFIG).is_file())
    if not hub:
        return tuple(shipped)
    from aia.hub.gallery import hub_models

    return (*shipped, *(model.name for model in hub_models()))


def is_repository(name: str) -> bool:
    """Whether a name can be a repository's on the Hub, "user/repo"."""
    return _REPO.fullmatch(name) is not None


def is_here(name: str) -> bool:
    """Whether `load` can answer for this name, with a model or an error, without asking the Hub."""
    if os.path.isdir(name) or name in available_models() or not _REPO.fullmatch(name):  # noqa: PTH112  as in load
        return True
    return _cached(name, None) is not None


def download(repo: str) -> None:
    """Downloads a repository's files into the Hub's cache, where `load` finds them.

    Raises:
        AIAError: As in `load`.
    """
    _from_hub(repo, None)


def find_model(name: str, revision: str | None = None, options: HubOptions = HubOptions()) -> tuple[AIAConfig, Path]:
    """Finds a model's configuration and weights file, and downloads them if necessary.

    Raises:
        AIAError: As in `load`.
    """
    is_folder = os.path.isdir(name)  # noqa: PTH112  to Path, "" is the current folder and a name of 10,000 characters an error
    if is_folder or name in available_models():
        if revision:
            what = "a folder" if is_folder else "a shipped model"
            raise AIAError(
                f"{name[:200]!r} is {what}, and only repositories of the Hub have revisions; give no revision."
            )
        return _from_folder(Path(name) if is_folder else CHECKPOINTS / name)
    if _REPO.fullmatch(name):
        return _from_hub(name, revision or None, options)
    shipped = available_models()
    known = f"{shipped[0]}, ... {shipped[-1]}; `aia.available_models()` lists them" if shipped else "none"
    raise AIAError(f"There is no model {name[:200]!r}: give a folder, a shipped name ({known}) or user/repo.")


def read_weights(model: nn.Module, path: Path) -> None:
    """Fills a network from a safetensors file. Names and shapes must match; other floats become float32.

    Raises:
        AIAError: The file is damaged or too large, a tensor is missing, extra or misshapen, or a value is not finite.
    """
    import torch

    expected = model.state_dict()
    floats = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
    try:
        _check_size(path.stat().st_size, path.name)
        check_header(path)
        with safe_open(path, framework="pt") as file:
            check_tensors({key: tuple(file.get_slice(key).get_shape()) for key in file.keys()}, expected, path.name)  # noqa: SIM118
            state = {key: file.get_tensor(key) for key in expected}
    except (SafetensorError, OSError, ValueError, struct.error):
        raise AIAError(f"{path.name} is damaged or not a safetensors file; download or convert it again.") from None
    for key, tensor in state.items():
        dtype = expected[key].dtype
        if tensor.dtype == dtype or (dtype.is_floating_point and tensor.dtype in floats):
            state[key] = tensor.to(dtype)  # before the check: a float64 may be too large for a float32
            if torch.isfinite(state[key]).all():
                continue
        if tensor.is_complex():
            raise AIAError(f"{path.name} holds complex numbers in {key}; convert it again.")
        raise AIAError(f"{path.name} holds values in {key} that are not finite numbers of its type; convert it again.")
    model.load_state_dict(state)
    model.eval()


def check_tensors(shapes: Mapping[str, Sequence[int]], expected: Mapping[str, torch.Tensor], where: str) -> None:
    """Compares names and shapes.

    Raises:
        AIAError: They differ; the sentence names the first difference of each kind and how many more there are.
    """
    if differences := difference(shapes, expected)[0]:
        raise AIAError(f"{where} does not fit the network: it {differences}.")


def difference(shapes: Mapping[str, Sequence[int]], expected: Mapping[str, torch.Tensor]) -> tuple[str, int]:
    """How names and shapes differ: in words, such as "lacks a.weight and 3 more", and the number of names that differ."""
    missing = [key for key in expected if key not in shapes]
    extra = [key for key in shapes if key not in expected]
    wrong = [key for key in expected if key in shapes and tuple(shapes[key]) != tuple(expected[key].shape)]
    words = []
    for keys, verb in ((missing, "lacks"), (extra, "has the unexpected"), (wrong, "has another shape for")):
        if keys:
            key = repr(keys[0][:80]) if keys is extra else keys[0]  # the file's names may be any text
            both = f" ({str(list(shapes[key]))[:80]}, not {list(expected[key].shape)})" if keys is wrong else ""
            more = f" and {len(keys) - 1} more" if len(keys) > 1 else ""
            words.append(f"{verb} {key}{both}{more}")
    return ", and ".join(words), len(missing) + len(extra) + len(wrong)


def _check_size(size: int, where: str) -> None:
    if size > MAX_CHECKPOINT_BYTES:
        raise AIAError(f"{where} is larger than {MAX_CHECKPOINT_BYTES >> 20} MiB; no AIA model is.")


def check_header(path: Path) -> None:
    """Refuses a header that is too long, before it is parsed: the library accepts 100 MB, for 10 s and 2 GB of memory.

    The library checks the rest before it returns a tensor: JSON, types, shapes, and that the tensors fill the file
    without gaps and overlaps.
    """
    with path.open("rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
    if length > path.stat().st_size - 8:
        raise ValueError
    if length > MAX_HEADER_BYTES:
        raise AIAError(f"{path.name} has a header of more than {MAX_HEADER_BYTES >> 10} KiB; no AIA model has.")


def _from_folder(folder: Path) -> tuple[AIAConfig, Path]:
    config, weights = AIAConfig.from_file(folder / CONFIG), folder / WEIGHTS
    if not weights.is_file():
        raise AIAError(
            f"The folder {str(folder)!r} has no {WEIGHTS}; pickled weights are not loaded, convert them first."
        )
    return config, weights


def _from_hub(repo: str, revision: str | None, options: HubOptions = HubOptions()) -> tuple[AIAConfig, Path]:
    """Config and weights of one commit; no request at all if both are in the cache."""
    if revision and _NO_REVISION.search(revision):
        raise AIAError(f"{revision[:200]!r} cannot be a revision; give a branch, a tag or a commit of {repo}.")
    is_fetched_again = options.force_download and not options.local_files_only
    cached = None if is_fetched_again else _cached(repo, revision, options)
    if cached:
        return AIAConfig.from_file(cached[0]), cached[1]
    if options.local_files_only:
        raise AIAError(f"{repo} is not in the Hub's cache; load it once without local_files_only.")
    config = _fetch(repo, CONFIG, revision, options)
    checked, commit = AIAConfig.from_file(config), config.parent.name  # before the weights are downloaded
    try:  # before the weights: once config and weights are cached, the Hub is not asked again
        _fetch(repo, REFERENCE, commit, options)
    except AIAError as error:
        if not _is_missing(error.__context__):  # most repositories have none
            raise
    return checked, _fetch(repo, WEIGHTS, commit, options)


def _cached(repo: str, revision: str | None, options: HubOptions = HubOptions()) -> tuple[Path, Path] | None:
    """Both files of a repository in the Hub's cache; None unless both are there."""
    try:
        config, weights = (
            try_to_load_from_cache(repo, file, cache_dir=options.cache_dir, revision=revision)
            for file in (CONFIG, WEIGHTS)
        )
    except (OSError, ValueError):  # the cache cannot be read
        return None
    return (Path(config), Path(weights)) if isinstance(config, str) and isinstance(weights, str) else None


def _fetch(repo: str, file: str, revision: str | None, options: HubOptions) -> Path:
    """Downloads one file into the Hub's cache."""
    token = options.token or os.environ.get("HF_TOKEN", "").strip() or False  # False: no stored login either
    try:
        # First one request with a short timeout, since hf_hub_download retries its own for minutes.
        url = hf_hub_url(repo, file, revision=revision)
        _check_size(get_hf_file_metadata(url, token=token).size or 0, file)
        fetched = hf_hub_download(
            repo,
            file,
            revision=revision,
            token=token,
            cache_dir=options.cache_dir,
            force_download=options.force_download,
        )
        return Path(fetched)
    except AIAError:
        raise
    except Exception as error:  # the types depend on huggingface_hub's version (requests, httpx, httpx2, hf_xet)
        raise AIAError(_why(error, repo, file, revision)) from None


def _is_missing(error: BaseException | None) -> bool:
    """Whether the Hub has no such file; False if there is no connection to find out."""
    return isinstance(error, EntryNotFoundError) and not isinstance(error, LocalEntryNotFoundError)


def _why(error: Exception, repo: str, file: str, revision: str | None) -> str:
    """The sentence for a failed download. The error's own text is not shown, since it may hold addresses."""
    if isinstance(error, GatedRepoError):
        return f"The repository {repo} is gated: ask for access on its page, then set HF_TOKEN in the environment."
    if isinstance(error, RepositoryNotFoundError):
        return f"{repo} is neither a folder here nor a public repository on the Hub; check the name, or set HF_TOKEN."
    if isinstance(error, RevisionNotFoundError):
        return f"The repository {repo} has no revision {(revision or 'main')[:200]!r}; check its branches and tags."
    if _is_missing(error):
        hint = "pickled weights are not loaded, since they can run code" if file == WEIGHTS else "it is no AIA model"
        return f"The repository {repo} has no {file}; {hint}."
    if isinstance(error, OfflineModeIsEnabled):
        return f"{repo} is not in the cache and HF_HUB_OFFLINE is set; unset it, or use a shipped model."
    if isinstance(error, HfHubHTTPError) and error.response is not None and error.response.status_code in (401, 403):
        return f"The Hub does not give {repo} to this token or address; check HF_TOKEN in the environment."
    return f"The download of {repo} failed; check the connection and the disk and try again, or use a shipped model."
