"""A network with the usual methods of the Hub: `from_pretrained`, `save_pretrained`, `push_to_hub`."""

from __future__ import annotations

import os
import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from huggingface_hub import ModelCard, PyTorchModelHubMixin
from safetensors import SafetensorError

from aia import files
from aia.errors import AIAError
from aia.hub.card import model_card
from aia.hub.files import REFERENCE, HubOptions, find_model, read_weights
from aia.hub.push import push
from aia.hub.reference import reference_of, write_reference
from aia.modeling import network
from aia.modeling.config import AIAConfig
from aia.modeling.reference import Reference

if TYPE_CHECKING:
    from typing_extensions import Self


class AIANet(network.AIANet, PyTorchModelHubMixin):
    """`aia.modeling.network.AIANet` that can be loaded, saved and pushed.

    Example:
        >>> import aia
        >>> model = aia.AIANet(aia.AIAConfig(("left", "right"), arch="mobilenet_v2", temporal="tsm", input_size=64))
        >>> model
        AIANet('', 'TSM with CinST, mobilenet_v2', 2 labels, AIA in 17 blocks, cpu)
        >>> model.block_names[0]
        'features.1'
    """

    @classmethod
    def from_pretrained(  # type: ignore[override]  # the mixin's own is neither strict nor limited to safetensors
        cls,
        pretrained_model_name_or_path: str | Path,
        *,
        revision: str | None = None,
        device: str | torch.device | None = None,
        optimize: bool = True,
        precision: str = "float32",
        cache_dir: str | Path | None = None,
        token: str | None = None,
        local_files_only: bool = False,
        force_download: bool = False,
    ) -> Self:
        """`aia.load` under the name that Hub users know, with their options.

        Args:
            pretrained_model_name_or_path: As `name` of `aia.load`, and so are the next four.
            revision: Branch, tag or commit.
            device: Where to put the network.
            optimize: Runs inference in its quick form.
            precision: Of the quick form.
            cache_dir: The cache's folder; the Hub client's own by default.
            token: Instead of the environment's HF_TOKEN. A login that the Hub's client has stored is not used.
            local_files_only: Reads the cache only.
            force_download: Fetches files again that are in the cache, such as those of a branch that has moved.

        Raises:
            AIAError: As in `aia.load`, or the model is not in the cache and only the cache is read.
        """
        name = str(pretrained_model_name_or_path)
        options = HubOptions(cache_dir, token, local_files_only, force_download)
        config, weights = find_model(name, revision, options)
        model = cls(config)
        read_weights(model, weights)
        model.reference = reference_of(model, weights.with_name(REFERENCE))
        model.name, device = name, device or best_device()
        try:
            model.to(device)
            if optimize:
                model.optimize(precision)
        except (RuntimeError, AssertionError):  # torch raises either for a device that is missing
            raise AIAError(
                f"The device {str(device)[:80]!r} cannot be used here or is full; give another one."
            ) from None
        return model

    def save_pretrained(self, save_directory: str | Path, **kwargs: Any) -> str | None:  # type: ignore[override]  # all by name
        """Writes config.json, model.safetensors, the reference if it has one, and README.md if there is none yet.

        It writes all of them or, on an error, none.

        Args:
            save_directory: Created if missing.
            **kwargs: As for the mixin: config, model_card_kwargs, push_to_hub, repo_id, ...; a push needs a repo_id.

        Returns:
            The commit's address, if it was pushed.

        Raises:
            AIAError: The folder cannot be written, or the push failed or has no repo_id.
        """
        if kwargs.get("push_to_hub") and kwargs.get("repo_id") is None:
            raise AIAError("Pushing needs a repository; give repo_id, such as user/repo.")
        kwargs["config"] = kwargs.get("config") or self.config  # the mixin keeps the one that the network was made with
        reference = self._own_reference()
        with files.writing_into(save_directory) as part:
            try:
                if reference:
                    write_reference(part, reference)
                address: str | None = super().save_pretrained(part, **kwargs)
            except SafetensorError as error:  # holds the system's error as text
                number = int((re.findall(r"os error (\d+)", str(error)) or [0])[0])
                raise OSError(number, os.strerror(number)) from None
            if (Path(save_directory) / "README.md").exists():
                (part / "README.md").unlink()
        if reference is None:  # an existing one belongs to other weights
            (Path(save_directory) / REFERENCE).unlink(missing_ok=True)
        return address

    def _own_reference(self) -> Reference | None:
        """The reference, unless the weights have changed since it was made."""
        return self.reference if self.reference and self.reference.weights == self.fingerprint() else None

    def push_to_hub(  # type: ignore[override]  # not all options of the mixin
        self,
        repo_id: str,
        *,
        config: AIAConfig | None = None,
        commit_message: str = "Push model using huggingface_hub.",
        private: bool | None = None,
        token: str | None = None,
        branch: str | None = None,
        create_pr: bool | None = None,
        model_card_kwargs: dict[str, Any] | None = None,
    ) -> str:
        """Uploads config, weights and card to a Hub repository.

        Args:
            repo_id: "user/repo"; created if it does not exist.
            config: Written instead of the network's own.
            commit_message: Of the commit.
            private: Whether a repository that is created is private.
            token: Instead of the environment's HF_TOKEN. A login that the Hub's client has stored is not used.
            branch: To push to; the main one by default.
            create_pr: Whether to open a pull request.
            model_card_kwargs: Of `aia.hub.card.model_card`.

        Returns:
            The commit's address.

        Raises:
            AIAError: No token, no permission or no connection.
        """
        with tempfile.TemporaryDirectory() as folder:
            card = {"name": repo_id, **(model_card_kwargs or {})}
            self.save_pretrained(folder, config=config, model_card_kwargs=card)
            return push(
                Path(folder),
                repo_id,
                private=private,
                token=token,
                commit_message=commit_message,
                branch=branch,
                create_pr=create_pr,
            )

    def generate_model_card(self, **kwargs: Any) -> ModelCard:  # type: ignore[override]  # all by name
        """The card that `save_pretrained` and `push_to_hub` write beside the weights."""
        return model_card(self.config, **{"reference": self._own_reference(), **kwargs})


def best_device() -> torch.device:
    """The fastest available device: cuda, mps or cpu."""
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
