"""What a client of the tools (MCP) sends, before it is checked against a tool's schema."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any


def tidied_call(body: bytes) -> bytes:
    """A request without the arguments that are null, which mean their defaults, and with objects that came as their JSON text.

    Language models often write either. What is no call of a tool stays as it is.
    """
    try:
        request = json.loads(body)
        arguments = request["params"]["arguments"]
        tidied = {name: _tidied(value) for name, value in arguments.items() if value is not None}
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return body
    if tidied == arguments:
        return body
    request["params"]["arguments"] = tidied
    return json.dumps(request).encode()


def _tidied(value: Any) -> Any:
    if isinstance(value, str) and value.lstrip().startswith("{"):
        with suppress(ValueError, RecursionError):
            return json.loads(value)
    return value
