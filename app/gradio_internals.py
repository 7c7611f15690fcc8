"""Everything of Gradio that its documentation does not promise. The rest of `app` uses documented names, and this module.

A new version of Gradio may change any of it: `test_gradio_internals.py` lists each name and checks its form.
"""

from __future__ import annotations

import json
import os
import re
from abc import ABCMeta
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import gradio as gr
from gradio.component_meta import ComponentMeta, updateable
from gradio.context import LocalContext
from gradio.utils import get_function_description, get_upload_folder, is_in_or_equal
from gradio_client.utils import is_file_obj_with_meta  # type: ignore[import-untyped]  # the package has no types

if TYPE_CHECKING:
    from gradio.blocks import Block
    from gradio.queueing import Queue

ADDRESS_HEADER = b"x-gradio-server"  # Gradio takes the address of the page from it

# ---- files


def upload_folder() -> Path:
    """The folder of uploaded and served files. Gradio deletes old ones."""
    return Path(get_upload_folder())


def is_file_value(value: Any) -> bool:
    """Whether a request's value describes a file."""
    return bool(is_file_obj_with_meta(value))


def is_uploaded(path: str) -> bool:
    """Whether a path is a file in the upload folder."""
    return is_in_or_equal(path, get_upload_folder()) and Path(path).is_file()


def delete_in_time(page: gr.Blocks, file: Path) -> None:
    """Has a file in the upload folder deleted when an upload would be."""
    page.upload_file_set.add(str(file))


def permanent_files(page: gr.Blocks) -> list[Path]:
    """Files in the upload folder that belong to the page itself, such as its examples."""
    return [Path(file) for block in page.blocks.values() for file in block.keep_in_cache]


# ---- the request that is being served


def client_has_left() -> bool:
    """Whether the client of the request that this thread serves has disconnected. Gradio only marks a running request."""
    page, event_id = LocalContext.blocks.get(None), LocalContext.event_id.get(None)
    if page is None or event_id is None:
        return False
    event = _queue(page).event_ids_to_events.get(event_id)
    return event is not None and not event.alive


def event_values(event: gr.EventData) -> dict[str, Any]:
    """What a component's `trigger` sent along. It comes from the browser and may be anything: then the result is empty."""
    return event._data if isinstance(event._data, dict) else {}


# ---- the queue


def page_of(application: Any) -> gr.Blocks:
    """The page that Gradio's web application serves."""
    return application.get_blocks()


def has_function(page: gr.Blocks, number: Any, name: str | None) -> bool:
    """Whether the page has a function of this number or this name."""
    return (number is not None and number in page.fns) or name in {function.api_name for function in page.fns.values()}


def has_request(page: gr.Blocks, event_id: str) -> bool:
    """Whether a request waits, runs, or has a result that nobody has fetched.

    A fetched one may stay in `event_ids_to_events` for a moment. A client that asked for it then would wait forever.
    """
    return any(event_id in events for events in _queue(page).pending_event_ids_session.values())


def unfetched_results(page: gr.Blocks) -> dict[str, str]:
    """Finished requests whose result nobody has fetched, each with its session."""
    queue = _queue(page)
    return {
        event_id: session
        for session, events in queue.pending_event_ids_session.items()
        for event_id in events
        if event_id not in queue.event_ids_to_events
    }


def sessions_without_messages(page: gr.Blocks) -> set[str]:
    """Sessions that disconnected while a request of theirs ran."""
    queue = _queue(page)
    return queue.pending_event_ids_session.keys() - queue.pending_messages_per_session.keys()


async def forget_session(page: gr.Blocks, session: str) -> set[str]:
    """Removes the requests and results of a session, and returns the numbers of its requests."""
    queue = _queue(page)
    await queue.clean_events(session_hash=session)
    queue.pending_messages_per_session.pop(session, None)
    return queue.pending_event_ids_session.pop(session, set())


def forget_sessions_without_state(page: gr.Blocks) -> None:
    """Makes room for visitors' results: each call of a program has left a session, and Gradio keeps a limited number.

    Call it in the event loop of the server, as Gradio does with its own cleaning.
    """
    holder = getattr(page, "state_holder", None)  # only a page that is served has one
    if holder is None:
        return
    busy = {event.session_hash for event in _queue(page).event_ids_to_events.values()}
    for session, state in list(holder.session_data.items()):
        if not state.state_data and session not in busy:
            with holder.lock:
                holder.session_data.pop(session, None)
                holder.time_last_used.pop(session, None)


def queue_is_full(page: gr.Blocks) -> bool:
    """Whether no more requests may wait."""
    queue = _queue(page)
    return queue.max_size is not None and len(queue) >= queue.max_size


def _queue(page: gr.Blocks) -> Queue:
    return page._queue


def skip_usage_summary() -> None:
    """Turns off the summary of all requests that Gradio computes after each request. Only its own dashboard shows it."""
    os.environ.setdefault("GRADIO_ANALYTICS_CACHE_FREQUENCY", "1000000")


# ---- the page and its components


