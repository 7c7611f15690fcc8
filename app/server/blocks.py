"""Gradio's page, with two of its doors watched: what comes in as a file, and what goes out as an error."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import gradio as gr
from gradio.utils import get_function_description, get_upload_folder, is_in_or_equal
from gradio_client.utils import is_file_obj_with_meta

from aia import AIAError
from app import errors, text
from app.clip_box import ClipBox

log = logging.getLogger(__name__)
OWN_FILES = "/gradio_api/file="  # what the address of an uploaded file has in it


class Page(gr.Blocks):
    """Blocks that fetch nothing, and whose every error is one sentence for whoever asked."""

    async def preprocess_data(self, block_fn: Any, inputs: list[Any], *args, **kwargs) -> list[Any]:
        """Values as they were sent -> arguments of a handler; Gradio would download what has an address.

        For a clip that is no upload, or no longer, the handler gets a path where there is nothing, and says so.
        """
        try:
            inputs = uploaded(inputs)
            gone = [
                i
                for i, (block, value) in enumerate(zip(block_fn.inputs, inputs, strict=False))
                if _is_gone(block, value)
            ]
            there = [None if i in gone else value for i, value in enumerate(inputs)]
            found = await super().preprocess_data(block_fn, there, *args, **kwargs)
            for i in gone:
                found[i] = str(Path(get_upload_folder(), "gone"))
            return found
        except AIAError:
            raise
        except Exception as error:  # of Gradio's checks; its words may hold paths
            log.info("refused what was sent to %s: %s", block_fn.api_name or block_fn.name, type(error).__name__)
            raise AIAError(text.BAD_INPUT) from None

    def get_api_info(self, *args, **kwargs) -> Any:
        """What programs are told: of each argument what our docstring says, not what Gradio says of its component."""
        told = super().get_api_info(*args, **kwargs)
        for fn in self.fns.values():
            for one in told["named_endpoints"].get(f"/{fn.api_name}", {}).get("parameters", ()):
                one["python_type"]["description"] = get_function_description(fn.fn)[1][one["parameter_name"]]
        return told

    async def process_api(self, block_fn: Any, *args, root_path: str | None = None, **kwargs) -> dict[str, Any]:
        """One request, whoever sent it: the page, a program or a tool.

        The files of an answer get their address from `root_path`, which Gradio makes of the request's headers. Behind a proxy
        these may lack the port or https. For the page only the path is kept: a browser knows the rest.
        """
        if root_path and block_fn.api_visibility != "public":
            root_path = urlsplit(root_path).path
        try:
            return await super().process_api(block_fn, *args, root_path=root_path, **kwargs)
        except Exception as error:
            sentence = errors.sentence(error)
            raise gr.Error(sentence, duration=None, print_exception=False) from None  # it stays until it is closed


def uploaded(value: Any) -> Any:
    """The same value, with the address of every uploaded file as its path on this server.

    Gradio then checks that the path lies among the uploads.

    Raises:
        AIAError: A file's path is an address of something else.
    """
    if isinstance(value, list):
        return [uploaded(one) for one in value]
    if not isinstance(value, dict):
        return value
    value = {key: uploaded(one) for key, one in value.items()}
    if _is_address(value.get("path")):
        path = unquote(value["path"].partition(OWN_FILES)[2])
        if not path or _is_address(path):
            raise AIAError(text.NO_ADDRESS)
        value |= {"path": path, "url": None}
    return value


def _is_gone(block: Any, value: Any) -> bool:
    """Whether a clip was sent that is not among the uploads; files elsewhere on this server are treated alike."""
    if not isinstance(block, gr.Video | ClipBox) or not is_file_obj_with_meta(value):
        return False
    return not (is_in_or_equal(value["path"], get_upload_folder()) and Path(value["path"]).is_file())


def _is_address(path: Any) -> bool:
    return isinstance(path, str) and path.strip().lower().startswith(("http:", "https:"))
