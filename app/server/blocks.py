"""The page as a Gradio object that checks incoming files and turns every error into one sentence."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any
from urllib.parse import unquote

from aia import AIAError
from app import errors, gradio_internals, text
from app.clip_box import ClipBox, ClipFile

log = logging.getLogger(__name__)
OWN_FILES = "/gradio_api/file="  # part of the address of every uploaded file


class Page(gradio_internals.Blocks):
    """Blocks that fetch nothing, and whose errors are one sentence for the client.

    Attributes:
        offered: Names of the models that every visitor may use.
    """

    offered: Sequence[str] = ()

    async def convert_inputs(
        self,
        function_name: str,
        components: Sequence[Any],
        values: list[Any],
        convert: Callable[[list[Any]], Awaitable[list[Any]]],
    ) -> list[Any]:
        """Values of a request -> arguments of a handler. Gradio alone would download any address.

        For a clip that is not among the uploads the handler gets a path without a file, and reports that the clip is gone.
        """
        try:
            values = uploaded(values)
            missing = [
                i
                for i, (component, value) in enumerate(zip(components, values, strict=False))
                if _is_missing(component, value)
            ]
            arguments = await convert([None if i in missing else value for i, value in enumerate(values)])
            for i in missing:
                arguments[i] = str(gradio_internals.upload_folder() / "gone")
            return arguments
        except AIAError:
            raise
        except Exception as error:  # from Gradio's checks; its message may hold paths
            log.info("refused a request to %s: %s", function_name, type(error).__name__)
            raise AIAError(text.BAD_INPUT) from None

    def error_sentence(self, error: Exception) -> str:
        """What a client reads about an error."""
        return errors.sentence(error)


def uploaded(value: Any) -> Any:
    """The same value, with the address of every uploaded file replaced by its path on this server.

    Gradio then checks that the path is among the uploads.

    Raises:
        AIAError: A file's address is not one of this page.
    """
    if isinstance(value, list):
        return [uploaded(item) for item in value]
    if not isinstance(value, dict):
        return value
    value = {key: uploaded(item) for key, item in value.items()}
    if _is_address(value.get("path")):
        path = unquote(value["path"].partition(OWN_FILES)[2])
        if not path or _is_address(path):
            raise AIAError(text.NO_ADDRESS)
        value |= {"path": path, "url": None}
    return value


def _is_missing(component: Any, value: Any) -> bool:
    """Whether a clip was sent that is not among the uploads. Other files of this server count as missing too."""
    if not isinstance(component, ClipFile | ClipBox) or not gradio_internals.is_file_value(value):
        return False
    return not gradio_internals.is_uploaded(value["path"])


def _is_address(path: Any) -> bool:
    return isinstance(path, str) and path.strip().lower().startswith(("http:", "https:"))