class Blocks(gr.Blocks):
    """`gr.Blocks` with two methods to override: `convert_inputs` and `error_sentence`."""

    async def convert_inputs(
        self,
        function_name: str,
        components: Sequence[Block],
        values: list[Any],
        convert: Callable[[list[Any]], Awaitable[list[Any]]],
    ) -> list[Any]:
        """Values of a request -> arguments of a handler.

        Args:
            function_name: What is called.
            components: The component of each value.
            values: As they were sent.
            convert: Gradio's own conversion.
        """
        return await convert(values)

    def error_sentence(self, error: Exception) -> str:
        """What a client reads about an error."""
        return str(error)

    async def preprocess_data(self, block_fn: Any, inputs: list[Any], *args: Any, **kwargs: Any) -> list[Any]:
        """Gradio's conversion of inputs, by way of `convert_inputs`."""
        convert = super().preprocess_data
        return await self.convert_inputs(
            block_fn.api_name or block_fn.name,
            block_fn.inputs,
            inputs,
            lambda values: convert(block_fn, values, *args, **kwargs),
        )

    async def process_api(self, block_fn: Any, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """One request of the page, of a program or of a tool.

        The files of an answer get their address from `root_path`, which Gradio derives from the request's headers. Behind a
        proxy these may lack the port or https. Answers for the page hold only the path: a browser knows the rest.
        """
        if kwargs.get("root_path") and block_fn.api_visibility != "public":
            kwargs["root_path"] = urlsplit(kwargs["root_path"]).path
        try:
            return await super().process_api(block_fn, *args, **kwargs)
        except Exception as error:
            sentence = self.error_sentence(error)
            raise gr.Error(sentence, duration=None, print_exception=False) from None  # it stays until it is closed

    def get_api_info(self, *args: Any, **kwargs: Any) -> Any:
        """The description of the endpoints. Arguments are described by our docstrings, not by Gradio's component."""
        info = super().get_api_info(*args, **kwargs)
        for function in self.fns.values():
            endpoint = info["named_endpoints"].get(f"/{function.api_name}")
            if endpoint and function.fn:
                descriptions = get_function_description(function.fn)[1]
                for parameter in endpoint["parameters"]:
                    parameter["python_type"]["description"] = descriptions[parameter["parameter_name"]]
        return info


class _WithoutStub(ComponentMeta):
    """Gradio's metaclass writes a .pyi file beside the source of every component class. This one does not."""

    def __new__(cls, name: str, bases: tuple[type, ...], attributes: dict[str, Any]) -> Any:
        if "__init__" in attributes:
            attributes = attributes | {"__init__": updateable(attributes["__init__"])}
        return ABCMeta.__new__(cls, name, bases, attributes)


class HTML(gr.HTML, metaclass=_WithoutStub):
    """`gr.HTML` for subclasses of our own."""


def component_files(page: gr.Blocks) -> list[str]:
    """Addresses of the scripts and styles that a browser needs for the page's components, each once; none if unknown.

    Gradio's script asks for them only after it has run, and then one level of imports after the other.
    """
    assets = Path(gr.__file__).parent / "templates" / "frontend" / "assets"
    for script in assets.glob("core-*.js"):
        code = script.read_text(encoding="utf-8")
        files = re.search(r"m\.f=(\[[^\]]*\])", code)
        names = {block.get_block_name() for block in page.blocks.values()}
        parts = re.findall(r"(?<=[{,])(\w+):\{((?:\w+:\(\)=>\w+\(.*?import\.meta\.url\),?)+)\}", code) if files else []
        numbers = re.findall(r"mapDeps\(\[([\d,]+)\]\)", ";".join(part for name, part in parts if name in names))
        known = json.loads(files[1]) if files else []
        return list(dict.fromkeys(f"assets/{known[int(one)][2:]}" for list_ in numbers for one in list_.split(",")))
    return []


def describe_value(
    component: gr.components.Component, schema: dict[str, Any] | None = None, example: Any = None
) -> Any:
    """Sets the JSON Schema and the example that programs and tools get for a component's value, and returns the component.

    Set on the object: Gradio would write a .pyi file beside a subclass.
    """
    if schema:
        vars(component)["api_info"] = lambda: schema
    vars(component)["example_payload"] = lambda: example
    return component


def take_any_text(menu: gr.Dropdown) -> gr.Dropdown:
    """Leaves it to the handlers to check a menu's value, and returns the menu.

    Gradio knows the entries that were added for a visitor only as long as it keeps the visitor's session.
    """
    vars(menu)["preprocess"] = lambda value: value if isinstance(value, str) else ""
    return menu


def on_example_loaded(page_examples: Any) -> Callable[..., Any]:
    """The event after the chosen example of `gr.Examples` is in its component; call it as any event of a component."""
    return page_examples.load_input_event.then


def keep_latest_choice(page_examples: Any) -> None:
    """Of several quick choices in `gr.Examples` the last one counts. Gradio drops it while an earlier one is being fetched."""
    page_examples.root_block.fns[page_examples.load_input_event["id"]].trigger_mode = "always_last"
