"""Uploads a model folder to the Hub: weights, configuration, card, recipe and pictures."""

from __future__ import annotations

import os
from pathlib import Path

from huggingface_hub import HfApi
from huggingface_hub.errors import HfHubHTTPError, HFValidationError
from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]  # the client's types do not export it

from aia.errors import AIAError
from aia.hub.files import CONFIG, REFERENCE, WEIGHTS, find_model, read_weights
from aia.hub.reference import reference_of
from aia.modeling.network import AIANet

CARD = "README.md"
FILES = (CONFIG, WEIGHTS, REFERENCE, CARD, "recipe.json", "history.jsonl", "*.png", "*.jpg", "*.svg", "*.webp")


def push(
    folder: str | Path,
    repo: str,
    *,
    private: bool | None = False,
    token: str | None = None,
    commit_message: str | None = None,
    branch: str | None = None,
    create_pr: bool | None = None,
) -> str:
    """Uploads a model folder.

    Args:
        folder: Written by `train`, `convert` or `save_pretrained`. Only files directly in it that match `FILES` are
            uploaded: no cache, no training state.
        repo: "user/repo"; created if it does not exist.
        private: Whether a repository that is created is private; None for its owner's default.
        token: Instead of the environment's HF_TOKEN. A login that the Hub's client has stored is not used.
        commit_message: Of the commit; the Hub client's own by default.
        branch: To push to, made if need be; the main one by default.
        create_pr: Whether to open a pull request, to the main branch.

    Returns:
        The commit's address.

    Raises:
        AIAError: No valid model or no card, no token, an invalid name, a branch for a pull request, no permission or no
            connection.
    """
    token = (token or os.environ.get("HF_TOKEN", "")).strip()
    if not token:
        raise AIAError("Pushing to the Hub needs a token that may write; set HF_TOKEN in the environment.")
    if branch and create_pr:
        raise AIAError("A pull request has a branch of its own; give a branch or create_pr, not both.")
    if not Path(folder).is_dir():
        raise AIAError(f"There is no folder {folder}; give one with {CONFIG}, {WEIGHTS} and {CARD}.")
    config, weights = find_model(str(folder))
    model = AIANet(config)
    read_weights(model, weights)  # only loadable folders are uploaded
    reference_of(model, weights.with_name(REFERENCE))
    if not Path(folder, CARD).is_file():
        raise AIAError(f"{folder} has no {CARD}; write its card first, so that others know what the model is.")
    try:
        validate_repo_id(repo)
        if "/" not in repo:  # valid for the Hub, but no target for a push
            raise HFValidationError(repo)
        api = HfApi(token=token)
        api.create_repo(repo, private=private, exist_ok=True)
        if branch:
            api.create_branch(repo, branch=branch, exist_ok=True)
        commit = api.upload_folder(
            repo_id=repo,
            folder_path=folder,
            allow_patterns=list(FILES),
            ignore_patterns=["*/*"],
            delete_patterns=[REFERENCE],  # one that is not uploaded belongs to other weights
            commit_message=commit_message,
            revision=branch,
            create_pr=create_pr,
        )
        return str(commit.commit_url)
    except HFValidationError:
        raise AIAError(f"{repo[:200]!r} cannot be a repository's name; write user/repo.") from None
    except Exception as error:  # the types depend on huggingface_hub's version; their text may show the token
        raise AIAError(_why(error, repo)) from None


def _why(error: Exception, repo: str) -> str:
    status = error.response.status_code if isinstance(error, HfHubHTTPError) and error.response is not None else 0
    if status in (401, 403):
        return f"The Hub does not let this token write to {repo}; check HF_TOKEN and its permissions."
    if status == 400:
        return f"The Hub refused {repo}, most likely because of the metadata in {CARD}; correct it and try again."
    return f"{repo} could not be pushed; check the connection and try again."
